#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Where a long run would write, at its end or on its way, is tried before its data are read: here
# these are not there either, which would be said if they were asked for first.
# usage: places.sh PROGRAM
set -u
program=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0
wanted=1 # the exit code

exec </dev/null
. "$here/expect.bash"

refused() { # PATTERN ARGUMENTS...
  expect "$wanted" "$@"
}

"$program" import "$here/../golden/models/bert-sequence" -o m.gguf >said 2>&1 ||
  { cat said; exit 1; }
echo "a film" >file
none="there is no folder none; make it"
squeeze="squeeze m.gguf --bits 4 --texts no-such"
budget="squeeze m.gguf --budget 1MB --texts no-such"
front="squeeze m.gguf --texts no-such --pareto"
build="build no-such.csv --base m.gguf"
teach="distill --teacher m.gguf --student m.gguf --texts no-such"
tune="finetune m.gguf --data no-such.csv"
# shellcheck disable=SC2086
{
  refused "$none" $squeeze -o none/m.gguf
  refused "$none" $squeeze -o x.gguf --cache none
  refused "file: .* no folder" $squeeze -o x.gguf --cache file
  refused "$none" $squeeze --dry-run --cache none
  refused "$none" $budget -o none/m.gguf
  refused "$none" $budget -o x.gguf --checkpoint none/here
  refused "file: .* no folder" $budget -o x.gguf --checkpoint file
  refused "$none" $front none/x.csv
  refused "$none" $front x.csv --cache none
  refused "$none" $front x.csv --minutes 1 --checkpoint none/here
  for squeezed in "" "--budget 1MB"; do
    refused "$none" $build $squeezed -o none/m.gguf
    refused "$none" $build $squeezed -o x.gguf --card none/card.md
    refused "$none" $build $squeezed -o x.gguf --predictions none/p.tsv
    refused "$none" $build $squeezed -o x.gguf --cache none/features
  done
  refused "$none" $build -o x.gguf --budget 1MB --checkpoint none/here/
  refused "$none" $build -o x.gguf --minutes 1 --checkpoint none/here
  for train in "$teach" "$tune"; do
    refused "$none" $train -o none/m.gguf
    refused "$none" $train -o x.gguf --log none/log
    refused "$none" $train -o x.gguf --checkpoint none/here
    refused "file: .* no folder" $train -o x.gguf --checkpoint file
  done
  refused "$none" $tune -o x.gguf --losses none/losses
  refused "$none" quantize m.gguf -o none/m.gguf --calibrate no-such
  refused "$none" init-student m.gguf -o none/m.gguf --layers 0 --texts no-such
}
# what is to stay is not in the folder that a run removes at its end
mkdir e
ln -s e link
inside="or is in, the folder of the run"
# shellcheck disable=SC2086
{
  for of in "$budget" "$build --budget 1MB"; do
    refused "e/small.gguf: .*$inside, e," $of -o e/small.gguf --checkpoint e
    refused "$inside" $of -o e/x.gguf --checkpoint link
    refused "$inside" $of -o link/x.gguf --checkpoint e/
    refused "$inside" $of -o small.gguf --checkpoint .
    refused "$inside" $of -o x --checkpoint ./x
  done
  refused "$inside" $budget -o x.gguf --cache e --checkpoint link
  refused "$inside" $front e/x.csv --minutes 1 --checkpoint e
  refused "$inside" $front x.csv --minutes 1 --cache e --checkpoint ./e/
  refused "$inside" $build -o x.gguf --budget 1MB --cache e/features.gguf --checkpoint e
  refused "$inside" $front x.csv --minutes 1 --checkpoint x.csv
  refused "$inside" $front x.csv --minutes 1 --checkpoint x.svg/
  refused "$inside" $build -o x.gguf --budget 1MB --card e/small.md --checkpoint e
}
rm link

# of a folder it is asked whether files can be made in it, whatever is there
mkdir e/file
ln -s nowhere dangling
# shellcheck disable=SC2086
{
  for of in "$budget" "$front x.csv --minutes 1" "$build --budget 1MB" "$teach" "$tune"; do
    [ "${of#*--pareto}" != "$of" ] || of="$of -o x.gguf"
    refused "^squeezebert: dangling: .* it is no folder" $of --checkpoint dangling
    wanted=2
    refused "name of a folder is empty" $of --checkpoint ""
    wanted=3
    refused "no-such" $of --checkpoint e
    wanted=1
  done
  wanted=2
  refused "name of a folder is empty" $budget -o x.gguf --cache ""
  refused "name of a folder is empty" $front x.csv --cache ""
  wanted=1
  refused "^squeezebert: none: .*$none" $front x.csv --cache none
  if [ "$(id -u)" -ne 0 ]; then
    mkdir -m 555 closed
    refused "^squeezebert: closed: .*denied" $budget -o x.gguf --cache closed
    refused "^squeezebert: closed: .*denied" $teach -o x.gguf --checkpoint closed
    refused "^squeezebert: closed/x: .*denied" $tune -o x.gguf --checkpoint closed/x
    rmdir closed
    : >log
    chmod 444 log
    for train in "$teach" "$tune"; do
      refused "^squeezebert: log: .*denied" $train -o x.gguf --log log
    done
    rm -f log
  fi
}
rm dangling

# a log that is there is written in place
mkfifo pipe
: >log
# shellcheck disable=SC2086
for train in "$teach" "$tune"; do
  refused "^squeezebert: e: .*it is a folder" $train -o x.gguf --log e
  wanted=3
  for log in log pipe /dev/null; do refused "no-such" $train -o x.gguf --log $log; done
  wanted=1
done
rm log pipe
rmdir e/file e

# nor do a result and a folder take each other's place
# shellcheck disable=SC2086
for train in "$teach" "$tune" "$build --minutes 1"; do
  wanted=2
  refused "would be written twice" $train -o x --checkpoint x
  refused "would be written twice" $train -o x --checkpoint ./x/
done
wanted=1

[ "$(echo *)" = "file m.gguf said" ] || { echo "FAILED: it left $(echo *)"; failed=1; }
exit $failed
