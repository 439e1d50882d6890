#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# squeeze: every lever gives a file that verifies and embeds, of as many bytes as --dry-run says;
# what does not fit is refused with the number that would, and leaves no file.
# usage: squeeze.sh PROGRAM
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
python3 "$here/make_folder.py" folder-nli BertForSequenceClassification
expect 0 "wrote" import folder -o bare.gguf
expect 0 "wrote" import folder-nli -o nli.gguf
python3 "$here/make_folder.py" folder-grouped SqueezeBertModel
expect 0 "wrote" import folder-grouped -o grouped.gguf
words=(good bad the film act a of is)
for i in $(seq 0 399); do
  echo "${words[i % 8]} film ${words[i / 8 % 8]} the ${words[i / 64 % 8]} $i"
done >texts

"$program" squeeze bare.gguf --dry-run --texts texts --rank 50% >dry 2>said ||
  { cat said; grep -q "build has no LAPACK" said && exit 77; exit 1; }

expect 0 "within a budget, heal it by training" squeeze --help

# levers: the table, the bytes that were foretold, a file that verifies and embeds
source=bare.gguf
lever() { # PATTERN OPTIONS...
  local pattern=$1 dry
  shift
  expect 0 "$pattern" squeeze "$source" -o out.gguf --texts texts "$@"
  dry=$("$program" squeeze "$source" --dry-run --texts texts "$@" 2>/dev/null </dev/null |
    sed -n 's/^[0-9]* bytes become \([0-9]*\) .*/\1/p')
  [ "$dry" = "$(stat -c %s out.gguf)" ] ||
    { echo "FAILED: $*: --dry-run says $dry bytes, the file has $(stat -c %s out.gguf)"; failed=1; }
  expect 0 '"ok":true' verify out.gguf --json
  echo "good film" | "$program" embed out.gguf --json >embedded 2>&1 ||
    { echo "FAILED: $*: $(head -1 embedded)"; failed=1; }
  rm -f out.gguf
}
lever 'blk.0.ffn_up .* F32 .* int8 ' --bits 8
lever 'blk.1.attn_q .* F32 .* int4 .*e-0' --bits 4
lever 'blk.1.attn_q .* F32 .* int3 ' --bits 3
lever 'token_embd .*x24 F32 .*x12 product quantised' --embedding pq:12
lever 'token_embd .*x24 F32 .*x8 to 24 F32' --embedding width:8
lever 'token_embd .*x8 to 24 int4' --embedding width:8,bits:4
lever 'token_embd .*x24 int2' --embedding bits:2
lever 'position_embd .* int4' --positions 4
lever 'ffn_down +24x[0-9]+ F32 +24x32 F32' --neurons 60%
lever 'attn_q +24x24 F32 +' --heads 50%
lever 'blk.0.attn_q .* removed' --layers 1
lever 'blk.1.ffn_up .* removed' --layers none --plain
lever 'token_embd .*x24 F32 .*x12 F32' --layers none --width 12
lever 'token_embd .*x24 F32 .*x20 int2' --layers none --width 20 \
  --embedding bits:2 --drop-impossible
lever 'token_embd .*x24 F32 .*x12 product quantised' --layers none --width 24 --embedding pq:12
expect 0 "wrote" squeeze bare.gguf -o static.gguf --texts texts --layers none --width 16
expect 0 "position_embd .* removed" squeeze bare.gguf -o again.gguf --texts texts --layers none \
  --width 8
expect 0 "dimensions +16" info static.gguf
expect 0 "x16 F32 +.*x16 int4" squeeze static.gguf -o again.gguf --texts texts --embedding bits:4
expect 3 "is I8 already" quantize again.gguf -o no.gguf
expect 3 "is I8 already" squeeze again.gguf -o no.gguf --drop-impossible
expect 0 "wrote" squeeze static.gguf -o again.gguf --texts texts --budget 1MB --no-heal
expect 0 "wrote" quantize static.gguf -o again.gguf --type s8
expect 0 '"ok":true' verify again.gguf --json
expect 3 "static table" export static.gguf -o exported
lever 'token_embd .*x24 F32 .*x24 F32' --layers none
expect 2 "24 dimensions.*not 25" squeeze bare.gguf -o no.gguf --texts texts --layers none --width 25
expect 2 "texts are missing" squeeze bare.gguf -o no.gguf --layers none --width 8
expect 2 "static_width" squeeze bare.gguf -o no.gguf --texts texts --layers none --width 8 \
  --neurons 50%
expect 2 "--width is of a static table" squeeze bare.gguf -o no.gguf --texts texts --layers 0 \
  --width 8
expect 0 "wrote" distill --teacher bare.gguf --student static.gguf -o taught.gguf --texts texts \
  --loss pooled --epochs 1
lever 'ffn_up .* rank 8 ' --rank 50%
lever 'blk.1.ffn_up .* rank 3 int8' --ranks ffn_up=3 --bits 8
lever 'attn_q .* 2 groups F32' --groups 2
lever '[0-9]+ of [0-9]+ pieces stay; .* pieces a text of the others become' --vocabulary texts
lever 'pooler .* removed' --bits 8
lever 'pooler .* int8' --bits 8 --keep-pooler
lever 'other texts: cosine 0' --bits 4 --embedding pq:12 --neurons 60% --plain
lever 'calibrated on' --bits 3 --embedding pq:12 --neurons 60% --layers 0 --vocabulary texts
source=grouped.gguf
lever 'blk.0.attn_q .* rank 2 in 2 F32' --ranks attn_q=2
lever 'blk.1.attn_output .* rank 9 int8' --rank 75% --bits 8
source=bare.gguf

# sentences, one of which is too short to stand alone, or texts as they are
sed 's/$/. It is the act of a bad film./' texts >longer
expect 0 'calibrated on 699 sentences of' squeeze bare.gguf --dry-run --texts longer --neurons 60%
expect 0 'calibrated on 350 texts of' squeeze bare.gguf --dry-run --texts longer --neurons 60% \
  --whole-texts
expect 0 'wrote' squeeze bare.gguf -o whole.gguf --texts longer --neurons 60% --whole-texts
expect 0 '--whole-texts, calibrated on 350 texts of' info whole.gguf

# the history, fidelity in the file, JSON, a head's classes
expect 0 "wrote" squeeze nli.gguf -o small.gguf --texts texts --bits 4 --neurons 60%
expect 0 'squeeze --neurons 60% --bits 4, calibrated on [0-9]+ sentences of [0-9]+ pieces' \
  info small.gguf
expect 0 'sqz.squeeze.fidelity.classes' info small.gguf
expect 0 'keep their class' squeeze nli.gguf -o small.gguf --texts texts --bits 8
expect 0 '"bytes_after":[0-9]+.*"fidelity":\{"texts":[0-9]+,"cosine":' squeeze bare.gguf \
  -o small.gguf --texts texts --bits 4 --json
expect 0 'bytes become' squeeze bare.gguf -o small.gguf --texts texts --bits 4 --no-fidelity
"$program" info small.gguf | grep -q fidelity &&
  { echo "FAILED: --no-fidelity measured"; failed=1; }

# the cache: found again, damaged it is made anew, the same file each time
mkdir cache
expect 0 "wrote" squeeze bare.gguf -o first.gguf --texts texts --bits 4 --cache cache
expect 0 "from the cache" squeeze bare.gguf -o second.gguf --texts texts --bits 4 --cache cache
printf 'x' | dd of="$(echo cache/*)" bs=1 seek=5000 conv=notrunc 2>/dev/null
expect 0 "damaged: made anew" squeeze bare.gguf -o third.gguf --texts texts --bits 4 --cache cache
cmp first.gguf second.gguf && cmp first.gguf third.gguf || failed=1

# what is refused, with the number that would do
refused() { # CODE PATTERN OPTIONS...
  local code=$1 pattern=$2
  shift 2
  expect "$code" "$pattern" squeeze bare.gguf -o never.gguf "$@"
}
head -n 60 texts >few
seq 250 >short
refused 2 "no lever" --texts texts
refused 2 "texts are missing" --bits 4
refused 3 "100" --texts few --bits 4
refused 3 "2048" --texts short --bits 4
refused 3 "2048" --texts short --budget 30kB --minutes 1
[ ! -e never.gguf.checkpoint ] || { echo "FAILED: too few texts left a folder"; failed=1; }
refused 3 "no-such: cannot open" --texts no-such --bits 4
refused 2 "32\|8\|4\|3" --texts texts --bits 5
refused 2 "'half' is no share" --texts texts --neurons half
refused 2 "'0%' is no share" --texts texts --heads 0%
refused 2 "'150%' is no share" --texts texts --rank 150%
refused 2 "7 is no block of the model, whose blocks are 0 to 1" --texts texts --layers 0,7
refused 2 "0 follows 1" --texts texts --layers 1,0
refused 2 "'first' is no list" --texts texts --layers first
refused 2 "7 parts do not divide a width of 24; 6 do" --texts texts --embedding pq:7
refused 2 "24 is not below the table's 24" --texts texts --embedding width:24
refused 2 "none of width:96" --texts texts --embedding narrow
refused 2 "5 bits are none of" --texts texts --embedding bits:5
refused 2 "a table has one form" --texts texts --embedding width:8,pq:4
refused 2 "5 do not divide .* 4 do" --texts texts --groups 5
refused 2 "is not LINEAR=RANK" --texts texts --ranks up=3
refused 2 "at most [0-9]+ is" --texts texts --ranks ffn_up=24
expect 2 "rank 3 are no smaller than 6 x 6 numbers; at most 2 is" squeeze grouped.gguf \
  -o never.gguf --texts texts --ranks attn_k=3
refused 2 "block 9 is none" --texts texts --ranks 9.ffn_up=3
refused 2 "texts FILE is missing" --bits 4 --cache cache
refused 2 "there are none" --texts texts --bits 8 --dense-output
for groups in 0 1 two 4,; do
  refused 2 "'$groups' is no number of groups: 2 or more" --texts texts --groups $groups
  expect 2 "'$groups' is no number of groups: 2 or more" init-student bare.gguf -o never.gguf \
    --groups $groups --random all
done
refused 2 "bits are said once" --texts texts --embedding bits:4,bits:3
refused 2 "bits are said once" --texts texts --embedding bits:4,width:8,bits:4
refused 2 "none of width:96" --texts texts --embedding bits:0
refused 2 "whole-texts says how" --plain --bits 8 --whole-texts
refused 2 "whole_texts: .* nothing of what layers read" --texts texts --layers 0 --whole-texts
for nothing in "--plain --bits 4" "--layers 0" "--embedding bits:4" "--drop-impossible"; do
  # shellcheck disable=SC2086
  refused 2 "cache: .* nothing of what layers read" --texts texts --cache cache $nothing
done
refused 2 "there is neither" --texts texts --bits 8 --seed 2
refused 2 "there is neither" --texts texts --budget 30kB --no-heal --seed 2
for block in "--neurons 50%" "--heads 50%" "--rank 50%" "--ranks ffn_up=3" "--groups 2"; do
  # shellcheck disable=SC2086
  refused 2 "no block stays" --layers none --plain $block
done
refused 2 "static_width.* pooler" --texts texts --layers none --keep-pooler
for judged in "--budget 30kB" "--minutes 1" "--min-score 90%" "--data texts.csv"; do
  # shellcheck disable=SC2086
  refused 2 "static table, which learns by itself" --texts texts --layers none $judged
done
refused 2 "no-fidelity: what is healed" --texts texts --budget 30kB --no-fidelity
refused 2 "--input does not go with --task" --bits 8 --task sst2 --data . --input csv
refused 2 "--text does not go with --task" --bits 8 --task sst2 --data . --text body
refused 2 "names a column" --texts texts --text body --bits 4
expect 2 "o FILE is missing" squeeze bare.gguf --bits 4
expect 1 "cannot write" squeeze bare.gguf -o no/such/folder.gguf --texts texts --bits 4
expect 3 "is I8 already" squeeze first.gguf -o never.gguf --texts texts --bits 4
[ ! -e never.gguf ] || { echo "FAILED: a refused squeeze left a file"; failed=1; }
ls | grep -q tmp && { echo "FAILED: a temporary file is left"; failed=1; }

[ $failed -eq 0 ] && echo "squeeze: all as expected"
exit $failed
