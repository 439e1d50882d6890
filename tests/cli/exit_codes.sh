#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One cause, one exit code, in every verb; and messages name what the user named.
# usage: exit_codes.sh PROGRAM
set -u
program=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
command -v python3 >/dev/null || { echo "skipped: python3 is needed to make the models"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0

# expect CODE PATTERN ARGUMENTS...: stdin and stdout are the caller's; stderr must hold the pattern
expect() {
  local code=$1 pattern=$2 said got
  shift 2
  said=$("$program" "$@" 2>&1 >&3)
  got=$?
  if [ "$got" -ne "$code" ] || ! grep -Eq -- "$pattern" <<<"$said" ||
    grep -q '\.tmp' <<<"$said"; then
    echo "FAILED: squeezebert $*: exit $got ($code expected)"
    echo "  '$said' ('$pattern' expected, no temporary name)"
    failed=1
  fi
}
exec 3>/dev/null

for pair in BertModel:bare SqueezeBertForSequenceClassification:nli \
  BertForTokenClassification:ner BertForQuestionAnswering:qa BertForMaskedLM:mask; do
  python3 "$here/make_folder.py" "folder-${pair##*:}" "${pair%%:*}"
  expect 0 "wrote" import "folder-${pair##*:}" -o "${pair##*:}.gguf"
done
printf 'good film\nbad film\n' >texts
mkdir glue
printf 'sentence1\tsentence2\tlabel\nx\ty\tz\n' >glue/dev.tsv
printf 'text,label\nx,a\ny,b\n' >t.csv
mkfifo pipe
printf '#!/bin/sh\nexec "%s" "$@" <&-\n' "$program" >closed_stdin
printf '#!/bin/sh\nexec "%s" "$@" >&-\n' "$program" >closed_stdout
chmod +x closed_stdin closed_stdout

# Every verb that reads a model, with what else it needs: @ stands for the model, @o for an output.
verbs=(
  "export @ -o @o" "info @" "verify @" "quantize @ -o @o"
  "squeeze @ -o @o --bits 8 --plain" "init-student @ -o @o" "tokenize @" "classify @" "embed @"
  "embed @ -o @o" "similarity @" "search @ --file texts" "ner @" "qa @" "fill-mask @"
  "zero-shot @ --labels a,b" "eval @ --task mnli --data glue" "glue @ --data ." "bench @"
  "finetune @ -o @o --data t.csv" "distill --teacher @ --student @ -o @o --texts t.csv"
  "build t.csv --base @ -o @o"
)
for_every_verb() { # CODE PATTERN MODEL
  local verb words
  for verb in "${verbs[@]}"; do
    words=${verb//@o/never}
    # shellcheck disable=SC2086
    expect "$1" "$2" ${words//@/$3} </dev/null
    [ ! -e never ] || { echo "FAILED: squeezebert $words left an output"; failed=1; }
  done
}

# 3: a model that is not there, that is none, that is cut short, that needs what this version lacks
head -c 3000 nli.gguf >short.gguf
python3 - <<'PY'
data = open("nli.gguf", "rb").read()
at = data.index(b"groups", data.index(b"sqz.requires"))
data = data[:at] + b"rotary" + data[at + 6:]
for part in (b"header", b"tensors"):  # without checksums: a file of another version, not damaged
    data = data.replace(b"sqz." + part + b".sha256", b"sqz." + part + b".sha999")
open("newer.gguf", "wb").write(data)
PY
for_every_verb 3 "no/such.gguf: " no/such.gguf
for_every_verb 3 "glue: " glue
for_every_verb 3 "pipe: " pipe
for_every_verb 3 "texts: " texts
for_every_verb 3 "short.gguf: " short.gguf
for_every_verb 3 "newer.gguf: .*rotary" newer.gguf
if [ "$(id -u)" -ne 0 ]; then
  cp nli.gguf secret.gguf && chmod 0 secret.gguf
  for_every_verb 3 "secret.gguf: .*denied" secret.gguf
fi
# 3: other inputs
expect 3 "no/such" import no/such -o never
expect 3 "config.json" import glue -o never
expect 3 "no/such" search bare.gguf --file no/such <texts
expect 3 "no/such" quantize bare.gguf -o never --calibrate no/such
expect 3 "no/such" squeeze bare.gguf -o never --bits 4 --texts no/such
expect 3 "no/such" verify bare.gguf --against no/such
expect 3 "no/such" eval nli.gguf --task mnli --data no/such
expect 3 "no/such" glue nli.gguf:mnli --data no/such
expect 3 "no/such" bench bare.gguf --lengths no/such
expect 3 "no/such" bench bare.gguf -l 8 --stages --text no/such
for verb in classify tokenize; do
  expect 3 "stdin" $verb nli.gguf <glue
  program=./closed_stdin expect 3 "stdin" $verb nli.gguf
  expect 3 "text" $verb nli.gguf --input csv <<<"a,b"
done
expect 3 "stdin" embed bare.gguf -o never <glue

# 2: the command line, and what a model cannot be asked for
for_every_verb 0 "" "nothing --help"
for verb in "${verbs[@]}"; do
  # shellcheck disable=SC2086
  set -- ${verb//@o/never}
  expect 2 "--nonsense" "$1" --nonsense </dev/null
  case $1 in
    distill | info) ;; # its models are options; without one it lists those that ship
    *) expect 2 "too few arguments" "$1" </dev/null ;;
  esac
done
expect 2 "--teacher MODEL is needed" distill
expect 2 "nonsense" nonsense
expect 2 "nonsense" help nonsense
expect 2 "come from stdin.* texts;" classify nli.gguf texts
expect 2 "too many arguments, from this one on: texts;" info nli.gguf texts
expect 3 "squeezebert import folder-nli" classify folder-nli <texts
expect 2 "help --completions" help --completions
expect 2 "there is no verb ''" ""
expect 2 "is empty" quantize bare.gguf -o ""
expect 2 "is empty" import folder-bare -o ""
expect 2 "is empty" export bare.gguf -o ""
expect 2 "is empty" embed bare.gguf -o "" <texts
for verb in classify ner qa fill-mask "zero-shot --labels a"; do
  # shellcheck disable=SC2086
  expect 2 "head" $verb bare.gguf <<<$'a\tb'
done
for verb in embed "embed -o never" similarity "search --file texts"; do
  # shellcheck disable=SC2086
  expect 2 "pooler" $verb mask.gguf --pool pooler <<<$'a\tb'
  # shellcheck disable=SC2086
  expect 2 "dimensions" $verb bare.gguf --dimensions 9999 <<<$'a\tb'
  # shellcheck disable=SC2086
  expect 2 "nonsense" $verb bare.gguf --prompt nonsense <<<$'a\tb'
done
for verb in info tokenize embed; do
  expect 2 "cpu|feature" $verb bare.gguf --cpu nonsense </dev/null
done

# 1: records that fail
expect 1 "1 of 2 records failed" fill-mask mask.gguf <<<$'no mask\nthe [MASK] film'
expect 1 "records failed" similarity bare.gguf <<<"one text"
expect 1 "" classify nli.gguf --strict --long error <<<"$(printf 'a %.0s' {1..60})"

# 1: outputs that cannot be written; 4: no room for them
large=$(python3 -c 'import errno, os; print(os.strerror(errno.EFBIG))')
yes 'good film' | head -n 300 >many
outputs=("import folder-bare -o" "export bare.gguf -o" "quantize bare.gguf -o" "embed bare.gguf -o")
for verb in "${outputs[@]}"; do
  # shellcheck disable=SC2086
  {
    expect 1 "no/such/name.*there is no folder no/such" $verb no/such/name <texts
    expect 1 "texts/name.*there is no folder texts" $verb texts/name <texts
    expect 1 "glue.*(a folder|not empty)" $verb glue <texts
    case $verb in
      embed*) ;;
      *) expect 1 "pipe.*(no file|no folder)" $verb pipe <texts
         expect 1 "^squeezebert: -.*(no file|no folder)" $verb - <texts ;;
    esac
    if [ "$(id -u)" -ne 0 ]; then
      mkdir -p closed && chmod 500 closed
      expect 1 "closed/name.*denied" $verb closed/name <texts
    fi
    (ulimit -f 1; expect 4 "file.*cannot write: $large" $verb file <many; exit $failed) || failed=1
  }
  [ ! -e file ] && ! ls ./*.tmp >/dev/null 2>&1 || { echo "FAILED: $verb left a file"; failed=1; }
done
[ -p pipe ] || { echo "FAILED: a file stands in the place of a pipe"; failed=1; }

# 4 and 1: stdout that is full, that is closed; every way to write to it
if [ -c /dev/full ]; then
  full() { # twice, and what it reads from stdin is a line
    local line
    read -r line
    expect 4 "stdout: cannot write" "$@" 3>/dev/full <<<"$line"
    program=./closed_stdout expect 1 "stdout: cannot write" "$@" <<<"$line"
  }
  full --version
  full help
  full help --man
  full help --completions bash
  full help embed
  full embed --help
  full doctor
  full info nli.gguf
  full verify nli.gguf
  full quantize bare.gguf --dry-run
  full squeeze bare.gguf --dry-run --bits 8 --plain
  full bench bare.gguf -n 1 --warm-up 0 -l 4
  for verb in tokenize classify "zero-shot --labels a"; do full $verb nli.gguf <texts; done
  full embed bare.gguf <texts
  full similarity bare.gguf <<<$'a\tb'
  full search bare.gguf --file texts <texts
  full ner ner.gguf <texts
  full qa qa.gguf <<<$'a\tb'
  full fill-mask mask.gguf <<<"[MASK]"
  expect 4 "/dev/full: cannot write" embed bare.gguf -o /dev/full <texts
fi
exit $failed
