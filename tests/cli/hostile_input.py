#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Folders, model files and texts made to harm: hostile_input.py PROGRAM, with nothing but Python's
own library.

A file: exit 3, a message that names it and the place, no output. A record: an error record in its
place and exit 1, or an answer. Never more memory than 16 times the input and 64 MB.
"""

import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.realpath(sys.argv[1])
HUGE = 1 << 60
BIG = 100_000_000
failures = 0


def fail(text):
    global failures
    failures += 1
    print("FAILED:", text)


def run(*arguments, stdin=b"", program=PROGRAM, user=None):
    done = subprocess.run([program, *arguments], input=stdin, capture_output=True, user=user)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def expect(what, code, parts, *arguments, stdin=b"", **how):
    got, out, err = run(*arguments, stdin=stdin, **how)
    text = out[:2000].decode(errors="replace") + err
    missing = [part for part in parts if part not in text]
    if got != code or missing:
        fail(f"{what}: exit {got} ({code} expected), without {missing}: {text[:300]}")


# ---- folders ----


def folder(base, name):
    path = os.path.join(base, "folder")
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(os.path.join(base, name), path)
    return path


def replace(path, name, data):
    full = os.path.join(path, name)
    if os.path.lexists(full):
        os.remove(full)
    with open(full, "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())


def config(path, **changes):
    values = json.load(open(os.path.join(path, "config.json")))
    values.update(changes)
    replace(path, "config.json", json.dumps(values))


def link(path, name, target):
    full = os.path.join(path, name)
    os.remove(full)
    os.symlink(target, full)


def make_folder(path, name):
    os.remove(os.path.join(path, name))
    os.mkdir(os.path.join(path, name))


def lock(path, name):
    os.chmod(os.path.join(path, name), 0)


def header(path, change):
    full = os.path.join(path, "model.safetensors")
    data = open(full, "rb").read()
    n = struct.unpack("<Q", data[:8])[0]
    text = change(json.loads(data[8 : 8 + n]))
    text = text if isinstance(text, bytes) else json.dumps(text).encode()
    replace(path, "model.safetensors", struct.pack("<Q", len(text)) + text + data[8 + n :])


def first(key, value):
    def change(entries):
        entries[next(iter(entries))][key] = value
        return entries

    return change


def lines(path):
    return open(os.path.join(path, "vocab.txt")).read().split("\n")[:-1]


def tokenizer(path, vocabulary):
    item = [
        {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
    ]
    pair = item + [{"Sequence": {"id": "B", "type_id": 1}}]
    replace(
        path,
        "tokenizer.json",
        '{"normalizer":{"type":"BertNormalizer"},"pre_tokenizer":{"type":"BertPreTokenizer"},'
        '"post_processor":{"type":"TemplateProcessing","single":%s,"pair":%s},'
        '"model":{"type":"WordPiece","vocab":%s}}'
        % (json.dumps(item), json.dumps(pair), vocabulary),
    )


DEEP = "[" * 1_000_000
FOLDERS = {
    "config.json 3000 deep": (
        ["config.json", "depth"],
        lambda p: replace(p, "config.json", "[" * 3000),
    ),
    "config.json 10^6 deep": (
        ["config.json", "so many values"],
        lambda p: replace(p, "config.json", DEEP),
    ),
    "tokenizer.json 10^6 deep": (
        ["tokenizer.json", "so many values"],
        lambda p: replace(p, "tokenizer.json", '{"a":' * 1_000_000),
    ),
    "an index 10^6 deep": (
        ["model.safetensors.index.json", "so many values"],
        lambda p: (
            os.remove(p + "/model.safetensors"),
            replace(p, "model.safetensors.index.json", DEEP),
        ),
    ),
    "config.json of a million objects": (
        ["config.json", "so many values"],
        lambda p: replace(p, "config.json", '{"a":[' + "{}," * 2_000_000 + "{}]}"),
    ),
    "a safetensors header of a million objects": (
        ["model.safetensors", "so many values"],
        lambda p: header(p, lambda e: b'{"a":[' + b"{}," * 2_000_000 + b"{}]}"),
    ),
    "an empty config.json": (["config.json"], lambda p: replace(p, "config.json", "")),
    "an empty vocabulary": (["vocab.txt", "is empty"], lambda p: replace(p, "vocab.txt", "")),
    "empty weights": (
        ["model.safetensors", "0 bytes"],
        lambda p: replace(p, "model.safetensors", ""),
    ),
    "an empty archive": (
        ["pytorch_model.bin"],
        lambda p: (os.remove(p + "/model.safetensors"), replace(p, "pytorch_model.bin", "")),
    ),
    "a folder for config.json": (
        ["config.json", "a folder"],
        lambda p: make_folder(p, "config.json"),
    ),
    "a folder for the weights": (
        ["model.safetensors", "a folder"],
        lambda p: make_folder(p, "model.safetensors"),
    ),
    "config.json, a circle of links": (
        ["config.json", "symbolic links"],
        lambda p: link(p, "config.json", "config.json"),
    ),
    "tokenizer_config.json, a circle of links": (
        ["tokenizer_config.json", "symbolic links"],
        lambda p: os.symlink("tokenizer_config.json", p + "/tokenizer_config.json"),
    ),
    "weights, a link to nothing": (
        ["model.safetensors", "which is not there"],
        lambda p: link(p, "model.safetensors", "blobs/gone"),
    ),
    "config.json, not readable": (["config.json", "denied"], lambda p: lock(p, "config.json")),
    "tokenizer.json, not readable": (
        ["tokenizer.json", "denied"],
        lambda p: (tokenizer(p, "{}"), lock(p, "tokenizer.json")),
    ),
    "vocab_size 2^60": (["config.json", "vocab_size"], lambda p: config(p, vocab_size=HUGE)),
    "vocab_size 2^32 - 1": (["word_embeddings.weight"], lambda p: config(p, vocab_size=2**32 - 1)),
    "2^60 layers": (
        ["config.json", "num_hidden_layers"],
        lambda p: config(p, num_hidden_layers=HUGE),
    ),
    "a million layers": (
        ["config.json", "layers"],
        lambda p: config(p, num_hidden_layers=1_000_000),
    ),
    "2^60 heads": (
        ["config.json", "num_attention_heads"],
        lambda p: config(p, num_attention_heads=HUGE),
    ),
    "2^60 positions": (
        ["config.json", "max_position_embeddings"],
        lambda p: config(p, max_position_embeddings=HUGE),
    ),
    "a label with a NUL": (
        ["config.json", "\\u0000"],
        lambda p: config(p, id2label={"0": "a\0b", "1": "b", "2": "c"}),
    ),
    "a safetensors header of 2^60 bytes": (
        ["model.safetensors", str(HUGE)],
        lambda p: replace(p, "model.safetensors", struct.pack("<Q", HUGE) + b"{}"),
    ),
    "a safetensors range that wraps": (
        ["model.safetensors", "claims bytes"],
        lambda p: header(p, first("data_offsets", [2**63 - 8, 2**63 - 1])),
    ),
    "a safetensors range that runs backwards": (
        ["model.safetensors", "claims bytes"],
        lambda p: header(p, first("data_offsets", [6144, 0])),
    ),
    "a safetensors shape that wraps": (
        ["model.safetensors", "no size"],
        lambda p: header(p, first("shape", [2**32, 2**32, 4])),
    ),
    "two pieces with one number": (
        ["share the id 1"],
        lambda p: tokenizer(p, '{"[UNK]":0,"a":1,"b":1}'),
    ),
    "a vocabulary with a NUL": (
        ["vocab.txt", "NUL"],
        lambda p: replace(p, "vocab.txt", "\n".join(["[PAD]", "a\0b", *lines(p)[2:]]) + "\n"),
    ),
    "a piece numbered 2^60": ([str(HUGE)], lambda p: tokenizer(p, '{"[UNK]":%d}' % HUGE)),
    "a part outside of the folder": (
        ["index.json", "no file of this folder"],
        lambda p: split(p, lambda key, i: "../nli/model.safetensors"),
    ),
    "a part that is missing": (
        ["part-9.safetensors"],
        lambda p: split(p, lambda key, i: "part-9.safetensors"),
    ),
    "a tensor in another part": (
        ["the tensor", "is missing"],
        lambda p: (
            split(p),
            replace(
                p, "model.safetensors.index.json", '{"weight_map":{"nowhere":"part-0.safetensors"}}'
            ),
        ),
    ),
    "an index of nothing": (
        ["weight_map"],
        lambda p: (
            os.remove(p + "/model.safetensors"),
            replace(p, "model.safetensors.index.json", "{}"),
        ),
    ),
    "an index of 65,537 tensors": (
        ["65537"],
        lambda p: split(p)
        or replace(
            p,
            "model.safetensors.index.json",
            json.dumps({"weight_map": {str(i): "part-0.safetensors" for i in range(65537)}}),
        ),
    ),
    "no weights": (["holds neither"], lambda p: os.remove(p + "/model.safetensors")),
    "a negative piece": (["-1"], lambda p: tokenizer(p, '{"[UNK]":-1}')),
}


def split(path, place=lambda key, i: f"part-{i % 3}.safetensors"):
    """The weights in three files with an index."""
    data = open(os.path.join(path, "model.safetensors"), "rb").read()
    os.remove(os.path.join(path, "model.safetensors"))
    n = struct.unpack("<Q", data[:8])[0]
    parts, index = [({}, b"") for _ in range(3)], {}
    for i, (key, t) in enumerate(json.loads(data[8 : 8 + n]).items()):
        entries, block = parts[i % 3]
        begin, end = t["data_offsets"]
        entries[key] = {**t, "data_offsets": [len(block), len(block) + end - begin]}
        parts[i % 3] = (entries, block + data[8 + n + begin : 8 + n + end])
        index[key] = place(key, i)
    for i, (entries, block) in enumerate(parts):
        text = json.dumps(entries).encode()
        replace(path, f"part-{i}.safetensors", struct.pack("<Q", len(text)) + text + block)
    replace(path, "model.safetensors.index.json", json.dumps({"weight_map": index}))


def check_parts(work):
    outputs = [os.path.join(work, f"parts-{i}.gguf") for i in range(2)]
    path = folder(work, "nli")
    expect("whole", 0, [], "import", path, "-o", outputs[0])
    split(path)
    expect("in parts", 0, [], "import", path, "-o", outputs[1])
    same = os.path.join(os.path.dirname(os.path.abspath(__file__)), "same_model.py")
    if subprocess.run([sys.executable, same, *outputs], stdout=subprocess.DEVNULL).returncode:
        fail("parts give another file than the whole")
    shutil.copy(os.path.join(path, "part-0.safetensors"), os.path.join(path, "part-1.safetensors"))
    expect(
        "a tensor in two parts",
        3,
        ["comes twice", "part-0.safetensors", "part-1.safetensors"],
        "import",
        path,
        "-o",
        outputs[0],
    )


def check_folders(work):
    nobody = {"program": shutil.copy(PROGRAM, work), "user": 65534}  # to root nothing is unreadable
    os.chmod(work, 0o755)
    for what, (parts, change) in FOLDERS.items():
        path = folder(work, "nli")
        change(path)
        how = nobody if "not readable" in what and os.getuid() == 0 else {}
        expect(what, 3, parts, "import", path, "-o", os.path.join(work, "never.gguf"), **how)
        left = [name for name in os.listdir(work) if name.startswith("never")]
        if left:
            fail(f"{what}: left {left}")


# ---- model files ----


class Places:
    """Where the numbers of a GGUF file stand."""

    def __init__(self, data):
        self.data, self.at, self.keys, self.tensors = data, 24, {}, []
        n_tensors, n_values = struct.unpack_from("<QQ", data, 8)
        for _ in range(n_values):
            key = self.string()
            kind = self.number("<I")
            self.keys[key] = (self.at, kind)
            self.value(kind)
        for _ in range(n_tensors):
            begin = self.at
            self.string()
            dims = self.number("<I")
            shape = self.at
            self.at += 8 * dims + 4
            self.tensors.append((begin, shape, self.at))
            self.at += 8

    def number(self, form):
        value = struct.unpack_from(form, self.data, self.at)[0]
        self.at += struct.calcsize(form)
        return value

    def string(self):
        n = self.number("<Q")
        self.at += n
        return self.data[self.at - n : self.at].decode()

    def value(self, kind):
        sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
        if kind == 8:
            self.string()
        elif kind == 9:
            kind, n = self.number("<I"), self.number("<Q")
            for _ in range(n):
                self.value(kind)
        else:
            self.at += sizes[kind]


def patched(data, at, value):
    return data[:at] + struct.pack("<Q", value) + data[at + 8 :]


def check_models(work):
    whole = open(os.path.join(work, "nli.gguf"), "rb").read()
    places = Places(whole)
    tokens, text = places.keys["tokenizer.ggml.tokens"][0], places.keys["general.name"][0]
    name, shape, offset = places.tensors[1]
    cases = {
        "2^60 tensors": (["tensors"], patched(whole, 8, HUGE)),
        "2^60 keys": (["metadata keys"], patched(whole, 16, HUGE)),
        "65,536 tensors": (["do not fit"], patched(whole, 8, 65536)),
        "a key of 2^60 bytes": (["key at byte 24"], patched(whole, 24, HUGE)),
        "a string of 2^60 bytes": (["string"], patched(whole, text, HUGE)),
        "an array of 2^60 strings": (
            ["tokenizer.ggml.tokens", "items"],
            patched(whole, tokens + 4, HUGE),
        ),
        "a piece of 2^60 bytes": (["string"], patched(whole, tokens + 12, HUGE)),
        "a name of 2^60 bytes": (["name"], patched(whole, name, HUGE)),
        "a dimension of 2^60": (["2^60"], patched(whole, shape, HUGE)),
        "a dimension of 0": (["2^60"], patched(whole, shape, 0)),
        "an offset of 2^60": (["cut short"], patched(whole, offset, HUGE)),
        "an offset that wraps": (["cut short"], patched(whole, offset, 2**64 - 64)),
        "tensors that overlap": (["overlaps"], patched(whole, offset, 0)),
        "an offset between": (["multiple of 64"], patched(whole, offset, 65)),
        "an empty file": (["empty"], b""),
        "half a file": (["cut short"], whole[: len(whole) // 2]),
        "another format": (["not a model file"], b"GGML" + whole[4:]),
        "a key twice": (
            ["comes twice", "sqz.block.ffn_width"],
            whole.replace(b"sqz.embedding.width", b"sqz.block.ffn_width", 1),
        ),
    }
    model = os.path.join(work, "model.gguf")
    for what, (parts, data) in cases.items():
        open(model, "wb").write(data)
        for verb in ("info", "classify", "verify"):
            expect(f"{what}, {verb}", 3, ["model.gguf", *parts], verb, model, stdin=b"good\n")
    os.remove(model)
    os.symlink("model.gguf", model)
    expect("a circle of links", 3, ["model.gguf", "symbolic links"], "info", model)
    expect("a folder", 3, ["a folder"], "info", work)
    os.mkfifo(os.path.join(work, "pipe"))
    expect("a pipe", 3, ["pipe", "not a regular file"], "info", os.path.join(work, "pipe"))
    expect(
        "an output that is a folder",
        1,
        ["cannot write"],
        "import",
        os.path.join(work, "nli"),
        "-o",
        work,
    )
    expect(
        "an output in no folder",
        1,
        ["cannot write"],
        "import",
        os.path.join(work, "nli"),
        "-o",
        os.path.join(work, "no/such.gguf"),
    )


# ---- records ----


def check_memory(what, n):
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    if most > 16 * n + 64_000_000:
        fail(f"{what}: {most} bytes of memory for {n}")


def check_records(work):
    nli, bare, ner = (os.path.join(work, name + ".gguf") for name in ("nli", "bare", "ner"))
    expect(
        "NUL bytes in a line",
        0,
        ['"tokens":["[CLS]","good","film","[SEP]"]'],
        "tokenize",
        bare,
        "--json",
        stdin=b"go\0od\0 fi\0lm\n",
    )
    expect(
        "any bytes",
        0,
        ['"logits"'],
        "classify",
        nli,
        "--json",
        "--logits",
        stdin=bytes(range(256)).replace(b"\n", b"") + b"\xff\xfe\n",
    )
    expect(
        "a NUL in a label of zero-shot",
        0,
        ['"label":"a"'],
        "zero-shot",
        nli,
        "--json",
        "--labels",
        "a",
        stdin=b"a\0b\n",
    )
    expect(
        "JSON 3000 deep in a line",
        1,
        ['"error":"stdin: line 1: the JSON nests', '"code":"SQZ_ELIMIT"'],
        "classify",
        nli,
        "--input",
        "jsonl",
        stdin=b'{"a":' * 3000 + b"\n",
    )
    expect(
        "JSON 10^6 deep in a line",
        1,
        ["nests more than 1000 deep", '"code":"SQZ_ELIMIT"'],
        "classify",
        nli,
        "--input",
        "jsonl",
        stdin=b'{"a":' + b"[" * 1_000_000 + b"\n",
    )
    expect(
        "a list for an object",
        1,
        ["not a JSON object: { is expected at byte 1", '"code":"SQZ_EFORMAT"'],
        "classify",
        nli,
        "--input",
        "jsonl",
        stdin=b"[" * 1_000_000 + b"\n",
    )
    expect(
        "an object of NULs",
        0,
        ['"label"'],
        "classify",
        nli,
        "--input",
        "jsonl",
        stdin=b'{"text":"a\\u0000b","x":"\\u0000"}\n',
    )
    expect(
        "a good record behind a bad one",
        1,
        ['"SQZ_EFORMAT"', '"label"'],
        "classify",
        nli,
        "--input",
        "jsonl",
        stdin=b'{"text":\n{"text":"good"}\n',
    )
    texts = {
        "words": b"a " * (BIG // 2),
        "stops": b"." * BIG,
        "one word": b"a" * BIG,
        "NULs": b"\0" * BIG,
        "marks": "\u0301".encode() * (BIG // 2),
        "kept marks": "\U0001d165".encode() * (BIG // 4),
        "bad bytes": b"\xff" * BIG,
    }
    for what, text in texts.items():
        expect(
            f"100 MB of {what}, classify",
            1 if what == "kept marks" else 0,
            ['"SQZ_ELIMIT"' if what == "kept marks" else '"label"'],
            "classify",
            nli,
            "--json",
            stdin=text + b"\ngood film\n",
        )
    dense = "too many to hold"
    expect(
        "100 MB of stops, embed",
        0,
        ['"truncated":true'],
        "embed",
        bare,
        "--json",
        stdin=texts["stops"] + b"\n",
    )
    expect(
        "100 MB of stops, tokenize",
        1,
        ['"SQZ_ELIMIT"', dense, '"tokens":["[CLS]","good"'],
        "tokenize",
        bare,
        "--json",
        stdin=texts["stops"] + b"\ngood\n",
    )
    expect(
        "100 MB of stops, ner",
        1,
        ['"SQZ_ELIMIT"', dense, '"entities"'],
        "ner",
        ner,
        "--json",
        stdin=texts["stops"] + b"\ngood\n",
    )
    expect(
        "100 MB of JSON's lists",
        0,
        ['"x":[[],[],[],'],
        "classify",
        nli,
        "--input",
        "jsonl",
        stdin=b'{"x":[' + b"[]," * (BIG // 3) + b'[]],"text":"good"}\n',
    )
    expect(
        "100 MB of JSON's members",
        1,
        ['"SQZ_ELIMIT"', "more than 65536 columns", '"label"'],
        "classify",
        nli,
        "--input",
        "jsonl",
        stdin=b"{" + b'"":1,' * (BIG // 5) + b'"":1}\n{"text":"good"}\n',
    )
    expect(
        "100 MB of cells",
        1,
        ['"SQZ_ELIMIT"', "more than 65536 columns", '"label"'],
        "classify",
        nli,
        "--input",
        "csv",
        stdin=b"text\n" + b"," * BIG + b"\ngood\n",
    )
    expect(
        "100 MB of columns",
        3,
        ["stdin: line 1: the header has more than 65536 columns"],
        "classify",
        nli,
        "--input",
        "tsv",
        stdin=b"\t" * BIG + b"text\ngood\n",
    )
    expect(
        "100 MB of blank lines",
        0,
        ["100000000 blank lines of stdin skipped"],
        "classify",
        nli,
        "--input",
        "csv",
        stdin=b"\n" * BIG,
    )
    expect(
        "100 MB in an open quote",
        1,
        ['"SQZ_EFORMAT"', "line 2: a quote that begins in this row is never closed"],
        "classify",
        nli,
        "--input",
        "csv",
        stdin=b'text,id\n"' + texts["words"],
    )
    check_memory("lines of 100 MB", BIG)


def main():
    with tempfile.TemporaryDirectory() as work:
        for name, kind in (
            ("nli", "BertForSequenceClassification"),
            ("bare", "BertModel"),
            ("ner", "BertForTokenClassification"),
        ):
            subprocess.run(
                [
                    sys.executable,
                    os.path.join(HERE, "make_folder.py"),
                    os.path.join(work, name),
                    kind,
                ],
                check=True,
            )
            expect(
                "import",
                0,
                [],
                "import",
                os.path.join(work, name),
                "-o",
                os.path.join(work, name + ".gguf"),
            )
        check_folders(work)
        check_parts(work)
        check_models(work)
        check_memory("files", 64_000_000)
        check_records(work)
    sys.exit(failures > 0)


main()
