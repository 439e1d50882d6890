#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# squeeze where a score counts: squeeze_score_runs.py. usage: squeeze_score.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed"; exit 77; }
exec python3 -B "$(dirname "$0")/squeeze_score_runs.py" "$1"
