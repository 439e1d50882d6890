#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Students and teachers on texts and tables: distill_runs.py. usage: distill.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed"; exit 77; }
exec python3 -B "$(dirname "$0")/distill_runs.py" "$1"
