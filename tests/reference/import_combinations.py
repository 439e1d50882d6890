# SPDX-License-Identifier: Apache-2.0
"""The folders of import_compare.py: every pair of values of DIMENSIONS stands in one of them, but
for what nobody wrote (NEVER). REFUSED_RIGHTLY says which may be refused."""
import covering

DIMENSIONS = {
    "type": ["bert", "distilbert", "electra", "squeezebert"],
    "head": ["none", "single", "multi", "regression", "token", "question", "masked-lm", "choice",
             "pre-training", "next-sentence"],
    "release": ["2.1", "2.8", "3.5", "4.10", "4.40", "5"],
    "weights": ["safetensors", "zip", "legacy", "safetensors-shards", "zip-shards"],
    "dtype": ["float32", "float16", "bfloat16"],
    "tokenizer": ["tokenizer.json", "vocab.txt", "both"],
    "case": ["uncased", "cased", "accents", "disagree"],
    "added": ["none", "tokens"],
    "layout": ["plain", "sentences-0.3", "sentences-2.2", "sentences-5.4"],
    "pooling": ["mean", "cls", "max", "mean_sqrt_len_tokens"],
}
SENTENCES = DIMENSIONS["layout"][1:]


def parts(why, **values):
    """Each of these values with each: [(part of a row, why)]."""
    found = [{}]
    for name, some in values.items():
        found = [row | {name: value} for row in found for value in some.split()]
    return [(row, why) for row in found]


NEVER = [
    *parts("no such class", type="distilbert squeezebert", head="pre-training next-sentence"),
    *parts("no such class", type="electra", head="next-sentence"),
    *parts("SqueezeBERT came with 3.4", type="squeezebert", release="2.1 2.8"),
    *parts("ELECTRA came with 2.8", type="electra", release="2.1"),
    *parts("these classes came later", type="electra", release="2.8",
           head="single regression question choice"),
    *parts("the class came with 3.0", type="distilbert", release="2.8", head="choice"),
    *parts("problem_type came with 4.6", head="multi", release="2.1 2.8 3.5"),
    *parts("no option names this head, and this release no class", head="choice", release="2.1"),
    *parts("Sentence-Transformers refuses a config.json without model_type", release="2.1",
           layout=" ".join(SENTENCES)),
    *parts("pooling is Sentence-Transformers'", layout="plain",
           pooling="cls max mean_sqrt_len_tokens"),
    *parts("nothing to disagree with", case="disagree", tokenizer="vocab.txt"),
]
# (part of a row, a word that the message must hold, why the refusal is right): none at present
REFUSED_RIGHTLY = []


def matches(row, part):
    return all(row.get(name) == value for name, value in part.items())


def allowed(row):
    return not any(matches(row, part) for part, _ in NEVER)


def name_of(row):
    return " ".join(row.values())


def combinations(coverings):
    """Each covering has every pair, with other company."""
    return [row for seed in range(coverings)
            for row in covering.rows(DIMENSIONS, allowed, seed)]


def refused_rightly(row, message):
    return any(matches(row, part) and word in message for part, word, _ in REFUSED_RIGHTLY)
