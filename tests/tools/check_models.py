#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every model that ships is within its bytes and has a card that is of this very file.

    check_models.py MODELS [PROGRAM [PAGE]]

The card NAME.md begins with lines between ---; of these bytes and sha256 must be the file's,
license and score be there, and no field of its template be left. With PROGRAM the file must be
whole by its own checksums and reference vectors as well. Of no model being there it is skipped
(77).
"""
import hashlib
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "models",
                                "recipes"))
import write_page  # noqa: E402

MOST_BYTES = {"sentiment": 4_000_000, "intents": 4_000_000, "embed": 6_000_000,
              "embed-static": 2_500_000}
SECTIONS = ("Scores", "Data and licence", "Recipe", "Limits")


def front_matter(text):
    found = re.match(r"---\n(.*?)\n---\n", text, re.S)
    return dict(re.findall(r"^(\w+): (.+)$", found[1], re.M)) if found else {}


def faults_of_card(name, data, card):
    """What is wrong with a card's text, of a file's bytes."""
    fields = front_matter(card)
    wanted = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": str(len(data))}
    for key, value in wanted.items():
        if fields.get(key) != value:
            yield f"{name}.md says {key} {fields.get(key)}, {name}.gguf has {value}"
    for key in ("license", "score"):
        if not fields.get(key):
            yield f"{name}.md has no line {key}:"
    for title in SECTIONS:
        if not re.search(rf"^## {title}$", card, re.M):
            yield f"{name}.md has no section {title}"
    for field in re.findall(r"\{\w+[\[\]\w:.+%]*\}", card):
        yield f"{name}.md was not filled: {field}"


def faults_of(folder, name):
    with open(os.path.join(folder, name + ".gguf"), "rb") as file:
        data = file.read()
    if name not in MOST_BYTES:
        yield f"{name}.gguf is a model of which {os.path.basename(__file__)} knows no bound"
    elif len(data) > MOST_BYTES[name]:
        yield f"{name}.gguf has {len(data)} bytes, {MOST_BYTES[name]} are allowed"
    path = os.path.join(folder, name + ".md")
    if not os.path.exists(path):
        yield f"{name}.gguf has no card {name}.md"
        return
    with open(path, encoding="utf-8") as file:
        yield from faults_of_card(name, data, file.read())


def main(folder, program=None, page=None):
    there = sorted(n[:-5] for n in os.listdir(folder) if n.endswith(".gguf"))
    cards = sorted(n[:-3] for n in os.listdir(folder) if n.endswith(".md"))
    faults = [f"{name}.md is a card without a model" for name in cards if name not in there]
    for name in there:
        faults += faults_of(folder, name)
        if program:
            done = subprocess.run([program, "verify", os.path.join(folder, name + ".gguf")],
                                  capture_output=True, text=True, check=False)
            if done.returncode != 0:
                faults.append(f"{name}.gguf: {done.stdout}{done.stderr}")
    if page:
        with open(page, encoding="utf-8") as file:
            text = file.read()
        if write_page.page_with(text, folder) != text:
            faults.append(f"{page} has other rows than the cards give: models/make.sh writes them")
    for name in MOST_BYTES:
        if name not in there:
            print(f"skipped: models/{name}.gguf is not there")
    if faults:
        print(*faults, sep="\n")
        return 1
    for name in there:
        size = os.path.getsize(os.path.join(folder, name + ".gguf"))
        print(f"{name}: {size} bytes, {MOST_BYTES[name]} allowed; its card is its own")
    return 0 if there else 77


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3, 4):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
