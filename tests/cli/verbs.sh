#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every verb on tiny models made here: what it prints, how it ends, what it says of bad input.
# usage: verbs.sh PROGRAM
set -u
program=$1
here=$(cd "$(dirname "$0")" && pwd)
command -v python3 >/dev/null || { echo "skipped: python3 is needed to make the models"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

. "$here/expect.bash"

make() { python3 "$here/make_folder.py" "$work/folder-$2" "$1" ${3:+"$3"}; }

for pair in BertModel:bare BertForSequenceClassification:nli \
  SqueezeBertForSequenceClassification:squeeze BertForTokenClassification:ner \
  BertForQuestionAnswering:qa BertForMaskedLM:mask; do
  make "${pair%%:*}" "${pair##*:}"
  expect 0 "wrote" import "$work/folder-${pair##*:}" -o "$work/${pair##*:}.gguf" </dev/null
  expect 0 '"ok":true' verify "$work/${pair##*:}.gguf" --json </dev/null
done
expect 0 "wrote" import "$work/folder-nli" -o "$work/nli16.gguf" --dtype bf16 </dev/null
expect 0 '"ok":true' verify "$work/nli16.gguf" --json </dev/null
expect 0 '^sqz.requires +\[bf16\]$' info "$work/nli16.gguf" </dev/null
"${program}" import "$work/folder-squeeze" -o "$work/squeeze16.gguf" --dtype bf16 2>/dev/null
expect 0 '^sqz.requires +\[groups, bf16\]$' info "$work/squeeze16.gguf" </dev/null

# An added token that WordPiece's vocabulary lacks is found in the text as it stands, and no word is
# spelt with it (ids as `tokenizers` gives them); the same by way of an export.
make BertModel apart apart
expect 0 "wrote" import "$work/folder-apart" -o "$work/apart.gguf" </dev/null
expect 0 "wrote" export "$work/apart.gguf" -o "$work/apart-out" </dev/null
expect 0 "wrote" import "$work/apart-out" -o "$work/apart-again.gguf" </dev/null
for model in apart apart-again; do
  expect 0 '"tokens":\["\[CLS\]","the","xyz","film","\[SEP\]"\]' tokenize "$work/$model.gguf" \
    --json <<<"the xyz film"
  expect 0 '"tokens":\["\[CLS\]","\[UNK\]","\[SEP\]"\]' tokenize "$work/$model.gguf" --json \
    <<<"xyza"
  expect 0 '"tokens":\["\[CLS\]","qr","a","\[SEP\]"\]' tokenize "$work/$model.gguf" --json <<<"qra"
  expect 0 '"tokens":\["\[CLS\]","q","##r","\[SEP\]"\]' tokenize "$work/$model.gguf" --json <<<"QR"
done

# quantize: a table, a file that verifies, and what is refused
expect 0 'blk.0.attn_q.weight +24x[0-9]+ +F32 > I8 +[0-9.]+e-0[23]' quantize "$work/squeeze.gguf" \
  -o "$work/squeeze8.gguf" </dev/null
expect 0 'attn_q.bias +24 +F32 corrected' quantize "$work/squeeze.gguf" --dry-run </dev/null
expect 0 'biases corrected over 32 x 64 random ids' info "$work/squeeze8.gguf" </dev/null
expect 0 ' 0 biases are corrected' quantize "$work/squeeze.gguf" -o "$work/plain8.gguf" \
  --no-bias-correction </dev/null
expect 0 '"ok":true' verify "$work/squeeze8.gguf" --json </dev/null
expect 0 '"label":' classify "$work/squeeze8.gguf" --json <<<"good film"
wanted='"name":"token_embd.weight","shape":\[[0-9]+,24\],"from":"F32","to":"F32","kept":true,'
expect 0 "$wanted"'"corrected":false,"error":0,' \
  quantize "$work/mask.gguf" -o "$work/mask16.gguf" --type bf16 --keep '^token_embd' --json \
  </dev/null
expect 0 '"masks":\[' fill-mask "$work/mask16.gguf" --json <<<"the [MASK] film"
expect 0 "quantize --type bf16 --keep '\^token_embd'" info "$work/mask16.gguf" </dev/null
expect 0 'tensors change, 0 are kept' quantize "$work/nli.gguf" -o "$work/dry.gguf" --type f16 \
  --dry-run </dev/null
[ ! -e "$work/dry.gguf" ] || { echo "FAILED: --dry-run wrote a file"; failed=1; }
expect 3 "is I8 already" quantize "$work/squeeze8.gguf" -o "$work/never.gguf" </dev/null
expect 2 "matches no tensor" quantize "$work/squeeze.gguf" -o "$work/never.gguf" --keep nonsense \
  </dev/null
expect 2 "no extended regular expression" quantize "$work/squeeze.gguf" -o "$work/never.gguf" \
  --keep '(' </dev/null
expect 2 "bf16 already" quantize "$work/nli16.gguf" -o "$work/never.gguf" --type bf16 </dev/null
expect 2 "s8, bf16|s8\|bf16" quantize "$work/squeeze.gguf" -o "$work/never.gguf" --type q4 \
  </dev/null
expect 0 'quantize --type s8 --no-bias-correction' info "$work/plain8.gguf" </dev/null
for i in $(seq 300); do echo "good film $i the bad act"; done >"$work/texts"
expect 0 '^calibrated on 300 texts of [0-9]+ pieces$' quantize "$work/squeeze.gguf" \
  -o "$work/calibrated8.gguf" --calibrate "$work/texts" </dev/null
expect 0 'quantize --type s8, calibrated on 300 texts of [0-9]+ pieces' \
  info "$work/calibrated8.gguf" </dev/null
expect 0 '"ok":true' verify "$work/calibrated8.gguf" --json </dev/null
cmp -s "$work/calibrated8.gguf" "$work/squeeze8.gguf" &&
  { echo "FAILED: --calibrate changed nothing"; failed=1; }
for bits in 4 3; do
  expect 0 "attn_q.weight +24x[0-9]+ +F32 > S$bits" quantize "$work/squeeze.gguf" --type s$bits \
    -o "$work/packed$bits.gguf" --calibrate "$work/texts" </dev/null
  expect 0 "blk.0.attn_q.weight.s$bits +I8" info "$work/packed$bits.gguf" --tensors </dev/null
  expect 0 '"ok":true' verify "$work/packed$bits.gguf" --json </dev/null
  expect 3 "weight.s$bits' is I8 already" quantize "$work/packed$bits.gguf" \
    -o "$work/never.gguf" </dev/null
done
expect 0 'biases are corrected' quantize "$work/squeeze.gguf" --dry-run --calibrate "$work/texts" \
  --progress none </dev/null
head -n 20 "$work/texts" >"$work/few"
: >"$work/empty"
expect 3 "20 texts to calibrate on have [0-9]+ pieces in all, at least 2048 are needed" \
  quantize "$work/squeeze.gguf" -o "$work/never.gguf" --calibrate "$work/few" </dev/null
expect 3 "empty: holds no text" quantize "$work/squeeze.gguf" -o "$work/never.gguf" \
  --calibrate "$work/empty" </dev/null
expect 3 "no-such-file: cannot open" quantize "$work/squeeze.gguf" -o "$work/never.gguf" \
  --calibrate "$work/no-such-file" </dev/null
expect 3 "$work: cannot read" quantize "$work/squeeze.gguf" -o "$work/never.gguf" \
  --calibrate "$work" </dev/null
head -c 17000000 /dev/zero | tr '\0' a >"$work/long"
expect 3 "1 texts to calibrate on have 3 pieces" quantize "$work/squeeze.gguf" \
  -o "$work/never.gguf" --calibrate "$work/long" </dev/null
expect 2 "calibrate is for --type s8" quantize "$work/squeeze.gguf" -o "$work/never.gguf" \
  --type bf16 --calibrate "$work/texts" </dev/null
expect 2 "leave one of them out" quantize "$work/squeeze.gguf" -o "$work/never.gguf" \
  --no-bias-correction --calibrate "$work/texts" </dev/null
[ ! -e "$work/never.gguf" ] || { echo "FAILED: a refused quantisation left a file"; failed=1; }
expect 2 "o FILE is missing" quantize "$work/squeeze.gguf" </dev/null
expect 1 "cannot write" quantize "$work/squeeze.gguf" -o "$work/no/such/folder.gguf" </dev/null
mkfifo "$work/pipe"
expect 1 "pipe: cannot write: it is no file" quantize "$work/squeeze.gguf" -o "$work/pipe" \
  </dev/null
expect 1 "cannot write: it is a folder" quantize "$work/squeeze.gguf" -o "$work" </dev/null
[ -p "$work/pipe" ] || { echo "FAILED: a file stands in the place of a pipe"; failed=1; }
expect 2 "progress is for --calibrate" quantize "$work/squeeze.gguf" -o "$work/never.gguf" \
  --progress none </dev/null

expect 0 '"width":24' info "$work/squeeze.gguf" --json </dev/null
expect 0 'attn_v.weight +F32 +\[24, 8\]  768' info "$work/squeeze.gguf" --tensors </dev/null
expect 0 '^\| blk.0.attn_v.weight \| F32 \| \[24, 8\] \| 768 \|$' info "$work/squeeze.gguf" \
  --tensors --markdown </dev/null
expect 0 '^\| 2 \| entailment \|$' info "$work/squeeze.gguf" --markdown </dev/null
expect 0 '"weight_bytes":\{"F32":[0-9]+,"BF16":[0-9]+\}' info "$work/nli16.gguf" --json </dev/null
expect 0 '"labels_named":true,"labels":\["contradiction","neutral","entailment"\]' \
  info "$work/squeeze.gguf" --json </dev/null
wanted='"ids":\[2,6,8,9,1,3\],"tokens":\["\[CLS\]","good","film","##s","\[UNK\]","\[SEP\]"\],'
wanted+='"types":\[0,0,0,0,0,0\],'
wanted+='"offsets":\[\[0,0\],\[0,4\],\[5,9\],\[9,10\],\[11,12\],\[0,0\]\]'
expect 0 "$wanted" \
  tokenize "$work/bare.gguf" --json <<<"Good films 7"
expect 0 '\[0,3\]' tokenize "$work/bare.gguf" --json --bytes <<<"7ß"
# All pieces come unless a length is asked for, however few the model takes; a long text comes in
# windows by either name.
expect 0 '^\[CLS\]( film){600} \[SEP\]$' \
  tokenize "$work/bare.gguf" <<<"$(yes film | head -n 600 | tr '\n' ' ')"
for windows in "--windows" "--long stride"; do
  # shellcheck disable=SC2086
  expect 0 '"windows":\[0,4\]' \
    tokenize "$work/bare.gguf" --json --max-length 4 $windows <<<"good film films"
done
expect 1 'SQZ_ETOOLONG' \
  tokenize "$work/bare.gguf" --json --max-length 4 --long error <<<"good film films"
expect 2 'batch-tokens' tokenize "$work/bare.gguf" --batch-tokens 9 <<<"film"
expect 0 '"label":"(contradiction|neutral|entailment)","score":.*"scores":.*"logits":\[' \
  classify "$work/nli.gguf" --json --logits <<<"good film"
expect 0 '^$' classify "$work/nli.gguf" --json </dev/null
expect 3 'no/such.gguf' classify "$work/no/such.gguf" --json </dev/null
expect 0 '"label":null' classify "$work/nli.gguf" --json --threshold 1 <<<"good film"
expect 0 '^\{"label":"a"' zero-shot "$work/nli.gguf" --json --labels a <<<"good film"
expect 0 '"embedding":\[' embed "$work/bare.gguf" --json <<<"good film"
expect 0 '"embeddings":\[\[' embed "$work/bare.gguf" --json --pool none <<<"good film"
expect 0 '^1\.000000$' similarity "$work/bare.gguf" <<<$'good film\tgood film'
expect 0 '"entities":\[.*"logits":\[\[.*\]\],"window_first":\[0\]' ner "$work/ner.gguf" --json \
  --logits <<<"good film"
# 14 pieces of text in windows of 8, [CLS] and [SEP] among them, each repeating 2: pieces 0-5, 4-9,
# 8-13. The question takes 2 of 10, so 7 of the context fit.
expect 0 '\]\],"window_first":\[0,8,16\]' ner "$work/ner.gguf" --json --logits --max-length 8 \
  --stride 2 <<<"a b c d e f g h i j k l m n"
expect 0 '\]\],"window_first":\[0,10,20\]' qa "$work/qa.gguf" --json --logits --max-length 10 \
  --stride 2 <<<$'a\ta b c d e f g h i j k l m n'
expect 0 '"answers":\[\{"answer":"[a-z ]+","score"' qa "$work/qa.gguf" --json \
  <<<$'good film\tthe bad film'
expect 0 '"masks":\[\{"candidates":\[\{"token":' fill-mask "$work/mask.gguf" --json \
  <<<"the [MASK] film"
expect 0 'kernel f32' doctor </dev/null
expect 0 '"gemm_f32":"gemm_f32_[^,]*,"gemm_bf16":"gemm_bf16_' doctor --json </dev/null
printf 'the good film\nthe bad films\n' >"$work/lines.txt"
expect 0 '1\.000  the bad films' search "$work/bare.gguf" --file "$work/lines.txt" -k 1 \
  <<<"the bad films"
printf 'good\nbad\n' | "$program" embed "$work/bare.gguf" -o "$work/vectors.npy" || failed=1
[ "$(head -c 6 "$work/vectors.npy" | tail -c 5)" = NUMPY ] &&
  [ "$(wc -c <"$work/vectors.npy")" -eq $((128 + 2 * 24 * 4)) ] ||
  { echo "FAILED: embed -o"; failed=1; }

# the same answers one by one and together, and with other threads
printf 'good film\nthe bad film .\n%s\n' "$(printf 'a%.0s' {1..30})" >"$work/three.txt"
"$program" classify "$work/squeeze.gguf" --json --logits -t 2 <"$work/three.txt" >"$work/together"
while IFS= read -r line; do
  "$program" classify "$work/squeeze.gguf" --json --logits -t 1 <<<"$line"
done <"$work/three.txt" >"$work/alone"
cmp -s "$work/together" "$work/alone" ||
  { echo "FAILED: other bits alone than together"; failed=1; }

# errors of a record stand in its place
expect 1 '"error":".*","code":"SQZ_EINVAL"' fill-mask "$work/mask.gguf" --json <<<"no mask here"
expect 1 '"code":"SQZ_ETOOLONG"' classify "$work/nli.gguf" --json --long error \
  <<<"$(printf 'a %.0s' {1..60})"
expect 0 '"truncated":true' classify "$work/nli.gguf" --json <<<"$(printf 'a %.0s' {1..60})"
# of the command line, of files
expect 2 "there is no verb 'nonsense'" nonsense </dev/null
expect 2 "unknown or ambiguous option" info "$work/bare.gguf" --nonsense </dev/null
expect 2 "too few arguments: give MODEL" verify </dev/null
expect 2 "sequence classification head" classify "$work/bare.gguf" <<<"x"
expect 3 "no/such.gguf" info no/such.gguf </dev/null
expect 3 "not a model file" info "$work/lines.txt" </dev/null
expect 3 "config.json" import "$work" -o "$work/never.gguf" </dev/null
for fault in "missing:is missing" "shape:\[41, 24\]" "overlap:overlap" \
  "huge:no size|shape needs|claims" "deep:model.safetensors" "nan:NaN" "activation:'swish'" \
  "truncated:claims"; do
  make BertForSequenceClassification "${fault%%:*}" "${fault%%:*}"
  expect 3 "${fault#*:}" import "$work/folder-${fault%%:*}" -o "$work/never.gguf" </dev/null
done
! ls "$work"/never.gguf* >/dev/null 2>&1 ||
  { echo "FAILED: a refused import left a file"; failed=1; }
exit $failed
