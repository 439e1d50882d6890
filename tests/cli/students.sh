#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Students of other shapes than their teacher's: students_runs.py. usage: students.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed"; exit 77; }
exec python3 -B "$(dirname "$0")/students_runs.py" "$1"
