#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns the model.safetensors of a folder into pytorch_model.bin: make_archive.py FOLDER FORM
[FAULT], with nothing but Python's own library.

FORM: zip, legacy. FAULT: strided (every matrix stored by columns, which is none), shared (one
storage for all), checkpoint (the state dict of a training loop, beside an optimizer), named (the
same beside another of an average), spread (a tensor of one number in many places), system (a value
that would run a program), opcode, compressed, cut, range (a tensor that leaves its storage),
endless (a size of 2^60).
"""
import collections
import io
import json
import os
import pickle
import struct
import sys
import types
import zipfile


def fake(module, name):
    """A global that pickles as module.name."""
    if module not in sys.modules:
        sys.modules[module] = types.ModuleType(module)
    value = type(name, (), {}) if name[0].isupper() else types.FunctionType(
        (lambda *a: None).__code__, {}, name)
    value.__module__, value.__qualname__ = module, name
    setattr(sys.modules[module], name, value)
    return value


fake("torch", "FloatStorage")
rebuild = fake("torch._utils", "_rebuild_tensor_v2")


class Storage:
    def __init__(self, key, data):
        self.key, self.data, self.n = key, data, len(data) // 4


class Tensor:
    def __init__(self, storage, offset, shape, stride):
        self.arguments = (storage, offset, tuple(shape), tuple(stride), False,
                          collections.OrderedDict())

    def __reduce__(self):
        return rebuild, self.arguments


class Program:
    def __reduce__(self):
        return os.system, ("touch executed",)


class Pickler(pickle.Pickler):
    legacy = False

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        return ("storage", sys.modules["torch"].FloatStorage, value.key, "cpu",
                value.n) + ((None,) if self.legacy else ())


def dump(value, legacy=False):
    to = io.BytesIO()
    pickler = Pickler(to, 2)
    pickler.legacy = legacy
    pickler.dump(value)
    return to.getvalue()


def read(folder):
    data = open(os.path.join(folder, "model.safetensors"), "rb").read()
    n = struct.unpack("<Q", data[:8])[0]
    for name, t in json.loads(data[8 : 8 + n]).items():
        begin, end = t["data_offsets"]
        yield name, t["shape"], data[8 + n + begin : 8 + n + end]


def contiguous(shape):
    stride, step = [], 1
    for size in reversed(shape):
        stride.insert(0, step)
        step *= size
    return stride


def by_columns(shape, data):
    rows, columns = shape[0], len(data) // 4 // shape[0]
    numbers = [data[i : i + 4] for i in range(0, len(data), 4)]
    return b"".join(numbers[r * columns + c] for c in range(columns)
                    for r in range(rows)), [1, rows] + [1] * (len(shape) - 2)


def main():
    folder, form, fault = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""
    tensors, state, storages = list(read(folder)), collections.OrderedDict(), []
    one = Storage("0", b"".join(data for _, _, data in tensors))
    at = 0
    for i, (name, shape, data) in enumerate(tensors):
        stride = contiguous(shape)
        if fault == "strided" and len(shape) >= 2:
            data, stride = by_columns(shape, data)
        storage = one if fault == "shared" else Storage(str(i), data)
        state[name] = Tensor(
            storage, at if fault == "shared" else 1 if fault == "range" and i == 3 else 0,
            [1 << 60] + shape[1:] if fault == "endless" and i == 3 else shape, stride)
        if storage not in storages:
            storages.append(storage)
        at += len(data) // 4
    if fault == "system":
        state["program"] = Program()
    if fault == "spread":
        state["spread"] = Tensor(one if storages == [one] else storages[0], 0, [3, 5], [0, 0])
    if fault in ("checkpoint", "named"):
        moments = {0: {"step": 7, "exp_avg": Tensor(storages[0], 0, [1], [1])}}
        average = {"average": collections.OrderedDict(weight=Tensor(storages[0], 0, [1], [1]))}
        state = {"epoch": 3, "loss": 0.5, "note": None, "optimizer": {
            "state": moments, "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999), "params": [0]}]},
            **(average if fault == "named" else {}),
            "model_state_dict" if fault == "named" else "network": state}
    path = os.path.join(folder, "pytorch_model.bin")
    body = dump(state, form == "legacy")
    if fault == "opcode":
        body = body[:2] + b"I7\n0" + body[2:]
    if form == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if fault == "compressed"
                             else zipfile.ZIP_STORED) as z:
            z.writestr("model/data.pkl", body)
            z.writestr("model/byteorder", b"little")
            for s in storages:
                z.writestr("model/data/" + s.key, s.data)
    else:
        with open(path, "wb") as f:
            for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
                f.write(dump(part))
            f.write(body + dump([s.key for s in storages]))
            for s in storages:
                f.write(struct.pack("<q", s.n) + s.data)
    if fault == "cut":
        data = open(path, "rb").read()
        open(path, "wb").write(data[: len(data) // 2])
    os.remove(os.path.join(folder, "model.safetensors"))


main()
