#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Records as people have them: records_tables.py. usage: records.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed"; exit 77; }
exec python3 -B "$(dirname "$0")/records_tables.py" "$1"
