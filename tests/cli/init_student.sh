#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Students of every kind: init_student_runs.py. usage: init_student.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed"; exit 77; }
exec python3 -B "$(dirname "$0")/init_student_runs.py" "$1"
