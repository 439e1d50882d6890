# SPDX-License-Identifier: Apache-2.0
"""What import_compare.py compares: each check returns what differs, as lines to print."""
import json

import numpy as np

import folders_of_releases
import folders_of_tokenizers
import sqz

EXPECTED_HEAD = {"single": "sequence", "multi": "sequence", "regression": "sequence",
                 "token": "token", "question": "question", "masked-lm": "masked_lm",
                 "choice": "multiple_choice", "none": "none", "next-sentence": "none"}
BAR = 2e-5  # of the largest number, at least of 1: the bar of exactness.py
COSINE = 0.999999
TEXTS, RANDOM_TEXTS, PAIRS, RUN_TEXTS = [
    "The river is long, and the bicycle is yellow!",
    "Running quickly to the kitchen; un-re-pre-able.",
    "Köln, Berlin und Paris: große Straße 12,50 €",
    "naïve café élan Éclair ÀÇÑ \u0130stanbul ığdır", "привет мир, это не Город",
    "我你他中国人大天气很好。东京都カタナひらがな한국어", "", " \t spaced \n\n out \u00a0 ",
    "[CLS] literal [SEP] special [MASK] tokens [PAD] [UNK] [unused1]",
    "a blorx, BLORX! x<e1>y <E1> blorxes",
    "zero\u200bwidth\u00adhyphen\ufeff control\x07 \ufffd emoji 😀👍🏽", "a" * 101 + " " + "b" * 99,
    "don't can't it's O'Neill", "e\u0301 combining a\u0308 o\u0308 \u1e9e ﬁ ½ x² ｆｕｌｌ",
    "हم مرحبا बकم", "http://a.b/c?d=1&e=2 me@here.org #tag 3.50 50%"], 440, 40, 12


def texts_of(pick):
    """The texts above and random ones of the vocabulary's pieces and characters."""
    pieces = folders_of_tokenizers.vocabulary()

    def one():
        words = ["".join(p.removeprefix("##") for p in pick.choices(pieces, k=pick.randint(1, 3)))
                 for _ in range(pick.randint(1, 14))]
        return pick.choice([" ", " ", ", ", ""]).join(w.upper() if pick.random() < 0.1 else w
                                                      for w in words)

    texts = TEXTS + [one() for _ in range(RANDOM_TEXTS)] + [" ".join(one() for _ in range(12))]
    return texts, [(pick.choice(texts), pick.choice(texts)) for _ in range(PAIRS)]


def largest_difference(got, expected):
    if got.shape != expected.shape:
        return f"shape {list(got.shape)}, expected {list(expected.shape)}"
    error, scale = float(np.abs(got - expected).max()), max(1.0, float(np.abs(expected).max()))
    return None if error <= BAR * scale else f"off by {error:.1e} of {scale:.2g}"


def tokens(program, path, reference, texts, pairs):
    """What differs, and the reference's (ids, types) of every text."""
    records = [{"text": text} for text in texts] + [{"text": a, "text2": b} for a, b in pairs]
    length, ours, runs, bad = reference.length, [], [], []
    for some, options in ((records[:len(texts)], []),
                          (records[len(texts):], ["--pair", "--text2", "text2"])):
        rc, out, error = program("tokenize", path, "--json", "--input", "jsonl", "--long", "cut",
                                 "--max-length", length, *options, records=some)
        if rc or len(out) != len(some):
            return [
                f"tokenize: exit code {rc}, {len(out)} of {len(some)} records: {error[:200]}"], []
        ours += out
    for record, got in zip(records, ours):
        wanted = reference.tokenizer(*([text] for text in record.values()), truncation=True,
                                     max_length=length, return_offsets_mapping=True)
        # a list, since "" alone would not count as a text
        wanted = {key: rows[0] for key, rows in wanted.items()}
        # types that a tokenizer does not give are 0 to a model that has them
        wanted.setdefault("token_type_ids", got["types"] if reference.untyped
                          else [0] * len(wanted["input_ids"]))
        runs.append((wanted["input_ids"], wanted["token_type_ids"]))
        for key, theirs in (("ids", "input_ids"), ("types", "token_type_ids"),
                            ("offsets", "offset_mapping")):
            expected = [list(x) if isinstance(x, tuple) else x for x in wanted[theirs]]
            if got.get(key) != expected:
                at = next((i for i, (a, b) in enumerate(zip(got.get(key, []), expected)) if a != b),
                          min(len(got.get(key, [])), len(expected)))
                bad.append(f"{key} of {record['text'][:40]!r}: {len(got.get(key, []))} and "
                           f"{len(expected)}, at {at} "
                           f"{str(got.get(key, [])[at:at + 4])} for {str(expected[at:at + 4])}")
                break
    return [f"tokens: {len(bad)} of {len(records)} texts: {bad[0]}"] if bad else [], runs


def numbers(path, reference, ids, types, row):
    rows, bad = reference.run(ids, types), []
    engine = sqz.Model(path)
    try:
        has_types = row["type"] != "distilbert"
        batch = sqz.Packed([np.array(i) for i in ids],
                           [np.array(t) for t in types] if has_types else None)
        checks = [("hidden", engine.encode(batch), np.concatenate([r[0] for r in rows]))]
        if engine.info.has_pooler and rows[0][1] is not None:
            checks.append(("pooled", engine.embed(batch, sqz.POOL_POOLER),
                           np.concatenate([r[1] for r in rows])))
        if rows[0][2] is not None:
            if engine.info.head == sqz.HEAD_NONE:
                bad.append("logits: the head was not imported")
            else:
                checks.append(("logits", engine.logits(batch),
                               np.concatenate([r[2] for r in rows])))
        for name, got, expected in checks:
            difference = largest_difference(got, expected)
            if difference:
                bad.append(f"{name}: {difference}")
    finally:
        engine.close()
    return bad


def labels(program, path, reference, texts, row):
    rc, out, error = program("info", path, "--json")
    info = json.loads(out) if rc == 0 else {}
    expected, bad = EXPECTED_HEAD.get(row["head"],
                                      "masked_lm" if row["type"] == "bert" else "none"), []
    if info.get("head") != expected:
        return [f"head: {info.get('head')} for {expected} {error[:100]}"]
    if info["max_length"] != reference.length:
        bad.append(f"max_length: {info['max_length']} for {reference.length}")
    named = [reference.model.config.id2label[i] for i in range(reference.model.config.num_labels)]
    if row["head"] in folders_of_releases.LABELS and info["labels"] != named:
        bad.append(f"labels: {info['labels']} for {named}")
    if expected != "sequence" or info["labels"] != named:
        return bad
    rc, out, error = program("classify", path, "--json", "--input", "jsonl", "--max-length",
                             reference.length, "--long", "cut",
                             records=[{"text": text} for text in texts])
    if rc or len(out) != len(texts):
        return bad + [f"classify: exit code {rc}: {error[:200]}"]
    for text, got, wanted in zip(texts, out, reference.scores(texts)):
        scores = got.get("scores", got.get("values"))
        if scores is None or len(scores) != len(named):
            return bad + [f"scores: {str(got)[:120]}"]
        worst = max(abs(s - wanted[label]) for s, label in zip(scores, named))
        if not worst <= 1e-4 * max(1, *map(abs, wanted.values())):
            return bad + [f"scores of {text[:30]!r}: {scores} for {wanted}"]
    return bad


def vectors(program, path, reference, texts):
    sentences, bad = reference.sentences, []
    names = [None] + sorted(name for name, prompt in sentences.prompts.items() if prompt)
    for name in names:
        arguments = ["--prompt", name] if name else []
        rc, out, error = program("embed", path, "--json", "--input", "jsonl", "--long", "cut",
                                 *arguments, records=[{"text": text} for text in texts])
        if rc or len(out) != len(texts):
            return [f"embed, prompt {name}: exit code {rc}, {len(out)} of {len(texts)}: "
                    f"{error[:200]}"]
        got = np.array([r["embedding"] for r in out], float)
        wanted = sentences.encode(texts, prompt_name=name, batch_size=1,
                                  show_progress_bar=False).astype(float)
        lengths = np.linalg.norm(got, axis=1), np.linalg.norm(wanted, axis=1)
        cosine = (got * wanted).sum(1) / lengths[0] / lengths[1]
        worst = int(cosine.argmin())
        if not cosine[worst] >= COSINE:
            bad.append(f"vectors, prompt {name}: {(cosine < COSINE).sum()} of {len(texts)}, cosine "
                       f"{cosine[worst]:.6f} for {texts[worst][:40]!r}")
        elif not np.allclose(*lengths, rtol=1e-5):
            bad.append(f"vectors, prompt {name}: lengths {lengths[0][0]:.4f} for "
                       f"{lengths[1][0]:.4f}")
    return bad
