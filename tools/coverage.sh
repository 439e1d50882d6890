#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Line coverage of the parsers by the tests of the quick run, with gcc's gcov. Fails where a parser
# is below 90 %. usage: coverage.sh [BUILD]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/coverage}
least=90
parsers=(src/io/{gguf_reader,gguf_lookup,checksum}.c
  src/import/{safetensors,pickle,pickle_values,torch_archive,zip_archive,source_tensors}.c
  src/import/{json_file,json_lenient,config,config_keys,model_class,labels,heads,tensor_names}.c
  src/import/{locate,folder_contents,lfs_pointer,front_matter,provenance}.c
  src/import/tokenizer_{files,json,settings,class,template,draft}.c
  src/import/{added_files,vocabulary_lines,put_tokenizer,sentence_files,sentence_modules}.c
  src/import/{npy_array,vector_file,vectors}.c
  src/text/{scan,scan_marks,added_tokens,tokenizer,unicode,vocabulary,windows,decode}.c
  src/model/load_{encoder,head,pooling,texts,tokenizer,weights}.c src/model/{model,file_check}.c
  src/rewrite/{carried_metadata,references}.c src/eval/glue{,_tasks}.c
  src/data/{rows,line_source,table_row,json_members,column_names,text_store}.c src/base/number.c)

cmake -S . -B "$build" -DSQZ_TESTS=ON -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=--coverage >/dev/null
cmake --build "$build" -j "$(nproc)" >/dev/null
find "$build" -name '*.gcda' -delete
ctest --test-dir "$build" -R '^(unit|alloc|fuzz|cli|golden)/' --output-on-failure | tail -3

# Files that are linked into more than one program are taken where most of their lines ran.
printf '| file | lines | covered |\n|---|---:|---:|\n'
low=0
for file in "${parsers[@]}"; do
  best=$(find "$build" -path "*$(dirname "$file")/$(basename "$file").gcda" | while read -r data; do
    gcov -n "$data" 2>/dev/null | grep -A1 "File '.*$file'" |
      sed -n 's/Lines executed:\(.*\)% of \(.*\)/\1 \2/p'
  done | sort -n | tail -1)
  read -r share lines <<<"${best:-0 0}"
  printf '| %s | %s | %s %% |\n' "$file" "$lines" "$share"
  awk -v s="$share" -v l="$least" 'BEGIN { exit !(s < l) }' && low=1
done
exit $low
