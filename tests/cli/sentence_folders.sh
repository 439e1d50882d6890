#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Folders of sentence-transformers: sentence_folders.py. usage: sentence_folders.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed to make the folders"; exit 77; }
exec python3 -B "$(dirname "$0")/sentence_folders.py" "$1"
