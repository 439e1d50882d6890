#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Paragraphs of text books and of novels, a line each: what models are healed with, and a sample to
calibrate on.

    books.py FOLDER OUT SAMPLE

FOLDER holds openstax_en.txt.gz and gutenberg_en.txt.gz, a paragraph a line. OUT gets all paragraphs
of the first and each twelfth of the second, as many letters of either; SAMPLE each twelfth of OUT.
"""
import gzip
import os
import sys

EVERY = 12


def paragraphs(folder, name):
    with gzip.open(os.path.join(folder, name), "rt", encoding="utf-8", newline="\n") as file:
        return [line for line in file if line.strip(" \n")]


def write(path, lines):
    with open(path + ".tmp", "w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)
    os.replace(path + ".tmp", path)


def main(folder, out, sample):
    lines = paragraphs(folder, "openstax_en.txt.gz")
    lines += paragraphs(folder, "gutenberg_en.txt.gz")[EVERY - 1::EVERY]
    write(sample, lines[4::EVERY])
    write(out, lines)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
