# SPDX-License-Identifier: Apache-2.0
"""Our engine beside the peers: model files of every type, the machine's peak, and the operations of
a batch."""
import os
import pathlib
import subprocess
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "reference"))
import model_file
import sqz

from engines import NotRun

RANK = 128


def program():
    return os.environ.get("SQZ_PROGRAM") or str(sqz.ROOT / "build" / "squeezebert")


def f32_file(job):
    path = job.cache / job.name / "f32.gguf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        model_file.write(job.model, model_file.read_vocabulary(job.options.vocab), path)
    return path


def best_pair(w):
    """a, b with b a the best approximation of w of rank RANK, by the eigenvectors of the smaller
    Gram matrix."""
    if w.shape[0] <= w.shape[1]:
        u = np.linalg.eigh(w @ w.T)[1][:, -RANK:]
        return u.T @ w, u
    v = np.linalg.eigh(w.T @ w)[1][:, -RANK:]
    return v.T, w @ v


def low_rank_file(job):
    """The same model with each linear of its blocks as a pair of rank RANK: its best approximation
    of that rank."""
    import gguf
    path = job.cache / job.name / f"rank{RANK}-f32.gguf"
    if path.exists():
        return path
    source, partial = gguf.GGUFReader(str(f32_file(job))), path.with_suffix(".partial")
    writer = gguf.GGUFWriter(str(partial), "sqz-encoder")
    for field in source.fields.values():
        if field.name.startswith(("GGUF.", "sqz.tensors.", "sqz.header.")) or field.name in (
                "general.architecture", "sqz.requires"):
            continue  # the checksums are the source's
        array = field.types[0] == gguf.GGUFValueType.ARRAY
        writer.add_key_value(field.name, field.contents(), field.types[0],
                             sub_type=field.types[-1] if array else None)
    writer.add_array("sqz.requires", ["low_rank"])
    writer.data_alignment = 64
    for tensor in source.tensors:
        if not tensor.name.startswith("blk.") or not tensor.name.endswith(
                ".weight") or "norm" in tensor.name:
            writer.add_tensor(tensor.name, tensor.data)
            continue
        a, b = best_pair(tensor.data.astype(np.float64))
        stem = tensor.name.removesuffix(".weight")
        writer.add_tensor(stem + ".a", np.ascontiguousarray(a, np.float32))
        writer.add_tensor(stem + ".b", np.ascontiguousarray(b, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.rename(path)
    return path


def model_path(job, precision, low_rank=False):
    """The model file of a type: given, in the cache, or made by `squeezebert quantize`."""
    name = job.name + (f"-rank{RANK}" if low_rank else "")
    if precision in job.options.ours:
        path = pathlib.Path(job.options.ours[precision]) / (name + ".gguf")
        if not path.exists():
            raise NotRun(f"there is no {path}")
        return path
    source = low_rank_file(job) if low_rank else f32_file(job)
    if precision == "f32":
        return source
    path = source.with_name(source.name.replace("f32", precision))
    # quantised by an earlier version
    if not path.exists() or path.stat().st_mtime < pathlib.Path(program()).stat().st_mtime:
        done = subprocess.run([program(), "quantize", str(source), "-o", str(path), "--type",
                               precision], capture_output=True, text=True)
        if done.returncode:
            raise NotRun(f"squeezebert quantize: {done.stderr.strip().splitlines()[-1]}")
    return path


class Ours:
    rest, keeps_amx, hidden, note = 0.001, False, False, ""

    def __init__(self, job, precision, low_rank=False):
        self.precision, self.low_rank = precision, low_rank
        self.engine = sqz.Model(model_path(job, precision, low_rank), job.threads)
        self.head = self.engine.info.n_labels > 0

    def fix(self, sequences, length):
        pass

    def __call__(self, packed):
        return self.engine.logits(packed) if self.head else self.engine.encode(packed)

    def giga_operations(self, packed):
        return self.engine.operations(packed, self) / 1e9


class Peak:
    """What the machine does at most with these threads: the best of many short tries, taken between
    the samples of the run."""

    def __init__(self, model):
        self.model, self.rounds, self.best = model, {}, {p: 0.0 for p in sqz.PEAK_TYPES}
        for _ in range(30):
            self.sample()

    def sample(self):
        for precision in self.best:
            rounds = self.rounds.get(precision, 1 << 10)
            while True:
                start = time.perf_counter()
                operations = self.model.peak(precision, rounds)
                seconds = time.perf_counter() - start
                if seconds > 0.003:
                    break
                rounds *= 2
            self.rounds[precision] = rounds
            self.best[precision] = max(self.best[precision], operations / seconds / 1e9)
        # f32's instructions do bf16's work as well
        self.best["bf16"] = max(self.best["bf16"], self.best["f32"])
