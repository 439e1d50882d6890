# SPDX-License-Identifier: Apache-2.0
# embed-static: a table in 2 bits, the mean of whose rows learns MiniLM's vectors of sentences of
# books.
get_minilm
get_books
step "$work/embed-static.gguf" "$program" squeeze "$minilm" -o "$work/embed-static.gguf" \
  --texts "$books" --layers none --width 232 --embedding bits:2 --drop-impossible
. "$recipes/embedder_scores.sh"
