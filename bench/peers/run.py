#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Other engines and this one on the same inputs, in one run: ids in memory to logits, samples taken in turn, median of each.

Every row says the peer's time divided by ours with the spread of that ratio over the rounds (10th to 90th percentile), and the largest error
of the peer's output against PyTorch f32, relative to the largest number of it. On `mixed` a peer runs the batch padded, one by one, and
sorted into sub-batches; ours takes it as it comes. Models are converted once into the cache folder. README.md beside this file: setting up.

    run.py --cache FOLDER --data FOLDER --vocab VOCAB.txt [--minilm FOLDER] [--models squeezebert,bertbase] [--shapes 1x16,mixed]
           [--threads 1] [--precision f32] [--samples 30] [--peers "OpenVINO f32,..."] [--json OUT.json]
           [--ours s8=FOLDER ...]    model files FOLDER/MODEL.gguf of another precision; f32 ones are written into the cache
"""
import argparse
import json
import pathlib
import platform
import statistics
import sys
import time

import numpy as np
import torch
from tokenizers import BertWordPieceTokenizer
from transformers import AutoModel

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "reference"))
import engines
import inputs
import make_models
import model_file
import sqz

CLASSES = ["f32", "bf16", "s8"]  # a peer of an earlier class may stand in a later one's table


class Job:
    """A model, as the engines want it."""

    def __init__(self, options, name, threads):
        self.name, self.threads, self.cache, self.options = name, threads, options.cache, options
        self.model = AutoModel.from_pretrained(options.minilm).float().eval() if name == "minilm" else make_models.build(name)
        self.config, self.model_type = self.model.config, self.model.config.model_type
        self.tokenizer = BertWordPieceTokenizer(options.vocab, lowercase=True)

    def wrapped(self):
        """A module (ids, mask, types) -> logits, or hidden states where there is no head; a copy, since some engines change it."""
        model = AutoModel.from_pretrained(self.options.minilm).float().eval() if self.name == "minilm" else make_models.build(self.name)

        class Wrapped(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.model = model

            def forward(self, ids, mask, types):
                return self.model(input_ids=ids, attention_mask=mask, token_type_ids=types)[0]
        return Wrapped().eval()

    def save_encoder(self, folder):
        encoder = getattr(self.model, "bert", self.model)
        encoder.config.position_embedding_type = "absolute"  # Transformers 5 dropped it, CTranslate2's converter asks for it
        encoder.save_pretrained(folder)
        self.tokenizer.save_model(str(folder))
        (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": true}')

    def calibration(self):
        return [inputs.padded([np.array(self.tokenizer.encode(text).ids)]) for text in inputs.calibration(self.options.data)]

    def our_file(self, precision):
        if precision in self.options.ours:
            return pathlib.Path(self.options.ours[precision]) / (self.name + ".gguf")
        path = self.cache / self.name / "f32.gguf"
        if precision == "f32" and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            model_file.write(self.model, model_file.read_vocabulary(self.options.vocab), path)
        return path if precision == "f32" else None


class Ours:
    def __init__(self, job, precision, path):
        self.name, self.precision, self.error = f"ours {precision}", precision, None
        self.engine = sqz.Model(path, job.threads)
        self.head = self.engine.info.n_labels > 0

    def sample(self, shape_job):
        start = time.perf_counter()
        out = self.engine.logits(shape_job.packed) if self.head else self.engine.encode(shape_job.packed)
        return time.perf_counter() - start, out


def open_engines(job, options):
    """[(name, precision, callable or Ours)], [(name, reason)]"""
    opened, missing = [], []
    for precision in options.precision:
        path = job.our_file(precision)
        if path and path.exists():
            opened.append((f"ours {precision}", precision, Ours(job, precision, path)))
        else:
            missing.append((f"ours {precision}", "no model file: give --ours " + precision + "=FOLDER"))
    for name in options.peers:
        kind = engines.PEERS[name]
        if CLASSES.index(kind.precision) > max(CLASSES.index(p) for p in options.precision):
            continue
        try:
            opened.append((name, kind.precision, kind(job)))
        except engines.NotRun as reason:
            missing.append((name, str(reason)))
        except Exception as problem:  # a peer's own failure is a row, not the end of the run
            missing.append((name, f"{type(problem).__name__}: {str(problem).splitlines()[0][:120]}"))
    return opened, missing


class Inputs:
    def __init__(self, job, shape):
        ids = inputs.make(shape, job.config.vocab_size, job.tokenizer, job.options.data)
        self.packed = sqz.Packed(ids)
        self.ways = inputs.ways(shape, ids)
        self.lengths = [len(s) for s in ids]
        self.reference = engines.Torch(job)(inputs.padded(ids))


def timed(engine, batches):
    start = time.perf_counter()
    out = [engine(batch) for batch in batches]
    return time.perf_counter() - start, out


def relative_error(out, given, ours):
    """Against PyTorch f32; None where the engine gives another output than the reference (hidden states beside logits)."""
    reference = given.reference
    if reference.ndim == 3:
        reference = np.concatenate([reference[i, :n] for i, n in enumerate(given.lengths)])
        out = out if ours else np.concatenate([out[i, :n] for i, n in enumerate(given.lengths)]) if out.ndim == 3 else out
    return float(np.abs(out - reference).max() / np.abs(reference).max()) if out.shape == reference.shape else None


def measure(opened, given, options):
    """{(engine, way): ([seconds], error)}: one sample of every engine and way a round."""
    runs = []
    for name, _, engine in opened:
        if isinstance(engine, Ours):
            runs.append(((name, ""), lambda e=engine: e.sample(given), True))
        else:
            runs += [((name, way), lambda e=engine, b=batches: timed(e, b), False) for way, batches in given.ways.items()]
    results = {}
    for key, run, ours in runs:
        _, out = run()
        results[key] = ([], relative_error(out if ours else out[0], given, ours) if ours or key[1] in ("", "padded") else None)
        run()
    for _ in range(options.samples):
        for key, run, _ in runs:
            results[key][0].append(run()[0])
    return results


def spread(ratios):
    low, high = np.percentile(ratios, [10, 90])
    return f"{low:.2f}–{high:.2f}"


def report(results, opened, given_name, job, rows):
    classes = {name: precision for name, precision, _ in opened}
    for mine in (name for name in classes if name.startswith("ours")):
        ours = results[(mine, "")]
        row = dict(model=job.name, threads=job.threads, shape=given_name, engine=mine, way="", precision=classes[mine], against=mine, samples_ms=[1e3 * t for t in ours[0]], error=ours[1], ratio=1.0)
        show(row, "", rows)
        for (name, way), (seconds, error) in results.items():
            if name.startswith("ours") or CLASSES.index(classes[name]) > CLASSES.index(classes[mine]):
                continue
            ratio = statistics.median(seconds) / statistics.median(ours[0])
            row = dict(model=job.name, threads=job.threads, shape=given_name, engine=name, way=way, precision=classes[name], against=mine, samples_ms=[1e3 * t for t in seconds], error=error, ratio=ratio)
            show(row, spread(np.array(seconds) / np.array(ours[0])), rows)


def show(row, ratio_spread, rows):
    rows.append(row)
    times = row["samples_ms"]
    error = "" if row["error"] is None else f"{row['error']:.1e}"
    name = row["engine"] + (", " + row["way"] if row["way"] else "")
    ratio = "" if row["engine"] == row["against"] else f"{row['ratio']:.2f}"
    print(f"| {row['model']} | {row['threads']} | {row['shape']} | {row['against']} | {name} | {statistics.median(times):.2f} | {min(times):.2f} | {ratio} | {ratio_spread} | {error} |", flush=True)


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
    return f"{model}, {len(__import__('os').sched_getaffinity(0))} CPUs, {platform.system()} {platform.release()}"


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", required=True, type=pathlib.Path)
    parser.add_argument("--data", required=True, help="the folder that holds glue/SST-2")
    parser.add_argument("--vocab", required=True)
    parser.add_argument("--minilm", help="folder of the real MiniLM-L6; without it minilm is left out")
    for name, default in (("models", "squeezebert,bertbase,minilm"), ("shapes", "1x16,1x128,8x128,mixed"), ("threads", "1"), ("precision", "f32")):
        parser.add_argument("--" + name, default=default)
    parser.add_argument("--peers", default=None, help="names separated by ';': " + "; ".join(engines.PEERS))
    parser.add_argument("--samples", type=int, default=30)
    parser.add_argument("--ours", action="append", default=[], metavar="PRECISION=FOLDER")
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    for name in ("models", "shapes", "precision"):
        setattr(options, name, getattr(options, name).split(","))
    options.peers = options.peers.split(";") if options.peers else list(engines.PEERS)
    options.ours = dict(item.split("=", 1) for item in options.ours)
    options.threads = [int(t) for t in options.threads.split(",")]
    if unknown := set(options.peers) - set(engines.PEERS):
        parser.error(f"no such peer: {', '.join(unknown)}")
    return options


def main():
    options, rows, missing = parse(), [], []
    print(f"Machine: {machine()}. {time.strftime('%Y-%m-%d')}. Command: `{' '.join(sys.argv)}`. {options.samples} interleaved samples.\n")
    print("| model | threads | shape | against | engine | median ms | min ms | peer / ours | 10–90 % | error |\n|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for name in options.models:
        for threads in options.threads:
            if name == "minilm" and not options.minilm:
                missing.append((name, threads, "all", "--minilm was not given"))
                continue
            job = Job(options, name, threads)
            opened, absent = open_engines(job, options)
            missing += [(name, threads, engine, reason) for engine, reason in absent]
            for shape in options.shapes:
                report(measure(opened, Inputs(job, shape), options), opened, shape, job, rows)
            del opened
    for name, threads, engine, reason in missing:
        print(f"| {name} | {threads} | | | {engine} | not run: {reason} | | | | |")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "command": sys.argv, "rows": rows, "not_run": missing}, indent=1))


if __name__ == "__main__":
    main()
