#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Inputs that are no text in UTF-8, outputs that would be written over an input, folders that are
# something else: foreign_input.py. usage: foreign_input.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed"; exit 77; }
exec python3 -B "$(dirname "$0")/foreign_input.py" "$1"
