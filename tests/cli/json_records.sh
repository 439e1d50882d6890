#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What programs read: json_records.py. usage: json_records.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed"; exit 77; }
exec python3 -B "$(dirname "$0")/json_records.py" "$1"
