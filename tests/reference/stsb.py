#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""STS-B by cosine without any training: mean-pooled, normalised embeddings of the two sentences,
Spearman and Pearson against the gold scores.

Once by Transformers (f32) and once by this library on the same ids, so that what differs is the
encoder alone.

    stsb.py MODEL_FOLDER VOCAB.txt DATA_FOLDER WORK_FOLDER [--cpu LEVEL]      DATA_FOLDER holds
        glue/STS-B/dev.tsv
"""
import argparse
import csv
import pathlib

import numpy as np
import torch
from scipy.stats import pearsonr, spearmanr
from tokenizers import BertWordPieceTokenizer
from transformers import AutoModel

import model_file
import sqz


def read(data):
    with open(pathlib.Path(data) / "glue" / "STS-B" / "dev.tsv", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [r["sentence1"] for r in rows], [r["sentence2"] for r in rows], np.array(
        [float(r["score"]) for r in rows])


@torch.no_grad()
def theirs(model, ids):
    """Sentences of one length together, so that nothing is padded."""
    out = np.empty((len(ids), model.config.hidden_size), np.float32)
    for length in {len(s) for s in ids}:
        chosen = [i for i, s in enumerate(ids) if len(s) == length]
        out[chosen] = model(input_ids=torch.tensor(
            np.stack([ids[i] for i in chosen]))).last_hidden_state.mean(1).numpy()
    return out


def ours(path, ids, cpu):
    engine = sqz.Model(path, 1, cpu, tokens=64 * 512)
    parts = [engine.embed(sqz.Packed(ids[i:i + 64]), sqz.POOL_MEAN) for i in range(0, len(ids), 64)]
    engine.close()
    return np.concatenate(parts)


def scores(vectors, gold):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = (unit[:len(gold)] * unit[len(gold):]).sum(1)
    return spearmanr(cosine, gold).statistic, pearsonr(cosine, gold).statistic


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "vocab", "data", "work"):
        parser.add_argument(name)
    parser.add_argument("--cpu")
    options = parser.parse_args()
    first, second, gold = read(options.data)
    tokenizer = BertWordPieceTokenizer(options.vocab, lowercase=True)
    ids = [np.array(tokenizer.encode(text).ids) for text in first + second]
    model = AutoModel.from_pretrained(options.model).float().eval()
    path = pathlib.Path(options.work) / "stsb.gguf"
    path.parent.mkdir(parents=True, exist_ok=True)
    model_file.write(model, model_file.read_vocabulary(options.vocab), path)
    print("| engine | Spearman | Pearson | n |\n|---|---|---|---|")
    for name, vectors in (("Transformers f32", theirs(model, ids)),
                          ("ours f32", ours(path, ids, options.cpu))):
        print("| {} | {:.6f} | {:.6f} | {} |".format(name, *scores(vectors, gold), len(gold)),
              flush=True)


if __name__ == "__main__":
    main()
