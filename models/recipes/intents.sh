# SPDX-License-Identifier: Apache-2.0
# intents: MiniLM without word pieces that neither these requests nor books need learns CLINC-150's
# rows, without a tenth; four of its blocks, squeezed, learn from it on the same rows and on
# sentences of books. `build` keeps what was learned, head and all, and finds which texts get no
# answer on nine tenths of CLINC's rows of validation, of which nothing was learned: rows held out
# of train have so many near copies there that too few are refused (doc/notebook/results.md).
get_base
get_books
clinc=$data/intent/clinc150/data_full.json
texts=$work/intents-texts.txt
pruned=$work/intents-base.gguf
teacher=$work/intents-teacher.gguf
student=$work/intents-student.gguf
healed=$work/intents-healed.gguf
step "$texts" python3 -B "$recipes/clinc_texts.py" "$clinc" "$books" "$texts" "$texts.sample"
step "$pruned" "$program" squeeze "$base" -o "$pruned" --vocabulary "$texts"
step "$teacher" "$program" finetune "$pruned" -o "$teacher" --data "$clinc" --pool mean --lr 2e-4 \
  --head-lr 5e-3 --epochs 6 --holdout 0.1 --seed 1 --resume
step "$student" "$program" squeeze "$teacher" -o "$student" --texts "$texts.sample" \
  --layers 0,2,3,5 --neurons 33.4% --bits 3 --embedding pq:48 --positions 4
step "$healed" "$program" distill --teacher "$teacher" --teacher-type s8 --student "$student" \
  -o "$healed" --data "$clinc" --holdout 0.1 --seed 1 --texts "$books" --max-pieces 600000 \
  --loss logits:1,hidden:1,pooled:2 --temperature 2 --epochs 3 --lr 5e-4 \
  --fake-quantise stored --resume
step "$work/intents.gguf" "$program" build "$clinc" --base "$healed" --keep-head \
  -o "$work/intents.gguf" --split val --holdout 0.9 --seed 1 --no-cache \
  --card "$work/intents.gguf.build.md"

measure "$work/intents.test" "$program" eval "$work/intents.gguf" --data "$clinc" --split test \
  --against "$teacher" --json
measure "$work/intents.refused" python3 -B "$recipes/refusals.py" "$program" "$work/intents.gguf" \
  "$clinc"
measure "$work/intents.teacher-refused" python3 -B "$recipes/refusals.py" "$program" "$teacher" \
  "$clinc"
finish test="$work/intents.test" refused="$work/intents.refused" \
  teacher="$work/intents.teacher-refused"
