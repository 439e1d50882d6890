#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What may happen to a training run: hostile_training.py. usage: finetune_safety.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed"; exit 77; }
exec python3 -B "$(dirname "$0")/hostile_training.py" "$1"
