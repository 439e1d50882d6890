#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Folders as people have them, each made here from a tiny model: they give the model that the
# plain folder gives, or say what they are. usage: folders.sh PROGRAM
set -u
program=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
command -v python3 >/dev/null || { echo "skipped: python3 is needed to make the folders"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -B "$here/folders.py" "$program" "$work"
