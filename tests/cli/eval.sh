#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Evaluation of tables as people have them: eval_tables.py. usage: eval.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed"; exit 77; }
exec python3 -B "$(dirname "$0")/eval_tables.py" "$1"
