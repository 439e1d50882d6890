#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every option of finetune: finetune_options.py. usage: finetune_options.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed"; exit 77; }
exec python3 -B "$(dirname "$0")/finetune_options.py" "$1"
