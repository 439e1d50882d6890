#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a model file says of itself and of its making: checksums, damage, names, history, several
# writers of one file. usage: provenance.sh PROGRAM
set -u
program=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
here=$(cd "$(dirname "$0")" && pwd)
command -v python3 >/dev/null || {
  echo "skipped: python3 is needed to compute checksums"
  exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0

fail() {
  echo "FAILED: $*"
  failed=1
}

# expect CODE PATTERN ARGUMENTS...: stdout and stderr together hold the pattern
expect() {
  local code=$1 pattern=$2 out got
  shift 2
  out=$("$program" "$@" 2>&1 </dev/null)
  got=$?
  [ "$got" -eq "$code" ] && grep -Eq -- "$pattern" <<<"$out" ||
    fail "squeezebert $*: exit $got ($code expected), '$pattern' expected in: $(head -3 <<<"$out")"
}

python3 "$here/make_folder.py" willow BertForSequenceClassification
expect 0 "wrote" import willow -o willow.gguf
expect 0 "wrote" import willow -o half.gguf --dtype bf16

# every step keeps what was there, adds its line and its name, once, and nothing of the output's
# path
expect 0 "wrote" quantize half.gguf -o elsewhere.gguf --type s8
expect 0 "wrote" quantize willow.gguf -o f16.gguf --type f16
cp f16.gguf again.gguf
expect 0 "wrote" quantize again.gguf -o again.gguf --type bf16
expect 0 '"ok":true' verify again.gguf --json
expect 0 '^name +willow-f16-bf16$' info again.gguf
expect 0 '"name":"willow-s8"' info elsewhere.gguf --json
steps='"history":\["import --dtype f32[^"]*","quantize --type f16","quantize --type bf16"\]'
expect 0 "$steps" info again.gguf --json
expect 0 '^history +import --dtype bf16' info elsewhere.gguf
expect 0 '^ +quantize --type s8, biases' info elsewhere.gguf
expect 0 '^tensors_sha256 +[0-9a-f]{64}$' info elsewhere.gguf
expect 0 '^elsewhere.gguf ' bench elsewhere.gguf -b 1 -l 4 -n 1 --warm-up 0
cp willow.gguf named-s8.gguf
expect 0 "wrote" quantize named-s8.gguf -o named.gguf --type s8 --no-bias-correction
expect 0 '^name +willow-s8$' info named.gguf

# what an importer puts there of a card is shown; put there by another program, it is no longer
# what the checksum of the header was made of
python3 - <<'PY'
import struct
def text(t): return struct.pack("<Q", len(t)) + t.encode()
def words(k, *v): return text(k) + struct.pack("<IIQ", 9, 8, len(v)) + b"".join(map(text, v))
def word(k, v): return text(k) + struct.pack("<I", 8) + text(v)
data = open("willow.gguf", "rb").read()
more = [word("general.license", "mit"), words("general.languages", "en", "la"),
        word("general.base_model.0.name", "twig"),
        word("general.base_model.0.organization", "hedge"),
        word("general.base_model.1.name", "leaf")]
size = len(b"".join(more) + word("later.padding", ""))
more.append(word("later.padding", "-" * (-size % 64)))  # the data stay at a multiple of 64
n, = struct.unpack_from("<Q", data, 16)
head = data[:16] + struct.pack("<Q", n + len(more))
open("card.gguf", "wb").write(head + b"".join(more) + data[24:])
PY
card='"provenance":\{"license":"mit","languages":\["en","la"\],'
card+='"base_models":\["hedge/twig","leaf"\],'
card+='"source_files":\["model.safetensors"\],"source_sha256":\["[0-9a-f]{64}"\],'
card+='"tensors_sha256":"[0-9a-f]{64}","history":\['
expect 0 "$card" info card.gguf --json
expect 0 '^base_models +hedge/twig$' info card.gguf
expect 0 '^\| languages \| en \|$' info card.gguf --markdown
expect 3 'card.gguf: metadata or the list of tensors are not' quantize card.gguf -o never.gguf

# the checksums are those that anybody else computes
python3 "$here/checksums.py" willow.gguf half.gguf elsewhere.gguf f16.gguf again.gguf named.gguf \
  >tensors || fail "checksums are not as doc/format.md says"
offset=$(awk 'NR == 1 {print $2}' tensors)
sum=$(tail -c +$((offset + 1)) willow.gguf | sha256sum)
expect 0 "\"tensors_sha256\":\"${sum%% *}\",\"ok\":true" info willow.gguf --check --json

# one bit of any tensor
while read -r name offset bytes; do
  python3 - "$offset" "$bytes" <<'PY'
import sys
data, at = bytearray(open("willow.gguf", "rb").read()), int(sys.argv[1]) + int(sys.argv[2]) // 2
data[at] ^= 4
open("damaged.gguf", "wb").write(data)
PY
  for verb in verify "info --check" "info --check --json" "quantize --dry-run" \
    "quantize -o never.gguf" "export -o never.gguf"; do
    # shellcheck disable=SC2086
    expect 3 "damaged.gguf: tensor '$name' \(bytes $offset to " $verb damaged.gguf
  done
done < <(sed -n '1p;$p;7p;12p' tensors)
[ "$(wc -l <tensors)" -gt 12 ] || fail "$(wc -l <tensors) tensors"
ls never.gguf* >/dev/null 2>&1 && fail "a damaged file was quantized"
expect 3 "damaged.gguf: tensor 'verify.2.logits'" verify damaged.gguf --json

# a bit of the metadata: the spelling of a piece
python3 - <<'PY'
data = bytearray(open("willow.gguf", "rb").read())
data[data.index(b"film")] ^= 4
open("damaged.gguf", "wb").write(data)
PY
expect 3 "damaged.gguf: metadata or the list of tensors are not" info --check damaged.gguf
expect 3 "damaged.gguf: metadata or the list of tensors are not" verify damaged.gguf

# files from before there were checksums
old=$here/../fuzz/corpus/gguf/bert-question
expect 0 "bert-question: carries no checksum: whether" verify "$old"
expect 0 '"has_checksum":false,"vectors":3,.*"ok":true' verify "$old" --json
expect 1 "carries no checksum, so that nothing was compared" info --check "$old"
expect 0 "wrote" quantize "$old" -o new.gguf --type bf16
expect 0 '"has_checksum":true' verify new.gguf --json
expect 3 "nothing.gguf" info --check nothing.gguf
expect 2 "leave --tensors" info --check --tensors willow.gguf

# several writers of one name: all succeed, one file is there, and it is whole
mkdir one
for round in 1 2 3; do
  for writer in 1 2 3; do
    "$program" import willow -o one/model.gguf >"log$writer" 2>&1 ||
      echo "import: $(tail -1 "log$writer")" >>bad &
    "$program" quantize willow.gguf -o one/model.gguf --type s8 >"log-q$writer" 2>&1 ||
      echo "quantize: $(tail -1 "log-q$writer")" >>bad &
  done
  wait
  [ "$(ls one)" = model.gguf ] || fail "round $round left $(ls one)"
  expect 0 '"ok":true' verify one/model.gguf --json
done
[ ! -e bad ] || fail "$(sort bad | uniq -c)"
exit $failed
