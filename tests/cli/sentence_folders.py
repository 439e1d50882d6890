# SPDX-License-Identifier: Apache-2.0
"""Folders of sentence-transformers, made here: what a module asks for is computed again from the
states of the pieces (`embed --pool none`), before and after an export; what cannot be run is
refused by name. sentence_folders.py PROGRAM"""
import json
import math
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = str(pathlib.Path(sys.argv[1]).resolve())
WIDTH = 24
OLD = "sentence_transformers.models."
TEXTS = ["the good film", "a bad film . the goods", "x"]
failures = []


def run(*arguments, text=""):
    return subprocess.run([PROGRAM, *map(str, arguments)], input=text, capture_output=True,
                          text=True)


def expect(claim, good, shown=""):
    if not good:
        failures.append(claim)
        print(f"FAILED: {claim}: {shown}")


def save(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


def tensors(path, named):
    """named {name: (shape, numbers)} as safetensors."""
    header, data = {}, b""
    for name, (shape, numbers) in named.items():
        block = struct.pack(f"<{len(numbers)}f", *numbers)
        header[name] = {"dtype": "F32", "shape": shape,
                        "data_offsets": [len(data), len(data) + len(block)]}
        data += block
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def numbers(seed, n):
    """Floats of 32 bits, so that what is written is what is read."""
    r = random.Random(seed)
    return [struct.unpack("<f", struct.pack("<f", r.gauss(0, 0.4)))[0] for _ in range(n)]


class Folder:
    made = 0

    def __init__(self, work, modules, cased=False):
        Folder.made += 1
        self.path = work / f"folder{Folder.made}"
        subprocess.run([sys.executable, HERE / "make_folder.py", self.path, "BertModel"],
                       check=True)
        if cased:
            save(self.path / "tokenizer_config.json", {"do_lower_case": False})
        listed = [{"idx": 0, "name": "0", "path": "", "type": OLD + "Transformer"}]
        for i, (kind, settings) in enumerate(modules, 1):
            listed.append({"idx": i, "name": str(i), "path": f"{i}_{kind}", "type": OLD + kind})
            if settings is not None:
                save(self.path / f"{i}_{kind}" / "config.json", settings)
        save(self.path / "modules.json", listed)

    def config(self, **values):
        save(self.path / "config_sentence_transformers.json", values)
        return self

    def sentence(self, kind="bert", **values):
        save(self.path / f"sentence_{kind}_config.json", values)
        return self

    def imported(self):
        done = run("import", self.path, "-o", f"{self.path}.gguf")
        expect(f"{self.path.name} is imported", done.returncode == 0, done.stderr)
        return f"{self.path}.gguf"

    def exported(self):
        """The model by way of an export."""
        model, out = self.imported(), f"{self.path}-out"
        if pathlib.Path(f"{out}.gguf").exists():
            return f"{out}.gguf"
        done = run("export", model, "-o", out)
        expect(f"{self.path.name} is exported", done.returncode == 0, done.stderr)
        done = run("import", out, "-o", f"{out}.gguf")
        expect(f"{self.path.name}'s export is imported", done.returncode == 0, done.stderr)
        return f"{out}.gguf"


def embed(model, texts, *options):
    done = run("embed", model, "--json", *options, text="".join(t + "\n" for t in texts))
    expect(f"embed {model} {options}", done.returncode == 0, done.stderr)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return [row.get("embedding", row.get("embeddings")) for row in rows]


def columns(rows):
    return list(zip(*rows))


POOLINGS = {
    "mean": ("pooling_mode_mean_tokens", lambda rows: [sum(c) / len(c) for c in columns(rows)]),
    "cls": ("pooling_mode_cls_token", lambda rows: rows[0]),
    "max": ("pooling_mode_max_tokens", lambda rows: [max(c) for c in columns(rows)]),
    "mean_sqrt_len_tokens": ("pooling_mode_mean_sqrt_len_tokens",
                             lambda rows: [sum(c) / math.sqrt(len(c)) for c in columns(rows)]),
    "weightedmean": ("pooling_mode_weightedmean_tokens",
                     lambda rows: [sum(x * t for t, x in enumerate(c, 1)) /
                                   (len(c) * (len(c) + 1) / 2) for c in columns(rows)]),
    "lasttoken": ("pooling_mode_lasttoken", lambda rows: rows[-1]),
}


def normalized(x):
    length = math.sqrt(sum(v * v for v in x))
    return [v / length for v in x]


def check(claim, folder, wanted, *options):
    """Vectors of the import and of its export: wanted(rows of pieces) within f32's roundings."""
    for model in (folder.imported(), folder.exported()):
        states = embed(model, TEXTS, "--pool", "none", "--no-normalize")
        for got, rows in zip(embed(model, TEXTS, *options), states):
            expected = wanted(rows)
            off = max([abs(a - b) for a, b in zip(got, expected)], default=0)
            expect(f"{claim}: {model}", len(got) == len(expected) and off < 1e-5,
                   f"{len(got)} numbers, {off:.1e} off")


def refused(claim, folder, words):
    done = run("import", folder.path, "-o", f"{folder.path}.gguf")
    expect(f"{claim} is refused", done.returncode == 3 and words in done.stderr, done.stderr)


def poolings(work):
    for mode, (flag, pool) in POOLINGS.items():
        flags = {f: f == flag for f, _ in POOLINGS.values()}
        old = {"word_embedding_dimension": WIDTH} | flags
        new = {"embedding_dimension": WIDTH, "pooling_mode": [mode], "include_prompt": True}
        for settings in (old, new, old | {"pooling_mode": mode, "pooling_mode_cls_token": True}):
            check(f"pooling {mode}", Folder(work, [("Pooling", settings)]), pool)
    none = {"word_embedding_dimension": WIDTH, "pooling_mode_cls_token": False}
    check("no mode is the mean", Folder(work, [("Pooling", none)]), POOLINGS["mean"][1])
    two = Folder(work, [("Pooling", none), ("Normalize", None),
                        ("Pooling", none | {"pooling_mode_max_tokens": True})])
    check("the last pooling counts", two, POOLINGS["max"][1])
    refused("an unknown mode", Folder(work, [("Pooling", {"pooling_mode": "median"})]),
            "pooling_mode 'median' is not known; mean, cls, max")
    refused("two modes", Folder(work, [("Pooling", {"pooling_mode": ["cls", "max"]})]),
            "poolings set side by side cannot be run")
    refused("two flags", Folder(work, [("Pooling", {"pooling_mode_cls_token": True,
                                                    "pooling_mode_max_tokens": 1})]),
            "'pooling_mode_max_tokens' is set, beside another mode")
    refused("an unknown key", Folder(work, [("Pooling", {"pooling_mode": "mean", "layer": 3})]),
            "1_Pooling/config.json: 'layer' is not known")


def layers(work):
    pooling = ("Pooling", {"embedding_dimension": WIDTH, "pooling_mode": "cls"})
    weight, bias = numbers(1, 30 * WIDTH), numbers(2, 30)
    settings = {"in_features": WIDTH, "out_features": 30, "bias": True}
    torch = "torch.nn.modules.activation."

    def dense(x):
        return [bias[i] + sum(weight[i * WIDTH + j] * x[j] for j in range(WIDTH))
                for i in range(30)]

    def put(folder, place):
        tensors(folder.path / place / "model.safetensors",
                {"linear.weight": ([30, WIDTH], weight), "linear.bias": ([30], bias)})
        return folder

    for name, activation in ((None, math.tanh), (torch + "Tanh", math.tanh),
                             ("torch.nn.modules.linear.Identity", lambda v: v),
                             (torch + "ReLU", lambda v: max(v, 0)),
                             (torch + "GELU", lambda v: v / 2 * math.erfc(-v / math.sqrt(2)))):
        given = settings | ({"activation_function": name} if name else {})
        check(f"dense, {name}", put(Folder(work, [pooling, ("Dense", given)]), "2_Dense"),
              lambda rows: [activation(v) for v in dense(rows[0])])
    identity = settings | {"activation_function": "torch.nn.modules.linear.Identity"}
    chain = put(Folder(work, [pooling, ("Normalize", None), ("Dense", identity),
                              ("Normalize", None), ("Dropout", {"dropout": 0.5})]), "3_Dense")
    check("normalize, dense, normalize", chain, lambda rows: normalized(dense(normalized(rows[0]))))
    check("normalize, dense", chain, lambda rows: dense(normalized(rows[0])), "--no-normalize")
    check("cut before normalising", chain,
          lambda rows: normalized(dense(normalized(rows[0]))[:7]), "--dimensions", 7)
    done = run("embed", chain.imported(), "-o", work / "x.npy", text="the film\n")
    expect("an array has as many columns as the last layer outputs",
           b"(1, 30)" in (work / "x.npy").read_bytes(), done.stderr)
    expect("30 dimensions are told", "\ndimensions                      30\n" in
           run("info", chain.imported()).stdout)
    norm = Folder(work, [pooling, ("LayerNorm", {"dimension": WIDTH})])
    tensors(norm.path / "2_LayerNorm" / "model.safetensors",
            {"norm.weight": ([WIDTH], weight[:WIDTH]), "norm.bias": ([WIDTH], bias[:WIDTH])})

    def layer_norm(x):
        mean = sum(x) / WIDTH
        s = math.sqrt(sum((v - mean) ** 2 for v in x) / WIDTH + 1e-5)
        return [(v - mean) / s * weight[i] + bias[i] for i, v in enumerate(x)]

    check("layer norm", norm, lambda rows: layer_norm(rows[0]))
    cut = Folder(work, [pooling, ("Normalize", None)]).config(truncate_dim=5)
    check("truncate_dim cuts what is normalised", cut, lambda rows: normalized(rows[0])[:5])
    quantized = f"{chain.path}-s8.gguf"
    expect("quantised", run("quantize", chain.imported(), "-o", quantized).returncode == 0)
    expect("a quantised model is verified", run("verify", quantized).returncode == 0)
    rows = embed(quantized, TEXTS, "--pool", "none", "--no-normalize")
    off = max(abs(a - b) for got, states in zip(embed(quantized, TEXTS), rows)
              for a, b in zip(got, normalized(dense(normalized(states[0])))))
    expect("a quantised model keeps the layers", off < 1e-5, off)
    for words, change in (("SELU' cannot be run", {"activation_function": torch + "SELU"}),
                          ("use_residual cannot be run", {"use_residual": True}),
                          ("'gate' is not known", {"gate": 1}),
                          ("module_output_name 'other' cannot", {"module_output_name": "other"}),
                          ("from 23 to 30 numbers: it is handed 24", {"in_features": 23}),
                          ("[30, 24] in 2 dimensions", {"out_features": 29})):
        refused(words, put(Folder(work, [pooling, ("Dense", settings | change)]), "2_Dense"), words)
    refused("a tensor too many", put(Folder(work, [pooling, ("Dense", settings | {"bias": False})]),
                                     "2_Dense"), "'linear.bias' belongs to no part of the module")
    refused("no weights", Folder(work, [pooling, ("Dense", settings)]), "2_Dense")


def modules(work):
    pooling = ("Pooling", {"embedding_dimension": WIDTH, "pooling_mode": "max"})
    for first, second in (("base.modules.transformer.Transformer",
                           "sentence_transformer.modules.pooling.Pooling"),
                          ("models.BERT", "models.Pooling"),
                          ("models.Transformer.Transformer", "models.pooling.Pooling")):
        folder = Folder(work, [pooling])
        save(folder.path / "modules.json",
             [{"name": "a", "path": "", "type": "sentence_transformers." + first},
              {"name": "b", "path": "1_Pooling", "type": "sentence_transformers." + second}])
        check(f"{first}, {second}", folder, POOLINGS["max"][1])
    for claim, text, words in (
            ("an object", '{"0": "Transformer"}', "modules.json is no list of modules"),
            ("an empty list", "[]", "modules.json is no list of modules"),
            ("a string in the list", '["Transformer"]', "module 0 has no type, or no path"),
            ("a path out of the folder", json.dumps([{"path": "a/../..", "type": OLD + "Pooling"}]),
             "no path below the folder"),
            ("code of one's own", json.dumps([{"path": "", "type": "own.Transformer"}]),
             "the module 'own.Transformer' cannot be run"),
            ("no Transformer", json.dumps([{"path": "1_Pooling", "type": OLD + "Pooling"}]),
             "one Transformer must come first")):
        folder = Folder(work, [pooling])
        save(folder.path / "modules.json", text)
        refused(claim, folder, words)
    for kind in ("WordWeights", "CNN", "LSTM", "WeightedLayerPooling", "StaticEmbedding", "Asym"):
        refused(kind, Folder(work, [(kind, {}), pooling]), f"'{OLD}{kind}' cannot be run")
    without = Folder(work, [pooling]).config(prompts={"query": "bad "}).sentence(max_seq_length=4)
    (without.path / "modules.json").unlink()
    check("a folder without modules.json is pooled by mean", without, POOLINGS["mean"][1])
    told = run("import", without.path, "-o", without.imported()).stderr
    expect("what is not read is told", told.count("is not read: without modules.json") == 3, told)


def sentences(work):
    pooling = [("Pooling", {"embedding_dimension": WIDTH, "pooling_mode": "mean"})]
    long = "the good film . " * 12

    def length(folder):
        """Pieces that are read of a text, from the import and from its export."""
        return [len(embed(model, [long], "--pool", "none")[0])
                for model in (folder.imported(), folder.exported())]

    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"):
        expect(f"length of sentence_{kind}_config.json",
               length(Folder(work, pooling).sentence(kind, max_seq_length=9)) == [9, 9])
    first = Folder(work, pooling).sentence().sentence("albert", max_seq_length=7)
    expect("the first file that says anything", length(first) == [7, 7])
    for settings, wanted in (({}, 11), ({"max_seq_length": None}, 11),
                             ({"max_seq_length": 13}, 13), ({"max_seq_length": 400}, 40),
                             ({"tokenizer_args": {"model_max_length": 6}}, 6)):
        folder = Folder(work, pooling).sentence(**settings)
        save(folder.path / "tokenizer_config.json", {"model_max_length": 11})
        expect(f"length of {settings}", length(folder) == [wanted] * 2, length(folder))
    for settings, words in (({"query_length": 8}, "'query_length' is set"),
                            ({"max_seq_length": 0}, "max_seq_length is 0"),
                            ({"transformer_task": "fill-mask"}, "fill-mask"),
                            ({"model_args": {"rope_theta": 2}}, "model_args has 'rope_theta'"),
                            ({"pairs": True}, "'pairs' is set")):
        refused(words, Folder(work, pooling).sentence(**settings), words)
    usual = {"method": "forward", "method_output_name": "last_hidden_state"}
    check("the settings that are usual since 5.4",
          Folder(work, pooling).sentence(transformer_task="feature-extraction",
                                         modality_config={"text": usual}, unpad_inputs=True,
                                         module_output_name="token_embeddings", query_length=None),
          POOLINGS["mean"][1])
    for lowered in (False, True):
        folder = Folder(work, pooling, cased=True).sentence(do_lower_case=lowered)
        for model in (folder.imported(), folder.exported()):
            a, b = embed(model, ["The GOOD film", "the good film"])
            expect(f"do_lower_case {lowered}", (a == b) == lowered)
            special, lower = embed(model, ["good [SEP] film", "good [sep] film"])
            expect("special tokens are matched before", special != lower)
            rows = run("tokenize", model, "--json", text="The GOOD film\nthe good film\n").stdout
            a, b = (json.loads(row)["ids"] for row in rows.splitlines())
            expect("tokenize follows the tokenizer alone", a != b)
            pair = run("similarity", model, "--json", text="The GOOD film\tthe good film\n").stdout
            expect(f"similarity with do_lower_case {lowered}",
                   (json.loads(pair)["similarity"] > 0.999999) == lowered, pair)
            info = run("info", model, "--json").stdout
            expect("what an older program would misread is required",
                   ("embed_lowercase" in info) == lowered, info[:300])


def prompts(work):
    pooling = [("Pooling", {"embedding_dimension": WIDTH, "pooling_mode": "mean"})]
    texts = {"query": "bad ", "passage": "good the ", "document": ""}
    plain = Folder(work, pooling).imported()
    a, bad, good, own = embed(plain, ["film", "bad film", "good the film", "x film"])
    folder = Folder(work, pooling).config(prompts=texts, default_prompt_name="passage")
    for model in (folder.imported(), folder.exported()):
        for options, wanted in (((), good), (("--prompt", "query"), bad),
                                (("--prompt", "document"), a), (("--prompt", "text:x "), own),
                                (("--prompt", "text:"), a)):
            expect(f"prompts {options}", embed(model, ["film"], *options) == [wanted])
    done = run("embed", folder.imported(), "--prompt", "other", text="film\n")
    expect("a prompt that is not there", done.returncode == 2 and
           "the model has no prompt 'other'" in done.stderr, done.stderr)

    def score(model, *options, verb="similarity", text="film\tgoods\n"):
        done = run(verb, model, "--json", *options, text=text)
        expect(f"{verb} {options}", done.returncode == 0, done.stderr)
        return json.loads(done.stdout)

    def wanted(first, second, *options):
        return score(plain, *options, text=f"{first}\t{second}\n")["similarity"]

    model = folder.imported()
    for options, first, second in (
            ((), "good the film", "good the goods"),
            (("--prompt", "query"), "bad film", "bad goods"),
            (("--query-prompt", "query"), "bad film", "good the goods"),
            (("--passage-prompt", "text:x "), "good the film", "x goods"),
            (("--prompt", "query", "--passage-prompt", "text:"), "bad film", "goods")):
        expect(f"similarity {options}",
               score(model, *options)["similarity"] == wanted(first, second))
    corpus = work / "corpus.txt"
    save(corpus, "goods\n")
    for options, first, second in (
            ((), "bad film", "good the goods"), (("--prompt", "text:x "), "x film", "x goods"),
            (("--query-prompt", "text:", "--passage-prompt", "query"), "film", "bad goods")):
        found = score(model, "--file", corpus, *options, verb="search", text="film\n")
        expect(f"search {options}",
               abs(found["hits"][0]["score"] - wanted(first, second)) < 1e-6, found)
    left = Folder(work, [("Pooling", pooling[0][1] | {"include_prompt": False})]).config(
        prompts=texts, default_prompt_name="passage")
    for model in (left.imported(), left.exported()):
        rows = embed(plain, ["good the film"], "--pool", "none")[0][3:]
        off = max(abs(x - y) for x, y in zip(embed(model, ["film"])[0], POOLINGS["mean"][1](rows)))
        expect("include_prompt false", off < 1e-6, off)
        expect("include_prompt is told", "include_prompt" in run("info", model).stdout)
    x, y = embed(plain, ["film", "goods"])
    dots = {"cosine": sum(p * q for p, q in zip(normalized(x), normalized(y))),
            "dot": sum(p * q for p, q in zip(x, y)), "euclidean": -math.dist(x, y),
            "manhattan": -sum(abs(p - q) for p, q in zip(x, y))}
    for kind, value in dots.items():
        folder = Folder(work, pooling).config(similarity_fn_name=kind)
        for model, options in ((folder.imported(), ()), (folder.exported(), ()),
                               (plain, ("--similarity", kind))):
            expect(f"similarity {kind}",
                   abs(score(model, *options)["similarity"] - value) < 1e-5 * (1 + abs(value)))
            hit = score(model, "--file", corpus, *options, verb="search", text="film\n")["hits"][0]
            expect(f"search by {kind}", abs(hit["score"] - value) < 1e-5 * (1 + abs(value)), hit)
    for settings, words in (({"prompts": texts, "default_prompt_name": "title"},
                             "default_prompt_name is 'title', which is none of the prompts"),
                            ({"similarity_fn_name": "maxsim"}, "'maxsim' cannot be run"),
                            ({"prompts": ["query: "]}, "prompts is no JSON object"),
                            ({"model_type": "SparseEncoder"}, "a SparseEncoder cannot be run"),
                            ({"model_type": "CrossEncoder", "default_prompt_name": "query"},
                             "the default prompt 'query' of a CrossEncoder")):
        refused(words, Folder(work, pooling).config(**settings), words)
    always = Folder(work, pooling).config(prompts={}, default_prompt_name="query")
    expect("query is always a prompt", embed(always.imported(), ["film"]) == [a])


def main():
    with tempfile.TemporaryDirectory() as work:
        for part in (poolings, layers, modules, sentences, prompts):
            part(pathlib.Path(work))
    return 1 if failures else 0


sys.exit(main())
