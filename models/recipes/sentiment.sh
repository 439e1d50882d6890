# SPDX-License-Identifier: Apache-2.0
# sentiment: MiniLM learns SST-2 without 1,500 whole sentences and their phrases; three of its
# blocks, squeezed, learn from it what it makes of the same rows, through the rounding of their
# file.
get_minilm
get_books
split=$work/sst2
teacher=$work/sentiment-teacher.gguf
student=$work/sentiment-student.gguf
step "$split/train.tsv" python3 -B "$recipes/sst2_split.py" "$data/glue/SST-2/train.tsv" "$split"

# classes have names in the file: label 0 is negative, 1 positive
name_classes='BEGIN { FS = OFS = "\t" } NR > 1 { $2 = $2 == 1 ? "positive" : "negative" } 1'
save "$work/sst2-train.tsv" awk "$name_classes" "$split/train.tsv"
save "$work/sst2-held.tsv" awk "$name_classes" "$split/dev.tsv"
save "$work/sst2-dev.tsv" awk "$name_classes" "$data/glue/SST-2/dev.tsv"
rows="--text sentence --label label --quotes none"

# shellcheck disable=SC2086
step "$teacher" "$program" finetune "$minilm" -o "$teacher" --data "$work/sst2-train.tsv" \
  --dev "$work/sst2-held.tsv" $rows --pool mean --epochs 3 --seed 1 --resume
step "$student" "$program" squeeze "$teacher" -o "$student" --texts "$sample" --layers 0,2,5 \
  --neurons 50% --embedding pq:32 --bits 4
# shellcheck disable=SC2086
step "$work/sentiment.gguf" "$program" distill --teacher "$teacher" --student "$student" \
  -o "$work/sentiment.gguf" --data "$work/sst2-train.tsv" --dev "$work/sst2-held.tsv" $rows \
  --loss logits:1,hidden:1 --fake-quantise s4 --seed 1 --resume

# GLUE's own dev sentences, and those held out of train; what the difference from the teacher is
for part in dev held; do
  # shellcheck disable=SC2086
  save "$work/sentiment.$part" "$program" eval "$work/sentiment.gguf" \
    --data "$work/sst2-$part.tsv" $rows --against "$teacher" --json
done
finish dev="$work/sentiment.dev" held="$work/sentiment.held"
