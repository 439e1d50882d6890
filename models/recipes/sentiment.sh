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
step "$teacher" "$program" finetune "$minilm" -o "$teacher" --task sst2 --data "$split" \
  --pool mean --epochs 3 --seed 1 --resume
step "$student" "$program" squeeze "$teacher" -o "$student" --texts "$books" --layers 0,2,5 \
  --neurons 50% --embedding pq:40 --bits 4 --drop-impossible
step "$work/sentiment.gguf" "$program" distill --teacher "$teacher" --student "$student" \
  -o "$work/sentiment.gguf" --task sst2 --data "$split" --loss logits:1,hidden:1 \
  --fake-quantise s4 --seed 1 --resume

# GLUE's own dev sentences, and those held out of train; what the difference from the teacher is
save "$work/sentiment.dev" "$program" eval "$work/sentiment.gguf" --data \
  "$data/glue/SST-2/dev.tsv" --text sentence --quotes none --against "$teacher" --json
save "$work/sentiment.held" "$program" eval "$work/sentiment.gguf" --data "$split/dev.tsv" \
  --text sentence --quotes none --against "$teacher" --json
finish dev="$work/sentiment.dev" held="$work/sentiment.held"
