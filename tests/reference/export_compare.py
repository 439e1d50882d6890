#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Exported folders against Transformers: random models of four types and every head are saved,
imported, exported and loaded again.

What must hold: no tensor is missing or left over; the weights are the source's, bit for bit;
Transformers' own results are those of the source, bit for bit; ours agree with them; both
tokenizers give the source's ids for every line. Then the forms that Transformers does not have (low
rank, sums of groups and low rank, permutations, int8) are put into model files by the gguf package
and exported: Transformers on the folder against us on the file. One line a model, and a summary.
Transformers runs in float64 from f32 weights where its results are compared with ours.

    export_compare.py PROGRAM VOCAB.txt TEXT.txt [--lines N] [--real FOLDER]
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import tempfile

import gguf
import numpy as np
import torch
import transformers.utils.logging
from transformers import AutoConfig, AutoTokenizer, BertTokenizer, DistilBertTokenizer

import sqz

TYPES = {"bert": "Bert", "squeezebert": "SqueezeBert", "distilbert": "DistilBert",
         "electra": "Electra"}
HEADS = ["Model", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering",
         "ForMaskedLM", "ForMultipleChoice"]
LENGTHS = [1, 2, 9, 33, 64]
LINEARS = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down"]


def config(kind, head, vocabulary, **more):
    width = dict(dim=48, n_heads=4, hidden_dim=120, n_layers=3) if kind == "distilbert" else dict(
        hidden_size=48, num_attention_heads=4, intermediate_size=120, num_hidden_layers=3)
    width |= dict(vocab_size=vocabulary, max_position_embeddings=64)
    if kind == "squeezebert":
        width |= dict(embedding_size=48, q_groups=4, k_groups=2, v_groups=3,
                      post_attention_groups=1, intermediate_groups=6, output_groups=12,
                      layer_norm_eps=1e-12)
    if kind == "electra":
        width |= dict(embedding_size=20)
    if head in ("ForSequenceClassification", "ForTokenClassification"):
        width |= dict(num_labels=5, id2label={i: f"class {i}" for i in range(5)},
                      label2id={f"class {i}": i for i in range(5)})
    return AutoConfig.for_model(kind, **(width | more))


@torch.no_grad()
def build(kind, head, vocabulary, **more):
    model = getattr(transformers,
                    TYPES[kind] + head)(config(kind, head, vocabulary, **more)).float().eval()
    for name, parameter in model.named_parameters():
        gain = "norm" in name.lower() and name.endswith("weight")
        parameter.normal_(1.0 if gain else 0.0, 0.1)
    return model


@torch.no_grad()
def run(model, ids, types):
    """Hidden states or logits of each sequence alone, stacked."""
    rows = []
    for one, kinds in zip(ids, types):
        inputs = {"input_ids": torch.tensor(one)[None],
                  "attention_mask": torch.ones(1, len(one), dtype=torch.long)}
        if model.config.model_type != "distilbert":
            inputs["token_type_ids"] = torch.tensor(kinds)[None]
        if "MultipleChoice" in type(model).__name__:
            inputs = {key: value[None] for key, value in inputs.items()}
        out = model(**inputs)
        value = torch.stack([out.start_logits[0], out.end_logits[0]], -1) if hasattr(
            out, "start_logits") else out.logits if hasattr(out,
                                                            "logits") else out.last_hidden_state
        rows.append(value.reshape(-1, value.shape[-1]))
    return torch.cat(rows).numpy()


def batch(vocabulary, kind):
    random = np.random.default_rng(5)
    ids = [random.integers(0, vocabulary, n) for n in LENGTHS]
    return ids, [random.integers(0, 2, n) if kind != "distilbert" else np.zeros(n, int)
                 for n in LENGTHS]


def ours(path, ids, types, kind):
    model = sqz.Model(path)
    packed = sqz.Packed(ids, types if kind != "distilbert" else None)
    out = model.encode(packed) if model.info.head == sqz.HEAD_NONE else model.logits(packed)
    model.close()
    return out


class Tool:
    def __init__(self, program, work, vocabulary, lines):
        self.program, self.work, self.vocabulary, self.lines = program, work, vocabulary, lines

    def __call__(self, *arguments, stdin=None):
        done = subprocess.run([self.program, *map(str, arguments)], input=stdin,
                              capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"squeezebert {' '.join(map(str, arguments))}: {done.stderr}")
        return done.stdout


def load(folder, model):
    loaded, facts = type(model).from_pretrained(folder, dtype=torch.float32,
                                                output_loading_info=True)
    stray = {key: facts[key]
             for key in ("missing_keys", "unexpected_keys", "mismatched_keys") if facts.get(key)}
    if stray:
        raise RuntimeError(f"{folder}: {stray}")
    return loaded.eval()


def compare_tokenizers(tool, folder, path, source):
    """Lines whose ids differ: the exported folder's tokenizer, and ours, against the source's."""
    length = json.loads((folder / "tokenizer_config.json").read_text())["model_max_length"]
    ours = [json.loads(line)["ids"]
            for line in tool("tokenize", path, "--json", "--max-length", length,
                             stdin="\n".join(tool.lines) + "\n").splitlines()]
    loaded = AutoTokenizer.from_pretrained(folder)
    expected = [source(line, truncation=True, max_length=length)["input_ids"]
                for line in tool.lines]
    got = [loaded(line, truncation=True)["input_ids"] for line in tool.lines]
    pairs = [loaded(a, b, truncation=True) for a, b in zip(tool.lines, tool.lines[1:])]
    wanted = [source(a, b, truncation=True, max_length=length)
              for a, b in zip(tool.lines, tool.lines[1:])]
    return sum(a != b for a, b in zip(got, expected)) + sum(a.data != b.data for a, b in zip(
        pairs, wanted)), sum(a != b for a, b in zip(ours, expected))


def one_model(tool, name, model, tokenizer):
    kind = model.config.model_type
    source, path, back = tool.work / name, tool.work / (name + ".gguf"), tool.work / (name + ".out")
    model.save_pretrained(source)
    shutil.copy(tool.vocabulary, source / "vocab.txt")
    tool("import", source, "-o", path)
    tool("export", path, "-o", back)
    again = load(back, model)
    a, b = model.state_dict(), again.state_dict()
    if not model.config.tie_word_embeddings:
        # where it is not tied, Transformers never reads it
        b["cls.predictions.bias"] = a.get("cls.predictions.bias", torch.empty(0))
        a.setdefault("cls.predictions.bias", b["cls.predictions.bias"])
    same = a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
    ids, types = batch(model.config.vocab_size, kind)
    same_results = np.array_equal(run(model, ids, types), run(again, ids, types))
    exact = run(again.double(), ids, types)
    error = np.abs(ours(path, ids, types, kind) - exact).max()
    theirs, mine = compare_tokenizers(tool, back, path, tokenizer)
    type_kept = AutoConfig.from_pretrained(back).architectures == [type(model).__name__]
    good = (same and same_results and type_kept and theirs == 0 and mine == 0
            and error <= 2e-5 * max(1, np.abs(exact).max()))
    print(f"{name:42} weights {'equal' if same else 'DIFFER'}, results "
          f"{'equal' if same_results else 'DIFFER'}, ours off by {error:.1e} of "
          f"{np.abs(exact).max():.2g}, "
          f"{theirs} + {mine} token lines differ{'' if good else '  FAILED'}", flush=True)
    return good


# ---- forms that Transformers does not have ----

def read_file(path):
    reader = gguf.GGUFReader(str(path))
    return reader, {t.name: (t.data.copy(), t.tensor_type)
                    for t in reader.tensors if not t.name.startswith("verify.")}


def put_value(writer, key, value):
    """A number as u32 or f64, a string, or a list of these; nothing for an empty one, which the
    gguf package does not write."""
    types = gguf.GGUFValueType
    if isinstance(value, str):
        writer.add_string(key, value)
    elif isinstance(value, float):
        writer.add_float64(key, value)
    elif not np.iterable(value):
        writer.add_uint32(key, int(value))
    elif not len(value):
        return
    elif isinstance(value[0], str):
        writer.add_key_value(key, list(value), types.ARRAY, sub_type=types.STRING)
    elif isinstance(value[0], float):
        writer.add_key_value(key, list(value), types.ARRAY, sub_type=types.FLOAT64)
    else:
        writer.add_key_value(key, [int(v) for v in value], types.ARRAY, sub_type=types.UINT32)


def write_file(path, reader, tensors, more):
    writer = gguf.GGUFWriter(str(path), "sqz-encoder")
    writer.add_custom_alignment(64)
    for field in reader.fields.values():
        if field.name.startswith(("GGUF.", "general.architecture", "general.alignment",
                                  "sqz.verify.", "sqz.header.",
                                  "sqz.tensors.")) or field.name in more:
            continue
        kinds = field.types
        writer.add_key_value(field.name, field.contents(), kinds[0],
                             sub_type=kinds[1] if len(kinds) > 1 else None)
    for key, value in more.items():
        put_value(writer, key, value)
    for name, (data, kind) in tensors.items():
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def f32(data):
    return np.ascontiguousarray(data, np.float32), gguf.GGMLQuantizationType.F32


def inputs_of(name):
    return 120 if name.endswith("ffn_down") else 48


def low_rank(tensors, name, random, groups=1, rank=7, keep=False):
    n_out, n_in = tensors[name + ".weight"][0].shape[0], inputs_of(name)
    if not keep:
        del tensors[name + ".weight"]
    tensors[name + ".a"] = f32(random.normal(0, 0.15, (rank * groups, n_in // groups)))
    tensors[name + ".b"] = f32(random.normal(0, 0.15, (n_out, rank)))


def int8(tensors, name):
    weight = tensors.pop(name)[0]
    scale = np.abs(weight).max(1) / 127
    tensors[name] = np.rint(weight / scale[:, None]).astype(np.int8), gguf.GGMLQuantizationType.I8
    tensors[name + ".scale"] = f32(scale)


def without_int8(tensors):
    """The numbers that int8 rows stand for; a run of the int8 file rounds its activations as well,
    and so is no measure of an export."""
    scales = {name.removesuffix(".scale"): data
              for name, (data, _) in tensors.items() if name.endswith(".scale")}
    return {name: f32(data * scales[name][:, None]) if name in scales else (data, kind)
            for name, (data, kind) in tensors.items() if not name.endswith(".scale")}


def forms(tensors, form, n_blocks, random):
    """Change the tensors; what goes into the metadata comes back."""
    more = {}
    for i in range(n_blocks):
        for name in LINEARS:
            full = f"blk.{i}.{name}"
            if form == "low rank":
                low_rank(tensors, full, random)
            elif form == "low rank in groups":
                low_rank(tensors, full, random, groups=3)
                more[f"sqz.block.{name}.factor_groups"] = [3] * n_blocks
            elif form == "sum with low rank":
                low_rank(tensors, full, random, keep=True) if name != "ffn_up" else None
            elif form == "permuted":
                more[f"sqz.permutation.{full}.in"] = random.permutation(inputs_of(name))
                more[f"sqz.permutation.{full}.out"] = random.permutation(
                    len(tensors[full + ".weight"][0]))
            elif form == "int8":
                int8(tensors, full + ".weight")
    if form == "int8":
        int8(tensors, "token_embd.weight")
    return more


def one_form(tool, model, form):
    kind = model.config.model_type
    name = f"{kind} {form}"
    path, changed, back = (tool.work / f"{kind}-ForSequenceClassification.gguf",
                           tool.work / f"{name}.gguf", tool.work / f"{name}.out")
    reader, tensors = read_file(path)
    more = forms(tensors, form, 3, np.random.default_rng(9))
    write_file(changed, reader, tensors, more)
    tool("export", changed, "-o", back)
    settings = json.loads((back / "config.json").read_text())
    again = load(back, getattr(transformers, settings["architectures"][0])(
        AutoConfig.from_pretrained(back))).double()
    ids, types = batch(model.config.vocab_size, kind)
    if form == "int8":
        write_file(changed, reader, without_int8(tensors), more)
    exact, got = run(again, ids, types), ours(changed, ids, types, kind)
    error, scale = np.abs(got - exact).max(), max(1, np.abs(exact).max())
    bar = 2e-5 * scale
    print(f"{name:42} written as {settings['model_type']}, ours off by {error:.1e} of "
          f"{np.abs(exact).max():.2g}{'' if error <= bar else '  FAILED'}", flush=True)
    return error <= bar


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("vocabulary")
    parser.add_argument("text")
    parser.add_argument("--lines", type=int, default=300)
    parser.add_argument("--real",
                        help="a folder to be taken through import and export as well, as AutoModel")
    options = parser.parse_args()
    torch.manual_seed(7)
    transformers.utils.logging.disable_progress_bar()
    lines = [line for line in pathlib.Path(options.text).read_text(encoding="utf-8").splitlines()
             if line.strip()][: options.lines]
    n = len(pathlib.Path(options.vocabulary).read_text(encoding="utf-8").splitlines())
    results = []
    with tempfile.TemporaryDirectory() as work:
        tool = Tool(options.program, pathlib.Path(work), options.vocabulary, lines)
        folder = tool.work / "tokenizer"
        folder.mkdir()
        shutil.copy(options.vocabulary, folder / "vocab.txt")
        tokenizers = {kind: (DistilBertTokenizer if kind == "distilbert"
                             else BertTokenizer).from_pretrained(folder) for kind in TYPES}
        for kind in TYPES:
            for head in HEADS:
                results.append(one_model(tool, f"{kind}-{head}", build(kind, head, n),
                                         tokenizers[kind]))
        for kind in TYPES:
            results.append(one_model(tool, f"{kind}-untied", build(
                kind, "ForMaskedLM", n, tie_word_embeddings=False), tokenizers[kind]))
        results.append(one_model(tool, "bert-multi_label", build(
            "bert", "ForSequenceClassification", n, problem_type="multi_label_classification"),
                                 tokenizers["bert"]))
        results.append(one_model(tool, "bert-one-output", build(
            "bert", "ForSequenceClassification", n, num_labels=1, id2label={0: "score"},
            label2id={"score": 0}), tokenizers["bert"]))
        for kind in TYPES:
            model = build(kind, "ForSequenceClassification", n)
            for form in ("low rank", "low rank in groups", "sum with low rank", "permuted", "int8"):
                if form == "low rank in groups" and kind in ("distilbert", "electra"):
                    continue  # groups are SqueezeBERT's, and its head is not theirs
                results.append(one_form(tool, model, form))
        if options.real:
            model = transformers.AutoModel.from_pretrained(options.real, dtype=torch.float32).eval()
            tool.vocabulary = pathlib.Path(options.real) / "vocab.txt"
            results.append(one_model(tool, "real", model,
                                     AutoTokenizer.from_pretrained(options.real)))
    print(f"{sum(results)} of {len(results)} as they must be; {len(lines)} lines of text, alone "
          "and in pairs")
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
