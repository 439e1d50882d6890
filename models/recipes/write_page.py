#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Puts a row for each model that ships into the table of doc/models.md, from their cards.

    write_page.py MODELS PAGE
"""
import os
import re
import sys

HEAD = "| model | bytes | score |\n|---|---:|---|\n"


def row(name, card):
    fields = dict(re.findall(r"^(\w+): (.+)$", card, re.M))
    return f"| [{name}](../models/{name}.md) | {int(fields['bytes']):,} | {fields['score']} |\n"


def page_with(page, folder):
    """The page with the rows of the cards in a folder."""
    rows = []
    for name in sorted(n[:-3] for n in os.listdir(folder) if n.endswith(".md")):
        with open(os.path.join(folder, name + ".md"), encoding="utf-8") as file:
            rows.append(row(name, file.read()))
    begin, head, rest = page.partition(HEAD)
    if not head:
        sys.exit("the page has no table with the heading\n" + HEAD)
    return begin + head + "".join(rows) + re.sub(r"\A(\|.*\n)*", "", rest)


def main(folder, path):
    with open(path, encoding="utf-8") as file:
        page = page_with(file.read(), folder)
    with open(path, "w", encoding="utf-8") as file:
        file.write(page)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
