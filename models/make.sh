#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the models that ship, each by its recipe, and their cards: models/NAME.gguf and
# models/NAME.md. Stopped at any moment it goes on where it was, in the middle of a training too.
#
#   usage: make.sh DATA WORK [MODEL...]
#
# DATA holds glue/SST-2, glue/STS-B, glue/QNLI, intent/clinc150 and text/ (CONTRIBUTING.md); WORK
# is a folder for everything on the way, some gigabytes. MODEL is the name of a recipe, such as
# sentiment (default: all of them). PROGRAM in the environment is the program that makes them
# (build/squeezebert), OUT the folder that they go into (models/), SEED another seed of sentiment.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
[ $# -ge 2 ] || { sed -n '/usage/s/^#  *//p' "$0" >&2; exit 2; }
data=$(cd "$1" && pwd)
mkdir -p "$2"
work=$(cd "$2" && pwd)
shift 2
program=$(realpath "${PROGRAM:-$top/build/squeezebert}")
out=${OUT:-$top/models}
recipes=$top/models/recipes
minilm=$work/minilm.gguf
base=$work/base.gguf
books=$work/books.txt
sample=$books.sample # named as what is made with it
noted_to=

# The command, and sums of the data and scripts that it names. PROGRAM is not among them: a new one
# makes nothing again, for hours, until WORK is removed.
sign() { # COMMAND...
  printf '%s\n' "$*"
  for word; do
    case $word in
      "$program" | "$work"/*) ;;
      /*) [ ! -e "$word" ] || find "$word" -type f -exec cksum {} + | LC_ALL=C sort ;;
    esac
  done
}

# Whether OUTPUT is what this command made of its inputs: OUTPUT.command holds its sign and was
# written when it began, so a file in WORK that is newer than that is another input.
is_done() { # OUTPUT COMMAND...
  output=$1
  shift
  fresh=yes
  signed=$(sign "$@")
  [ "$(cat "$output.command" 2>/dev/null)" = "$signed" ] || fresh=no
  for word; do
    case $word in
      "$output"*) ;;
      "$work"/*) [ ! "$word" -nt "$output.command" ] || fresh=no ;;
    esac
  done
  if [ $fresh = no ]; then
    rm -rf "$output" "$output.checkpoint"
    mkdir -p "$(dirname "$output")"
    printf '%s\n' "$signed" >"$output.command"
  fi
  [ -e "$output" ]
}

# What the card says was done: the commands, without the paths of this machine.
note() { # COMMAND...
  for word; do
    case $word in
      *[!A-Za-z0-9_/.,:=%+@-]*) printf "'%s' " "$word" ;;
      *) printf '%s ' "$word" ;;
    esac
  done | sed "s|$program|squeezebert|g; s|$work/||g; s|$data|DATA|g; s|$top/||g; s| \$||" \
    >>"$work/$name.recipe"
  printf '%s\n' "${noted_to:+ > ${noted_to#"$work"/}}" >>"$work/$name.recipe"
}

# A step of a recipe that makes OUTPUT, which appears when it is whole; not made again.
step() { # OUTPUT COMMAND...
  if is_done "$@"; then made=yes; else made=no; fi
  shift
  note "$@"
  [ $made = no ] || return 0
  echo "$(date +%H:%M:%S) $*"
  "$@"
}

# The same of a command that prints what OUTPUT holds; what only measures is not in the card's
# recipe.
save() { # OUTPUT COMMAND...
  noted_to=$1
  shift
  note "$@"
  measure "$noted_to" "$@"
  noted_to=
}
measure() { # OUTPUT COMMAND...
  if is_done "$@"; then return; fi
  saved=$1
  shift
  echo "$(date +%H:%M:%S) $* > $saved"
  "$@" >"$saved.part"
  mv "$saved.part" "$saved"
}

get_minilm() {
  [ -s "$work/all-MiniLM-L6-v2/config.json" ] || "$top/tools/get_minilm.sh" "$work"
  step "$minilm" "$program" import "$work/all-MiniLM-L6-v2" -o "$minilm"
}

# MiniLM without word pieces that no text is ever cut into: every text gives the same bits.
get_base() {
  get_minilm
  step "$base" "$program" squeeze "$minilm" -o "$base" --drop-impossible
}

# Paragraphs of text books and novels to heal with, and a sample of them to calibrate on.
get_books() {
  step "$books" python3 -B "$recipes/books.py" "$data/text" "$books" "$sample"
}

# Milliseconds on this machine, the card, and both to where they ship.
finish() { # NAME=FILE.json of each measurement that the card's template reads
  measure "$work/$name.bench" "$program" bench "$work/$name.gguf" -t 1 -l 16,128 --json
  python3 -B "$recipes/write_card.py" "$recipes/$name.card" "$name" "$work/$name.gguf" \
    "$program" "$work/$name.recipe" bench="$work/$name.bench" "$@" >"$work/$name.md"
  for end in gguf md; do
    cp "$work/$name.$end" "$out/$name.$end.tmp"
    mv "$out/$name.$end.tmp" "$out/$name.$end"
  done
  echo "$(date +%H:%M:%S) wrote $out/$name.gguf and $out/$name.md"
}

if [ $# = 0 ]; then
  for card in "$recipes"/*.card; do set -- "$@" "$(basename "$card" .card)"; done
fi
mkdir -p "$out"
for name; do
  [ -e "$recipes/$name.card" ] && [ -e "$recipes/$name.sh" ] ||
    { echo "$0: there is no recipe of a model $name" >&2; exit 2; }
done
for name; do
  : >"$work/$name.recipe"
  . "$recipes/$name.sh"
done
python3 -B "$top/tests/tools/check_models.py" "$out"
[ "$(realpath "$out")" != "$top/models" ] ||
  python3 -B "$recipes/write_page.py" "$out" "$top/doc/models.md"
