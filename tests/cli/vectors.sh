#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# verify --against: the numbers that Transformers gave for the golden models, as .npz files, agree
# within their own derived tolerance; a changed number is seen; damaged and hostile files are
# refused with the reason. usage: vectors.sh PROGRAM, from the top of the tree
set -u
program=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
command -v python3 >/dev/null || { echo "skipped: python3 is needed to make the files"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
models=$here/../golden/models

# check MODEL FAULT CODE PATTERN [OPTIONS]
check() {
  local tolerance out got
  tolerance=$(python3 -W ignore "$here/make_vectors.py" "$models/$1/golden.bin" "$work/v.npz" "$2")
  out=$("$program" verify "$work/$1.gguf" --against "$work/v.npz" --tolerance "$tolerance" \
    "${@:5}" 2>&1)
  got=$?
  if [ $got -ne "$3" ] || ! grep -Eq -- "$4" <<<"$out"; then
    echo "FAILED: $1 '$2': exit $got ($3 expected), without '$4': $out"
    failed=1
  fi
}

for folder in "$models"/*/; do
  name=$(basename "$folder")
  "$program" import "$folder" -o "$work/$name.gguf" 2>/dev/null ||
    { echo "FAILED: import $name"; failed=1; }
  check "$name" "" 0 '^4 sequences, largest difference'
done
m=bert-question
for form in deflated wide bytes order; do check $m $form 0 '^4 sequences'; done
check $m first 0 '^1 sequences'
check $m "" 0 '"ok":true,"sequences":\[\{"sequence":0,"tokens":1,"hidden_error":' --json
"$program" verify "$work/$m.gguf" --against "$work/v.npz" >/dev/null ||
  { echo "FAILED: the default tolerance"; failed=1; }

check $m moved 1 '^sequence 2, 7 tokens: .*DIFFERS$'
check $m moved 1 '1 of 4 sequences differ by more than'
check $m moved 1 '"ok":false' --json
check $m nan 1 'off by inf.*DIFFERS'
python3 "$here/make_vectors.py" "$models/$m/golden.bin" "$work/v.npz" infinite >/dev/null
"$program" verify "$work/$m.gguf" --against "$work/v.npz" >"$work/log" 2>&1 &&
  { echo "FAILED: an infinity widens the default tolerance"; failed=1; }
grep -q 'off by inf.*DIFFERS' "$work/log" &&
  grep -q 'largest difference inf, 0.000' "$work/log" ||
  { echo "FAILED: an infinity: $(cat "$work/log")"; failed=1; }
check $m half 3 "'hidden' is of type '<f2'; <f4, <f8"
check $m big 3 "'hidden' is of type '>f4'"
check $m fortran 3 "'hidden' is in Fortran order"
check $m header 3 "'hidden' has a header that is not"
check $m digits 3 "'hidden' has a header that is not"
check $m shape 3 "'hidden' has [0-9]+ bytes of numbers, its shape needs another count"
check $m columns 3 "'hidden' is \[20, 43\] in 2 dimensions, \[43, 20\] expected"
check $m lengths 3 "the lengths sum up to 44, 'ids' has 43 tokens"
check $m zero 3 'sequence 0 has 0 tokens'
check $m long 3 'sequence 0 has -?[0-9]+ tokens, the model takes 1 to 34'
check $m token 3 'v.npz: token 0 is 4294967295'
check $m floats 3 "'ids' holds floats, integers expected"
check $m missing 3 "'ids' is missing"
check $m nothing 3 "neither 'hidden' nor 'logits'"
check $m unknown 3 "'pooled.npy' is none of the arrays"
check $m twice 3 "'ids' comes twice"
check $m cut 3 'without its list of members: cut short'
check $m sum 3 'its bytes do not give its sum'
check $m bomb 3 'unpack to more than 16 times'
check $m method 3 'packed in a way \(12\)'
for path in "$work/$m.gguf" "$work/none.npz"; do
  "$program" verify "$work/$m.gguf" --against "$path" >"$work/log" 2>&1
  [ $? -eq 3 ] && grep -q "${path##*/}" "$work/log" ||
    { echo "FAILED: $path: $(cat "$work/log")"; failed=1; }
done
"$program" verify "$work/$m.gguf" --tolerance 1 >"$work/log" 2>&1
[ $? -eq 2 ] || { echo "FAILED: --tolerance alone"; failed=1; }
exit $failed
