#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The program's verbs beside the pipelines of Transformers: ner, fill-mask, classify, zero-shot,
and qa and embed beside what Transformers' models give with the rules of ref/qa_reference.py and of
pooling written out here.

    pipelines_compare.py WORK_FOLDER PROGRAM VOCAB_FOLDER [--wnut FOLDER] [--minilm FOLDER]
        [--texts N] [--seed S]

Small models of every type with random weights, and with --wnut and --minilm a token classifier that
is fitted on the frozen MiniLM. Spans, labels, ids, offsets and the order of answers must be equal
and numbers within 1e-5 (embeddings, logits and a regression's scores: of the largest). A choice
that the reference makes by less than 1e-5 is a tie and counted apart; for ner, where choices build
on choices, one is a tie where the pipeline in float64 gives our answer from our logits. Exit 1 if
anything differs. Files of an earlier run in WORK_FOLDER are used again.
"""
import argparse
import json
import pathlib
import subprocess
import sys

import numpy as np
import torch
import transformers
from transformers import AutoConfig, AutoTokenizer, TokenClassificationPipeline, pipeline

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "ref"))
import pipelines_texts
import qa_reference

NEAR = 1e-5
BIO = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
IOBES = ["O"] + [f"{p}-{t}" for t in ("PER", "LOC") for p in "BIES"]
BILOU = ["O"] + [f"{p}-{t}" for t in ("PER", "LOC") for p in "BILU"]
NLI = ["contradiction", "neutral", "entailment"]
SIZE = dict(hidden_size=96, num_hidden_layers=3, num_attention_heads=6, intermediate_size=200,
            max_position_embeddings=512)
DISTIL = dict(dim=96, n_layers=3, n_heads=6, hidden_dim=200, max_position_embeddings=512)
SQUEEZE = dict(SIZE, embedding_size=96, q_groups=4, k_groups=2, v_groups=3, post_attention_groups=1,
               intermediate_groups=4, output_groups=8)
STRATEGIES = ["none", "simple", "first", "average", "max"]


@torch.no_grad()
def build(folder, kind, class_name, vocabulary, labels=None, sizes=None, **config):
    """A folder with a random model and its tokenizer; its tokenizer and model."""
    if not (folder / "config.json").exists():
        torch.manual_seed(sum(map(ord, folder.name)))
        lower = "-cased" not in str(vocabulary)
        tokenizer = transformers.BertTokenizerFast(vocab_file=str(vocabulary), vocab=str(
            vocabulary), do_lower_case=lower, model_max_length=sizes["max_position_embeddings"])
        if labels:
            config.update(id2label=dict(enumerate(labels)),
                          label2id={x: i for i, x in enumerate(labels)})
        model = getattr(transformers, class_name)(
            AutoConfig.for_model(kind, vocab_size=len(tokenizer), **sizes, **config)).float().eval()
        for key, parameter in model.named_parameters():
            gain = "norm" in key.lower() and key.endswith("weight")
            # so that pieces differ more than layers mix them
            own = ("word_embeddings" in key or "classifier" in key or "qa_outputs" in key
                   or "out_proj" in key)
            parameter.normal_(1.0 if gain else 0.0, 0.1 if gain else 0.5 if own else 0.08)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder), getattr(transformers, class_name).from_pretrained(
        folder).float().eval()


class Ours:
    def __init__(self, program, folder):
        self.program, self.path = program, folder / "model.gguf"
        subprocess.run([program, "import", folder, "-o", self.path], check=True,
                       capture_output=True)

    def __call__(self, verb, records, *options):
        lines = "".join(json.dumps(r) + "\n" for r in records)
        out = subprocess.run([self.program, verb, self.path, "--input", "jsonl", "--json",
                              "--progress", "none", *options], input=lines.encode(),
                             capture_output=True)
        rows = [json.loads(line) for line in out.stdout.decode().splitlines()]
        if len(rows) != len(records) or out.returncode > 1:
            sys.exit(f"{verb}: {len(rows)} records of {len(records)}; {out.stderr.decode()[-300:]}")
        return rows


class Tally:
    """Prints a row of the table for each comparison; the largest difference of numbers, what
    differs, and the ties."""

    def __init__(self):
        self.bad = 0
        print("| verb | model | what | records | answers | differ | ties | largest difference of a "
              "number |\n|---|---|---|---|---|---|---|---|", flush=True)

    def begin(self, verb, model, what):
        self.row, self.n, self.answers, self.differ, self.ties, self.largest = ((verb, model, what),
                                                                                0, 0, 0, 0, 0.0)

    def record(self, ours, theirs, numbers, context, tie=False):
        """ours, theirs: what must be equal; numbers: pairs that must be near."""
        self.n += 1
        self.answers += len(theirs) if isinstance(theirs, list) else 1
        off = max((float(np.abs(np.asarray(a, float) - np.asarray(b, float)).max(initial=0))
                   for a, b in numbers), default=0.0) if ours == theirs else 0.0
        self.largest = max(self.largest, off)
        if ours == theirs and off <= NEAR:
            return
        if tie:
            self.ties += 1
            return
        self.differ += 1
        if self.differ <= 3:
            print(f"DIFFERENT {self.row} {context!r}\n  ours   {ours}\n  theirs {theirs}\n"
                  f"  numbers off by {off:.2e}")

    def end(self):
        self.bad += self.differ
        print("| {} | {} | {} | {} | {} | {} | {} | {:.1e} |".format(
            *self.row, self.n, self.answers, self.differ, self.ties, self.largest), flush=True)


class MarkedEnds(TokenClassificationPipeline):
    """The pipeline for label sets that mark ends, by the words of include/squeezebert/task.h: S and
    U are a span of their own, E and L end one."""

    def get_tag(self, name):
        return ("B" if name[0] in "SU" else "I",
                name[2:]) if name[:2] in ("S-", "U-", "E-", "L-") else super().get_tag(name)

    def group_entities(self, entities):
        groups = []
        for entity in entities:
            begins, tag = self.get_tag(entity["entity"])
            before = groups[-1][-1]["entity"] if groups else ""
            if groups and tag == self.get_tag(before)[1] and begins != "B" and before[:2] not in (
                    "S-", "U-", "E-", "L-"):
                groups[-1].append(entity)
            else:
                groups.append([entity])
        return [self.group_sub_entities(group) for group in groups]


def near_tie(rows):
    """Whether some row's largest number leads by less than NEAR."""
    ordered = np.sort(np.asarray(rows, float), axis=-1)
    return ordered.shape[-1] > 1 and bool((ordered[..., -1] - ordered[..., -2] < NEAR).any())


def spans_of(entities):
    return [(e.get("entity", e.get("entity_group")), e["word"], e["start"], e["end"])
            for e in entities]


def pipeline_on(pipe, text, strategy, stride, logits):
    """The answer of the pipeline, in float64, from other logits, those of all windows one behind
    the other."""
    before, _, after = pipe._sanitize_parameters(aggregation_strategy=strategy, stride=stride)
    outputs, row = [], 0
    for chunk in pipe.preprocess(text, **before):
        n = int(chunk["attention_mask"].sum())
        outputs.append({key: value[:, :n] if torch.is_tensor(value) else value
                        for key, value in chunk.items()})
        outputs[-1]["logits"] = torch.tensor(logits[row:row + n], dtype=torch.float64)[None]
        row += n
    return spans_of(pipe.postprocess(outputs, **after))


def ner(tally, name, ours, tokenizer, model, texts, stride=None):
    pipe = (MarkedEnds if any(x[:2] in ("S-", "U-") for x in model.config.id2label.values())
            else TokenClassificationPipeline)(model=model, tokenizer=tokenizer)
    for strategy in STRATEGIES if stride is None else STRATEGIES[1:]:
        tally.begin("ner", name, strategy + (f", windows of {tokenizer.model_max_length}, stride "
                                             f"{stride}" if stride is not None else ""))
        options = ["--long", "cut"] if stride is None else [
            "--max-length", str(tokenizer.model_max_length), "--stride", str(stride)]
        rows = ours("ner", [{"text": t} for t in texts], "--aggregation", strategy, "--logits",
                    *options)
        for text, row in zip(texts, rows):
            want = pipe(text, aggregation_strategy=strategy,
                        **({} if stride is None else {"stride": stride}))
            got, expected = [(e["label"], e["word"], e["start"], e["end"])
                             for e in row["entities"]], spans_of(want)
            tie = got != expected and got == pipeline_on(pipe, text, strategy, stride,
                                                         row["logits"])
            tally.record(got, expected, [([e["score"] for e in row["entities"]],
                                          [float(e["score"]) for e in want])], text, tie)
        tally.end()


def masks(tally, name, ours, tokenizer, model, texts):
    pipe = pipeline("fill-mask", model=model, tokenizer=tokenizer)
    for what, options, keywords in (("top 5", [], {}), ("top 20", ["-k", "20"], {"top_k": 20}),
                                    ("targets", ["--targets", "good,bad,##s", "-k", "3"],
                                     {"targets": ["good", "bad", "##s"], "top_k": 3})):
        tally.begin("fill-mask", name, what)
        for text, row in zip(texts, ours("fill-mask", [{"text": t} for t in texts], *options)):
            want = pipe(text, tokenizer_kwargs={"truncation": True}, **keywords)
            want = want if isinstance(want[0], list) else [want]
            got = [[(c["token"], c["piece"], c["sequence"]) for c in m["candidates"]]
                   for m in row["masks"]]
            expected = [[(c["token"], c["token_str"], c["sequence"]) for c in m] for m in want]
            numbers = [([c["score"] for c in m["candidates"]], [c["score"] for c in w])
                       for m, w in zip(row["masks"], want)]
            gaps = [np.diff(sorted(c["score"] for c in m)) for m in want]
            tally.record(got, expected, numbers, text, any((g < 1e-7).any() for g in gaps))
        tally.end()


def classes(tally, name, what, ours, tokenizer, model, records):
    pipe = pipeline("text-classification", model=model, tokenizer=tokenizer)
    labels = [model.config.id2label[k] for k in range(model.config.num_labels)]
    tally.begin("classify", name, what)
    options = ["--text2", "text_pair"] if "text_pair" in records[0] else []
    wanted = [{x["label"]: x["score"] for x in pipe(dict(record), top_k=None, truncation=True)}
              for record in records]
    wanted = np.array([[want[x] for x in labels] for want in wanted])
    unit = max(1.0, float(np.abs(wanted).max()))  # a regression has no bounds
    for record, row, scores in zip(records, ours("classify", records, "--logits", *options),
                                   wanted):
        tally.record(row["label"], labels[int(np.argmax(scores))],
                     [(np.array(row["scores"]) / unit, scores / unit),
                      ([row["score"] / unit], [scores.max() / unit])], record, near_tie(scores))
    tally.end()


def zero_shot(tally, name, ours, tokenizer, model, texts):
    pipe = pipeline("zero-shot-classification", model=model, tokenizer=tokenizer)
    candidates = ["sport", "the weather", "politics", "Zürich"]
    for what, used, options, keywords in (
            ("4 labels", candidates, [], {}), ("1 label", candidates[:1], [], {}),
            ("multi label", candidates, ["--multi-label"], {"multi_label": True}),
            ("own hypothesis", candidates, ["--hypothesis", "It is about {} today."],
             {"hypothesis_template": "It is about {} today."})):
        tally.begin("zero-shot", name, what)
        for text, row in zip(texts, ours("zero-shot", [{"text": t} for t in texts], "--labels",
                                         ",".join(used), *options)):
            want = pipe(text, candidate_labels=used, **keywords)
            scores = [want["scores"][want["labels"].index(x)] for x in used]
            tally.record(row["label"], want["labels"][0], [(row["scores"], scores)], text,
                         near_tie(scores))
        tally.end()


@torch.no_grad()
def windows_of(tokenizer, model, question, context, length, stride):
    """[(pieces, logits)] of each window, as qa_reference wants them."""
    cut = tokenizer(question, context, truncation="only_second", max_length=length, stride=stride,
                    return_overflowing_tokens=True, return_offsets_mapping=True)
    out = []
    for w, encoding in enumerate(cut.encodings):
        names = [n for n in ("token_type_ids",) if n in tokenizer.model_input_names
                 and model.config.model_type != "distilbert"]
        result = model(input_ids=torch.tensor([cut["input_ids"][w]]),
                       **{n: torch.tensor([cut[n][w]]) for n in names})
        pieces = [(None if s is None else s, *o)
                  for s, o in zip(encoding.sequence_ids, encoding.offsets)]
        out.append((pieces, torch.stack([result.start_logits[0], result.end_logits[0]],
                                        -1).double().tolist()))
    return out


def questions(tally, name, ours, tokenizer, model, pairs):
    for what, length, stride, options, rule in (
            ("best", 512, 128, [], {}), ("5 best", 512, 128, ["-n", "5"], {}),
            ("20 best, windows of 64, stride 16", 64, 16, ["-n", "20"], {}),
            ("no answer, windows of 96, stride 40", 96, 40,
             ["-n", "3", "--no-answer", "--null-threshold", "0.5"],
             {"no_answer": True, "null_threshold": 0.5}),
            ("answers of at most 4 pieces", 128, 32, ["-n", "10", "--longest", "4"],
             {"max_answer_pieces": 4})):
        tally.begin("qa", name, what)
        records = [{"question": q, "context": c} for q, c in pairs]
        rows = ours("qa", records, "--logits", "--max-length", str(length), "--stride", str(stride),
                    *options)
        for record, row in zip(records, rows):
            windows = windows_of(tokenizer, model, record["question"], record["context"],
                                 length, stride)
            ranked = qa_reference.best_answers(windows, **rule)
            worths = np.array([r[2] for r in ranked])
            want, scores = ranked[:len(row["answers"])], [r[3] for r in ranked]
            expected = [(0, 0, None) if b is None else (b, e, record["context"][b:e])
                        for b, e, _, _ in want]
            got = [(a["start"], a["end"], a["answer"]) for a in row["answers"]]
            logits = np.concatenate([np.array(w[1]) for w in windows])
            tie = len(worths) > 1 and bool((np.abs(np.diff(worths)) < 1e-5).any())
            tally.record(got, expected, [([a["score"] for a in row["answers"]], scores[:len(want)]),
                                         (np.array(row["logits"]) / np.abs(logits).max(),
                                          logits / np.abs(logits).max())], record, tie)
        tally.end()


@torch.no_grad()
def embeddings(tally, name, ours, tokenizer, model, texts):
    def vector(text, pool, normalize, dimensions):
        inputs = tokenizer(text, return_tensors="pt", truncation=True)
        out = model(**inputs)
        hidden = out.last_hidden_state[0].double().numpy()
        if pool == "none":
            return hidden[:, :dimensions]
        v = (hidden.mean(0) if pool == "mean" else hidden[0] if pool == "cls"
             else out.pooler_output[0].double().numpy())
        v = v[:dimensions]
        return v / np.linalg.norm(v) if normalize else v
    has_pooler = getattr(model, "pooler", None) is not None
    for pool, normalize, dimensions, prompt in (
            ("mean", True, None, ""), ("mean", False, None, "query: "), ("cls", True, 32, ""),
            ("mean", True, 17, ""), ("pooler", False, None, ""), ("none", False, None, "")):
        if pool == "pooler" and not has_pooler:
            continue
        tally.begin("embed", name, pool + (", normalised" if normalize else "")
                    + (f", {dimensions} dimensions" if dimensions else "")
                    + (", prompt" if prompt else ""))
        options = ["--pool", pool, "--normalize" if normalize else "--no-normalize"]
        options += ["--dimensions", str(dimensions)] if dimensions else []
        options += ["--prompt", "query"] if prompt else []
        for text, row in zip(texts, ours("embed", [{"text": t} for t in texts], *options)):
            want = vector(prompt + text, pool, normalize, dimensions)
            got = np.array(row["embeddings" if pool == "none" else "embedding"])
            largest = np.abs(want).max()
            tally.record(got.shape, want.shape,
                         [(got / largest, want / largest)] if got.shape == want.shape else [], text)
        tally.end()


@torch.no_grad()
def fit_tagger(folder, minilm, wnut, steps=400):
    """A token classifier whose only trained part is its last layer, over MiniLM's states of the
    first 800 training sentences."""
    if (folder / "config.json").exists():
        return (AutoTokenizer.from_pretrained(folder),
                transformers.AutoModelForTokenClassification.from_pretrained(folder).float().eval())
    sentences = pipelines_texts.conll(wnut / "wnut17train.conll")[:800]
    labels = sorted({tag for _, tags in sentences for tag in tags}, key=lambda x: (x != "O", x))
    tokenizer = AutoTokenizer.from_pretrained(minilm)
    tokenizer.model_max_length = 512
    model = transformers.AutoModelForTokenClassification.from_pretrained(minilm, id2label=dict(
        enumerate(labels)), label2id={x: i for i, x in enumerate(labels)}).float().eval()
    states, targets = [], []
    for words, tags in sentences:
        inputs = tokenizer(words, is_split_into_words=True, return_tensors="pt", truncation=True)
        words_of = inputs.word_ids()
        keep = [i for i, w in enumerate(words_of) if w is not None]
        states.append(model.bert(**inputs).last_hidden_state[0][keep])
        targets += [labels.index(tags[words_of[i]]) for i in keep]
    states, targets = torch.cat(states), torch.tensor(targets)
    head, optimiser = model.classifier, torch.optim.Adam(model.classifier.parameters(), 0.02)
    for _ in range(steps):
        with torch.enable_grad():
            loss = torch.nn.functional.cross_entropy(head(states), targets)
            optimiser.zero_grad()
            loss.backward()
        optimiser.step()
    print(f"fitted on {len(targets)} pieces: loss {loss.item():.3f}, accuracy "
          f"{(head(states).argmax(-1) == targets).float().mean().item():.3f}")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tokenizer, model


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("program")
    parser.add_argument("vocabularies", type=pathlib.Path)
    parser.add_argument("--wnut", type=pathlib.Path)
    parser.add_argument("--minilm")
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="verbs, comma between them")
    o = parser.parse_args()
    o.work.mkdir(parents=True, exist_ok=True)
    uncased, cased = (o.vocabularies / f"bert-base-{x}-vocab.txt" for x in ("uncased", "cased"))
    texts = pipelines_texts.texts(o.texts, o.seed, o.wnut)
    long = pipelines_texts.long_texts(max(4, o.texts // 10), o.seed)
    tally = Tally()

    def model(name, kind, class_name, vocabulary=uncased, **config):
        tokenizer, m = build(o.work / name, kind, class_name, vocabulary, **config)
        return tokenizer, m, Ours(o.program, o.work / name)

    def wanted(verb):
        return not o.only or verb in o.only.split(",")
    if wanted("ner"):
        for name, kind, class_name, vocabulary, labels, sizes in (
                ("ner-bert-bio", "bert", "BertForTokenClassification", cased, BIO, SIZE),
                ("ner-squeezebert-bio", "squeezebert", "SqueezeBertForTokenClassification", uncased,
                 BIO, SQUEEZE),
                ("ner-distilbert-iobes", "distilbert", "DistilBertForTokenClassification", uncased,
                 IOBES, DISTIL), ("ner-electra-bilou", "electra", "ElectraForTokenClassification",
                                  uncased, BILOU, SIZE)):
            tokenizer, m, ours = model(name, kind, class_name, vocabulary, labels=labels,
                                       sizes=sizes)
            ner(tally, name, ours, tokenizer, m, texts)
            tokenizer.model_max_length = 64
            ner(tally, name, ours, tokenizer, m, long, stride=16)
        if o.wnut and o.minilm:
            tokenizer, m = fit_tagger(o.work / "ner-minilm-wnut17", o.minilm, o.wnut)
            ours = Ours(o.program, o.work / "ner-minilm-wnut17")
            ner(tally, "ner-minilm-wnut17, fitted", ours, tokenizer, m,
                pipelines_texts.wnut_texts(o.wnut, o.texts))
            tokenizer.model_max_length = 128
            ner(tally, "ner-minilm-wnut17, fitted", ours, tokenizer, m, pipelines_texts.long_texts(
                4, o.seed, " ".join(pipelines_texts.wnut_texts(o.wnut, 300)).split()), stride=32)
    if wanted("fill-mask"):
        for name, kind, class_name, sizes in (
                ("mask-bert", "bert", "BertForMaskedLM", SIZE),
                ("mask-squeezebert", "squeezebert", "SqueezeBertForMaskedLM", SQUEEZE),
                ("mask-distilbert", "distilbert", "DistilBertForMaskedLM", DISTIL),
                ("mask-electra", "electra", "ElectraForMaskedLM", dict(SIZE, embedding_size=48))):
            tokenizer, m, ours = model(name, kind, class_name, sizes=sizes)
            masks(tally, name, ours, tokenizer, m,
                  pipelines_texts.masked(texts, o.seed)[:o.texts // 2])
    if wanted("classify"):
        # Transformers takes a pair with an empty second text for a single one
        pairs = [{"text": a, "text_pair": b} for a, b in zip(texts, reversed(texts + long)) if b]
        for name, kind, class_name, sizes, labels, config in (
                ("classify-bert", "bert", "BertForSequenceClassification", SIZE,
                 ["bad", "good", "so-so"], {}),
                ("classify-squeezebert-multi", "squeezebert",
                 "SqueezeBertForSequenceClassification", SQUEEZE, ["a", "b", "c", "d"],
                 {"problem_type": "multi_label_classification"}),
                ("classify-distilbert-regression", "distilbert",
                 "DistilBertForSequenceClassification", DISTIL, ["score"],
                 {"problem_type": "regression"}),
                ("classify-electra-one", "electra", "ElectraForSequenceClassification", SIZE,
                 ["spam"], {})):
            tokenizer, m, ours = model(name, kind, class_name, labels=labels, sizes=sizes, **config)
            classes(tally, name, "texts", ours, tokenizer, m, [{"text": t} for t in texts + long])
            classes(tally, name, "pairs", ours, tokenizer, m, pairs)
    if wanted("zero-shot"):
        tokenizer, m, ours = model("nli-bert", "bert", "BertForSequenceClassification", labels=NLI,
                                   sizes=SIZE)
        zero_shot(tally, "nli-bert", ours, tokenizer, m, texts[:o.texts // 2] + long[:3])
    if wanted("qa"):
        for name, kind, class_name, sizes in (
                ("qa-bert", "bert", "BertForQuestionAnswering", SIZE),
                ("qa-squeezebert", "squeezebert", "SqueezeBertForQuestionAnswering", SQUEEZE),
                ("qa-distilbert", "distilbert", "DistilBertForQuestionAnswering", DISTIL)):
            tokenizer, m, ours = model(name, kind, class_name, sizes=sizes)
            questions(tally, name, ours, tokenizer, m,
                      list(zip(pipelines_texts.short(texts), texts[:o.texts // 4] + long)))
    if wanted("embed"):
        for name, kind, class_name, sizes in (("embed-bert", "bert", "BertModel", SIZE),
                                              ("embed-squeezebert", "squeezebert",
                                               "SqueezeBertModel", SQUEEZE)):
            tokenizer, m = build(o.work / name, kind, class_name, uncased, sizes=sizes)
            (o.work / name / "config_sentence_transformers.json").write_text(json.dumps(
                {"prompts": {"query": "query: ", "document": ""}, "default_prompt_name": None}))
            embeddings(tally, name, Ours(o.program, o.work / name), tokenizer, m,
                       texts[:o.texts // 2] + long)
    return 1 if tally.bad else 0


if __name__ == "__main__":
    sys.exit(main())
