#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A log that has a line of progress has the last one too. usage: progress.sh PROGRAM
set -eu
program=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
command -v python3 >/dev/null || { echo "skipped: python3 is needed to make the model"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -B "$here/make_folder.py" bare BertModel >/dev/null
"$program" import bare -o bare.gguf >/dev/null 2>&1

# the second record comes when a line is due (5 s after the first), the third when none is
records() {
  echo one
  sleep 5.5
  echo two
  sleep 0.5
  echo three
}
records | "$program" embed bare.gguf --json >vectors 2>log
[ "$(wc -l <vectors)" -eq 3 ] || { echo "FAILED: three records have answers"; exit 1; }
[ "$(tail -n 1 log)" = "3 records" ] || {
  echo "FAILED: a log ends with '3 records', not"
  cat log
  exit 1
}

# what is over before a line is due says nothing
echo one | "$program" embed bare.gguf --json >vectors 2>log
[ ! -s log ] || { echo "FAILED: one record makes no progress to tell"; cat log; exit 1; }
echo "every log ends with its last line"
