#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The program's reader of tables beside Python's csv and json modules, on random inputs: rows_compare.py PROGRAM MODEL [TABLES]

csv     csv.DictReader: every cell of every row, through quotes, doubled quotes, separators and line ends inside quotes
tsv     csv.DictReader with a TAB: --quotes csv as it is, --quotes none with QUOTE_NONE
jsonl   json.loads of every line, and what is passed on byte for byte: numbers of any size, NaN, escapes, members that come twice, their order

Where the two differ by intent, the inputs have none of it: a lone CR ends a row in Python and is text here, a row of nothing but blanks and TABs is
skipped here, an open quote is an error here.
"""
import csv
import io
import json
import random
import subprocess
import sys

PROGRAM, MODEL = sys.argv[1:3]
TABLES = int(sys.argv[3]) if len(sys.argv) > 3 else 200
PIECES = ["a", "b", "good film", "é", "中", "\U0001f600", '"', '""', ",", "\t", ";", "'", " ", "\\", "x,y", "0"]


def run(kind, text, *options):
    got = subprocess.run([PROGRAM, "tokenize", MODEL, "--input", kind, "--text", "text", *options], input=text.encode("utf-8", "surrogatepass"), capture_output=True)
    return [line for line in got.stdout.decode().split("\n") if line]


def cell(r, separator, quoted):
    text = "".join(r.choice(PIECES) for _ in range(r.randrange(4)))
    if quoted and r.random() < 0.4:
        text += r.choice(["", "\n", "\r\n", separator, "\n\n"])
        return '"' + text.replace('"', '""') + '"' + (r.choice(["", "x", 'x"y']) if r.random() < 0.1 else "")
    return text.replace(separator, "").replace("\t", "").lstrip('"' if quoted else "")


def table(r, separator, quoted):
    columns = ["text"] + [f"c{i}" for i in range(r.randrange(1, 5))]
    r.shuffle(columns)
    lines = [separator.join(columns)]
    for _ in range(r.randrange(12)):
        row = separator.join("fixed" if c == "text" else cell(r, separator, quoted) for c in columns)
        lines.append(row)
        if r.random() < 0.1:
            lines.append("")
    end = r.choice(["\n", "\r\n"])
    return ("\ufeff" if r.random() < 0.2 else "") + end.join(lines) + r.choice(["", end])


def compare_table(r, kind, options, **dialect):
    separator = "," if kind == "csv" else "\t"
    text = table(r, separator, dialect.get("quoting") != csv.QUOTE_NONE)
    wanted = list(csv.DictReader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=separator, **dialect))
    got = [json.loads(line) for line in run(kind, text, *options)]
    for row in wanted:
        del row["text"]
    got = [{k: v for k, v in row.items() if k.startswith("c")} for row in got]
    if got != wanted:
        sys.exit(f"{kind} {options}: {text!r}\n  got    {got}\n  wanted {wanted}")
    return len(wanted)


def number(r):
    digits = "".join(r.choice("0123456789") for _ in range(r.randrange(1, 30)))
    return ("-" if r.random() < 0.3 else "") + (digits.lstrip("0") or "0") + r.choice(["", f".{digits}", "e5", "E-400", f".5e+{r.randrange(500)}"])


def string(r):
    return '"' + "".join(r.choice(["a", " ", "é", "\U0001f600", "\\n", '\\"', "\\\\", "\\/", "\\u00e9", "\\ud83d\\ude00", "\\u0000", "\\udc00", "\x7f", "\u2028"]) for _ in range(r.randrange(6))) + '"'


def value(r, depth=0):
    kind = r.randrange(8 if depth < 4 else 5)
    if kind == 0:
        return number(r)
    if kind == 1:
        return r.choice(["true", "false", "null", "NaN", "Infinity", "-Infinity"])
    if kind < 5:
        return string(r)
    space = r.choice(["", " "])
    if kind == 5:
        return "[" + ("," + space).join(value(r, depth + 1) for _ in range(r.randrange(4))) + "]"
    return "{" + ("," + space).join(f"{string(r)}{space}:{space}{value(r, depth + 1)}" for _ in range(r.randrange(4))) + "}"


def compare_objects(r):
    lines, wanted = [], []
    for _ in range(r.randrange(1, 12)):
        members = [(f'"k{r.randrange(4)}"', value(r)) for _ in range(r.randrange(5))]
        place = r.randrange(len(members) + 1)
        text = string(r)
        lines.append("{" + ", ".join(f"{k}: {v}" for k, v in members[:place] + [('"text"', text)] + members[place:]) + "}")
        wanted.append((members, text))
        json.loads(lines[-1])
    got = run("jsonl", "\n".join(lines) + "\n")
    if len(got) != len(lines):
        sys.exit(f"jsonl: {len(got)} of {len(lines)} lines: {lines}")
    for line, (members, _) in zip(got, wanted):
        passed = "".join(f"{k}:{v}," for k, v in members)
        if not line.startswith("{" + passed) or (json.loads(line) is None):
            sys.exit(f"jsonl: passed on as {line!r}, came as {passed!r}")
    return len(lines)


def mutated(r, line):
    """A line with a change that most often breaks it."""
    at = r.randrange(len(line))
    return line[:at] + r.choice(["", "}", "]", ",", '"', "\\", "0", "n", ":", " ", "\x01"]) + line[at + r.randrange(2):]


def compare_refusals(r):
    """What Python takes for JSON is taken, and nothing else."""
    lines = [mutated(r, '{"text": "a", "n": ' + value(r) + ', "o": [1, {"p": -0.5e3}]}') for _ in range(20)]
    lines = [line for line in lines if line.strip(" \t\r")]
    got = run("jsonl", "\n".join(lines) + "\n")
    for line, answer in zip(lines, got, strict=True):
        try:
            parsed = json.loads(line)
        except ValueError:
            parsed = None
        good = isinstance(parsed, dict) and isinstance(parsed.get("text"), str)
        if good == ("error" in json.loads(answer)):
            sys.exit(f"jsonl: {line!r}: {answer}")
    return len(lines)


def main():
    r, rows = random.Random(1), {"csv": 0, "tsv --quotes csv": 0, "tsv --quotes none": 0, "jsonl": 0, "jsonl, broken": 0}
    for _ in range(TABLES):
        rows["csv"] += compare_table(r, "csv", ())
        rows["tsv --quotes csv"] += compare_table(r, "tsv", ("--quotes", "csv"))
        rows["tsv --quotes none"] += compare_table(r, "tsv", ("--quotes", "none"), quoting=csv.QUOTE_NONE)
        rows["jsonl"] += compare_objects(r)
        rows["jsonl, broken"] += compare_refusals(r)
    print(", ".join(f"{what}: {n} rows" for what, n in rows.items()) + ": no difference")


main()
