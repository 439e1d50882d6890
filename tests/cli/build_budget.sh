#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Classifiers within a budget: build_budget_runs.py. usage: build_budget.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed"; exit 77; }
exec python3 -B "$(dirname "$0")/build_budget_runs.py" "$1"
