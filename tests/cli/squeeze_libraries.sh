#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# LAPACKE and OpenBLAS are loaded by squeezing alone: the program does not name them, runs beside
# ones that cannot be loaded, and says of these what is wrong when it needs them.
# usage: squeeze_libraries.sh PROGRAM
set -u
program=$1
here=$(cd "$(dirname "$0")" && pwd)
command -v python3 >/dev/null || { echo "skipped: python3 is needed to make the models"; exit 77; }
command -v readelf >/dev/null || { echo "skipped: there is no readelf"; exit 77; }
lapacke=$(grep -ao 'liblapacke\.so[.0-9]*' "$program" | head -1)
openblas=$(grep -ao 'libopenblas\.so[.0-9]*' "$program" | head -1)
[ -n "$lapacke$openblas" ] || { echo "skipped: this build has no LAPACK"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0
fail() { echo "FAILED: $*"; failed=1; }

readelf -d "$program" | grep NEEDED >needed
grep -q 'libc\.so' needed || fail "readelf names no libraries"
grep -Ei 'blas|lapack|gfortran' needed && fail "the program needs these at its start"

python3 "$here/make_folder.py" folder BertModel
"$program" import folder -o bare.gguf >said 2>&1 || fail "import: $(head -3 said)"
for i in $(seq 0 399); do echo "good film the act $((i % 7)) of a bad $i"; done >texts
squeeze() { "$program" squeeze bare.gguf -o out.gguf --texts texts --rank 50% >said 2>&1; }

for broken in "$lapacke" "$openblas"; do
  mkdir "broken-$broken" && : >"broken-$broken/$broken"
  export LD_LIBRARY_PATH=$work/broken-$broken
  "$program" --version >said 2>&1 || fail "--version beside a broken $broken: $(head -3 said)"
  squeeze
  code=$?
  [ "$code" -eq 3 ] || fail "squeezing with a broken $broken ends with $code"
  grep -q "shared library lib.*cannot be loaded (.*$broken.*): install" said ||
    fail "squeezing with a broken $broken says: $(head -3 said)"
  [ -e out.gguf ] && fail "squeezing with a broken $broken leaves a file"
  unset LD_LIBRARY_PATH
done
squeeze || fail "squeezing with whole libraries: $(head -3 said)"
exit $failed
