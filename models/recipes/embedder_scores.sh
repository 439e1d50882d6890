# SPDX-License-Identifier: Apache-2.0
# Scores of an embedder beside MiniLM's, and its card: sentences with marks of how alike they are,
# and questions with the sentence that answers each, to be found among the others of a batch.
measure "$work/questions.tsv" awk -F '\t' 'NR == 1 || $4 == "entailment"' "$data/glue/QNLI/dev.tsv"
measure "$work/$name.sts" "$program" eval "$work/$name.gguf" --data "$data/glue/STS-B/dev.tsv" \
  --text sentence1 --text2 sentence2 --label score --quotes none --against "$minilm" --json
measure "$work/$name.ranking" "$program" eval "$work/$name.gguf" --data "$work/questions.tsv" \
  --text question --text2 sentence --quotes none --against "$minilm" --json
finish sts="$work/$name.sts" ranking="$work/$name.ranking"
