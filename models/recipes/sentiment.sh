# SPDX-License-Identifier: Apache-2.0
# sentiment: MiniLM learns SST-2 without 1,500 whole sentences and their phrases; what `squeeze`
# leaves of it within 4 MB and 36 % of its time, as this machine takes it, learns from it what it
# makes of the same rows and of sentences of books, through the rounding of the file. Without the
# books it answers like it less often, and blocks chosen by hand do worse (doc/notebook).
get_minilm
get_books
split=$work/sst2
texts=$work/sentiment-texts.txt
teacher=$work/sentiment-teacher.gguf
pruned=$work/sentiment-pruned.gguf
student=$work/sentiment-student.gguf
step "$split/train.tsv" python3 -B "$recipes/sst2_split.py" "$data/glue/SST-2/train.tsv" "$split"

# classes have names in the file: label 0 is negative, 1 positive
name_classes='BEGIN { FS = OFS = "\t" } NR > 1 { $2 = $2 == 1 ? "positive" : "negative" } 1'
save "$work/sst2-train.tsv" awk "$name_classes" "$split/train.tsv"
save "$work/sst2-held.tsv" awk "$name_classes" "$split/dev.tsv"
save "$work/sst2-dev.tsv" awk "$name_classes" "$data/glue/SST-2/dev.tsv"
rows="--text sentence --label label --quotes none"

# every word piece that these rows or the books need; each fortieth line to calibrate on
save "$work/sst2-rows.txt" awk -F '\t' 'FNR > 1 { print $1 }' "$work/sst2-train.tsv"
save "$texts" cat "$work/sst2-rows.txt" "$books"
save "$texts.sample" awk 'NR % 40 == 0' "$texts"

# shellcheck disable=SC2086
step "$teacher" "$program" finetune "$minilm" -o "$teacher" --data "$work/sst2-train.tsv" \
  --dev "$work/sst2-held.tsv" $rows --pool pooler --epochs 3 --seed "${SEED:-1}" --resume
step "$pruned" "$program" squeeze "$teacher" -o "$pruned" --vocabulary "$texts"
step "$student" "$program" squeeze "$pruned" -o "$student" --texts "$texts.sample" \
  --budget 4MB --time 36% --no-heal -t 1
# shellcheck disable=SC2086
step "$work/sentiment.gguf" "$program" distill --teacher "$pruned" --teacher-type s8 \
  --student "$student" -o "$work/sentiment.gguf" --data "$work/sst2-train.tsv" \
  --dev "$work/sst2-held.tsv" $rows --texts "$books" --max-pieces 2500000 \
  --loss logits:1,hidden:1 --temperature 2 --epochs 3 --lr 5e-4 --fake-quantise stored \
  --seed "${SEED:-1}" --resume

# GLUE's own dev sentences, and those held out of train; what the difference from the teacher is
for part in dev held; do
  # shellcheck disable=SC2086
  measure "$work/sentiment.$part" "$program" eval "$work/sentiment.gguf" \
    --data "$work/sst2-$part.tsv" $rows --against "$teacher" --json
done
finish dev="$work/sentiment.dev" held="$work/sentiment.held"
