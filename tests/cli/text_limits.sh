#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How much of a file of texts is read: where more follows it is said, and a vocabulary, from which
# pieces would leave that the rest needs, is refused. usage: text_limits.sh PROGRAM
set -u
program=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
command -v python3 >/dev/null || { echo "skipped: python3 is needed to make the models"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0

exec </dev/null
. "$here/expect.bash"

python3 "$here/make_folder.py" folder BertModel
expect 0 "wrote" import folder -o bare.gguf
printf 'text,label\nx,a\ny,b\n' >t.csv
lines() { # N: of 2^16 bytes, with what ends each
  yes "$(printf 'good film %.0s' $(seq 6553))badly" | head -n "$1"
}
[ "$(lines 2 | wc -c)" -eq 131072 ] || { echo "FAILED: a line is not 2^16 bytes"; exit 1; }

# 64 MiB to calibrate on, which are as many as are read, and a text more
lines 1024 >all
lines 1025 >more
for verb in "squeeze bare.gguf -o no.gguf --bits 4 --texts" \
  "init-student bare.gguf -o no.gguf --neurons 50% --texts" \
  "build t.csv --base t.csv -o no.gguf --budget 1MB --texts"; do
  # shellcheck disable=SC2086
  expect 3 "^squeezebert: more: the first 1024 texts, 67 MB, are read, those behind" $verb more
  # shellcheck disable=SC2086
  "$program" $verb all 2>&1 | grep "are read" &&
    { echo "FAILED: ${verb%% *} read them all and says that it did not"; failed=1; }
done
lines 257 >more
expect 0 "more: the first 256 texts, 17 MB, are read" quantize bare.gguf -o s8.gguf --calibrate more

# 512 MiB and a text more, in memory
free=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo 2>/dev/null)
if [ "${free:-0}" -gt 3000000 ]; then
  mkfifo words
  lines 8193 >words 2>/dev/null &
  expect 3 "words: holds more than 536 MB of texts" squeeze bare.gguf -o no.gguf --vocabulary words
else
  echo "the bound of --vocabulary is not tried: less than 3 GB of memory are free"
fi
[ ! -e no.gguf ] || { echo "FAILED: a refused run left a file"; failed=1; }

[ $failed -eq 0 ] && echo "limits of texts: all as expected"
exit $failed
