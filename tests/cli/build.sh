#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Classifiers from tables: build_runs.py. usage: build.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed"; exit 77; }
exec python3 -B "$(dirname "$0")/build_runs.py" "$1"
