#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Paragraphs of novels and of text books in turn, a line each, the same of everyone.

    books.py FOLDER OUT N

FOLDER holds gutenberg_en.txt.gz and openstax_en.txt.gz, a paragraph a line. Of the paragraphs of 60
to 2,000 letters of each, N are taken, those of the least hashes and in the order of these.
"""
import gzip
import hashlib
import heapq
import itertools
import os
import sys


def paragraphs(path, n):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = {" ".join(line.split()) for line in file}
    return heapq.nsmallest(n, (x for x in lines if 60 <= len(x) <= 2000),
                           key=lambda x: hashlib.sha256(x.encode()).digest())


def main(folder, out, n):
    kinds = [paragraphs(os.path.join(folder, name + "_en.txt.gz"), int(n))
             for name in ("gutenberg", "openstax")]
    with open(out + ".tmp", "w", encoding="utf-8") as file:
        for turn in itertools.zip_longest(*kinds):
            file.writelines(x + "\n" for x in turn if x)
    os.replace(out + ".tmp", out)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
