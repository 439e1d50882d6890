#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How much memory a small classifier takes: memory_peak.py. usage: memory.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed"; exit 77; }
exec python3 -B "$(dirname "$0")/memory_peak.py" "$1"
