#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every function and every table of a kernel has a name of its own, so that nm, perf and gdb say
which level ran (src/kernel/local_names.h).

    check_kernel_names.py BUILD NM

Reads the objects of src/kernel that BUILD made, and exits 1 where two of one library define a local
symbol of the same name. What the compiler names itself (.LC0, CSWTCH.3) does not count. Where a
build is not optimised, operations of vectors (v_add) are functions too, one in each object: 77.
"""
import collections
import os
import re
import subprocess
import sys

MADE_BY_COMPILER = re.compile(r"\.L|CSWTCH\b|__(func|FUNCTION|PRETTY_FUNCTION)__")
LOCAL = re.compile(r"[0-9a-f]+ ([tdrb]) (\S+)")


def objects(build):
    for folder, _, files in os.walk(os.path.join(build, "CMakeFiles")):
        if "/src/kernel" in folder.replace(os.sep, "/"):
            yield from (os.path.join(folder, f) for f in files if f.endswith(".o"))


def optimised(build):
    with open(os.path.join(build, "CMakeCache.txt")) as file:
        cache = file.read()
    return re.search(r"^CMAKE_BUILD_TYPE:\w+=Release$", cache, re.M) \
        and not re.search(r"^SQZ_SANITIZE:\w+=.+$", cache, re.M)


def main():
    build, nm = sys.argv[1:]
    if not optimised(build):
        print("skipped: only an optimised build without sanitizers is looked at")
        return 77
    paths = sorted(objects(build))
    if not paths:
        print(f"{build}: no objects of src/kernel")
        return 1
    owners = collections.defaultdict(set)
    for path in paths:
        library = path.split("CMakeFiles")[1].strip(os.sep).split(os.sep)[0]
        listed = subprocess.run([nm, path], capture_output=True, text=True, check=True).stdout
        for _, name in LOCAL.findall(listed):
            # a part that the compiler made of a function belongs to it
            name = re.sub(r"\.(constprop|isra|part|cold|lto_priv)\b.*", "", name)
            if not MADE_BY_COMPILER.match(name):
                owners[library, name].add(os.path.basename(path))
    shared = {key: files for key, files in owners.items() if len(files) > 1}
    for (library, name), files in sorted(shared.items()):
        print(f"{library}: '{name}' is in {', '.join(sorted(files))}: name it in "
              "src/kernel/local_names.h")
    print(f"{len(owners)} names in {len(paths)} objects")
    return 1 if shared or not owners else 0


if __name__ == "__main__":
    sys.exit(main())
