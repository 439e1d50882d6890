#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The bench: which rows lists and ranges give, what a row says in each format, that its parts fit
# each other, and bad options. How long anything took is not looked at. usage: bench.sh PROGRAM
set -u
program=$1
here=$(cd "$(dirname "$0")" && pwd)
command -v python3 >/dev/null || { echo "skipped: python3 is needed to make the models"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "FAILED: $*"; failed=1; }

for pair in BertModel:bare SqueezeBertForSequenceClassification:squeeze \
  BertForTokenClassification:ner BertForMaskedLM:mask; do
  python3 "$here/make_folder.py" "$work/folder" "${pair%%:*}"
  "$program" import "$work/folder" -o "$work/${pair##*:}.gguf" 2>/dev/null ||
    fail "import of ${pair##*:}"
  rm -r "$work/folder"
done
"$program" bench "$work/squeeze.gguf" -l 8 -n 1 >/dev/null || fail "bench alone"

# rows EXPECTED ARGUMENTS...: the rows' batch x length @ threads, in order
rows() {
  local expected=$1 got
  shift
  got=$("$program" bench "$@" --json -n 2 --warm-up 0 2>/dev/null | python3 -c '
import json, sys
rows = [json.loads(line) for line in sys.stdin]
print(" ".join("{batch}x{length}@{threads}".format(**row) for row in rows))') ||
    fail "bench $* --json"
  [ "$got" = "$expected" ] || fail "bench $*: rows '$got', '$expected' expected"
}
rows "1x8@1" "$work/bare.gguf" -l 8
rows "1x4@1 1x8@1 3x4@1 3x8@1" "$work/bare.gguf" -b 1,3 -l 4,8
rows "1x4@1 1x6@1 1x8@1 1x10@1" "$work/bare.gguf" -l 4-8+2,10
rows "1x2@1 1x4@1 1x8@1" "$work/bare.gguf" -l '2-8*2'
rows "1x5@1 1x6@1 1x7@1" "$work/bare.gguf" -l 5-7
rows "2x3@1 2x3@1" "$work/bare.gguf" "$work/squeeze.gguf" -b 2 -l 3
printf '3\n5\n4\n' >"$work/lengths"
rows "3xmixed@1" "$work/ner.gguf" --lengths "$work/lengths"

types=$("$program" bench "$work/bare.gguf" -l 4 -n 1 --type s8,f32,bf16 --json |
  grep -o '"type":"[a-z0-9]*"' | tr '\n' ' ')
[ "$types" = '"type":"s8" "type":"f32" "type":"bf16" ' ] || fail "--type"
mkdir "$work/temporary"
TMPDIR=$work/temporary "$program" bench "$work/bare.gguf" -l 4 -n 1 --type s8 >/dev/null ||
  fail "--type with TMPDIR"
TMPDIR=$work/temporary "$program" bench "$work/bare.gguf" -l 4000 -n 1 --type s8 >/dev/null 2>&1 &&
  fail "a length over the model's with --type"
rmdir "$work/temporary" || fail "--type leaves a file behind"

# A row's numbers belong together, for every kind of head.
for model in bare squeeze ner mask; do
  "$program" bench "$work/$model.gguf" -b 2 -l 8 -n 4 --stages --roofline --json | python3 -c '
import json, statistics, sys
row = json.loads(sys.stdin.read())
assert row["length"] == 8 and row["tokens"] == 16 and row["type"] == "f32", row
assert row["samples"] == 4 and row["model_bytes"] > 0, row
parts = [row] + [row["parts"][name] for name in ("tokenize", "encode", "head", "end_to_end")]
for times in parts:
    samples = times["samples_ms"]
    assert len(samples) == 4 and min(samples) >= 0
    assert abs(times["median_ms"] - statistics.median(samples)) < 1e-9, times
    assert times["min_ms"] == min(samples), times
    assert abs(times["mean_ms"] - statistics.fmean(samples)) < 1e-9, times
    assert abs(times["stddev_ms"] - statistics.stdev(samples)) < 1e-9, times
assert abs(row["tokens_per_s"] * row["median_ms"] / 1e3 - 16) < 1e-9
assert (row["parts"]["head"]["median_ms"] > 0) == (sys.argv[1] != "bare")
stages = {s["name"]: s for s in row["profile"]["stages"]}
assert stages["ffn_up"]["multiply_adds"] > 0 and stages["attention"]["multiply_adds"] > 0
assert stages["norm"]["multiply_adds"] == 0
assert 0 < sum(s["share_of_time"] for s in stages.values()) <= 1.000001
operations = 2 * sum(s["multiply_adds"] for s in stages.values())
assert abs(row["roofline"]["giga_operations"] * 1e9 - operations) < 0.5
assert row["roofline"]["weights_bytes"] == sum(s["weight_bytes"] for s in stages.values())
for name in ("f32", "bf16", "s8"):
    assert row["roofline"][name]["peak_gops"] > 0 and row["roofline"][name]["instruction"]
assert row["roofline"]["bf16"]["peak_gops"] >= row["roofline"]["f32"]["peak_gops"]
environment = row["environment"]
assert environment["cpus"] >= 1 and environment["kernel_f32"].startswith("gemm_f32_")
assert environment["version"]
' "$model" || fail "the row of $model"
done

# Sessions at once: the samples of all, and what all of them together do in a second.
"$program" bench "$work/squeeze.gguf" -b 2 -l 8 -n 5 --sessions 3 --json | python3 -c '
import json, sys
row = json.loads(sys.stdin.read())
assert row["sessions"] == 3 and row["samples"] == 5, row
assert len(row["samples_ms"]) == 15 and min(row["samples_ms"]) > 0, row
assert abs(row["tokens_per_s"] * row["median_ms"] / 1e3 - 3 * 16) < 1e-9, row
' || fail "--sessions"
printf 'the good film , the bad films .\n' >"$work/text"
"$program" bench "$work/bare.gguf" -l 12 -n 2 --stages --text "$work/text" --json |
  grep -q '"end_to_end"' || fail "--text"

"$program" bench "$work/bare.gguf" -l 4,8 -n 2 --format markdown |
  grep -c '^| bare.gguf\|^|---\|^| model' | grep -qx 4 ||
  fail "--format markdown: one head, two rows"
"$program" bench "$work/bare.gguf" -l 4,8 -n 2 --format csv | python3 -c '
import csv, sys
rows = list(csv.DictReader(sys.stdin))
assert [row["length"] for row in rows] == ["4", "8"], rows
for row in rows:
    assert float(row["median ms"]) > 0 and row["kernel_f32"] and None not in row, row
' || fail "--format csv"
"$program" bench "$work/bare.gguf" -l 4 -n 2 --profile |
  grep -Eq 'ffn_down +[0-9.]+ +[0-9.]+ %' || fail "--profile"

# The quota that holds here, seen in a tree of cgroups of our own.
cat >"$work/in_cgroup" <<'END'
path=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
mount -t tmpfs none /sys/fs/cgroup && mkdir -p "$path" || exit 77
[ "$1" = none ] || echo "$1 100000" >"$path/cpu.max"
"$2" bench "$3" -l 4 -n 1 --json
END
for quota in "150000:1.5 CPUs" "max:none" "none:none"; do
  row=$(unshare -rm sh "$work/in_cgroup" "${quota%%:*}" "$program" "$work/bare.gguf" 2>/dev/null) ||
    { echo "no mounts of our own here: the quota is not looked at"; break; }
  grep -q "\"quota\":\"${quota#*:}\"" <<<"$row" || fail "cpu.max of ${quota%%:*}: $row"
done

cp "$work/bare.gguf" "$work/a \"name\", twice"
"$program" bench "$work/a \"name\", twice" -l 4 -n 1 --format csv | python3 -c '
import csv, sys
assert next(csv.DictReader(sys.stdin))["model"] == "a \"name\", twice"
' || fail "--format csv with quotes in a name"

# refuse PATTERN ARGUMENTS...
refuse() {
  local pattern=$1 out
  shift
  out=$("$program" bench "$@" 2>&1)
  local code=$?
  [ "$code" -eq 2 ] || [ "$code" -eq 3 ] || fail "bench $*: exit $code"
  grep -Eq -- "$pattern" <<<"$out" || fail "bench $*: '$out' without '$pattern'"
}
refuse "ranges such as" "$work/bare.gguf" -b x
refuse "ranges such as" "$work/bare.gguf" -b -3
refuse "ranges such as" "$work/bare.gguf" -l 0
refuse "where a comma belongs" "$work/bare.gguf" -l 4x
refuse "does not rise" "$work/bare.gguf" -l 8-4
refuse "does not rise" "$work/bare.gguf" -l '4-8*1'
refuse "more than 256" "$work/bare.gguf" -l 1-1000
refuse "at most [0-9]+ pieces, not 4000" "$work/bare.gguf" -l 4000
refuse "not f64" "$work/bare.gguf" -l 8 --type f64
refuse "with commas between" "$work/bare.gguf" -l 8 --type bf16,,s8
refuse "look at one session" "$work/bare.gguf" -l 8 --sessions 2 --profile
refuse "sessions is 1 to" "$work/bare.gguf" -l 8 --sessions 0
refuse "needs --stages" "$work/bare.gguf" -l 8 --text "$work/text"
refuse "at least 3" "$work/bare.gguf" -l 2 --stages
refuse "use --format" "$work/bare.gguf" -l 8 --format csv --profile
refuse "give one format" "$work/bare.gguf" -l 8 --format csv --json
refuse "warm-up is at most" "$work/bare.gguf" -l 8 --warm-up 4294967295
printf '3\nx\n' >"$work/bad"
refuse "line 2: 'x' is no length" "$work/bare.gguf" --lengths "$work/bad"
refuse "cannot open" "$work/bare.gguf" --lengths "$work/none"
refuse "leave out --batch and --length" "$work/bare.gguf" --lengths "$work/lengths" -b 2
refuse "leave out --batch and --length" "$work/bare.gguf" --lengths "$work/lengths" -l 4
exit $failed
