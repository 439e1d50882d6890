#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds whole sentences out of SST-2's training phrases, by source: what is trained on has neither
them nor any phrase of theirs.

    sst2_split.py TRAIN.tsv FOLDER [N]

Of SST-2's rows some are whole sentences of reviews, the others phrases of these. A whole one is a
row whose words are in a row nowhere inside another's. N of them (1500), in an order that a hash
of their words gives, become FOLDER/dev.tsv; the rows that are not inside any of them become
FOLDER/train.tsv, both with the header and the rows of TRAIN.tsv as they are. Of 67,349 rows
51,032 are left.
"""
import hashlib
import os
import sys


def phrases(words):
    """All runs of words, the whole among them."""
    return {words[i:j] for i in range(len(words)) for j in range(i + 1, len(words) + 1)}


def split(rows, n):
    """(rows to train on, n rows to hold out) of lines that begin with a sentence and a TAB."""
    words = [tuple(row.split("\t")[0].lower().split()) for row in rows]
    distinct = set(words)
    inside = set()
    for sentence in distinct:
        inside |= (phrases(sentence) - {sentence}) & distinct
    # the order is a hash's: no other release of Python can change it
    whole = sorted(sorted(distinct - inside),
                   key=lambda s: hashlib.sha256(" ".join(s).encode()).digest())
    held = set(whole[:n])
    gone = set().union(*map(phrases, held))
    seen, kept = set(), []
    for row, sentence in zip(rows, words):
        if sentence in held and sentence not in seen:
            seen.add(sentence)
            kept.append(row)
    return [row for row, s in zip(rows, words) if s not in gone], kept


def write(path, header, rows):
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        file.write("\n".join([header, *rows]) + "\n")
    os.replace(path + ".tmp", path)


def main(source, folder, n=1500):
    with open(source, encoding="utf-8") as file:
        header, *rows = file.read().split("\n")
    rows = [row for row in rows if row]
    train, held = split(rows, int(n))
    os.makedirs(folder, exist_ok=True)
    write(os.path.join(folder, "dev.tsv"), header, held)
    write(os.path.join(folder, "train.tsv"), header, train)
    print(f"{len(rows)} rows: {len(train)} to train on, {len(held)} whole sentences held out")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
