#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# import -> export -> import gives the same tensors and metadata, for every model of tests/golden
# and for folders with all that a folder may hold; an export that cannot be done leaves nothing.
# usage: export.sh PROGRAM, from the top of the tree
set -u
program=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
command -v python3 >/dev/null ||
  { echo "skipped: python3 is needed to compare the files"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "FAILED: $*"; failed=1; }

# way FOLDER DTYPE: there and back, and a second export like the first
way() {
  rm -rf "$work"/{a.gguf,b.gguf,out,again}
  "$program" import "$1" -o "$work/a.gguf" --dtype "$2" 2>"$work/log" &&
    "$program" export "$work/a.gguf" -o "$work/out" 2>>"$work/log" &&
    "$program" import "$work/out" -o "$work/b.gguf" --dtype "$2" 2>>"$work/log" &&
    "$program" export "$work/b.gguf" -o "$work/again" 2>>"$work/log" ||
    { fail "$1 $2:" && cat "$work/log"; return; }
  python3 "$here/same_model.py" "$work/a.gguf" "$work/b.gguf" >"$work/log" ||
    { fail "$1 $2: another model came back" && cat "$work/log"; }
  diff -r "$work/out" "$work/again" >/dev/null ||
    fail "$1 $2: the second export differs from the first"
}
n=0
for folder in "$here"/../golden/models/*/; do
  way "$folder" f32
  n=$((n + 1))
done
[ $n -ge 12 ] || fail "only $n golden models were found"
for dtype in f16 bf16; do
  way "$here/../golden/models/squeezebert-sequence" $dtype
  case $dtype in f16) name=float16 ;; *) name=bfloat16 ;; esac
  grep -q "\"dtype\": \"$name\"" "$work/out/config.json" || fail "config.json does not say $name"
done

# pooling, normalisation, length, prompts, labels without names, and a tokenizer of another kind
python3 "$here/make_folder.py" "$work/full" BertModel
python3 - "$work/full" <<'PYTHON'
import json, os, sys
folder = sys.argv[1]
def write(name, value):
    os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
    json.dump(value, open(os.path.join(folder, name), "w"))
module = lambda path, name: {"idx": 0, "name": "0", "path": path,
                             "type": "sentence_transformers.models." + name}
write("modules.json", [module("", "Transformer"), module("1_Pooling", "Pooling"),
                       module("2_Normalize", "Normalize")])
write("1_Pooling/config.json", {"word_embedding_dimension": 24, "pooling_mode_cls_token": True,
                                "pooling_mode_mean_tokens": False})
write("sentence_bert_config.json", {"max_seq_length": 17})
write("config_sentence_transformers.json",
      {"prompts": {"query": "find: ", "passage": ""}, "default_prompt_name": "query"})
pieces = open(os.path.join(folder, "vocab.txt")).read().splitlines()[:60]
special = lambda text, kind: {"SpecialToken": {"id": text, "type_id": kind}}
part = lambda name, kind: {"Sequence": {"id": name, "type_id": kind}}
added = [dict(id=i, content=pieces[i], single_word=False, lstrip=i == 4, rstrip=False,
              normalized=False, special=True) for i in range(5)]
added.append(dict(id=62, content="<extra é>", single_word=True, lstrip=False, rstrip=True,
                  normalized=True, special=False))
write("tokenizer.json", {
    "added_tokens": added,
    "normalizer": {"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": False,
                   "strip_accents": True, "lowercase": False},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
              "max_input_chars_per_word": 50,
              "vocab": {piece: i for i, piece in enumerate(pieces)}},
    "post_processor": {
        "type": "TemplateProcessing",
        "single": [special("[CLS]", 0), part("A", 0), special("[SEP]", 1)],
        "pair": [special("[CLS]", 0), part("B", 1), special("[SEP]", 0), part("A", 0)],
        "special_tokens": {p: {"id": p, "ids": [pieces.index(p)], "tokens": [p]}
                           for p in ("[CLS]", "[SEP]")}}})
write("tokenizer_config.json",
      {"tokenizer_class": "PreTrainedTokenizerFast",
       "model_input_names": ["input_ids", "token_type_ids", "attention_mask"]})
PYTHON
way "$work/full" f32
for word in '"pooling_mode_cls_token": true' '"max_seq_length": 17' \
  '"default_prompt_name": "query"' 'models.Normalize"' \
  '"tokenizer_class": "PreTrainedTokenizerFast"'; do
  grep -rqF -- "$word" "$work/out" || fail "the folder does not say $word"
done

# code that the folder does not hold is not named in it
sed -i 's/^{/{"auto_map": {"AutoModel": "code.Model"}, /' "$work/full/config.json"
"$program" import "$work/full" -o "$work/a.gguf" 2>/dev/null &&
  "$program" export "$work/a.gguf" -o "$work/code" 2>/dev/null || fail "auto_map"
grep -q auto_map "$work/code/config.json" && fail "auto_map went through"

# a classifier that no class has, through modules; pieces of another vocabulary leave config.json
python3 "$here/make_folder.py" "$work/plain" BertModel
python3 - "$work/plain" <<'PYTHON'
import json, os, struct, sys
folder = sys.argv[1]
def write(name, value):
    os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
    json.dump(value, open(os.path.join(folder, name), "w"))
def weights(name, shapes):
    header, data, at = {}, b"", 0
    for key, shape in shapes.items():
        n = shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [4 * at, 4 * (at + n)]}
        data += struct.pack(f"<{n}f", *[((7 * i) % 11 - 5) / 10 for i in range(at, at + n)])
        at += n
    text = json.dumps(header).encode()
    open(os.path.join(folder, name), "wb").write(struct.pack("<Q", len(text)) + text + data)
module = lambda i, path, name: {"idx": i, "name": name, "path": path, "type":
    "sentence_transformers.models." + (path.partition("_")[2] or "Transformer")}
write("modules.json", [module(0, "", "0"), module(1, "1_Pooling", "1"),
                       module(2, "2_Dense", "head_dense"), module(3, "3_Dense", "head_output")])
write("1_Pooling/config.json", {"word_embedding_dimension": 24, "pooling_mode_mean_tokens": True})
for path, n_in, n_out, word in (("2_Dense", 24, 10, "activation.ReLU"),
                                ("3_Dense", 10, 3, "linear.Identity")):
    write(path + "/config.json", {"in_features": n_in, "out_features": n_out, "bias": True,
                                  "activation_function": "torch.nn.modules." + word})
    weights(path + "/model.safetensors", {"linear.weight": [n_out, n_in], "linear.bias": [n_out]})
config = json.load(open(os.path.join(folder, "config.json")))
config |= {"id2label": {"0": "low", "1": "middle", "2": "high"}, "bos_token_id": 3}
write("config.json", config)
PYTHON
way "$work/plain" f32
"$program" info "$work/a.gguf" --json >"$work/log" && grep -q '"middle"' "$work/log" ||
  fail "the head beside an encoder was not read"
scores=$(echo abc | "$program" classify "$work/a.gguf" --json)
[ -n "$scores" ] && [ "$scores" = "$(echo abc | "$program" classify "$work/b.gguf" --json)" ] ||
  fail "another head came back: $scores"
"$program" import "$work/plain" -o "$work/steps.gguf" --head none 2>/dev/null &&
  [ "$(echo abc | "$program" embed "$work/steps.gguf" --json | tr ',' '\n' | wc -l)" -eq 3 ] ||
  fail "--head none did not make layers of embeddings of the head"
sed -i 's/ReLU/Sigmoid/' "$work/plain/2_Dense/config.json"
"$program" import "$work/plain" -o "$work/steps.gguf" 2>"$work/log" &&
  fail "a Sigmoid went through"
grep -q "2_Dense/config.json: activation_function" "$work/log" || fail "$(cat "$work/log")"

# refusals: expect CODE PATTERN ARGUMENTS...
expect() {
  out=$("$program" "${@:3}" 2>&1)
  local got=$?
  [ $got -eq "$1" ] && grep -Eq -- "$2" <<<"$out" || fail "squeezebert ${*:3}: exit $got, '$out'"
}
expect 1 "code is there and is not empty: name another one" export "$work/a.gguf" -o "$work/code"
expect 1 "a.gguf is there and is no folder" export "$work/a.gguf" -o "$work/a.gguf"
expect 2 "-o FOLDER is missing" export "$work/a.gguf"
expect 1 "no/such" export "$work/a.gguf" -o "$work/no/such"
expect 0 "wrote $work/dense" export "$work/a.gguf" -o "$work/dense/" --dense
ls "$work" | grep -q tmp && fail "a temporary folder was left"
exit $failed
