#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The programs of examples/ give the program's own answers, and end as they say on bad input.
# usage: examples.sh PROGRAM [FOLDER OF THE BUILT EXAMPLES]
set -u
program=$1
examples=${2:-$(dirname "$program")/examples}
here=$(cd "$(dirname "$0")" && pwd)
command -v python3 >/dev/null || { echo "skipped: python3 is needed to make the models"; exit 77; }
[ -x "$examples/logits" ] || { echo "skipped: the examples are not built"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# same WHAT EXPECTED GOT
same() {
  [ "$2" = "$3" ] && [ -n "$2" ] && return
  printf 'FAILED: %s\n  expected: %s\n  got:      %s\n' "$1" "$2" "$3"
  failed=1
}

for pair in BertModel:bare BertForSequenceClassification:classes BertForTokenClassification:ner; do
  python3 "$here/make_folder.py" "$work/folder" "${pair%%:*}"
  "$program" import "$work/folder" -o "$work/${pair##*:}.gguf" 2>/dev/null || exit 1
  rm -rf "$work/folder"
done

text="a good dog eats"
wanted=$(echo "$text" | "$program" classify "$work/classes.gguf" --json --logits |
  python3 -c 'import json, sys
print("text", *("%.6f" % x for x in json.load(sys.stdin)["logits"]))')
same "logits of a text" "$wanted" "$("$examples/logits" "$work/classes.gguf" "$text")"
pieces=$(echo "$text" | "$program" tokenize "$work/ner.gguf" --json |
  python3 -c 'import json, sys; print(len(json.load(sys.stdin)["ids"]))')
same "a row of logits a piece" "$pieces" "$("$examples/logits" "$work/ner.gguf" "$text" | wc -l)"

for i in $(seq 40); do echo "a good dog eats $i"; done > "$work/lines"
"$program" classify "$work/classes.gguf" --json < "$work/lines" |
  python3 -c 'import json, sys
for line in sys.stdin:
    r = json.loads(line)
    print(r["label"], "%.4f" % r["score"])' > "$work/wanted"
long=$(printf 'dog %.0s' $(seq 600))
"$examples/logits" "$work/classes.gguf" "$long" 2>&1 >/dev/null | grep -q 'were cut$' ||
  { echo "FAILED: logits cuts a text and does not say so"; failed=1; }
for threads in 1 3; do
  "$examples/classify_threads" "$work/classes.gguf" "$threads" < "$work/lines" |
    cut -d ' ' -f 1,2 > "$work/got"
  cmp -s "$work/wanted" "$work/got" || { echo "FAILED: labels by $threads threads"; failed=1; }
done

best=$(echo "dogs eat" | "$program" search "$work/bare.gguf" --file "$work/lines" --top 1 --json |
  python3 -c 'import json, sys
hit = json.load(sys.stdin)["hits"][0]
print("%.3f" % hit["score"], "", hit["text"])')
got=$("$examples/nearest" "$work/bare.gguf" "$work/lines" "dogs eat" | head -1)
same "the nearest line" "$best" "$got"

for wrong in "logits $work/none.gguf x" "nearest $work/bare.gguf $work/none x" \
  "classify_threads $work/bare.gguf 1"; do
  "$examples/"$wrong > "$work/out" 2> "$work/fault" < "$work/lines"
  [ $? -eq 1 ] && [ -s "$work/fault" ] && [ ! -s "$work/out" ] && continue
  echo "FAILED: $wrong ends without an error"
  failed=1
done
exit $failed
