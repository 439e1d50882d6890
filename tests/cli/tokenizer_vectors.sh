#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The 1000 paragraphs of shared/data/tokenizer and the word-piece ids that the reference
# preprocessing gives them. usage: tokenizer_vectors.sh PROGRAM [DATA]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=${2:-$here/../../../shared/data}
vectors=$data/tokenizer/wordpiece_uncased_vectors.tsv
command -v python3 >/dev/null && [ -r "$vectors" ] ||
  { echo "skipped: python3 and $vectors are needed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 "$here/make_folder.py" "$work/folder" BertModel \
  "vocab=$data/vocab/bert-base-uncased-vocab.txt"
"$1" import "$work/folder" -o "$work/model.gguf" 2>/dev/null
cut -f1 "$vectors" | "$1" tokenize "$work/model.gguf" --json --max-length 100000 >"$work/got"
python3 - "$vectors" "$work/got" <<'END'
import json, sys
wanted = [line.rstrip("\n").split("\t")[1].replace(",", " ").split() 
          for line in open(sys.argv[1], encoding="utf-8")]
got = [json.loads(line)["ids"][1:-1] for line in open(sys.argv[2], encoding="utf-8")]
same = sum([int(x) for x in w] == g for w, g in zip(wanted, got))
print(f"{same} of {len(wanted)} paragraphs have the reference's ids")
sys.exit(not (same == len(wanted) == len(got) > 0))
END
