#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Training of embedders: finetune_embedder.py. usage: finetune_embedder.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed"; exit 77; }
exec python3 -B "$(dirname "$0")/finetune_embedder.py" "$1"
