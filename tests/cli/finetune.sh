#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Training from tables, killed and resumed: finetune_runs.py. usage: finetune.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed"; exit 77; }
exec python3 -B "$(dirname "$0")/finetune_runs.py" "$1"
