# SPDX-License-Identifier: Apache-2.0
# embed: MiniLM with half of its neurons, in 4 bits a weight and 48 bytes a piece, learns on
# sentences of books, through that rounding, what the whole one makes of them.
get_base
get_books
student=$work/embed-student.gguf
step "$student" "$program" squeeze "$base" -o "$student" --texts "$sample" --neurons 50% \
  --bits 4 --embedding pq:48 --positions 4
step "$work/embed.gguf" "$program" distill --teacher "$base" --teacher-type s8 \
  --student "$student" -o "$work/embed.gguf" --texts "$books" --max-pieces 3000000 \
  --loss hidden:1,pooled:5 --fake-quantise s4 --lr 5e-4 --seed 1 --resume
. "$recipes/embedder_scores.sh"
