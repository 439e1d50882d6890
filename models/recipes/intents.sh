# SPDX-License-Identifier: Apache-2.0
# intents: MiniLM learns CLINC-150's rows, without a tenth; three of its blocks, squeezed, learn
# from it. `build` then fits a head to what these make of all rows and finds, on the tenth that
# none of them was trained on (one seed holds out the same rows in all three), which texts get no
# answer.
get_minilm
get_books
clinc=$data/intent/clinc150/data_full.json
teacher=$work/intents-teacher.gguf
student=$work/intents-student.gguf
healed=$work/intents-healed.gguf
step "$teacher" "$program" finetune "$minilm" -o "$teacher" --data "$clinc" --pool mean --lr 2e-4 \
  --epochs 5 --holdout 0.1 --seed 1 --resume
step "$student" "$program" squeeze "$teacher" -o "$student" --texts "$books" --layers 0,2,5 \
  --neurons 25% --embedding pq:32 --bits 3
step "$healed" "$program" distill --teacher "$teacher" --student "$student" -o "$healed" \
  --data "$clinc" --holdout 0.1 --seed 1 --loss logits:1,hidden:1 --epochs 6 \
  --fake-quantise s3 --resume
step "$work/intents.gguf" "$program" build "$clinc" --base "$healed" -o "$work/intents.gguf" \
  --holdout 0.1 --seed 1 --no-cache --card "$work/intents.gguf.build.md"

save "$work/intents.test" "$program" eval "$work/intents.gguf" --data "$clinc" --split test \
  --against "$teacher" --json
save "$work/intents.refused" python3 -B "$recipes/refusals.py" "$program" "$work/intents.gguf" \
  "$clinc"
save "$work/intents.teacher-refused" python3 -B "$recipes/refusals.py" "$program" "$teacher" \
  "$clinc"
finish test="$work/intents.test" refused="$work/intents.refused" \
  teacher="$work/intents.teacher-refused"
