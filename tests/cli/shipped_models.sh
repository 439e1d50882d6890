#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Models are found by their names, from wherever the program lies, and a file always wins.
# usage: shipped_models.sh PROGRAM
set -u
here=$(cd "$(dirname "$0")" && pwd)
command -v python3 >/dev/null || { echo "skipped: python3 is needed to make the models"; exit 77; }
[ -e /proc/self/exe ] || { echo "skipped: the system does not tell where a program lies"; exit 77; }
work=$(realpath "$(mktemp -d)")
trap 'rm -rf "$work"' EXIT
unset SQUEEZEBERT_MODELS
failed=0
# a program of its own: what stands beside the one under test is not for this test to know
mkdir -p "$work"/prefix/bin "$work/here"
cp "$1" "$work/prefix/bin/squeezebert"
program=$work/prefix/bin/squeezebert
cd "$work/here" || exit 1

. "$here/expect.bash"

for pair in BertModel:embed BertForSequenceClassification:nli; do
  python3 "$here/make_folder.py" "$work/folder" "${pair%%:*}"
  expect 0 wrote import "$work/folder" -o "$work/${pair##*:}.gguf"
  rm -r "$work/folder"
done
for i in $(seq 60); do printf 'good film %s,up\nthe bad %s,down\n' "$i" "$i"; done |
  sed '1i text,label' >t.csv

# without any
expect 1 "no model has a name .looked in $work/prefix/bin/models, " info
expect 3 "nothing: there is no such file, and no model of that name; no model has one" info nothing
expect 2 "base MODEL is needed, as there is no model named embed here" build t.csv -o never.gguf
expect 0 "Exit codes" help

# from the shared folder, from beside the program, from the user's: the nearer one is taken
for folder in prefix/share/squeezebert/models prefix/bin/models own; do
  [ $folder != own ] || export SQUEEZEBERT_MODELS=$work/own
  mkdir -p "$work/$folder"
  cp "$work/nli.gguf" "$work/$folder/sentiment.gguf"
  path=$work/${folder/#prefix\/share/prefix/bin/../share}/sentiment.gguf
  expect 0 "\"model\":\"sentiment\",\"path\":\"$path\",.*\"classes\":3" info --json
  expect 0 '"label":"(contradiction|neutral|entailment)"' classify sentiment --json <<<"good film"
done
cp "$work/embed.gguf" "$work/prefix/bin/models/embed.gguf"
echo damaged >"$work/own/damaged.gguf"
cp "$work/embed.gguf" "$work/own/a.name.that.is.a.path.gguf"
expect 1 "^embed  .* dimensions  $work/prefix/bin/models/embed.gguf" info
expect 1 "damaged.gguf: .*not a model file" info
expect 0 "Models that ship: damaged, embed, sentiment; " help
expect 3 "nothing: .*models with a name are damaged, embed, sentiment .looked in $work/own, " \
  info nothing
expect 2 "are of one model" info --check

# moved, and started through a link
mv "$work/prefix" "$work/moved"
ln -s "$work/moved/bin/squeezebert" "$work/link"
program=$work/link
expect 0 '"embedding":\[' embed embed --json <<<"good film"

# every way to name a model
expect 0 "^sentiment.gguf +f32 " bench embed sentiment -n 1 --warm-up 0 -l 4
expect 0 '"ok":true' verify sentiment --json
expect 3 "nothing: there is no such file" bench embed nothing
expect 3 "student: there is no such file" distill --teacher embed --student student -o never.gguf \
  --texts t.csv
expect 3 "other: there is no such file" eval sentiment --data t.csv --against other
expect 0 "wrote" quantize sentiment -o small.gguf
expect 0 "Usage" build --base nothing --help
expect 0 "A model is a file, or the name of one that ships" embed --help

mkdir -p GLUE/MNLI
for split in matched mismatched; do
  printf 'sentence1\tsentence2\tgold_label\ngood film\tbad film\tcontradiction\n' \
    >GLUE/MNLI/dev_$split.tsv
done
expect 0 '"model":"[^"]*/own/sentiment.gguf"' glue sentiment --data GLUE --json
expect 0 '"model":"[^"]*/own/sentiment.gguf"' glue \
  sentiment:mnli:contradiction,neutral,entailment --data GLUE --json
expect 3 "nothing: there is no such file, and no model of that name" glue nothing --data GLUE
expect 3 "nothing: there is no such file, and no model of that name" glue nothing:mnli --data GLUE
expect 0 "A model is a file, or the name of one that ships" glue --help

# build takes embed where no base is named
expect 0 "wrote out.gguf" build t.csv -o out.gguf --progress none
expect 0 '"scores":\[[0-9.]+,[0-9.]+\]' classify out.gguf --json <<<"good"

# a file wins, whatever it is, and so do a model's folder and a link to nothing, but no other
# folder; a path is no name
echo 'no model' >sentiment
expect 3 "sentiment: .*not a model file" classify sentiment <<<"x"
rm sentiment && mkdir sentiment
expect 0 '"label":' classify sentiment --json <<<"x"
echo '{}' >sentiment/config.json
expect 3 "squeezebert import sentiment" classify sentiment <<<"x"
rm -r sentiment && ln -s nowhere sentiment
expect 3 "sentiment: cannot open" classify sentiment <<<"x"
rm sentiment
expect 3 "sentiment.gguf: cannot open" classify sentiment.gguf <<<"x"
expect 3 "\./sentiment: cannot open" classify ./sentiment <<<"x"

# a hundred models more hide none
mkdir "$work/many"
for i in $(seq 100); do ln -s nowhere "$work/many/model-$i.gguf"; done
SQUEEZEBERT_MODELS=$work/many expect 0 '"label":' classify sentiment --json <<<"x"
[ ! -e never.gguf ] || { echo "FAILED: a refused run left a file"; failed=1; }
exit $failed
