# SPDX-License-Identifier: Apache-2.0
"""The library through ctypes, raw floats in and out: what the reference comparisons and bench/peers
drive.

The library is build/libsqueezebert-full.so of this repository, or what SQZ_LIBRARY names.
"""
import ctypes as c
import os
import pathlib

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Error(c.Structure):
    _fields_ = [("code", c.c_int), ("offset", c.c_uint64), ("text", c.c_char * 480),
                ("reserved", c.c_uint64 * 2)]


class ContextOptions(c.Structure):
    _fields_ = [("allocator", c.c_void_p), ("n_threads", c.c_uint32), ("cpu", c.c_char_p),
                ("reserved", c.c_uint64 * 4)]


class SessionOptions(c.Structure):
    _fields_ = [("max_tokens", c.c_uint32), ("max_sequences", c.c_uint32),
                ("max_length", c.c_uint32), ("reserved", c.c_uint64 * 4)]


class Batch(c.Structure):
    _fields_ = [("n_sequences", c.c_uint32), ("first", c.c_void_p), ("ids", c.c_void_p),
                ("types", c.c_void_p), ("reserved", c.c_uint64 * 2)]


class EmbedOptions(c.Structure):
    _fields_ = [("pool", c.c_int), ("normalize", c.c_int), ("dimensions", c.c_uint32),
                ("skip", c.c_void_p), ("reserved", c.c_uint64 * 4)]


class Info(c.Structure):
    _fields_ = [("name", c.c_char_p), ("source_type", c.c_char_p)] + [(n, c.c_uint32) for n in (
        "n_layers", "width", "embedding_width", "vocabulary", "max_positions", "n_token_types",
        "max_length")] + [
            ("head", c.c_int), ("problem", c.c_int), ("n_labels", c.c_uint32),
            ("labels_named", c.c_int), ("pool", c.c_int), ("has_pooler", c.c_int),
            ("normalize", c.c_int), ("dimensions", c.c_uint32), ("n_embed_steps", c.c_uint32),
            ("include_prompt", c.c_int), ("similarity", c.c_int)] + [
                (n, c.c_uint64) for n in ("n_parameters", "n_embedding_parameters", "file_bytes")]


class StageProfile(c.Structure):
    _fields_ = [(n, c.c_uint64) for n in ("calls", "ns", "multiply_adds", "weight_bytes")] + [
        ("reserved", c.c_uint64 * 2)]


class Profile(c.Structure):
    _fields_ = [("runs", c.c_uint64), ("wall_ns", c.c_uint64), ("stages", StageProfile * 16),
                ("reserved", c.c_uint64 * 4)]


POOL_MEAN, POOL_CLS, POOL_POOLER = 2, 3, 4
NORMALIZE_YES, NORMALIZE_NO = 1, 2
PEAK_TYPES = {"f32": 0, "bf16": 1, "s8": 2}
HEAD_NONE, HEAD_SEQUENCE, HEAD_TOKEN, HEAD_QUESTION, HEAD_MASKED_LM, HEAD_MULTIPLE_CHOICE = range(6)

_library = None


def library():
    global _library
    if _library is None:
        path = os.environ.get("SQZ_LIBRARY") or ROOT / "build" / "libsqueezebert-full.so"
        _library = c.CDLL(str(path))
        _library.sqz_model_get_info.restype = c.POINTER(Info)
        _library.sqz_context_fact.restype = c.c_char_p
        _library.sqz_peak_arithmetic.restype = c.c_uint64
        _library.sqz_peak_instruction.restype = c.c_char_p
        for name in ("sqz_context_close", "sqz_model_close", "sqz_session_close"):
            getattr(_library, name).argtypes = [c.c_void_p]
            getattr(_library, name).restype = None
    return _library


def check(status, error):
    if status:
        raise RuntimeError(f"status {status}: {error.text.decode()}")


class Packed:
    """A batch without padding: arrays of ids (and types, or None), one a sequence."""

    def __init__(self, sequences, types=None):
        self.first = np.cumsum([0] + [len(s) for s in sequences]).astype(np.uint32)
        self.ids = np.concatenate(sequences).astype(np.uint32)
        self.types = None if types is None else np.concatenate(types).astype(np.uint8)
        self.struct = Batch(len(sequences), self.first.ctypes.data, self.ids.ctypes.data,
                            None if types is None else self.types.ctypes.data)
        self.n_sequences, self.n_tokens = len(sequences), len(self.ids)


class Model:
    """A context, a model and one session that is big enough for `tokens` tokens in `sequences`
    sequences."""

    def __init__(self, path, threads=1, cpu=None, tokens=4096, sequences=64):
        lib, error = library(), Error()
        self.context, self.model, self.session = c.c_void_p(), c.c_void_p(), c.c_void_p()
        options = ContextOptions(None, threads, cpu.encode() if cpu else None)
        check(lib.sqz_context_open(c.byref(options), c.byref(self.context), c.byref(error)), error)
        check(lib.sqz_model_open(self.context, os.fsencode(path), c.byref(self.model),
                                 c.byref(error)), error)
        check(lib.sqz_session_open(self.model, c.byref(SessionOptions(tokens, sequences, 0)),
                                   c.byref(self.session), c.byref(error)), error)
        self.info = lib.sqz_model_get_info(self.model).contents

    def facts(self):
        lines, i = [], 0
        while (line := library().sqz_context_fact(self.context, c.c_uint32(i))) is not None:
            lines.append(line.decode())
            i += 1
        return lines

    def encode(self, batch):
        out, error = np.empty((batch.n_tokens, self.info.width), np.float32), Error()
        check(library().sqz_encode(self.session, c.byref(batch.struct), c.c_void_p(out.ctypes.data),
                                   c.c_size_t(out.shape[1]), c.byref(error)), error)
        return out

    def logits(self, batch):
        rows = batch.n_sequences if self.info.head in (HEAD_SEQUENCE,
                                                       HEAD_MULTIPLE_CHOICE) else batch.n_tokens
        out, error = np.empty((rows, self.info.n_labels), np.float32), Error()
        check(library().sqz_logits(self.session, c.byref(batch.struct), None, c.c_uint32(
            0), c.c_void_p(out.ctypes.data), c.c_size_t(out.shape[1]), c.byref(error)), error)
        return out

    def embed(self, batch, pool, normalize=NORMALIZE_NO):
        out, error = np.empty((batch.n_sequences, self.info.width), np.float32), Error()
        options = EmbedOptions(pool, normalize, 0)
        check(library().sqz_embed(self.session, c.byref(batch.struct), c.byref(options), c.c_void_p(
            out.ctypes.data), c.c_size_t(out.shape[1]), c.byref(error)), error)
        return out

    def operations(self, batch, run):
        """Operations of run(batch)'s products, a multiply-add counting as two."""
        profile = Profile()
        library().sqz_session_set_profile(self.session, c.byref(profile))
        run(batch)
        library().sqz_session_set_profile(self.session, None)
        return 2 * sum(stage.multiply_adds for stage in profile.stages)

    def peak(self, kind, rounds):
        """Do rounds of the peak's work for "f32", "bf16" or "s8"; returns its operations."""
        return library().sqz_peak_arithmetic(self.context, c.c_int(PEAK_TYPES[kind]),
                                             c.c_uint64(rounds))

    def close(self):
        lib = library()
        lib.sqz_session_close(self.session)
        lib.sqz_model_close(self.model)
        lib.sqz_context_close(self.context)
