#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Models on all of GLUE, and the zip file of a submission: glue_runs.py. usage: glue.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed"; exit 77; }
exec python3 -B "$(dirname "$0")/glue_runs.py" "$1"
