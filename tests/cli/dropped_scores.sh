#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Thresholds of classifiers whose logits change: dropped_scores_runs.py.
# usage: dropped_scores.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed"; exit 77; }
exec python3 -B "$(dirname "$0")/dropped_scores_runs.py" "$1"
