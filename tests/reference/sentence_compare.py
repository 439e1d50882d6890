#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Folders of sentence-transformers against that library: tiny random models in every form that
modules.json and the files beside it can take. Each is imported, exported and imported again; the
vectors of both files are compared with SentenceTransformer's own, prompts, cuts and similarities
included. What the library cannot load, or what cannot be run, must be refused.

    sentence_compare.py PROGRAM [PART OF A NAME]

One line a folder: the least cosine and the largest difference relative to the longest vector.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="critical",
                  TOKENIZERS_PARALLELISM="false")
warnings.filterwarnings("ignore")

import numpy as np
import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from transformers import BertConfig, BertModel, BertTokenizer
from transformers.utils.logging import disable_progress_bar

disable_progress_bar()

WIDTH, POSITIONS = 24, 40
LETTERS = [chr(97 + i) for i in range(26)]
WORDS = (["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + LETTERS + ["##" + x for x in LETTERS] +
         [x.upper() for x in LETTERS[:13]] + ["é", "σ", "##σ", "ς", ":", ".", "find", "the", "red",
                                             "Red", "bicycle", "query", "passage"])
TEXTS = ["the red bicycle", "The RED Bicycle", "a", "", "find: the red", "é Σας ΣΑΣ İstanbul",
         "Red [SEP] red [sep] [MASK]", " ".join(["bicycle the red"] * 30), "x y z . :"]
OLD, NEW = "sentence_transformers.models.", "sentence_transformers."
TYPES = {  # what releases wrote, the first of 2019 to the last
    "Transformer": [OLD + "Transformer", NEW + "base.modules.transformer.Transformer",
                    NEW + "models.Transformer.Transformer"],
    "Pooling": [OLD + "Pooling", NEW + "sentence_transformer.modules.pooling.Pooling"],
    "Normalize": [OLD + "Normalize", NEW + "base.modules.normalize.Normalize",
                  NEW + "sentence_transformer.modules.normalize.Normalize"],
    "Dense": [OLD + "Dense", NEW + "base.modules.dense.Dense"],
    "LayerNorm": [OLD + "LayerNorm", NEW + "sentence_transformer.modules.layer_norm.LayerNorm"],
    "Dropout": [OLD + "Dropout", NEW + "sentence_transformer.modules.dropout.Dropout"],
}
MODES = {"mean": "mean_tokens", "cls": "cls_token", "max": "max_tokens",
         "mean_sqrt_len_tokens": "mean_sqrt_len_tokens", "weightedmean": "weightedmean_tokens",
         "lasttoken": "lasttoken"}
TANH, IDENTITY = "torch.nn.modules.activation.Tanh", "torch.nn.modules.linear.Identity"


def save(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1))


def plain(folder, cased=False):
    torch.manual_seed(3)
    config = BertConfig(vocab_size=len(WORDS), hidden_size=WIDTH, num_hidden_layers=2,
                        num_attention_heads=3, intermediate_size=40,
                        max_position_embeddings=POSITIONS)
    model = BertModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            gain = "Norm" in name and name.endswith("weight")
            parameter.normal_(1.0 if gain else 0.0, 0.2)
    model.save_pretrained(folder)
    words = folder / "words.txt"
    words.write_text("".join(w + "\n" for w in WORDS), encoding="utf-8")
    BertTokenizer(str(words), do_lower_case=not cased,
                  model_max_length=512).save_pretrained(folder)
    words.rename(folder / "vocab.txt")


class Folder:
    """A model folder that grows module by module."""

    def __init__(self, path, spelling=0, cased=False, transformer=""):
        self.path, self.spelling, self.modules = path, spelling, []
        self.place = path / transformer if transformer else path
        self.place.mkdir(parents=True)
        plain(self.place, cased)
        self.add("Transformer", path=transformer)

    def add(self, kind, settings=None, path=None):
        place = len(self.modules)
        path = f"{place}_{kind}" if path is None else path
        types = TYPES.get(kind, [OLD + kind])
        self.modules.append({"idx": place, "name": str(place), "path": path,
                             "type": types[min(self.spelling, len(types) - 1)]})
        if settings is not None:
            save(self.path / path / "config.json", settings)
        save(self.path / "modules.json", self.modules)
        return self.path / path

    def pooling(self, mode="mean", compact=False, **more):
        if compact:
            settings = {"embedding_dimension": WIDTH, "pooling_mode": mode}
        else:
            settings = {"word_embedding_dimension": WIDTH} | \
                {"pooling_mode_" + flag: mode == name for name, flag in MODES.items()}
        self.add("Pooling", settings | more)
        return self

    def dense(self, n_in, n_out, activation=TANH, bias=True, binary=False, **more):
        settings = {"in_features": n_in, "out_features": n_out, "bias": bias}
        if activation:
            settings["activation_function"] = activation
        path = self.add("Dense", settings | more)
        weights = {"linear.weight": torch.randn(n_out, n_in) / 4}
        if bias:
            weights["linear.bias"] = torch.randn(n_out) / 4
        if binary:
            torch.save(weights, path / "pytorch_model.bin")
        else:
            save_file(weights, str(path / "model.safetensors"))
        return self

    def norm(self, n):
        path = self.add("LayerNorm", {"dimension": n})
        save_file({"norm.weight": 1 + torch.randn(n) / 4, "norm.bias": torch.randn(n) / 4},
                  str(path / "model.safetensors"))
        return self

    def module(self, kind, settings=None):
        self.add(kind, settings)
        return self

    def sentence(self, name="bert", **values):
        save(self.place / f"sentence_{name}_config.json", values)
        return self

    def config(self, **values):
        save(self.path / "config_sentence_transformers.json", values)
        return self

    def tokenizer(self, **values):
        path = self.place / "tokenizer_config.json"
        save(path, json.loads(path.read_text()) | values)
        return self

    def without_modules(self):
        (self.path / "modules.json").unlink()
        return self


def folders(root):
    """(name, folder, the words of a refusal or None)"""
    n = 0

    def new(*given, **named):
        nonlocal n
        n += 1
        return Folder(root / f"folder{n}", *given, **named)

    for spelling in range(3):
        yield f"spelling {spelling}", new(spelling).pooling().module("Normalize"), None
    yield "transformer in a folder", new(transformer="0_Transformer").pooling("cls"), None
    yield "no modules.json", new().pooling("cls").sentence(max_seq_length=9).without_modules(), None
    for mode in MODES:
        yield f"pooling {mode}", new().pooling(mode), None
        yield f"pooling {mode}, compact", new().pooling(mode, compact=True), None
    yield "pooling [mean]", new().pooling(["mean"], compact=True), None
    yield "no pooling flag", new().pooling("none"), None
    yield "flags beside pooling_mode", new().pooling("max", pooling_mode="cls"), None
    yield "two poolings", \
        new().pooling("cls").dense(24, 24).module("Normalize").pooling("max"), None
    for name, activation in (("tanh", TANH), ("identity", IDENTITY), ("default", None),
                             ("relu", "torch.nn.modules.activation.ReLU"),
                             ("gelu", "torch.nn.modules.activation.GELU"),
                             ("short name", "torch.nn.Tanh")):
        yield f"dense {name}", new().pooling().dense(24, 40, activation), None
    yield "dense without bias, .bin", new().pooling().dense(24, 7, bias=False, binary=True), None
    yield "dense, dense, normalize", \
        new(1).pooling("cls").dense(24, 90).dense(90, 16, IDENTITY).module("Normalize"), None
    yield "normalize, dense", new().pooling().module("Normalize").dense(24, 12), None
    yield "norm, dropout, normalize", \
        new().pooling("max").norm(24).module("Dropout", {"dropout": 0.3}).module("Normalize"), None
    yield "normalize before pooling", new().module("Normalize").pooling(), None
    yield "truncate_dim", new().pooling().dense(24, 30).config(truncate_dim=11), None
    yield "truncate_dim behind normalize", \
        new().pooling().module("Normalize").config(truncate_dim=11), None
    yield "truncate_dim of more than there is", new().pooling().config(truncate_dim=99), None
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"):
        yield f"length of sentence_{kind}_config", \
            new().pooling().sentence(kind, max_seq_length=11, do_lower_case=False), None
    yield "two lengths, the first empty", \
        new().pooling().sentence().sentence("roberta", max_seq_length=13), None
    yield "length of the tokenizer", new().pooling().tokenizer(model_max_length=15), None
    yield "length of the positions", new().pooling().tokenizer(model_max_length=10**30), None
    yield "length null", new().pooling().sentence(max_seq_length=None), None
    yield "length in tokenizer_args", \
        new().pooling().sentence(tokenizer_args={"model_max_length": 8}, model_args={}), None
    yield "lowered, cased", new(cased=True).pooling().sentence(do_lower_case=True), None
    yield "lowered, uncased", new().pooling().sentence(do_lower_case=True), None
    yield "cased", new(cased=True).pooling().sentence(do_lower_case=False), None
    yield "settings of 5.4", new(1).pooling(compact=True, include_prompt=True).sentence(
        transformer_task="feature-extraction", module_output_name="token_embeddings",
        modality_config={"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
        unpad_inputs=False), None
    prompts = {"query": "query: ", "passage": "passage: ", "document": ""}
    yield "prompts", new().pooling().config(prompts=prompts), None
    yield "default prompt", \
        new().pooling().config(prompts=prompts, default_prompt_name="passage"), None
    yield "default prompt of a name that is always there", \
        new().pooling().config(prompts={}, default_prompt_name="query"), None
    yield "document prompt", \
        new().pooling().config(prompts={"query": "find: ", "document": "the "}), None
    for mode in MODES:
        yield f"prompt left out, {mode}", new().pooling(mode, include_prompt=False).config(
            prompts=prompts, default_prompt_name="query"), None
    yield "prompt left out, cut", new().pooling(include_prompt=False).sentence(
        max_seq_length=6).config(prompts=prompts, default_prompt_name="passage"), None
    for kind in ("cosine", "dot", "euclidean", "manhattan"):
        yield f"similarity {kind}", new().pooling().config(similarity_fn_name=kind), None

    yield "default prompt of no name", new().pooling().config(
        prompts=prompts, default_prompt_name="other"), "'other', which is none of the prompts"
    yield "unknown pooling", new().pooling("median", compact=True), "'median' is not known"
    yield "unknown key of a pooling", new().pooling(output_key="x"), "'output_key' is not known"
    yield "poolings side by side", new().pooling(["mean", "max"], compact=True), "side by side"
    yield "flags side by side", new().pooling("cls", pooling_mode_max_tokens=True), "side by side"
    for kind in ("CNN", "LSTM", "WordWeights", "BoW", "StaticEmbedding", "WeightedLayerPooling"):
        yield f"module {kind}", new().module(kind, {}).pooling(), f"{kind}' cannot be run"
    yield "unknown activation", new().pooling().dense(24, 8, "torch.nn.modules.activation.SELU"), \
        "SELU' cannot be run"
    yield "residual", new().pooling().dense(24, 24, use_residual=True), "use_residual cannot"
    yield "dense of tokens", new().pooling().dense(24, 24, module_input_name="token_embeddings"), \
        "'token_embeddings' cannot be run"
    yield "query_length", new().pooling().sentence(query_length=5), "'query_length' is set"


def run(program, *arguments, text=None):
    return subprocess.run([program, *map(str, arguments)], input=text, capture_output=True,
                          text=True, encoding="utf-8")


def embed(program, model, *options):
    """All of TEXTS: an empty text is a record of jsonl, where a line would not be one."""
    lines = "".join(json.dumps({"text": t}) + "\n" for t in TEXTS)
    done = run(program, "embed", model, "--json", "--input", "jsonl", *options, text=lines)
    assert done.returncode == 0, done.stderr
    return np.array([json.loads(x)["embedding"] for x in done.stdout.splitlines()])


def difference(ours, theirs):
    """Least cosine, largest difference over the longest vector."""
    assert ours.shape == theirs.shape, f"{ours.shape} for {theirs.shape}"
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    cosines = np.where(lengths > 0, (ours * theirs).sum(1) / np.where(lengths > 0, lengths, 1), 1)
    return cosines.min(), np.abs(ours - theirs).max() / np.linalg.norm(theirs, axis=1).max()


def compare(program, model, reference):
    found = [difference(embed(program, model), reference.encode(TEXTS).astype(float))]
    for name in reference.prompts:
        if reference.prompts[name]:
            found.append(difference(embed(program, model, "--prompt", name),
                                    reference.encode(TEXTS, prompt_name=name).astype(float)))
    found.append(difference(embed(program, model, "--prompt", "text:the "),
                            reference.encode(TEXTS, prompt="the ").astype(float)))
    pairs = list(zip(TEXTS[:-1], TEXTS[1:]))
    lines = "".join(json.dumps({"text": a, "text2": b}) + "\n" for a, b in pairs)
    done = run(program, "similarity", model, "--json", "--input", "jsonl", text=lines)
    ours = np.array([json.loads(x)["similarity"] for x in done.stdout.splitlines()])
    vectors = reference.encode(TEXTS, convert_to_tensor=True)
    theirs = reference.similarity_pairwise(vectors[:-1], vectors[1:]).numpy()
    score = np.abs(ours - theirs).max() / max(1, np.abs(theirs).max())
    return min(x[0] for x in found), max([x[1] for x in found] + [score])


def check(program, root, name, folder, refusal):
    first, again = root / "first.gguf", root / "again.gguf"
    done = run(program, "import", folder.path, "-o", first)
    if refusal:
        return done.returncode == 3 and refusal in done.stderr, f"refused: {done.stderr.strip()}"
    if done.returncode:
        return False, done.stderr.strip()
    out = root / (folder.path.name + "-out")
    for step in (["export", first, "-o", out], ["import", out, "-o", again], ["verify", first]):
        done = run(program, *step)
        if done.returncode:
            return False, f"{step[0]}: {done.stderr.strip()}"
    lines, good = [], True
    for model, source in ((first, folder.path), (again, folder.path), (again, out)):
        reference = SentenceTransformer(str(source), device="cpu")
        if model == first:
            reference_vectors = reference.encode(TEXTS)
        elif source == out:
            good &= np.allclose(reference.encode(TEXTS), reference_vectors, atol=1e-6)
        cosine, off = compare(program, model, reference)
        good &= cosine >= 0.999999 and off < 2e-6
        lines.append(f"{cosine:.9f} {off:.1e}")
    return good, "  ".join(lines)


def main():
    program, wanted = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    failed = total = 0
    with tempfile.TemporaryDirectory() as work:
        root = pathlib.Path(work)
        for name, folder, refusal in folders(root):
            if wanted not in name:
                continue
            try:
                good, text = check(program, root, name, folder, refusal)
            except Exception as error:
                good, text = False, f"{type(error).__name__}: {error}"
            total += 1
            failed += not good
            print(f"{'ok  ' if good else 'BAD '} {name:45} {text}", flush=True)
    print(f"{total} folders, {failed} failed")
    return failed > 0


sys.exit(main())
