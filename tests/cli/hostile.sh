#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Files and texts from a stranger. usage: hostile.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed to make the files"; exit 77; }
exec python3 -B "$(dirname "$0")/hostile_input.py" "$1"
