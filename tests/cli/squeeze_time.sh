#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# squeeze --time: what is chosen and said, what is kept in a cache, and what cannot be met. Nothing
# here says how long anything takes.
#   squeeze_time.sh PROGRAM
set -u
program=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "FAILED: $*"; failed=1; }
"$program" import "$here/../golden/models/bert-sequence" -o "$work/whole.gguf" >"$work/out" 2>&1 ||
  fail "import: $(cat "$work/out")"
words=(good film the bad act a was it not very)
for i in $(seq 700); do
  echo "${words[i % 10]} ${words[i / 10 % 10]} ${words[i / 100 % 10]} ${words[i * 7 % 10]} film $i"
done >"$work/texts"
squeeze() { "$program" squeeze "$work/whole.gguf" --texts "$work/texts" --progress none -t 1 "$@" \
  >"$work/out" 2>&1 </dev/null; }
if ! squeeze --dry-run --rank 50%; then
  grep "build has no LAPACK" "$work/out" && exit 77
  fail "--rank 50%: $(cat "$work/out")"
fi

# all of the time and no bound of bytes: the model as it is; a forecast, and nothing is measured
squeeze --dry-run --time 100% || fail "100%: $(cat "$work/out")"
grep -q "by the table of times, 100.0% of the base's" "$work/out" || fail "100%: $(cat "$work/out")"
grep -q "measured" "$work/out" && fail "--dry-run measured something: $(cat "$work/out")"
awk '/^blk/ && ($2 != $4 || $3 != $5)' "$work/out" | grep . && fail "100% of the time changed that"

# a part of it, within bytes: in JSON forecast and measured share; the second run finds all times,
# so its plan is the first's
mkdir "$work/cache"
timed="--time 95% --at 2x16 --budget 30000 --cache $work/cache --json"
# shellcheck disable=SC2086
squeeze -o "$work/small.gguf" $timed || fail "95%: $(cat "$work/out")"
[ "$(stat -c %s "$work/small.gguf")" -le 30000 ] || fail "95%: more than 30000 bytes"
"$program" verify "$work/small.gguf" >"$work/verified" 2>&1 || fail "$(cat "$work/verified")"
"$program" info "$work/small.gguf" | grep -q -- "--budget 30000 --time 95% --at 2x16" ||
  fail "the history: $("$program" info "$work/small.gguf")"
grep -v '^squeezebert: ' "$work/out" >"$work/first"
# shellcheck disable=SC2086
squeeze -o "$work/again.gguf" $timed || fail "from the cache: $(cat "$work/out")"
grep -v '^squeezebert: ' "$work/out" >"$work/second"
cmp -s "$work/small.gguf" "$work/again.gguf" || fail "from the cache, another file"
python3 - "$work/first" "$work/second" <<'PYTHON' || fail "what JSON says of times"
import json, sys
first, second = [json.load(open(name)) for name in sys.argv[1:]]
for found in first["time"], second["time"]:
    assert 0 < found["share"] < 1.5 and found["base_ms"] > 0, found
    assert found["measured_share"] > 0 and found["measured_base_ms"] > 0, found
assert not first["time"]["cached"] and second["time"]["cached"]
assert first["time"]["share"] == second["time"]["share"]
assert first["parts"] == second["parts"]
PYTHON

# a table that is damaged is made anew, and that is said
for file in "$work"/cache/times-*; do printf x >>"$file"; done
# shellcheck disable=SC2086
squeeze --dry-run $timed || fail "damaged: $(cat "$work/out")"
grep -q "what it kept was damaged" "$work/out" || fail "damaged: $(cat "$work/out")"

# what is named by hand stays; factors take longer than so small a matrix, which is found and said
for by_hand in "--neurons 50%" "--heads 50%" "--bits 4" "--layers 0"; do
  # shellcheck disable=SC2086
  squeeze --dry-run --time 100% $by_hand || fail "$by_hand: $(cat "$work/out")"
done
squeeze --dry-run --time 100% --rank 30% || grep -q "cannot be met: the least" "$work/out" ||
  fail "--rank 30%: $(cat "$work/out")"

# what cannot be met, and what is no time
squeeze --dry-run --time 1%
grep -q "time: 1 % of the base's cannot be met: the least that can is [0-9.]* %" "$work/out" ||
  fail "1%: $(cat "$work/out")"
for wrong in 0% 101% 50 half; do
  squeeze --dry-run --time "$wrong"
  [ $? = 2 ] && grep -q "is no share" "$work/out" || fail "$wrong: $(cat "$work/out")"
done
for wrong in 1 1x 0x5 1x0 1x5x 128; do
  squeeze --dry-run --time 90% --at "$wrong"
  [ $? = 2 ] && grep -q "is not BATCHxLENGTH" "$work/out" || fail "$wrong: $(cat "$work/out")"
done
squeeze --dry-run --time 90% --at 1x4000
grep -q "at: a length of 4000, and the model reads" "$work/out" || fail "4000: $(cat "$work/out")"
squeeze --dry-run --bits 4 --at 1x8
[ $? = 2 ] && grep -q -- "--time SHARE is missing" "$work/out" || fail "--at: $(cat "$work/out")"
squeeze --dry-run --time 90% --plain
grep -q "has no plain form" "$work/out" || fail "--plain: $(cat "$work/out")"
"$program" squeeze "$work/whole.gguf" --dry-run --time 90% >"$work/out" 2>&1
grep -q "texts are missing" "$work/out" || fail "no texts: $(cat "$work/out")"
exit $failed
