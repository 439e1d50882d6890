# SPDX-License-Identifier: Apache-2.0
"""What squeeze_levers.py, squeeze_picture.py, squeeze_shapes.py and glue_small.py share: a log from
which a killed run goes on, tables and whole files, commands and squeezing at the lowest priority,
and the time of a model over that of another in one process.
"""
import csv
import ctypes
import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import numpy as np

import sqz

LIBC, PR_SET_PDEATHSIG = ctypes.CDLL(None), 1


class Log:
    """A file of JSON lines, one a setting, each with what it was made by."""

    def __init__(self, path, made_by):
        self.path, self.made_by, self.lines = pathlib.Path(path), made_by, []
        for line in self.path.read_text().split("\n") if self.path.exists() else ():
            try:
                self.lines.append(json.loads(line))
            except json.JSONDecodeError:
                pass  # torn, where the program was killed: that run is made again

    def get(self, **key):
        """The newest line of this key that the same program made, or None."""
        for line in reversed(self.lines):
            if all(line.get(k) == v for k, v in {**key, **self.made_by}.items()):
                return line
        return None

    def add(self, line):
        line = {**line, **self.made_by, "at": time.strftime("%Y-%m-%d %H:%M")}
        self.lines.append(line)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write("\n" * bool(file.tell() and not self.path.read_bytes().endswith(b"\n"))
                       + json.dumps(line) + "\n")


def file_of(folder, *key):
    """The squeezed file of a setting."""
    return folder / (re.sub(r"[^a-z0-9]+", "-", " ".join(key)).strip("-") + ".gguf")


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def rows_of(path):
    """Rows of a tab-separated table, a dictionary each; a quotation mark is text."""
    with open(path, encoding="utf-8-sig", newline="\n") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def write_whole(path, text):
    """The file appears when all of it is there."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.rename(path)


def become_child():
    """At the lowest priority, and, where the system can, ended with the program that waits for it:
    else a run that is started again would meet the one of before at its checkpoint."""
    os.nice(19)
    if hasattr(LIBC, "prctl"):
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def run_nice(command):
    """Output and CPU seconds of a command at the lowest priority."""
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True,
                               preexec_fn=become_child)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.stdout.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit {process.returncode}: {' '.join(map(str, command))}")
    return output, usage.ru_utime + usage.ru_stime


def run_json(*command):
    """The last line of what a command prints, which is JSON, and its CPU seconds."""
    print(*command, file=sys.stderr, flush=True)
    said, seconds = run_nice(command)
    return json.loads(said.strip().split("\n")[-1]), round(seconds, 1)


def blocks_of(said):
    """The blocks that stay by what `squeeze --json` says, and how many there were."""
    stay = [part["to"] != "removed" for part in said["parts"] if part["name"].endswith(".ffn_up")]
    return [i for i, x in enumerate(stay) if x], len(stay)


def map_of(kept, layers):
    """--map of `distill` where these blocks of so many stay: each learns what the next one that
    stays read in the teacher, the last what the teacher ends with."""
    return ["--map", ",".join(map(str, [*kept[1:], layers]))]


def squeeze(program, model, out, texts, levers, cache=None):
    """What `squeeze --json` says, with its CPU seconds."""
    command = [program, "squeeze", model, "-o", out, "--texts", texts, *levers, "--json",
               "--progress", "none"] + (["--cache", cache] if cache else [])
    output, seconds = run_nice(command)
    return {**json.loads(output), "cpu_seconds": round(seconds, 1)}


def time_ratio(whole, other, samples=40, length=128):
    """Time of the file `whole` over that of `other`, one sequence, one thread, in turn: the median
    of the ratios of neighbouring runs, and the least milliseconds of each. CPU time: others may
    have the cores meanwhile."""
    models = [sqz.Model(path, 1, tokens=length, sequences=1) for path in (whole, other)]
    random, times = np.random.default_rng(7), [[], []]
    for i in range(samples + 3):
        batch = sqz.Packed([random.integers(0, min(m.info.vocabulary for m in models), length)])
        for which, model in enumerate(models):
            begin = time.thread_time_ns()
            model.encode(batch)
            if i >= 3:
                times[which].append(1e-6 * (time.thread_time_ns() - begin))
    for model in models:
        model.close()
    return {"time_ratio": round(float(np.median(np.divide(*times))), 3),
            "whole_ms": round(min(times[0]), 3), "ms": round(min(times[1]), 3)}
