#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Teachers of another vocabulary, or order of classes: teachers_runs.py. usage: teachers.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed"; exit 77; }
exec python3 -B "$(dirname "$0")/teachers_runs.py" "$1"
