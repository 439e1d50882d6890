#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A model's card, to stdout: a template filled with what was measured.

    write_card.py TEMPLATE NAME MODEL.gguf PROGRAM RECIPE KEY=FILE...

Each FILE is what the program printed with --json (several lines: a list), and the template's
{KEY...} are Python's format fields over it: {dev[metrics][accuracy]:.4f}. Besides there are
{name}, {model} with bytes, mb, sha256 and layers, {recipe}, the commands of RECIPE, and {base} of
two measures: of an eval with --against the other model's, {base[dev][accuracy]}, and
{share[dev][accuracy]} of it that is kept. A field that is not there is an error.
"""
import hashlib
import json
import os
import re
import subprocess
import sys


def read(path):
    with open(path, encoding="utf-8") as file:
        values = [json.loads(line) for line in file if line.strip()]
    return values[0] if len(values) == 1 else values


def beside(measured):
    """What the model of --against scored, and the share of it that is kept."""
    base, share = {}, {}
    for key, value in measured.items():
        if not isinstance(value, dict) or "against" not in value:
            continue
        own, less = value["metrics"], value["against"]["metrics"]
        base[key] = {k: own[k] - less[k] for k in own if less.get(k) is not None}
        share[key] = {k: own[k] / b for k, b in base[key].items() if b}
    return base, share


def describe(program, path):
    with open(path, "rb") as file:
        sha256 = hashlib.sha256(file.read()).hexdigest()
    said = subprocess.run([program, "info", path, "--json"], stdout=subprocess.PIPE, check=True)
    info = json.loads(said.stdout)
    return {"bytes": os.path.getsize(path), "mb": os.path.getsize(path) / 1e6, "sha256": sha256,
            "layers": info["layers"], "dimensions": info["dimensions"],
            "labels": info["labels"], "embedding_parameters": info["embedding_parameters"],
            "parameters": info["parameters"]}


def fold(command):
    """A command as a block of Markdown, its long lines cut with backslashes, no word in quotes."""
    lines = [""]
    for word in re.findall(r"(?:'[^']*'|[^\s'])+", command):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > 100:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return " \\\n        ".join(lines)


def main(template, name, model, program, recipe, *files):
    measured = {}
    for word in files:
        key, path = word.split("=", 1)
        measured[key] = read(path)
    base, share = beside(measured)
    with open(recipe, encoding="utf-8") as file:
        commands = "\n".join("    " + fold(line.strip()) for line in file if line.strip())
    with open(template, encoding="utf-8") as file:
        text = file.read()
    try:
        print(text.format(name=name, model=describe(program, model), recipe=commands, base=base,
                          share=share, **measured), end="")
    except (KeyError, IndexError, TypeError) as fault:
        sys.exit(f"{template}: a field is not there: {fault!r}")


if __name__ == "__main__":
    if len(sys.argv) < 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
