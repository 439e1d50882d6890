#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each public header compiles alone, as C11 and, where a C++ compiler is at hand, as C++17; and
each shared library exports what the headers declare and nothing else.

    check_headers.py INCLUDE_FOLDER CC LIBRARY=HEADER,HEADER...

A header of PENDING may declare functions that no library defines yet; they are printed. Everything
else that is missing fails.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
PENDING = set()


def compile_alone(command, suffix, include, name):
    """The compiler's complaint about a file that includes this header twice and nothing else; ''
    for none."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "alone" + suffix)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#include <squeezebert/{name}>\n#include <squeezebert/{name}>\n"
                       f"int main(void) {{ return 0; }}\n")
        done = subprocess.run(command + WARNINGS + ["-I", include, "-fsyntax-only", path],
                              capture_output=True, text=True)
    return "" if done.returncode == 0 else f"{name} alone, {' '.join(command)}:\n{done.stderr}"


def declared(include, name):
    """Names of the functions that the header marks SQZ_API."""
    with open(os.path.join(include, "squeezebert", name), encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    text = re.sub(r"^#.*$", "", text, flags=re.M)
    return set(re.findall(r"\bSQZ_API\b[^;(]*?\b(sqz_\w+)\s*\(", text))


def exported(library):
    listed = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True,
                            check=True).stdout
    names = {line.split()[-1].split("@")[0] for line in listed.splitlines() if line.strip()}
    return {name for name in names if not name.startswith("__")
            and name not in ("_init", "_fini", "_edata", "_end", "_bss_start")}


def compare(include, library, headers):
    """Complaints about the difference between a library and its headers."""
    complaints, wanted = [], set()
    got = exported(library)
    for name in headers:
        functions = declared(include, name)
        if not functions and name != "squeezebert.h":
            complaints.append(f"{name} declares no function")
        missing = sorted(functions - got)
        wanted |= functions
        if missing and name in PENDING:
            print(f"{os.path.basename(library)}: {name}: not built yet: {' '.join(missing)}")
        elif missing:
            complaints.append(f"{library} lacks {' '.join(missing)} of {name}")
    surplus = sorted(got - wanted)
    if surplus:
        complaints.append(f"{library} exports {' '.join(surplus)}, which no header of it declares")
    return complaints


def main():
    include, cc, libraries = sys.argv[1], sys.argv[2], sys.argv[3:]
    names = sorted(os.path.basename(p)
                   for p in glob.glob(os.path.join(include, "squeezebert", "*.h")))
    complaints = [compile_alone([cc, "-std=c11"], ".c", include, name) for name in names]
    cxx = shutil.which("c++")
    if cxx:
        complaints += [compile_alone([cxx, "-std=c++17"], ".cpp", include, name) for name in names]
    else:
        print("no c++ found: the headers were not tried as C++17")
    for pair in libraries:
        library, chosen = pair.split("=")
        listed = names if chosen == "all" else chosen.split(",")
        complaints += compare(include, library, listed)
    complaints = [c for c in complaints if c]
    print("\n".join(complaints) if complaints
          else f"{len(names)} headers, {len(libraries)} libraries")
    return 1 if complaints or not names else 0


if __name__ == "__main__":
    sys.exit(main())
