#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tokenizers of folders: tokenizer_files.sh PROGRAM
set -eu
program=$1
here=$(cd "$(dirname "$0")" && pwd)
command -v python3 > /dev/null || { echo "skipped: no python3"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -B "$here/make_folder.py" "$work/folder" BertModel
python3 -B "$here/tokenizer_files.py" "$program" "$work"
