#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# PyTorch archives, zip and legacy: the same model file as from safetensors, and clear refusals of
# broken or harmful ones. usage: archives.sh PROGRAM
set -u
program=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
command -v python3 >/dev/null ||
  { echo "skipped: python3 is needed to make the archives"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0

for class in BertForTokenClassification SqueezeBertForSequenceClassification; do
  python3 "$here/make_folder.py" right/folder $class
  "$program" import right/folder -o right.gguf 2>/dev/null || failed=1
  for form in "zip" "legacy" "zip strided" "legacy strided" "zip shared" "legacy shared" \
    "zip checkpoint" "legacy checkpoint" "zip named" "zip spread"; do
    rm -rf folder && cp -r right/folder folder && python3 "$here/make_archive.py" folder $form
    "$program" import folder -o folder.gguf 2>/dev/null &&
      python3 "$here/same_model.py" right.gguf folder.gguf >/dev/null ||
      { echo "FAILED: $class, $form: another file than from safetensors"; failed=1; }
  done
done

# FORM FAULT PATTERN: exit 3, the file and the pattern in the message, no output
refuse() {
  rm -rf folder never.gguf && cp -r right/folder folder &&
    python3 "$here/make_archive.py" folder "$1" "$2"
  out=$("$program" import folder -o never.gguf 2>&1)
  local got=$?
  if [ $got -ne 3 ] || ! grep -Eq -- "folder/pytorch_model.bin.*$3" <<<"$out" ||
    ls never.gguf* >/dev/null 2>&1; then
    echo "FAILED: $1 $2: exit $got, '$out'"
    failed=1
  fi
}
for form in zip legacy; do
  refuse $form system "the pickle wants 'posix.system'.*not executed"
  refuse $form opcode "opcode 0x49"
  refuse $form range "leaves its storage"
  refuse $form endless "leaves its storage"
done
refuse zip compressed "is compressed"
refuse zip cut "cut short"
refuse legacy cut "do not fit the file|ends before its storages"
[ ! -e executed ] || { echo "FAILED: a pickle was executed"; failed=1; }
exit $failed
