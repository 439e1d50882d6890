#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every function and every table of a kernel has a name of its own, so that nm, perf and gdb say
which level ran (src/kernel/local_names.h).

    check_kernel_names.py SOURCE BUILD NM ARCHIVE...

Reads the objects of SOURCE/src/kernel in the archives, and exits 1 where two of one archive define
a local symbol of the same name. What the compiler names itself (.LC0, CSWTCH.3) does not count.
Where a build is not optimised, operations of vectors (v_add) are functions too, one in each
object: 77.
"""
import collections
import os
import re
import subprocess
import sys

MADE_BY_COMPILER = re.compile(r"\.L|CSWTCH\b|__(func|FUNCTION|PRETTY_FUNCTION)__")
LOCAL = re.compile(r"(?:.*:)?([^:]+\.c\.o):\s*[0-9a-f]+ [tdrb] (\S+)$", re.M)


def kernels(source):
    """The names that objects of src/kernel have in an archive."""
    return {file + ".o" for _, _, files in os.walk(os.path.join(source, "src", "kernel"))
            for file in files if file.endswith(".c")}


def optimised(build):
    with open(os.path.join(build, "CMakeCache.txt")) as file:
        cache = file.read()
    return re.search(r"^CMAKE_BUILD_TYPE:\w+=Release$", cache, re.M) \
        and not re.search(r"^SQZ_SANITIZE:\w+=.+$", cache, re.M)


def main():
    source, build, nm, *archives = sys.argv[1:]
    if not optimised(build):
        print("skipped: only an optimised build without sanitizers is looked at")
        return 77
    owners, known = collections.defaultdict(set), kernels(source)
    for archive in archives:
        listed = subprocess.run([nm, "-A", archive], capture_output=True, text=True, check=True)
        for member, name in LOCAL.findall(listed.stdout):
            # a part that the compiler made of a function belongs to it
            name = re.sub(r"\.(constprop|isra|part|cold|lto_priv)\b.*", "", name)
            if member in known and not MADE_BY_COMPILER.match(name):
                owners[os.path.basename(archive), name].add(member)
    shared = {key: files for key, files in owners.items() if len(files) > 1}
    for (archive, name), files in sorted(shared.items()):
        print(f"{archive}: '{name}' is in {', '.join(sorted(files))}: name it in "
              "src/kernel/local_names.h")
    objects = {member for files in owners.values() for member in files}
    print(f"{len(owners)} names in {len(objects)} objects")
    return 1 if shared or not owners else 0


if __name__ == "__main__":
    sys.exit(main())
