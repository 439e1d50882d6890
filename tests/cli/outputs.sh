#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Where results may go, what is never replaced, and what stays when something goes wrong.
# usage: outputs.sh PROGRAM
set -u
program=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
command -v python3 >/dev/null || { echo "skipped: python3 is needed to make the models"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0
fail() { echo "FAILED: $*"; failed=1; }
# quiet CODE COMMAND...: ends so, within a minute; what it says is kept in the file said
quiet() {
  local code=$1 got
  shift
  timeout 60 "$@" 2>said
  got=$?
  [ $got -eq "$code" ] || fail "$*: exit $got ($code expected), '$(cat said)'"
}
says() { grep -Eq -- "$1" said || fail "it says '$(cat said)', without '$1'"; }
# shape FILE.npy: "ROWS COLUMNS NAN-ROWS", by nothing but the format
shape() {
  python3 - "$1" <<'PY'
import ast, math, struct, sys
data = open(sys.argv[1], "rb").read()
assert data[:8] == b"\x93NUMPY\x01\x00", data[:8]
end = 10 + struct.unpack("<H", data[8:10])[0]
rows, columns = ast.literal_eval(data[10:end].decode())["shape"]
assert len(data) == end + 4 * rows * columns, (len(data), rows, columns)
values = struct.unpack("<%df" % (rows * columns), data[end:])
lines = [values[r * columns:(r + 1) * columns] for r in range(rows)]
print(rows, columns, sum(all(map(math.isnan, line)) for line in lines))
PY
}

python3 "$here/make_folder.py" folder BertModel
quiet 0 "$program" import folder -o m.gguf
printf 'good film\nbad film\nthe film\n' >texts
quiet 0 "$program" embed m.gguf -o plain.npy <texts
[ "$(shape plain.npy)" = "3 24 0" ] || fail "embed -o: $(shape plain.npy)"

# pipes, open descriptors, devices
mkfifo pipe
timeout 60 cat pipe >piped.npy &
quiet 0 "$program" embed m.gguf -o pipe <texts
wait $!
[ -p pipe ] || fail "a pipe was replaced"
cmp plain.npy piped.npy || fail "a pipe gets something else"
for name in - /dev/stdout /dev/fd/1 /proc/self/fd/1; do
  [ "$name" = - ] || [ -e "$name" ] || continue
  quiet 0 "$program" embed m.gguf -o $name <texts | cat >piped.npy
  cmp plain.npy piped.npy || fail "embed -o $name into a pipe"
  quiet 0 "$program" embed m.gguf -o $name <texts >>appended
done
[ ! -e ./- ] || fail "a file called -"
[ $(($(wc -c <appended) % $(wc -c <plain.npy))) -eq 0 ] ||
  fail "stdout that leads to a file was begun anew"
quiet 0 "$program" embed m.gguf -o >(cat >substituted.npy) <texts
for _ in $(seq 100); do cmp -s plain.npy substituted.npy && break; sleep 0.1; done
cmp plain.npy substituted.npy || fail "embed -o >(...)"
for name in pipe - /dev/stdout; do
  [ -e "$name" ] || [ "$name" = - ] || continue
  quiet 1 "$program" import folder -o $name
  says "^squeezebert: $name: cannot write: it is no file"
  quiet 1 "$program" quantize m.gguf -o $name
  says "^squeezebert: $name: cannot write: it is no file"
  quiet 1 "$program" export m.gguf -o $name
  says "$name is there and is no folder"
done
# made as /dev/null is, of this folder's own
if mknod device c 1 3 2>/dev/null && { : >device; } 2>/dev/null; then
  quiet 0 "$program" embed m.gguf -o device <texts
  quiet 1 "$program" import folder -o device
  [ -c device ] || fail "a device was replaced"
else
  echo "not run here: devices (needs mknod)"
fi
TMPDIR=$work/no/such quiet 1 "$program" embed m.gguf -o - <texts >/dev/null
says "under $work/no/such .*TMPDIR"

# links and permissions
mkdir store
ln -s store/real link
for _ in made replaced; do
  quiet 0 "$program" import folder -o link
  [ -L link ] && [ -f store/real ] && cmp -s store/real m.gguf || fail "a link"
done
ln -s store/folder folder-link
quiet 0 "$program" export m.gguf -o folder-link
[ -L folder-link ] && [ -f store/folder/config.json ] || fail "a link to a folder"
(umask 027; quiet 0 "$program" embed m.gguf -o new.npy <texts; exit $failed) || failed=1
[ "$(stat -c %a new.npy)" = 640 ] || fail "permissions of a new file: $(stat -c %a new.npy)"
chmod 604 new.npy
quiet 0 "$program" embed m.gguf -o new.npy <texts
[ "$(stat -c %a new.npy)" = 604 ] || fail "permissions were not kept: $(stat -c %a new.npy)"
mkdir -m 750 empty
quiet 0 "$program" export m.gguf -o empty
[ "$(stat -c %a empty)" = 750 ] || fail "permissions of an empty folder were not kept"

# several jobs with one name
for verb in "import folder" "quantize m.gguf" "embed m.gguf"; do
  jobs=()
  for i in 1 2 3 4 5 6; do
    # shellcheck disable=SC2086
    "$program" $verb -o same <texts >/dev/null 2>"same-said$i" & jobs+=($!)
  done
  for job in "${jobs[@]}"; do wait "$job" || fail "$verb beside others: $(cat same-said*)"; done
  rm same same-said*
done

# records that fail
printf '{"text":"good"}\n{"text":5}\n\n{"text":"bad film"}\n{"txt":"x"}\n' >records
quiet 1 "$program" embed m.gguf --input jsonl -o e.npy <records
says "e.npy holds the 1 row before"
[ "$(shape e.npy)" = "1 24 0" ] && [ ! -e e.npy.errors.jsonl ] ||
  fail "--on-error stop: $(shape e.npy)"
quiet 1 "$program" embed m.gguf --input jsonl -o e.npy --on-error skip <records
says "2 of 4 records failed and have no row, listed in e.npy.errors.jsonl"
[ "$(shape e.npy)" = "2 24 0" ] && [ "$(grep -c '"row":null' e.npy.errors.jsonl)" = 2 ] ||
  fail "--on-error skip: $(shape e.npy)"
quiet 1 "$program" embed m.gguf --input jsonl -o e.npy --on-error nan <records
listed=$(grep -Eo '^.{1,2}record":[0-9]+,"line":[0-9]+,"row":[0-9]+' e.npy.errors.jsonl |
  tr '\n' ' ')
[ "$(shape e.npy)" = "4 24 2" ] && [ "$(grep -c SQZ_EFORMAT e.npy.errors.jsonl)" = 2 ] &&
  [ "$listed" = '{"record":2,"line":2,"row":1 {"record":4,"line":5,"row":3 ' ] ||
  fail "--on-error nan: $(shape e.npy), $(cat e.npy.errors.jsonl)"
quiet 0 "$program" embed m.gguf -o e.npy --on-error nan <texts
[ "$(shape e.npy)" = "3 24 0" ] && [ -e e.npy.errors.jsonl ] && [ ! -s e.npy.errors.jsonl ] ||
  fail "an index of an earlier run"
quiet 1 "$program" embed m.gguf --input jsonl -o - --on-error skip <records >skipped.npy
says 'stdin: line 2: .*text'
[ "$(shape skipped.npy)" = "2 24 0" ] || fail "--on-error skip into a pipe"
quiet 0 "$program" embed m.gguf -o none.npy </dev/null
[ "$(shape none.npy)" = "0 24 0" ] || fail "no records: $(shape none.npy)"
for wrong in "--on-error skip" "-o x.npy --json" "-o x.npy --strict --on-error nan" \
  "-o x.npy --pool none" "-o x.npy --on-error never"; do
  # shellcheck disable=SC2086
  quiet 2 "$program" embed m.gguf $wrong <texts
  [ ! -e x.npy ] || fail "$wrong wrote a file"
done
quiet 0 "$program" embed m.gguf -o cut.npy <<<"$(printf 'a %.0s' {1..60})"
says "1 of 1 texts were cut"

# the reader of a pipe that has enough ends the program, without a word
for command in "embed m.gguf --json" "embed m.gguf" "tokenize m.gguf"; do
  # shellcheck disable=SC2086
  yes 'good film' | { timeout 60 "$program" $command 2>said; echo $? >code; } | head -n 1 >/dev/null
  [ "$(cat code)" = 141 ] && [ ! -s said ] ||
    fail "$command | head: exit $(cat code), '$(cat said)'"
done
{ "$program" help --man 2>said; echo $? >code; } | true
case $(cat code) in
  0 | 141) [ ! -s said ] || fail "help --man | true: '$(cat said)'" ;;
  *) fail "help --man | true: exit $(cat code)" ;;
esac

ls -A | grep -E '\.tmp$|unverified' && fail "temporary files were left"
ls -A store | grep -E '\.tmp$|unverified' && fail "temporary files were left"
exit $failed
