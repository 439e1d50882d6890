#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Classifiers whose head is kept: build_keep_runs.py. usage: build_keep.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed"; exit 77; }
exec python3 -B "$(dirname "$0")/build_keep_runs.py" "$1"
