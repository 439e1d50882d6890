#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of tests/fuzz/corpus: make_corpus.py PROGRAM, with nothing but Python's own
library. They are committed; crash-* files, which stand beside them, are inputs that once broke a
parser."""
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "cli"))
import make_vectors  # noqa: E402

CORPUS = os.path.join(HERE, "corpus")
GOLDEN = os.path.join(HERE, "..", "golden", "models")
ARCHIVE = os.path.join(HERE, "..", "cli", "make_archive.py")


def put(kind, name, data):
    os.makedirs(os.path.join(CORPUS, kind), exist_ok=True)
    open(os.path.join(CORPUS, kind, name),
         "wb").write(data if isinstance(data, bytes) else data.encode())


def safetensors(tensors, metadata=None):
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, (dtype, shape, block) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(block)]}
        data += block
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def floats(n):
    return struct.pack(f"<{n}f", *(i / 7 for i in range(n)))


def write_models(program):
    with tempfile.TemporaryDirectory() as work:
        for name in ("squeezebert-sequence", "bert-masked", "electra-token", "bert-question",
                     "distilbert-sequence"):
            path = os.path.join(work, name + ".gguf")
            subprocess.run([program, "import", os.path.join(GOLDEN, name), "-o", path, "--dtype",
                            "f16"], check=True, stderr=subprocess.DEVNULL)
            put("gguf", name, open(path, "rb").read())
        for name, bits in (("bert-masked", "s4"), ("squeezebert-sequence", "s3")):
            path = os.path.join(work, name)
            subprocess.run([program, "quantize", path + ".gguf", "-o", path + "-packed.gguf",
                            "--type", bits], check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            put("gguf", f"{name}-{bits}", open(path + "-packed.gguf", "rb").read())
        # a decoder tied to a table of codes, tables in 2 bits, a factorised one
        for name, options in (("electra-masked", ["--embedding", "pq:3", "--positions", "2"]),
                              ("squeezebert-token", ["--embedding", "width:4,bits:2"])):
            path = os.path.join(work, name + ".gguf")
            subprocess.run([program, "import", os.path.join(GOLDEN, name), "-o", path],
                           check=True, stderr=subprocess.DEVNULL)
            subprocess.run([program, "squeeze", path, "-o", path, "--plain", "--no-fidelity",
                            "--bits", "4", *options], check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            put("gguf", name + "-squeezed", open(path, "rb").read())


def write_safetensors():
    put("safetensors", "types", safetensors({
        "a.weight": ("F32", [2, 3], floats(6)), "b": ("F16", [4], bytes(8)),
        "c": ("BF16", [1, 1, 2, 2], bytes(8)), "d": ("F64", [], bytes(8)),
        "e.position_ids": ("I64", [1, 3], bytes(24)),
        "f": ("I32", [2], bytes(8)), "g": ("U8", [3], b"abc"), "h": ("BOOL", [1], b"\1"),
        "none": ("F32", [0, 4], b"")}, {"format": "pt"}))
    put("safetensors", "one", safetensors({"x": ("F32", [1], floats(1))}))
    put("safetensors", "empty", safetensors({}))


def write_archives():
    small = {"embeddings.weight": ("F32", [3, 2], floats(6)),
             "layer.0.bias": ("F32", [4], floats(4)), "layer.0.weight": ("F32", [2, 2], floats(4)),
             "classifier.bias": ("F32", [1], floats(1))}
    for form in ("zip", "legacy"):
        for fault in ("", "strided", "shared", "range", "endless", "system", "opcode"):
            with tempfile.TemporaryDirectory() as work:
                open(os.path.join(work, "model.safetensors"), "wb").write(safetensors(small))
                subprocess.run([sys.executable, ARCHIVE, work, form] + ([fault] if fault else []),
                               check=True)
                put("torch_archive", f"{form}-{fault or 'plain'}",
                    open(os.path.join(work, "pytorch_model.bin"), "rb").read())
    # opcodes that PyTorch's own files have not: every way to write a number, a string, a tuple, a
    # list, a global, a parameter
    tensor = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpuK\4NtQ"
    build = (b"ctorch._utils\n_rebuild_tensor_v2\n(" + tensor +
             b"K\0K\2K\2\x86K\2K\1\x86\x89ccollections\nOrderedDict\n)Rt")
    body = (
        b"\x80\4\x95\0\0\0\0\0\0\0\0}q\0(X\1\0\0\0a" + build +
        b"R\x94X\1\0\0\0bctorch._utils\n_rebuild_parameter\n" + build + b"R\x88N\x87R"
        b"\x8c\1cG\0\0\0\0\0\0\0\0\x8c\1dJ\xff\xff\xff\xff\x8c\1eM\1\2\x8c\1f\x8a\2\1\2"
        b"\x8c\1g\x8a\x0a\1\1\1\1\1\1\1\1\1\1\x8c\1h\x88"
        b"\x8c\1i](K\1K\2e\x8c\1j]q\1K\1ah\1r\2\0\0\0j\2\0\0\x0000\x8c\1kU\1yu"
        b"\x8c\1lK\7s\x8c\1m\x8c\5torch\x8c\x0aIntStorage\x93s}b.")
    legacy = b"".join((b"\x80\2\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", b"\x80\2M\xe9\3.", b"\x80\2}.",
                       body, b"\x80\2]q\1X\1\0\0\x000a.", struct.pack("<q", 4), floats(4)))
    put("torch_archive", "legacy-opcodes", legacy)


def write_folders():
    def blob(weights, files, how="weights"):
        """Behind weights there is one line's end more, which the harness takes off."""
        parts = [(name, text if isinstance(text, bytes) else text.removesuffix("\n").encode())
                 for name, text in files.items()]
        return f"{how} {weights}\n".encode() + b"".join(
            b"=== " + name.encode() + b"\n" + text + b"\n" for name, text in parts)

    def texts(name):
        folder = os.path.join(GOLDEN, name)
        return {f: open(os.path.join(folder, f)).read()
                for f in ("config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json")
                if os.path.exists(os.path.join(folder, f))}

    for name in sorted(os.listdir(GOLDEN)):
        files = texts(name)
        files["config.json"] = json.dumps(
            {k: v for k, v in json.loads(files["config.json"]).items() if v is not None}, indent=0)
        put("json_folder", name, blob(name, files))
    files = texts("bert-sequence")
    words = files.pop("vocab.txt").split("\n")[:-1]
    special = [w for w in words if w.startswith("[") and len(w) > 1]
    config = json.loads(files["config.json"])
    template = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}}]
    pair = template + [{"Sequence": {"id": "B", "type_id": 1}},
                       {"SpecialToken": {"id": "[SEP]", "type_id": 1}}]
    tokenizer = {
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing", "single": template, "pair": pair},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": {w: i for i, w in enumerate(words)}},
        "added_tokens": [{"id": words.index(w), "content": w, "special": True, "single_word": False,
                          "lstrip": False, "rstrip": False, "normalized": False} for w in special]}
    modules = {"Transformer": "", "Pooling": "1_Pooling", "Dense": "2_Dense",
               "LayerNorm": "3_LayerNorm", "Dropout": "4_Dropout", "Normalize": "5_Normalize"}
    hidden, width = config["hidden_size"], 5
    sentence = {
        "modules.json": json.dumps([{"idx": i, "name": str(i),
                                     "type": "sentence_transformers.models." + kind, "path": path}
                                    for i, (kind, path) in enumerate(modules.items())]),
        "1_Pooling/config.json": json.dumps(
            {"word_embedding_dimension": hidden, "pooling_mode_mean_tokens": True,
             "pooling_mode_cls_token": False, "include_prompt": False}),
        "2_Dense/config.json": json.dumps(
            {"in_features": hidden, "out_features": width, "bias": True,
             "activation_function": "torch.nn.modules.linear.Identity"}),
        "2_Dense/model.safetensors": safetensors({"linear.weight": ("F32", [width, hidden], floats(
            width * hidden)), "linear.bias": ("F32", [width], floats(width))}),
        "3_LayerNorm/config.json": json.dumps({"dimension": width}),
        "3_LayerNorm/model.safetensors": safetensors({"norm.weight": (
            "F32", [width], floats(width)), "norm.bias": ("F32", [width], floats(width))}),
        "sentence_bert_config.json": '{"max_seq_length": 20, "do_lower_case": false}',
        "tokenizer_config.json": '{"model_max_length": 1000000000000000019884624838656, '
                                 '"do_lower_case": true}',
        "config_sentence_transformers.json": '{"prompts": {"query": "query: ", "passage": ""}, '
                                             '"default_prompt_name": "query"}'}
    config.update(id2label={"0": "no", "1": "yes"}, problem_type="single_label_classification")
    put("json_folder", "tokenizer-json", blob("bert-sequence", {"config.json": json.dumps(
        config), "tokenizer.json": json.dumps(tokenizer), **sentence}))
    tokenizer["post_processor"] = {"type": "BertProcessing", "sep": ["[SEP]", words.index("[SEP]")],
                                   "cls": ["[CLS]", words.index("[CLS]")]}
    put("json_folder", "bert-processing",
        blob("bert-sequence",
             {"config.json": json.dumps(config), "tokenizer.json": json.dumps(tokenizer)}))
    tokens = {w: {"id": w, "ids": [words.index(w)], "tokens": [w]} for w in ("[CLS]", "[SEP]")}
    tokenizer["post_processor"] = {"type": "Sequence", "processors": [
        {"type": "TemplateProcessing", "single": template, "pair": pair, "special_tokens": tokens}]}
    tokenizer["normalizer"] = {"type": "Sequence",
                               "normalizers": [tokenizer["normalizer"], {"type": "Lowercase"}]}
    tokenizer["decoder"] = {"type": "WordPiece", "prefix": "##", "cleanup": True}
    put("json_folder", "as-it-stands",
        blob("bert-sequence",
             {"config.json": json.dumps(config), "tokenizer.json": json.dumps(tokenizer),
              "tokenizer_config.json": '{"tokenizer_class": "PreTrainedTokenizerFast", '
                                       '"cls_token": "[CLS]", "extra_special_tokens": ["[new]"], '
                                       '"model_input_names": ["input_ids", "token_type_ids"]}'}))
    files = texts("bert-sequence")
    flags = {"lstrip": True, "normalized": False, "rstrip": True, "single_word": True}
    files["tokenizer_config.json"] = json.dumps(
        {"mask_token": {"__type": "AddedToken", "content": "[MASK]", **flags},
         "additional_special_tokens": ["[new]"], "best": float("nan")})
    files["special_tokens_map.json"] = json.dumps({"cls_token": "[CLS]", "sep_token": {
        "content": "[SEP]", **flags}, "image_token": "[image]"})
    files["added_tokens.json"] = '{"[e1]": 64, "[CLS]": 2}'
    put("json_folder", "added-files", blob("bert-sequence", files))
    del files["special_tokens_map.json"]
    files["tokenizer_config.json"] = json.dumps(
        {"added_tokens_decoder": {"64": {"content": "[e1]", "special": False, **flags},
                                  "2": {"content": "[CLS]", "special": True, **flags}}})
    put("json_folder", "added-decoder", blob("bert-sequence", files))
    files = texts("bert-sequence")
    files["tokenizer_config.json"] = ('{"do_lower_case": false, "strip_accents": true, '
                                      '"tokenize_chinese_chars": false, "unk_token": "[UNK]", '
                                      '"model_max_length": 30}')
    files["model.safetensors.index.json"] = ('{"metadata": {}, "weight_map": '
                                             '{"bert.pooler.dense.bias": "part.safetensors", '
                                             '"classifier.bias": "part.safetensors"}}')
    put("json_folder", "vocabulary-lines", blob("bert-sequence", files))
    put("json_folder", "index", blob("bert-sequence", files, "part"))
    files = texts("bert-sequence")
    config = {k: v for k, v in json.loads(files["config.json"]).items()
              if k not in ("id2label", "model_type", "type_vocab_size")}
    config.update(architectures=["OwnForSequenceClassification", "BertForPreTraining"],
                  label2id={"no": 0, "yes": "1"},
                  sentence_transformers={"activation_fn": "torch.nn.Sigmoid"})
    card = ("---\nlicense: mit\nlanguage:\n- en\n- 'no' # Norwegian\ntags: [a, \"b c\"]\n"
            "base_model:\n- maker/large\n- alone\n---\n```\n# code\n```\n# A *title* #\n")
    put("json_folder", "card",
        blob("bert-sequence", {**files, "config.json": json.dumps(config), "README.md": card}))


def write_tokenizers():
    vocabulary = "[UNK]\n" + "".join(w + "\n" for w in "a b c the film good un ##a ##b ##s ##ing . "
                                                       ", ! é 中 ##\u0301 [X] 漢字 ß".split())
    text = "The good films, unbaing!\té 中文 a\u0301\u0323 [X] \U0001f600 \u200d ab\0c  ### ß"
    put("tokenizer", "uncased", b"\x0f\x00\x00\x00" + f"{vocabulary}\n{text}".encode())
    put("tokenizer", "cased-pair", b"\x03\x01\x0c\x00" + f"{vocabulary}\1\1[X]\n\n{text}".encode())
    put("tokenizer", "windows",
        b"\x0f\x09\x0a\x02" + f"{vocabulary}\1\x0d[X]\n\1\x10É\n\1\x1eGood\n\n{text}".encode())
    put("tokenizer", "marks", b"\x1f\x00\x00\x00" + f"{vocabulary}\n".encode() +
        "a\u0301\u0f71\u0f72\u0f74 \u1ead\u0345\u0315\u0300 각\u11a8 İ\u0307 \u09c7\u09be".encode() +
        b"\xff\xe0\x80\xf4\x90\xed\xa0\x80")
    put("tokenizer", "only-second", b"\x0f\x05\x08\x00" + f"{vocabulary}\n{text}".encode())
    put("tokenizer", "duplicates", b"\x0f\x00\x00\x00[UNK]\na\na\n\na")


def write_tables():
    rows = {0: "src\t1\t\tA good film.\nsrc\t0\t*\tfilm a",
            1: "sentence\tlabel\na good film\t1\nbad\t0",
            2: 'Quality\t#1\t#2\ta\tb\n1\t1\t2\tA "film\tB film',
            3: "id\tqid1\tqid2\tq1\tq2\td\n1\t2\t3\ta\tb\t1\nshort\trow",
            4: "index\tgenre\tfile\tyear\told\tsource\tid\ts1\ts2\tscore\n"
               "0\ta\tb\tc\td\te\tf\tA man\tA dog\t3.20",
            5: "a\tb\tc\td\te\tf\tg\th\ts1\ts2\tl1\tgold\n"
               "0\t1\t2\t3\t4\t5\t6\t7\tx\ty\tneutral\tentailment",
            6: "index\tq\ts\tlabel\n0\ta\tb\tnot_entailment",
            7: "index\ta\tb\tlabel\r\n0\tx\ty\tentailment\r", 8: "index\ta\tb\tlabel\n0\tx\ty\t1",
            9: "index\ta\tb\tlabel\n0\tx\ty\tneutral"}
    for task, text in rows.items():
        put("glue", f"task-{task}", bytes([task, 0]) + text.encode() + b"\n")
        put("glue", f"test-{task}", bytes([task, 1]) + text.encode())
    published = {2: "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t1\t2\tA \"film\tB film",
                 3: "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\ta\tb\t1\n"
                    "short\trow",
                 4: "index\tsentence1\tsentence2\tscore\n0\tA man\tA dog\t3.20",
                 5: "index\tsentence1\tsentence2\tgold_label\n0\tx\ty\tentailment\n1\tx\ty\t-",
                 6: "index\tquestion\tsentence\tlabel\n0\ta\tb\tnot_entailment",
                 7: "index\tsentence1\tsentence2\tlabel\r\n0\tx\ty\tentailment\r"}
    for task, text in published.items():
        put("glue", f"published-{task}", bytes([task, 0]) + text.encode() + b"\n")
    put("glue", "exported-csv", b'\1\2\nsentence,label,idx\n"a ""b"",\nc",1,0\n\nd,NEG,1\n')
    put("glue", "exported-jsonl",
        b'\5\4{"premise":"a","hypothesis":"\\u00e9","label":2,"idx":0}\n{"label":null,"idx":1}\n')
    put("glue", "unlabelled", b"\1\3sentence,label,idx\na,-1,0\nb,-1,1\n")
    put("glue", "cola-named", b"\0\0sentence\tlabel\na\tacceptable\n")
    put("glue", "relabelled", b"\4\0\xef\xbb\xbfsentence1\tsentence2\tlabel\na\tb\t2.5\n")


def write_records():
    put("records", "lines", b"\0a good film\n\n\xff\0x\r\nlast")
    put("records", "pairs", b"\4a\tb\nno tab\n\t\n")
    put("records", "csv",
        b'\1id,text,"no,te"\r\n1,"a ""good"" film",x\n2,plain,"two\nlines"\n3,short\n4,"open')
    put("records", "csv-pair", b"\5text2,text\nb,a\n")
    put("records", "csv-no-column", b"\1a,b\n1,2\n")
    put("records", "tsv", b"\2\xef\xbb\xbftext\tid\nA\t1\nB\n")
    put("records", "jsonl",
        b'\3{"text":"a\\u0000b","id":[1,{"x":null}],"n":1e3}\n'
        b'{"text":7}\n[1]\nnot json\n{"x":"y"}\n')
    put("records", "csv-none", b'\x09text,id\n"a,1\n')
    put("records", "tsv-csv", b'\x12text\tid\n"a\tb\nc"\t1\n\n')
    put("records", "tsv-quoted", b'\2text\tid\r\n"a ""b"""\t"\r\n')
    put("records", "ragged", b"\x61a,b\n1\n\n1,2,3\n")
    put("records", "jsonl-odd",
        b'\3{"id":10014255632117358197,"n":NaN,"i":[-Infinity,{"a":0.1e+400}],'
        b'"\\u0074ext":"\\ud83d\\ude00\\ud800","id":[ ],"text":"b"}\r\n \n{"text":"a"\n')
    put("records", "utf16", b"\0\xff\xfea\0")
    put("records", "jsonl-pair", '\7{"text":"é","text2":"b","id":"\\ud83d\\ude00"}\n'.encode())


def write_data_sets():
    """The first byte as fuzz_dataset.c reads it."""
    def put_as(name, layout, kind, rest, more=0):
        put("dataset", name, bytes([layout | kind << 3 | more]) + rest)
    one, many, value, words = range(4)
    put_as("csv", 0, one, b'text,label,from\na b,a,x\n"c, d",b,y\nA B.,a,z\ne,b,x\n', 64)
    put_as("csv-pairs", 0, one, b"text,text2,label\na,b,1\nb,a,0\nc,d,1\n", 32)
    put_as("csv-classes", 0, one, b"text,label\nx,a\ny,b\nz,O\n", 128)
    put_as("csv-many", 0, many, b"text,label\nx,a | b\ny,\nz,b\n")
    put_as("tsv-value", 1, value, b"text\tlabel\nx\t1.5\ny\t-2e3\n")
    put_as("tsv-utf16", 1, one, b"\xff\xfet\0e\0x\0t\0")
    put_as("jsonl", 2, one, b'{"text":"a\\u0000b","label":"x"}\n{"text":"b","label":7}\n')
    put_as("jsonl-many", 2, many, b'{"text":"a","label":["x",2.50]}\n{"text":"b","label":[]}\n')
    put_as("jsonl-words", 2, words,
           b'{"text":["a","b"],"label":["O","B-x"]}\n{"text":["c"],"label":["I-x"]}\n')
    put_as("conll", 3, words, b"-DOCSTART- -X- O\n\na NN O\nb\tB-x\n\n\nc I-x\n")
    put_as("conll-windows", 3, words, b"\xef\xbb\xbfa O\r\n\r\nb B-x\r\n", 128)
    put_as("clinc", 4, one, b'{"train":[["a b","x"],["c","y"],["A b","x"]],"oos_val":[["d","o"]]}')
    put_as("clinc-deep", 4, one, b'{"train":[[["a"],"x"],{"b":1},["c","y"]]}')


def npz(arrays, method=zipfile.ZIP_STORED, fault=""):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, (values, shape, kind) in arrays.items():
            archive.writestr(zipfile.ZipInfo(name + ".npy"),
                             make_vectors.npy(values, shape, kind, fault), method)
    return out.getvalue()


def write_vectors():
    """For the models of fuzz_vectors.c: 24 wide with 3 classes of a sequence, 32 wide with 5 of a
    token."""
    def arrays(lengths, width, classes, tokens, kinds=("<i8", "<f4")):
        n, rows = sum(lengths), sum(lengths) if tokens else len(lengths)
        return {"ids": [range(n), [n], kinds[0]], "lengths": [lengths, [len(lengths)], kinds[0]],
                "types": [[i % 2 for i in range(n)], [n], kinds[0]],
                "hidden": [[i % 7 / 4 for i in range(n * width)], [n, width], kinds[1]],
                "logits": [[i % 3 - 1.5 for i in range(rows * classes)], [rows, classes], kinds[1]]}
    put("vectors", "sequence", npz(arrays([3, 1], 24, 3, False)))
    put("vectors", "token", npz(arrays([2, 1, 4], 32, 5, True)))
    put("vectors", "wide", npz(arrays([2], 24, 3, False, ("<i4", "<f8"))))
    put("vectors", "version-2", npz(arrays([2], 32, 5, True, ("|u1", "<f4")), fault="order"))
    put("vectors", "deflated", npz(arrays([3, 1], 24, 3, False), zipfile.ZIP_DEFLATED))
    one = arrays([2], 24, 3, False, ("<u4", "<f4"))
    put("vectors", "logits-alone", npz({name: one[name] for name in ("ids", "logits")}))
    put("vectors", "hidden-alone", npz({name: one[name] for name in ("ids", "hidden")}))


def main():
    for kind in ("safetensors", "torch_archive", "json_folder", "tokenizer", "glue", "records",
                 "dataset", "vectors", "gguf"):
        folder = os.path.join(CORPUS, kind)
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            if not name.startswith(("crash-", "tiny")):
                os.remove(os.path.join(folder, name))
    write_models(sys.argv[1])
    write_safetensors()
    write_archives()
    write_folders()
    write_tokenizers()
    write_tables()
    write_records()
    write_data_sets()
    write_vectors()


main()
