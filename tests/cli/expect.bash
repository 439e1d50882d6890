# SPDX-License-Identifier: Apache-2.0
# What tests of the program share: . "$here/expect.bash". They set $program, and end by $failed.

# expect CODE PATTERN ARGUMENTS...: stdin goes to the program; stdout and stderr together must hold
# the pattern (an extended regular expression)
expect() {
  local code=$1 pattern=$2 out got
  shift 2
  out=$("$program" "$@" 2>&1)
  got=$?
  if [ "$got" -ne "$code" ] || ! grep -Eq -- "$pattern" <<<"$out"; then
    echo "FAILED: squeezebert $*: exit $got ($code expected), output without '$pattern':"
    sed 's/^/    /' <<<"$out" | head -5
    failed=1
  fi
}
