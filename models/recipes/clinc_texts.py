#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CLINC-150's training texts among paragraphs of books, a line each.

    clinc_texts.py DATA_FULL.json BOOKS VOCABULARY SAMPLE

VOCABULARY gets all of both, to see which word pieces are needed; SAMPLE, to calibrate on, each
fourth text of training and each fortieth paragraph.
"""
import json
import os
import sys


def write(path, lines):
    with open(path + ".tmp", "w", encoding="utf-8", newline="\n") as file:
        file.writelines(line + "\n" for line in lines)
    os.replace(path + ".tmp", path)


def main(data, books, vocabulary, sample):
    with open(data, encoding="utf-8") as file:
        texts = [text for text, _ in json.load(file)["train"]]
    with open(books, encoding="utf-8", newline="\n") as file:
        paragraphs = file.read().split("\n")[:-1]
    write(sample, texts[3::4] + paragraphs[39::40])
    write(vocabulary, paragraphs + texts)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
