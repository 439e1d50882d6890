#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The man page names every verb that `squeezebert help` lists, and under each verb every option of
its --help, of which no line of options is wider than a terminal: check_man.py PROGRAM PAGE"""
import re
import subprocess
import sys


def run(*arguments):
    return subprocess.run(arguments, check=True, text=True, capture_output=True).stdout


def sections(page):
    """Text of each `.SH squeezebert VERB`, as it is read: \\- is a dash."""
    parts = re.split(r"^\.SH (.*)$", page.replace("\\-", "-"), flags=re.M)
    return {title.removeprefix("squeezebert "): text
            for title, text in zip(parts[1::2], parts[2::2])}


def main():
    program, page = sys.argv[1], open(sys.argv[2], encoding="utf-8").read()
    found, faults = sections(page), []
    verbs = re.findall(r"^  ([a-z-]+) +\S", run(program, "help"), flags=re.M)
    options = 0
    for verb in verbs:
        if verb not in found:
            faults.append(f"the man page has no section on {verb}")
            continue
        said = run(program, verb, "--help")
        faults += [f"{verb} --help is wider than 79 columns: {line}"
                   for line in said.split("\n") if line.startswith("  ") and len(line) > 79]
        for option in re.findall(r"^ {2,6}(?:-\w, )?(--[a-z0-9-]+)", said, flags=re.M):
            options += 1
            if option != "--help" and not re.search(re.escape(option) + r"(?![a-z0-9-])",
                                                    found[verb]):
                faults.append(f"the man page does not name {option} under {verb}")
    if len(verbs) < 10 or options < 5 * len(verbs) // 2:
        faults.append(f"only {len(verbs)} verbs and {options} options were read from the help: its "
                      "form has changed")
    print(*faults, f"{len(verbs)} verbs, {options} options", sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
