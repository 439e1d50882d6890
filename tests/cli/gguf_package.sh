#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The gguf package of Python opens what import, quantize and squeeze write and shows it as `info`
# does; numbers of few bits, expanded by doc/format.md alone, are near what they came from.
# usage: gguf_package.sh PROGRAM, from the top of the tree
set -u
program=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
python3 -c "import gguf, numpy" 2>/dev/null ||
  { echo "skipped: the Python package gguf is needed to read the files"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "FAILED: $*"; failed=1; }

# show FILE SOURCE
show() {
  "$program" info --tensors --json "$1" >"$work/info.json" &&
    python3 "$here/gguf_package.py" "$1" "$2" <"$work/info.json" || fail "$1"
}

types=$("$program" quantize --help | sed -n 's/^ *--type \([a-z0-9|]*\).*/\1/p' | tr '|' ' ')
[ -n "$types" ] || fail "quantize --help names no types"
for folder in "$here"/../golden/models/{bert-masked,squeezebert-sequence,electra-token}; do
  source=$work/${folder##*/}.gguf
  "$program" import "$folder" -o "$source" 2>/dev/null || fail "import $folder"
  show "$source" "$source"
  for type in $types; do
    "$program" quantize --type "$type" "$source" -o "$work/$type.gguf" >/dev/null 2>"$work/log" ||
      { fail "quantize --type $type" && cat "$work/log"; continue; }
    show "$work/$type.gguf" "$source"
  done
  # a width of 19 or 24: one part, or a narrow table
  for form in pq:1 bits:2 width:8,bits:3; do
    "$program" squeeze "$source" -o "$work/squeezed.gguf" --plain --no-fidelity --bits 4 \
      --embedding "$form" >/dev/null 2>"$work/log" ||
      { fail "squeeze --embedding $form" && cat "$work/log"; continue; }
    show "$work/squeezed.gguf" "$source"
  done
done
exit $failed
