#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokenizers of whole folders beside AutoTokenizer of Transformers, whatever files they hold.

  tokenizer_folders.py PROGRAM LIBRARY [--hub FOLDERS VOCABULARIES] [--made N] [--texts N]

Made folders: every pair of the spellings below comes at least once, then at random up to N. Each
gets tiny random weights, is imported by PROGRAM, and N texts (pairs and cut ones among them) must
have AutoTokenizer's ids, token types and offsets. FOLDERS are real ones, their vocabularies in
VOCABULARIES by name, as their vocab.txt.ref and "@NAME" in tokenizer.json say. Prints counts,
what differs, and every refusal that Transformers does not share; exit 1 if anything differs.
"""
import argparse
import collections
import itertools
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="critical")
from transformers import AutoTokenizer  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tokenizer_compare import Ours  # noqa: E402

SCRIPTS = [(0x20, 0x7F)] * 6 + [(0xA0, 0x180), (0x300, 0x370), (0x370, 0x530), (0x590, 0x700),
           (0x900, 0xA00), (0xE00, 0xE80), (0x1100, 0x1200), (0x2000, 0x2070), (0x3040, 0x3100),
           (0x4E00, 0x5200), (0xAC00, 0xB000), (0xFF00, 0xFFF0), (0x1F300, 0x1F700)]
SPECIALS = ["[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "[unused1]", "[cls]", "<s>", "[E1]",
            "[e1]", "e1", "Xy Z", "xy z", "qr", "QR", "<mask>", "straße"]


class Refused(Exception):
    pass


def write_weights(folder, vocabulary):
    r, header, data = random.Random(3), {}, b""
    shapes = {"embeddings.word_embeddings.weight": [vocabulary, 8],
              "embeddings.position_embeddings.weight": [64, 8],
              "embeddings.token_type_embeddings.weight": [2, 8]}
    base = "encoder.layer.0."
    for name in ("attention.self.query", "attention.self.key", "attention.self.value",
                 "attention.output.dense", "intermediate.dense", "output.dense"):
        shapes[f"{base}{name}.weight"], shapes[f"{base}{name}.bias"] = [8, 8], [8]
    for name in ("embeddings.LayerNorm", base + "attention.output.LayerNorm",
                 base + "output.LayerNorm"):
        shapes[name + ".weight"] = shapes[name + ".bias"] = [8]
    few = struct.pack("<64f", *(r.gauss(0, 0.4) for _ in range(64)))
    for name, shape in shapes.items():
        n = shape[0] * (shape[1] if len(shape) > 1 else 1)
        part = (few * (n // 64 + 1))[: 4 * n]
        header[name] = {"dtype": "F32", "shape": shape,
                        "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def write_config(folder, vocabulary, kept):
    config = {"architectures": ["BertModel"], "model_type": "bert", "vocab_size": vocabulary,
              "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
              "intermediate_size": 8, "max_position_embeddings": 64, "type_vocab_size": 2,
              "hidden_act": "gelu", **kept}
    json.dump(config, open(os.path.join(folder, "config.json"), "w"))
    write_weights(folder, vocabulary)


def texts(words, n, seed):
    r = random.Random(seed)

    def word():
        kind = r.random()
        if kind < 0.4 and words:
            w = r.choice(words)
            return r.choice([w, w.removeprefix("##"), w.upper(), w.title(), w + r.choice(words)])
        if kind < 0.55:
            return r.choice(SPECIALS)
        low, high = r.choice(SCRIPTS)
        length = 120 if r.random() < 0.01 else r.randint(1, 7)
        return "".join(chr(r.randrange(low, high)) for _ in range(length))

    def text():
        gaps = [" "] * 5 + ["", "  ", "\t", "\n", "\u00a0", "\u3000", "\u200d", "\ufeff"]
        return "".join(word() + r.choice(gaps) for _ in range(r.randint(0, 12)))

    return [(text(), text() if i % 4 == 0 else None) for i in range(n)]


def theirs(tokenizer, first, second, limit):
    options = {"truncation": True, "max_length": limit} if limit else {}
    pair = [[first]] if second is None else [[first], [second]]
    got = tokenizer(*pair, return_offsets_mapping=True, **options)
    types = got.get("token_type_ids", [[0] * len(got["input_ids"][0])])[0]
    return [(i, t, a, b) for i, t, (a, b) in zip(got["input_ids"][0], types,
                                                 got["offset_mapping"][0])]


def ours(tokenizer, first, second, limit):
    pieces = tokenizer(first.encode(), None if second is None else second.encode(),
                       **({"max_length": limit} if limit else {}))
    if isinstance(pieces, int):
        return f"status {pieces}"
    return [(int(p["id"]), int(p["type"]), int(p["begin"]), int(p["end"])) for p in pieces[0]]


class Run:
    def __init__(self, program, library, n_texts):
        self.program, self.library, self.n_texts = program, library, n_texts
        self.counts, self.wrong, self.refused = collections.Counter(), [], []

    def reference(self, folder, rows):
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder)
            return [theirs(tokenizer, *row) for row in rows]
        except BaseException as error:
            return Refused(" ".join(str(error).split())[:200])

    def __call__(self, name, folder, words):
        rows = [(a, b, 12 if i % 5 == 0 else 0)
                for i, (a, b) in enumerate(texts(words, self.n_texts, 7))]
        wanted = self.reference(folder, rows)
        out = folder + ".gguf"
        done = subprocess.run([self.program, "import", folder, "-o", out], capture_output=True,
                              text=True)
        if done.returncode < 0 or done.returncode > 5:
            self.wrong.append(f"{name}: exit code {done.returncode}: {done.stderr}")
        elif done.returncode:
            message = done.stderr.strip().split("\n")[-1].replace(folder, "FOLDER")
            both = isinstance(wanted, Refused)
            self.counts["both refuse" if both else "only we refuse"] += 1
            self.refused.append(f"{name}: {message}" + (f" [{wanted}]" if both else ""))
        elif isinstance(wanted, Refused):
            self.counts["only they refuse"] += 1
            self.refused.append(f"{name}: imported, but Transformers: {wanted}")
        else:
            self.compare(name, out, rows, wanted)
        if os.path.exists(out):
            os.remove(out)

    def compare(self, name, out, rows, wanted):
        tokenizer = Ours(self.library, out)
        different = [(row, w, g) for row, w in zip(rows, wanted)
                     if (g := ours(tokenizer, *row)) != w]
        self.counts["texts"] += len(rows)
        self.counts["differ" if different else "equal"] += 1
        self.check_export(name, out, rows, wanted)
        for row, want, got in different[:2]:
            self.wrong.append(f"{name}: {len(different)} texts differ: {row!r}\n"
                              f"    theirs {want}\n    ours   {got}")

    def check_export(self, name, out, rows, wanted):
        again = out + ".folder"
        done = subprocess.run([self.program, "export", out, "-o", again], capture_output=True,
                              text=True)
        if done.returncode:
            self.counts["not exported"] += 1
            self.refused.append(f"{name}: export: {done.stderr.strip()}")
        else:
            got = self.reference(again, rows)
            self.counts["export equal" if got == wanted else "export differs"] += 1
            if got != wanted:
                first = got if isinstance(got, Refused) else next(
                    (r, w, g) for r, w, g in zip(rows, wanted, got) if w != g)
                self.wrong.append(f"{name}: the exported folder differs: {first!r}")
        shutil.rmtree(again, ignore_errors=True)


# ---- made folders ----

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "good", "bad", "film", "Good", "É",
         "é", "stra", "##ß", "##sse", "##e", ",", ".", "-", "我", "愛", "##愛", "caf", "##é", "##É",
         "[unused1]", "x", "E", "e", "e1", "y", "z", "Stop", "<s>", "</s>", "<unk>", "<mask>",
         *"abcdfghijk", *("##" + c for c in "abcdfghijklmnop")]
BERT_NORMALIZER = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                   "strip_accents": None, "lowercase": True}


def without(value, key):
    return {k: v for k, v in value.items() if k != key}


def token(content, **flags):
    return {"content": content, "lstrip": False, "normalized": False, "rstrip": False,
            "single_word": False, **flags}


def special(name, kind):
    return {"SpecialToken": {"id": name, "type_id": kind}}


def sequence(name, kind):
    return {"Sequence": {"id": name, "type_id": kind}}


def template(ids):
    cls, a, sep = special("[CLS]", 0), sequence("A", 0), special("[SEP]", 0)
    return {"type": "TemplateProcessing", "single": [cls, a, sep],
            "pair": [cls, a, sep, sequence("B", 1), special("[SEP]", 1)],
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": ids, "tokens": ["[CLS]"] * len(ids)},
                               "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}}


BERT_PROCESSING = {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}
DIMENSIONS = {
    "files": ["json", "lines", "both"],
    "class": ["BertTokenizer", None, "BertTokenizerFast", "DistilBertTokenizer",
              "ElectraTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend",
              "KoBertTokenizer", "config SqueezeBertTokenizer", "config PreTrainedTokenizerFast",
              "SqueezeBertTokenizerFast", "BertJapaneseTokenizer", "XLMRobertaTokenizer"],
    "lower": [None, True, False],
    "strip": [0, None, True, False],
    "chinese": [None, True, False],
    "normalizer": ["usual", "cased", "strip off", "chinese off", "no type", "null", "sequence",
                   "lowercase", "two", "clean off"],
    "processor": ["template", "bert", "roberta", "null", "sequence", "two ids", "no type"],
    "model": ["usual", "no type", "long words", "prefix", "no prefix"],
    "added": ["none", "json", "decoder", "added_tokens.json", "decoder and json", "decoder flags",
              "json flags", "mixed ids"],
    "specials": ["usual", "strings", "objects", "map", "map objects", "no mask piece", "null pad",
                 "bos", "named"],
    "extra": ["none", "additional", "extra", "extra object", "map additional", "objects",
              "map extra"],
    "vocabulary": ["usual", "blanks", "twice", "cr", "mark", "no newline", "blank lines", "longer",
                   "shorter", "no unk"],
    "names": ["given", None, "without types"],
    "tuning": ["none", "padding", "truncation"],
}


def pairwise(dimensions, n, seed):
    """Rows in which every pair of values comes, then random ones up to n."""
    r, keys = random.Random(seed), list(dimensions)
    missing = {(a, i, b, j) for a, b in itertools.combinations(range(len(keys)), 2)
               for i in range(len(dimensions[keys[a]])) for j in range(len(dimensions[keys[b]]))}
    rows = []
    while missing or len(rows) < n:
        best, most = None, -1
        for _ in range(40):
            row = [r.randrange(len(dimensions[k])) for k in keys]
            if missing:
                a, i, b, j = r.choice(sorted(missing)) if len(rows) % 2 else next(iter(missing))
                row[a], row[b] = i, j
            new = sum((a, row[a], b, row[b]) in missing
                      for a, b in itertools.combinations(range(len(keys)), 2))
            if new > most:
                best, most = row, new
        missing -= {(a, best[a], b, best[b])
                    for a, b in itertools.combinations(range(len(keys)), 2)}
        rows.append({k: dimensions[k][best[i]] for i, k in enumerate(keys)})
    return rows


def make_json(c, words):
    normalizers = {"usual": BERT_NORMALIZER, "cased": {**BERT_NORMALIZER, "lowercase": False},
                   "strip off": {**BERT_NORMALIZER, "strip_accents": False},
                   "chinese off": {**BERT_NORMALIZER, "handle_chinese_chars": False},
                   "no type": without(BERT_NORMALIZER, "type"), "null": None,
                   "sequence": {"type": "Sequence", "normalizers": [BERT_NORMALIZER]},
                   "lowercase": {"type": "Lowercase"},
                   "two": {"type": "Sequence", "normalizers":
                           [{**BERT_NORMALIZER, "lowercase": False}, {"type": "Lowercase"}]},
                   "clean off": {**BERT_NORMALIZER, "clean_text": False}}
    processors = {"template": template([2]), "bert": BERT_PROCESSING, "null": None,
                  "roberta": {**BERT_PROCESSING, "type": "RobertaProcessing", "trim_offsets": True,
                              "add_prefix_space": False},
                  "sequence": {"type": "Sequence", "processors": [template([2])]},
                  "two ids": template([2, 5]), "no type": without(BERT_PROCESSING, "type")}
    model = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
             "max_input_chars_per_word": 100, "vocab": {w: i for i, w in enumerate(words)}}
    if c["model"] == "no type":
        del model["type"]
    elif c["model"] == "long words":
        model["max_input_chars_per_word"] = 3
    elif c["model"] in ("prefix", "no prefix"):
        model["continuing_subword_prefix"] = "#" if c["model"] == "prefix" else ""
    tokens = [{"id": i, **token(w, special=True)} for i, w in enumerate(words[:5])]
    if "json" in c["added"] and c["added"] != "added_tokens.json":
        flags = {"lstrip": True, "normalized": True} if c["added"] == "json flags" else {}
        tokens += [{"id": len(words), **token("Xy Z", special=False, **flags)},
                   {"id": len(words) + 1, **token("qr", special=True, rstrip=bool(flags))}]
    elif c["added"] == "mixed ids":
        tokens += [{"id": 900, **token("qr", special=False)},
                   {"id": 700, **token("Xy Z", special=False)}]
    padding = {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None,
               "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}
    cut = {"direction": "Right", "max_length": 7, "strategy": "LongestFirst", "stride": 0}
    return {"version": "1.0", "truncation": cut if c["tuning"] == "truncation" else None,
            "padding": padding if c["tuning"] == "padding" else None, "added_tokens": tokens,
            "normalizer": normalizers[c["normalizer"]],
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": processors[c["processor"]],
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True}, "model": model}


def make_settings(c, words):
    """tokenizer_config.json, special_tokens_map.json, added_tokens.json."""
    config, mapped, added = {}, {}, {}
    if c["class"] and not c["class"].startswith("config"):
        config["tokenizer_class"] = c["class"]
    for key, value in (("do_lower_case", c["lower"]), ("tokenize_chinese_chars", c["chinese"])):
        if value is not None:
            config[key] = value
    if c["strip"] != 0 or c["strip"] is False:
        config["strip_accents"] = c["strip"]
    if c["names"]:
        config["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
        if c["names"] == "without types":
            config["model_input_names"].remove("token_type_ids")
    given = {k + "_token": "[" + k.upper() + "]" for k in ("unk", "sep", "pad", "cls", "mask")}
    other = {"unk_token": "<unk>", "sep_token": "</s>", "cls_token": "<s>", "mask_token": "<mask>",
             "pad_token": "[PAD]"}
    form = {"__type": "AddedToken"}
    match c["specials"]:
        case "strings":
            config.update(other)
        case "objects":
            config.update({k: {**token(v, normalized=True), **form} for k, v in given.items()})
            config["mask_token"]["lstrip"] = True
        case "map":
            mapped.update(other)
            config["cls_token"] = "[CLS]"
        case "map objects":
            mapped.update({k: token(v, normalized=True) for k, v in other.items()})
        case "no mask piece":
            config["mask_token"] = "[E1]"
        case "null pad":
            config["pad_token"] = config["mask_token"] = None
        case "bos":
            config.update(given, bos_token="<s>", eos_token="[eos]")
        case "named":
            config.update(given, image_token="[E1]", use_token=True)
    match c["extra"]:
        case "additional":
            config["additional_special_tokens"] = ["[unused1]", "[E1]"]
        case "extra":
            config["extra_special_tokens"] = ["[E1]", "e1"]
        case "extra object":
            config["extra_special_tokens"] = {"e_token": "[E1]", "other": "[unused1]"}
        case "map additional":
            mapped["additional_special_tokens"] = ["[unused1]", "[e1]"]
        case "map extra":
            mapped["extra_special_tokens"] = ["[unused1]", token("[e1]")]
            config["additional_special_tokens"] = ["[E1]"]
        case "objects":
            config["additional_special_tokens"] = [{**token("[E1]", rstrip=True), **form}, "qr"]
    n = len(words)
    if c["added"].startswith("decoder"):
        flags = {"lstrip": True, "rstrip": True, "single_word": True, "normalized": True}
        flags = flags if c["added"] == "decoder flags" else {}
        config["added_tokens_decoder"] = {
            **{str(i): token(w, special=True) for i, w in enumerate(words[:5])},
            str(n + 1): token("[E1]", special=False, **flags),
            str(n): token("Xy Z", special=True, normalized=bool(flags))}
    elif c["added"] == "added_tokens.json":
        added.update({"[E1]": n + 1, "qr": n, "[MASK]": 4})
    return config, mapped, added


def make_lines(c, words):
    lines = list(words)
    kind = c["vocabulary"]
    if kind == "blanks":
        lines = [w + r for w, r in zip(lines, itertools.cycle(["", " ", "\t", "\u00a0", "\u3000"]))]
    text = "\n".join(lines) + "\n"
    if kind == "cr":
        text = text.replace("\n", "\r\n")
    return {"mark": "\ufeff" + text, "no newline": text[:-1],
            "blank lines": text + "\n\n"}.get(kind, text)


def make(c, folder):
    words = list(WORDS)
    if c["vocabulary"] == "twice":
        words[11] = words[6]
    elif c["vocabulary"] == "no unk":
        words[1] = "[unused2]"
    elif c["vocabulary"] == "blank lines" and c["files"] == "lines":
        words[12] = ""
    os.makedirs(folder)
    config, mapped, added = make_settings(c, words)
    files = {"tokenizer_config.json": config, "special_tokens_map.json": mapped,
             "added_tokens.json": added}
    if c["files"] != "lines":
        files["tokenizer.json"] = make_json(c, words)
    for name, value in files.items():
        if value:
            json.dump(value, open(os.path.join(folder, name), "w"))
    if c["files"] != "json":
        open(os.path.join(folder, "vocab.txt"), "wb").write(make_lines(c, words).encode())
    n = {"longer": len(words) - 9, "shorter": len(words) + 30}.get(c["vocabulary"], len(words))
    kept = {"tokenizer_class": c["class"][7:]} if (c["class"] or "").startswith("config") else {}
    write_config(folder, n, kept)


def run_made(run, n, work):
    for i, row in enumerate(pairwise(DIMENSIONS, n, 11)):
        folder = os.path.join(work, f"made-{i}")
        make(row, folder)
        usual = {k: v[0] for k, v in DIMENSIONS.items()}
        name = " ".join(f"{k}={v}" for k, v in row.items() if v != usual[k]) or "usual"
        run(f"{i} {name}", folder, WORDS[5:])
        shutil.rmtree(folder)


# ---- real folders ----

def build_real(source, vocabularies, folder):
    shutil.copytree(source, folder)
    reference, whole = (os.path.join(folder, n) for n in ("vocab.txt.ref", "tokenizer.json"))
    if os.path.exists(reference):
        name = open(reference).read().strip()
        shutil.copy(os.path.join(vocabularies, name), os.path.join(folder, "vocab.txt"))
    if os.path.exists(whole):
        text = open(whole, encoding="utf-8", newline="").read()
        if found := re.search(r'"@([0-9a-f]{16})"', text):
            path = os.path.join(vocabularies, found[1])
            middle = open(path, encoding="utf-8", newline="").read()
            text = text[: found.start()] + middle + text[found.end():]
            open(whole, "w", encoding="utf-8", newline="").write(text)
    old = {}
    for name in ("config.json", "bert_config.json"):
        if os.path.exists(os.path.join(folder, name)):
            old = json.load(open(os.path.join(folder, name), encoding="utf-8"))
            break
    kept = {k: old[k] for k in ("tokenizer_class",) if k in old}
    for name in ("modules.json", "model.safetensors", "model.safetensors.index.json"):
        if os.path.exists(os.path.join(folder, name)):
            os.remove(os.path.join(folder, name))
    write_config(folder, old.get("vocab_size", 30522), kept)


def some_words(folder):
    path = os.path.join(folder, "vocab.txt")
    if os.path.exists(path):
        return open(path, encoding="utf-8").read().split("\n")[-20000:-1:97]
    path = os.path.join(folder, "tokenizer.json")
    if os.path.exists(path):
        vocabulary = json.load(open(path, encoding="utf-8")).get("model", {}).get("vocab", [])
        return [w for w in vocabulary if isinstance(w, str)][-20000::97]
    return WORDS[5:]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("library")
    parser.add_argument("--hub", nargs=2)
    parser.add_argument("--made", type=int, default=200)
    parser.add_argument("--texts", type=int, default=500)
    a = parser.parse_args()
    run = Run(a.program, a.library, a.texts)
    with tempfile.TemporaryDirectory() as work:
        run_made(run, a.made, work) if a.made else None
        for name in sorted(os.listdir(a.hub[0])) if a.hub else []:
            folder = os.path.join(work, "folder")
            build_real(os.path.join(a.hub[0], name), a.hub[1], folder)
            run(name, folder, some_words(folder))
            shutil.rmtree(folder)
    for line in run.refused:
        print("refused", line)
    for line in run.wrong:
        print("WRONG  ", line)
    print(dict(run.counts))
    return bool(run.wrong)


if __name__ == "__main__":
    sys.exit(main())
