#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# squeeze --pareto: squeeze_pareto.py. usage: squeeze_pareto.sh PROGRAM
command -v python3 >/dev/null || { echo "skipped: python3 is needed"; exit 77; }
exec python3 -B "$(dirname "$0")/squeeze_pareto.py" "$1"
