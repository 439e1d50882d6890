#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Models on labelled data of one's own: eval_data.py. usage: eval_data.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed"; exit 77; }
exec python3 -B "$(dirname "$0")/eval_data.py" "$1"
