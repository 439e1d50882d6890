#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# squeeze --budget: files within the bytes that were asked for, what is named by hand stays, and a
# budget that cannot be met says what would do.
#   squeeze_budget.sh PROGRAM
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
squeeze() { "$program" squeeze "$work/whole.gguf" --texts "$work/texts" --no-heal --progress none \
  "$@" >"$work/out" 2>&1 </dev/null; }
if ! squeeze --dry-run --rank 50%; then
  grep "build has no LAPACK" "$work/out" && exit 77
  fail "--rank 50%: $(cat "$work/out")"
fi

# the least: what one byte cannot be, and the text's number can
squeeze --dry-run --budget 1 && fail "a budget of one byte was met"
least=$(sed -n 's/.*the least that can is \([0-9]*\) bytes.*/\1/p' "$work/out")
[ -n "$least" ] || fail "no least is named: $(cat "$work/out")"
squeeze --dry-run --budget "$((least - 1))" && fail "a byte less than the least was met"

# files are within their budgets, as large as --dry-run says, and run
squeeze --dry-run --budget 1GB || fail "1GB: $(cat "$work/out")"
grep -q "there is no better choice" "$work/out" || fail "1GB leaves something: $(cat "$work/out")"
most=$(sed -n 's/.* bytes become \([0-9]*\) .*/\1/p' "$work/out")
for budget in "$least" $(((least * 3 + most) / 4)) $(((least + most) / 2)) "$most"; do
  squeeze -o "$work/small.gguf" --budget "$budget" || fail "$budget: $(cat "$work/out")"
  bytes=$(stat -c %s "$work/small.gguf")
  [ "$bytes" -le "$budget" ] || fail "$budget bytes became $bytes"
  grep -q " bytes become $bytes " "$work/out" || fail "$budget: the table does not say $bytes"
  "$program" verify "$work/small.gguf" >"$work/verified" 2>&1 || fail "$(cat "$work/verified")"
  rm "$work/small.gguf"
done

# what is named by hand stays
squeeze --dry-run --budget "$(((least + most) / 2))" --bits 4 --layers 0 ||
  fail "by hand: $(cat "$work/out")"
grep 'blk.0.*attn_q' "$work/out" | grep -q int4 || fail "--bits 4: $(cat "$work/out")"
grep 'blk.0' "$work/out" | grep -q 'int8\|int3' && fail "--bits 4 was not kept: $(cat "$work/out")"

# shares by hand, and heads that do not share evenly among groups: none of them can be chosen
for by_hand in "--neurons 60%" "--heads 50%" "--rank 30%"; do
  # shellcheck disable=SC2086
  squeeze --dry-run --budget "$most" $by_hand || fail "$by_hand: $(cat "$work/out")"
done
"$program" import "$here/../golden/models/squeezebert-sequence" -o "$work/groups.gguf" \
  >"$work/out" 2>&1 || fail "import: $(cat "$work/out")"
"$program" squeeze "$work/groups.gguf" --dry-run --texts "$work/texts" --budget 40kB \
  --no-heal --progress none >"$work/out" 2>&1 </dev/null || fail "groups: $(cat "$work/out")"

# blocks by hand stay, however they are named: the least is larger, and the same
least_with() {
  "$program" squeeze "$work/groups.gguf" --dry-run --texts "$work/texts" --budget 1 --no-heal \
    --progress none "$@" 2>&1 </dev/null |
    sed -n 's/.*the least that can is \([0-9]*\) bytes.*/\1/p'
}
free=$(least_with) listed=$(least_with --layers 0,1)
[ "$listed" -gt "$free" ] || fail "--layers 0,1: the least is $listed, without it $free"
for layers in first:2 every:1; do
  [ "$(least_with --layers $layers)" = "$listed" ] || fail "--layers $layers: a block may leave"
done

squeeze --dry-run --budget "$(((least + most) / 2))" --neurons 50% --vocabulary "$work/texts" ||
  fail "neurons and vocabulary by hand: $(cat "$work/out")"
neurons=$(sed -n 's/^blk.*ffn_up  *\([0-9]*\)x[0-9]* F32 *\([0-9]*\)x.*/\1 \2/p' "$work/out")
while read -r before after; do
  [ "$after" -gt 0 ] && [ "$after" -le "$before" ] || fail "ffn_up: $before became $after"
done <<<"$neurons"
[ -n "$neurons" ] || fail "no neurons: $(cat "$work/out")"

# units, and what is none
squeeze --dry-run --budget 0.5MiB --json && grep -q '"next_bytes"' "$work/out" ||
  fail "0.5MiB: $(cat "$work/out")"
squeeze --dry-run --budget 5000000000 --json && grep -q '"next_bytes"\|"budget"' "$work/out" ||
  fail "5000000000: $(cat "$work/out")"
for wrong in 0 MB 3.MB 1.5 -1 5TB 1e6 99999999999999999999 2000000GiB; do
  squeeze --dry-run --budget "$wrong"
  [ $? = 2 ] && grep -q "is no number of bytes" "$work/out" || fail "$wrong: $(cat "$work/out")"
done
squeeze --dry-run --budget 1MB --plain
grep -q "has no plain form" "$work/out" || fail "--plain: $(cat "$work/out")"
"$program" squeeze "$work/whole.gguf" --dry-run --budget 1MB >"$work/out" 2>&1
grep -q "texts are missing" "$work/out" || fail "no texts: $(cat "$work/out")"
exit $failed
