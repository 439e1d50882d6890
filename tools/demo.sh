#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What ships, at work: sentences are classified, questions get their intents or none, a text is
# searched by meaning; then bytes, milliseconds and score of each model. Nothing is downloaded.
#   usage: demo.sh PROGRAM
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
program=$1

# The file of a model that ships, or nothing
path_of() {
  "$program" info --json 2>/dev/null |
    sed -n "s/^{\"model\":\"$1\",\"path\":\"\([^\"]*\)\".*/\1/p"
}

# Says what comes; fails, saying why, where the model is not there
begin() { # MODEL WORDS COMMAND
  if [ -z "$(path_of "$1")" ]; then
    echo "skipped: models/$1.gguf is not there"
    return 1
  fi
  printf '\n%s: %s\n  $ %s\n\n' "$1" "$2" "$3"
}

# "label  score  text" of classify, refusals in words
show_answers() {
  awk -F '\t' '{ printf "  %-22s %.3f  %s\n", $1 == "-" ? "refused" : $1, $2, $3 }'
}

if begin sentiment "does a sentence speak well of a film?" \
  "echo 'a gripping film' | squeezebert classify sentiment"; then
  printf '%s\n' "a gripping film, and a funny one" "two hours that feel like four" \
    "the actors do what they can, and it is not enough" \
    "not once did i look at my watch" | "$program" classify sentiment | show_answers
fi
if begin intents "what does a question ask for? What it does not know it refuses." \
  "echo 'how do I say thank you in Spanish' | squeezebert classify intents"; then
  printf '%s\n' "how do I say thank you in Spanish" "my card was swallowed by the machine" \
    "wake me at six tomorrow" "which moss grows on the north side of a lighthouse" \
    "blue seven sideways cabbage" | "$program" classify intents | show_answers
fi
file=examples/questions_answered.txt
for model in embed embed-static; do
  if begin $model "which lines of a text answer best?" \
    "echo 'why is my bread so dry?' | squeezebert search $model --file $file"; then
    printf '%s\n' "why is my bread so dry?" "is this food dangerous for my puppy?" |
      "$program" search $model --file "$top/$file" --top 2 | sed 's/^/  /'
  fi
done

# The line "score: WORDS" of the card beside a model; milliseconds of one text of 16 pieces
score_of() { sed -n 's/^score: //p' "${1%.gguf}.md" 2>/dev/null | head -n 1; }
milliseconds() {
  "$program" bench "$1" -t 1 -l 16 -n 30 --json |
    sed -n 's/.*"median_ms":\([0-9.]*\).*/\1/p'
}
echo
for model in sentiment intents embed embed-static; do
  path=$(path_of $model)
  [ -n "$path" ] || continue
  printf '%-12s %9d bytes  %7.3f ms a text of 16 pieces  %s\n' "$model" "$(wc -c <"$path")" \
    "$(milliseconds $model)" "$(score_of "$path")"
done
echo "Cards of the models lie beside them: what they were made of, and what they are not for."
