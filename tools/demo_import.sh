#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A model of the Hugging Face Hub: gets MiniLM-L6 (Apache-2.0, 84 MB, once), imports it and
# searches a text file by meaning. OUT holds what README.md's commands use: the model's folder, the
# model file and texts. FOLDER is a model that takes the place of the one to be got.
#   usage: demo_import.sh PROGRAM OUT [FOLDER]
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
program=$1
out=$2
name=all-MiniLM-L6-v2

mkdir -p "$out"
cp "$top"/examples/{questions_answered.txt,catalogue.csv,pairs.tsv,tickets.csv} "$out"
# sentences enough to calibrate on, in place of texts of one's own: the prose of the guides
grep -hE '^[A-Za-z].{60}' "$top"/*.md "$top"/doc/*.md "$top"/doc/notebook/*.md > "$out/texts.txt"
if [ ! -s "$out/$name/config.json" ]; then
  rm -rf "${out:?}/$name"
  if [ $# -gt 2 ]; then cp -r "$3" "$out/$name"; else "$top/tools/get_minilm.sh" "$out"; fi
fi
if [ ! -s "$out/minilm.gguf" ]; then
  "$program" import "$out/$name" -o "$out/minilm.gguf"
  "$program" verify "$out/minilm.gguf"
fi

file=questions_answered.txt
echo
echo "Searching $out/$file by meaning:"
echo
printf '%s\n' "how often should I lubricate my bike?" "is this food dangerous for my puppy?" \
  "keeping my documents safe" |
  "$program" search "$out/minilm.gguf" --file "$out/$file" --top 2
echo
echo "Ask on: echo 'why is my bread so dry?' | $program search $out/minilm.gguf --file $out/$file"
echo "The program, this model and the texts in $out are those of README.md's commands."
