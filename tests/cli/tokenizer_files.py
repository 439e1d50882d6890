#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokenizers of folders, whatever files they hold: tokenizer_files.py PROGRAM WORK [--reference]

WORK/folder is one of make_folder.py. Each case alters a copy of it, imports it and looks at the
pieces of a text, or at the message of the refusal. With --reference the pieces are those of
AutoTokenizer instead (a Python with Transformers): so the expectations were found.
"""
import json
import os
import shutil
import subprocess
import sys

program, work = sys.argv[1:3]
reference = "--reference" in sys.argv
failed = 0
FLAGS = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
WORDS = open(os.path.join(work, "folder", "vocab.txt")).read().split("\n")[:-1]
N = len(WORDS)


def put(folder, name, value):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    open(os.path.join(folder, name), "wb").write(data)


def lines(change):
    def alter(folder):
        words = list(WORDS)
        result = change(words)
        text = result if isinstance(result, (str, bytes)) else "".join(w + "\n" for w in words)
        put(folder, "vocab.txt", text if isinstance(text, bytes) else text.encode())
    return alter


def files(**values):
    """Files by name, with _ for the dot before json; config merges into config.json."""
    def alter(folder):
        for name, value in values.items():
            path = name.removesuffix("_json") + ".json"
            if name == "config":
                value = {**json.load(open(os.path.join(folder, "config.json"))), **value}
            put(folder, path, value)
    return alter


def whole(change=None, **settings):
    """tokenizer.json in place of vocab.txt, and tokenizer_config.json."""
    def alter(folder):
        special = {w: {"id": w, "ids": [i], "tokens": [w]} for i, w in enumerate(WORDS[:5])}
        cls, sep = ({"SpecialToken": {"id": w, "type_id": 0}} for w in ("[CLS]", "[SEP]"))
        a, b = ({"Sequence": {"id": w, "type_id": i}} for i, w in enumerate("AB"))
        root = {
            "version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": i, "content": w, "special": True, **FLAGS}
                             for i, w in enumerate(WORDS[:5])],
            "normalizer": {"type": "BertNormalizer", "clean_text": True, "strip_accents": None,
                           "handle_chinese_chars": True, "lowercase": True},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "TemplateProcessing", "single": [cls, a, sep],
                               "pair": [cls, a, sep, b, sep], "special_tokens": special},
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 100,
                      "vocab": {w: i for i, w in enumerate(WORDS)}}}
        if change:
            change(root)
        put(folder, "tokenizer.json", root)
        os.remove(os.path.join(folder, "vocab.txt"))
        if settings:
            put(folder, "tokenizer_config.json", settings)
    return alter


def tokens(folder, text):
    if reference:
        from transformers import AutoTokenizer
        tokenizer = AutoTokenizer.from_pretrained(folder)
        return " ".join(map(str, tokenizer.convert_ids_to_tokens(tokenizer(text).input_ids)))
    out = folder + ".gguf"
    subprocess.run([program, "import", folder, "-o", out], check=True, capture_output=True)
    done = subprocess.run([program, "tokenize", out, "--json"], input=text.encode() + b"\n",
                          capture_output=True, check=True)
    record = json.loads(done.stdout)
    return " ".join(record.get("tokens", [str(record)]))


def copy():
    folder = os.path.join(work, "copy")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(os.path.join(work, "folder"), folder)
    return folder


def report(name, wanted, got):
    global failed
    failed += 1
    print(f"FAILED: {name}\n  wanted {wanted}\n  got    {got}")


def check(name, alter, text, wanted):
    folder = copy()
    alter(folder)
    try:
        got = tokens(folder, text)
    except subprocess.CalledProcessError as error:
        got = error.stderr.decode()
    if got != wanted:
        report(name, wanted, got)


def refuse(name, alter, *words):
    if reference:
        return
    folder = copy()
    alter(folder)
    out = os.path.join(work, "never.gguf")
    done = subprocess.run([program, "import", folder, "-o", out], capture_output=True, text=True)
    message = done.stderr.strip().split("\n")[-1]
    if done.returncode not in (3, 4) or os.path.exists(out) or \
            not all(word in message for word in words):
        report(name, f"a refusal with {words}", f"exit {done.returncode}: {message}")


def vocabulary_lines():
    def trailing(words):
        words[5:9] = ["the ", "good\t", "bad\u3000", "film \u00a0\r"]

    def twins(words):
        words[10] = "good"

    check("white space behind pieces", lines(trailing), "the good bad film",
          "[CLS] the good bad film [SEP]")
    check("a piece that comes twice", lines(twins), "the good film.",
          "[CLS] the good film [UNK] [SEP]")
    check("blank lines at the end", lines(lambda w: "\n".join(w) + "\n\n \n\n"), "a film",
          "[CLS] a film [SEP]")
    check("no newline at the end", lines(lambda w: "\n".join(w[:37])), "film z",
          "[CLS] film z [SEP]")
    check("a carriage return on every line", lines(lambda w: "\r\n".join(w) + "\r\n"), "films",
          "[CLS] film ##s [SEP]")
    check("a byte order mark", lines(lambda w: "\ufeff" + "\n".join(w) + "\n"), "a [PAD] film",
          "[CLS] a [PAD] film [SEP]")
    refuse("bytes that are no UTF-8", lines(lambda w: b"[UNK]\nr\xe9sum\xe9\n"), "vocab.txt",
           "line 2", "no UTF-8")
    refuse("a Git LFS pointer", lines(lambda w: "version https://git-lfs.github.com/spec/v1\n"
                                      "oid sha256:00\nsize 231508\n"), "vocab.txt", "git lfs pull")


def without_unknown():
    """Words that are spelt are read; one that cannot be is an error of its text, as there."""
    def renamed(words):
        words[WORDS.index("[UNK]")] = "unu"

    cases = {"vocab.txt": lines(renamed),
             "tokenizer.json": whole(lambda r: r["model"].update(unk_token="unu"),
                                     tokenizer_class="PreTrainedTokenizerFast"),
             "an added token alone": lambda f: (files(tokenizer_config_json={
                 "unk_token": "<none>"})(f), put(f, "added_tokens.json", {"<none>": N}))}
    for name, alter in cases.items():
        check(f"no unknown token, {name}", alter, "the films", "[CLS] the film ##s [SEP]")
        if reference:
            continue
        folder, out = os.path.join(work, "copy"), os.path.join(work, "unknown.gguf")
        exported = os.path.join(work, "unknown-out")
        shutil.rmtree(exported, ignore_errors=True)
        for made in (folder, exported):
            done = subprocess.run([program, "import", made, "-o", out], capture_output=True,
                                  text=True)
            embed = subprocess.run([program, "embed", out, "--json"], capture_output=True,
                                   input="a film\nthe \u2603 film\n", text=True)
            records = [json.loads(line) for line in embed.stdout.splitlines()]
            if "no unknown token" not in done.stderr or embed.returncode != 1 or \
                    "embedding" not in records[0] or "byte 4" not in records[1].get("error", ""):
                report(f"no unknown token, {name}: an error record", "byte 4",
                       done.stderr + embed.stdout[-300:])
            if made == folder:
                subprocess.run([program, "export", out, "-o", exported], check=True,
                               capture_output=True)


def larger_vocabulary():
    folder = copy()
    lines(lambda w: w.extend("q1 q2 q3 q4".split()))(folder)
    check("a vocabulary above the embedding", lines(lambda w: w.extend("q1 q2 q3 q4".split())),
          "a q4", "[CLS] a q4 [SEP]")
    if reference:
        return
    out = folder + ".gguf"
    done = subprocess.run([program, "import", folder, "-o", out], capture_output=True, text=True)
    embed = subprocess.run([program, "embed", out, "--json"], input="a film\na q4\n",
                           capture_output=True, text=True)
    records = [json.loads(line) for line in embed.stdout.splitlines()]
    if "'q4'" not in done.stderr or "embedding" not in records[0] or "error" not in records[1]:
        report("a text with a piece that is not embedded", "an error record", embed.stdout[:300])


def settings():
    check("do_lower_case counts over tokenizer.json", whole(do_lower_case=False), "The film",
          "[CLS] [UNK] film [SEP]")
    check("do_lower_case is true where nobody says it",
          whole(lambda r: r["normalizer"].update(lowercase=False)), "THE film",
          "[CLS] the film [SEP]")
    check("accents stay where strip_accents is false", whole(strip_accents=False), "bàd bad",
          "[CLS] [UNK] bad [SEP]")
    check("a class of tokenizer.json takes it as it stands",
          whole(lambda r: r["normalizer"].update(lowercase=False), do_lower_case=True,
                tokenizer_class="PreTrainedTokenizerFast"), "The film", "[CLS] [UNK] film [SEP]")
    check("so does one that Transformers does not have",
          whole(lambda r: r["normalizer"].update(lowercase=False),
                tokenizer_class="KoWordTokenizer"), "The film", "[CLS] [UNK] film [SEP]")
    check("config.json names the class where tokenizer_config.json does not",
          lambda f: (whole(lambda r: r["normalizer"].update(lowercase=False))(f),
                     files(config={"tokenizer_class": "PreTrainedTokenizerFast"})(f)),
          "The film", "[CLS] [UNK] film [SEP]")


def special_tokens():
    other = {"cls_token": "a", "sep_token": "b", "unk_token": "[PAD]"}
    form = {"__type": "AddedToken", **FLAGS}
    check("special tokens by other names", files(tokenizer_config_json=other), "film é!",
          "a film e [PAD] b")
    check("special tokens as objects", files(tokenizer_config_json={
        k: {"content": v, **form} for k, v in other.items()}), "film !", "a film [PAD] b")
    check("special_tokens_map.json counts before tokenizer_config.json",
          files(tokenizer_config_json={"cls_token": "c"}, special_tokens_map_json={
              "cls_token": {"content": "a", **FLAGS}}), "film", "a film [SEP]")
    check("but not where there is an added_tokens_decoder",
          files(tokenizer_config_json={"cls_token": "c", "added_tokens_decoder": {}},
                special_tokens_map_json={"cls_token": "a"}), "film", "c film [SEP]")
    check("additional_special_tokens", files(tokenizer_config_json={
        "additional_special_tokens": ["[E1]"]}), "a[E1]film", "[CLS] a [E1] film [SEP]")
    check("extra_special_tokens by name", files(tokenizer_config_json={
        "extra_special_tokens": {"x_token": "[E1]"}}), "a[E1]film", "[CLS] a [E1] film [SEP]")
    check("added_tokens.json", files(added_tokens_json={"[E1]": N, "[E2]": N + 1}),
          "[e2] [E1] film", "[CLS] [e2] [e1] film [SEP]")
    check("added_tokens_decoder with flags", files(tokenizer_config_json={
        "added_tokens_decoder": {str(N): {"content": "zz", **FLAGS, "single_word": True,
                                          "special": False}}}), "azz zz.",
          "[CLS] [UNK] zz . [SEP]")
    check("numbers are the vocabulary's, not the file's",
          whole(lambda r: r["added_tokens"].append({"id": 63, "content": "[E1]", "special": True,
                                                    **FLAGS})), "[E1]", "[CLS] [E1] [SEP]")


def old_forms():
    def no_type(root):
        del root["model"]["type"]

    def sequences(root):
        root["normalizer"] = {"type": "Sequence", "normalizers": [root["normalizer"]]}
        root["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [root["pre_tokenizer"]]}
        root["post_processor"] = {"type": "Sequence", "processors": [root["post_processor"]]}

    def roberta(root):
        root["post_processor"] = {"type": "RobertaProcessing", "sep": ["[SEP]", 3],
                                  "cls": ["[CLS]", 2], "trim_offsets": True,
                                  "add_prefix_space": False}

    def bare(root):
        root["post_processor"] = root["decoder"] = None

    def no_prefix(root):
        root["model"]["continuing_subword_prefix"] = ""

    json_class = {"tokenizer_class": "PreTrainedTokenizerFast"}
    check("a model without type", whole(no_type), "films", "[CLS] film ##s [SEP]")
    check("Sequences of one", whole(sequences, **json_class), "The films",
          "[CLS] the film ##s [SEP]")
    check("RobertaProcessing", whole(roberta, **json_class), "film", "[CLS] film [SEP]")
    check("no post_processor", whole(bare, **json_class), "film", "film")
    check("an empty prefix", whole(no_prefix, **json_class), "filmbad", "[CLS] film bad [SEP]")


def refusals():
    json_class = {"tokenizer_class": "PreTrainedTokenizerFast"}

    def kind(**model):
        return lambda root: root["model"].update(model)

    def stray(part):
        return lambda root: root[part].update(stray=1)

    for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        for given in (json_class, {}):
            refuse(f"an unknown key in {part}", whole(stray(part), **given), part, "'stray'")
    refuse("Unigram", whole(kind(type="Unigram", vocab=[["a", -1]])), "Unigram", "SentencePiece")
    refuse("Unigram without type", whole(lambda r: r.update(model={"vocab": [["a", -1.5]]})),
           "Unigram")
    refuse("BPE", whole(kind(type="BPE", merges=[])), "BPE", "RoBERTa")
    refuse("other normalizers", whole(lambda r: r.update(normalizer={
        "type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}]}),
        **json_class), "normalizer", "'NFD'")
    for name in ("BertJapaneseTokenizer", "XLMRobertaTokenizerFast", "FunnelTokenizer"):
        refuse(name, files(tokenizer_config_json={"tokenizer_class": name}), name,
               "tokenizer_config.json")
        refuse(name + " with tokenizer.json", whole(tokenizer_class=name), name)
        refuse(name + " of config.json", files(config={"tokenizer_class": name}), name,
               "/config.json")
    refuse("a class that needs tokenizer.json", files(tokenizer_config_json={
        "tokenizer_class": "KoWordTokenizer"}), "KoWordTokenizer", "tokenizer.json")
    refuse("truncation from the left", files(tokenizer_config_json={"truncation_side": "left"}),
           "truncation side", "'left'")
    refuse("a setting of another type", files(tokenizer_config_json={"do_lower_case": "yes"}),
           "tokenizer_config.json", "do_lower_case")
    refuse("no tokenizer", lambda f: os.remove(f + "/vocab.txt"), "no tokenizer in the folder",
           "--tokenizer")
    refuse("SentencePiece's file", lambda f: os.rename(f + "/vocab.txt", f + "/spiece.model"),
           "spiece.model", "SentencePiece")


def elsewhere():
    """--tokenizer names a folder, or a file whose settings are those of the model's folder."""
    if reference:
        return
    folder, other = copy(), os.path.join(work, "other")
    os.makedirs(other)
    os.rename(folder + "/vocab.txt", other + "/words.txt")
    put(folder, "tokenizer_config.json", {"do_lower_case": False})
    out = os.path.join(work, "elsewhere.gguf")

    def run(path, wanted):
        done = subprocess.run([program, "import", folder, "-o", out, "--tokenizer", path],
                              capture_output=True, text=True)
        got = done.stderr
        if done.returncode == 0:
            got = subprocess.run([program, "tokenize", out, "--json"], input="The film\n",
                                 capture_output=True, text=True).stdout
            got = " ".join(json.loads(got)["tokens"])
        if wanted not in got:
            report("--tokenizer " + path, wanted, got)

    run(other + "/words.txt", "[CLS] [UNK] film [SEP]")
    os.rename(other + "/words.txt", other + "/vocab.txt")
    run(other, "[CLS] the film [SEP]")
    run(other + "/gone", "no such")
    run(work, "no tokenizer in the folder")


for part in (vocabulary_lines, without_unknown, larger_vocabulary, settings, special_tokens,
             old_forms, refusals, elsewhere):
    part()
sys.exit(failed > 0)
