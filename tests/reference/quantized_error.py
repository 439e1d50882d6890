#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The error of quantised models' hidden states against Transformers in float64, beside that of
other engines' int8 and bf16 on the same inputs.

For every model: the f32 file is written by model_file.py, quantised by the program, and run on a
few sequences one by one, so that nothing is padded for anybody. Error: norm of the difference over
the norm of the reference, all tokens together. Random-weight models get random ids, MiniLM
sentences of SST-2 dev. Bars: s8 at most the best peer's int8, of random-weight models also at most
4 %; bf16 at most PyTorch's bf16. Exit 1 if one was missed.

    quantized_error.py WORK_FOLDER --vocab VOCAB.txt --data DATA [--minilm FOLDER] [--models a,b]
        [--peers NAME;NAME | --peers none] [--levels avx512,...]
                       [--calibrate TEXTS]

Converted models stay in WORK_FOLDER/MODEL. Peers: those of bench/peers/engines.py; what cannot run
a model is a row "not run".
"""
import argparse
import pathlib
import subprocess
import sys

import numpy as np
import torch
from tokenizers import BertWordPieceTokenizer
from transformers import AutoModel

import make_models
import model_file
import sqz

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench" / "peers"))
import engines  # noqa: E402
import inputs  # noqa: E402

LENGTHS = [7, 16, 33, 64, 128]
PEERS = ["ONNX Runtime dynamic int8", "ONNX Runtime dynamic int8, fused", "OpenVINO int8, f32 hint",
         "OpenVINO int8, bf16 hint", "PyTorch dynamic int8", "CTranslate2 int8", "PyTorch bf16",
         "OpenVINO bf16"]
MOST_S8 = 0.04


class Job:
    """A headless model as bench/peers/engines.py wants it."""

    def __init__(self, name, options):
        self.name, self.options, self.threads, self.cache = name, options, 1, options.folder
        self.tokenizer = BertWordPieceTokenizer(options.vocab, lowercase=True)
        self.config = self.encoder().config
        self.model_type = self.config.model_type
        (self.cache / name).mkdir(parents=True, exist_ok=True)

    def encoder(self):
        if self.name == "minilm":
            return AutoModel.from_pretrained(self.options.minilm).float().eval()
        model = make_models.build(self.name)
        return getattr(model, model.base_model_prefix)

    def wrapped(self):
        class Hidden(torch.nn.Module):
            def __init__(self, encoder):
                super().__init__()
                self.encoder = encoder

            def forward(self, ids, mask, types):
                given = {} if self.encoder.config.model_type == "distilbert" else {
                    "token_type_ids": types}
                return self.encoder(input_ids=ids, attention_mask=mask, **given)[0]
        return Hidden(self.encoder()).eval()

    def sequences(self):
        if self.name == "minilm":
            return inputs.mixed(self.tokenizer, self.options.data)
        random = np.random.default_rng(11)
        return [random.integers(0, self.config.vocab_size, n) for n in LENGTHS]

    def files(self):
        """{type: path}, quantised by the program."""
        folder = self.cache / self.name
        paths = {kind: folder / f"{kind}.gguf" for kind in ("f32", "s8", "bf16", "f16")}
        model_file.write(self.encoder(), model_file.read_vocabulary(self.options.vocab),
                         paths["f32"])
        for kind in ("s8", "bf16", "f16"):
            calibrate = (["--calibrate", self.options.calibrate] if self.options.calibrate
                         and self.name == "minilm" and kind == "s8" else [])
            subprocess.run([ROOT / "build" / "squeezebert", "quantize", paths["f32"], "-o",
                            paths[kind], "--type", kind, *calibrate], check=True,
                           capture_output=True)
        return paths


@torch.no_grad()
def reference(job, sequences):
    model = job.wrapped().double()
    return [model(*(torch.from_numpy(part) for part in inputs.padded([s])))[0].numpy()
            for s in sequences]


def error(got, expected):
    squares = sum(float(((g.astype(np.float64) - e) ** 2).sum()) for g, e in zip(got, expected))
    return (squares / sum(float((e ** 2).sum()) for e in expected)) ** 0.5


def rows_of(job, options):
    """(engine, class, error or None, why not)"""
    sequences = job.sequences()
    expected = reference(job, sequences)
    for kind, path in job.files().items():
        for level in options.levels.split(","):
            engine = sqz.Model(path, 1, level or None)
            yield f"ours {kind}" + (f" at {level}" if level else ""), kind, error(
                [engine.encode(sqz.Packed([s])) for s in sequences], expected), ""
            engine.close()
    for name in options.peers:
        try:
            run = engines.PEERS[name](job)
            yield name, run.precision, error([run(inputs.padded([s]))[0] for s in sequences],
                                             expected), ""
        except engines.NotRun as reason:
            yield name, engines.PEERS[name].precision, None, str(reason)
        except Exception as problem:  # a peer's own failure is a row, not the end of the run
            yield (name, engines.PEERS[name].precision, None,
                   f"{type(problem).__name__}: {str(problem).splitlines()[0][:100]}")


def missed(name, rows):
    """The bars that a model's rows miss."""
    def of(kind, ours):
        return [e for engine, k, e, _ in rows if k == kind and e is not None
                and engine.startswith("ours") == ours]
    found = [f"s8 {e:.2%} > {MOST_S8:.0%}"
             for e in of("s8", True) if e > MOST_S8 and name != "minilm"]
    found += [f"s8 {e:.2%} > the best peer's {min(of('s8', False)):.2%}"
              for e in of("s8", True) if of("s8", False) and e > min(of("s8", False))]
    theirs = [e for engine, _, e, _ in rows if engine == "PyTorch bf16" and e is not None]
    return found + [f"bf16 {e:.3%} > PyTorch's {theirs[0]:.3%}"
                    for e in of("bf16", True) if theirs and e > theirs[0]]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--vocab", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--minilm")
    parser.add_argument("--models", default=",".join(make_models.MODELS))
    parser.add_argument("--peers", default=";".join(PEERS))
    parser.add_argument("--levels", default="",
                        help="kernel levels, comma-separated; as this CPU has them where left out")
    parser.add_argument("--calibrate", help="texts, one a line, that MiniLM's int8 is calibrated "
                                            "on; random ids mean nothing to it")
    options = parser.parse_args()
    options.peers = [] if options.peers == "none" else options.peers.split(";")
    torch.set_num_threads(1)
    failed = 0
    print("| model | engine | class | relative error | |\n|---|---|---|---|---|", flush=True)
    for name in [n
                 for n in options.models.split(",") if n] + (["minilm"] if options.minilm else []):
        rows = []
        for row in rows_of(Job(name, options), options):
            rows.append(row)
            engine, kind, off, reason = row
            print(f"| {name} | {engine} | {kind} | " + (f"{off:.3%} | |" if off is not None
                                                        else f"| not run: {reason} |"), flush=True)
        for bar in missed(name, rows):
            failed = 1
            print(f"| {name} | MISSED | | | {bar} |", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
