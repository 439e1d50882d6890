#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A classifier of a small MiniLM's sizes (30,522 pieces, 384 wide, linears of int4) labels a stream
of texts in one thread with at most 20 MB resident, as long as the texts may be: it has to run in a
memory cgroup of 32 MB, and there what is read of its file counts as well.

memory_peak.py PROGRAM
"""
import itertools
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

MOST = 20 * 10 ** 6
HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = os.path.realpath(sys.argv[1])


def run(*arguments):
    subprocess.run([PROGRAM, *arguments, "-t", "1"], check=True, capture_output=True)


def make():
    letters = ("".join(w) for n in (1, 2, 3, 4)
               for w in itertools.product("abcdefghijklmnopqrstuvwxyz", repeat=n))
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *itertools.islice(letters, 30517)]
    pathlib.Path("vocab").write_text("\n".join(pieces) + "\n")
    subprocess.run([sys.executable, "-B", HERE / "make_folder.py", "folder", "BertModel",
                    "vocab=vocab", "positions=512"], check=True)
    subprocess.run([PROGRAM, "import", "folder", "-o", "narrow.gguf"], check=True,
                   capture_output=True)
    run("init-student", "narrow.gguf", "-o", "wide.gguf", "--width", "384", "--heads", "12",
        "--neurons", "768")
    pathlib.Path("t.csv").write_text("text,label\na,no\nb,yes\n")
    run("finetune", "wide.gguf", "-o", "head.gguf", "--data", "t.csv", "--freeze", "encoder",
        "--max-steps", "1", "--checkpoint-minutes", "0")
    run("squeeze", "head.gguf", "-o", "small.gguf", "--plain", "--bits", "4", "--embedding",
        "bits:3")
    return pieces[5:]


def peak(model, lines):
    """Bytes resident at most once every line has its answer, and the answers. Of the process's own
    memory alone: what wait4 tells would count what this program had when it forked."""
    process = subprocess.Popen([PROGRAM, "classify", model, "-t", "1"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)

    def write():
        process.stdin.write("\n".join(lines) + "\n")
        process.stdin.flush()
    writer = threading.Thread(target=write)
    writer.start()
    answers = [process.stdout.readline() for _ in lines]
    writer.join()
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    process.stdin.close()
    assert process.wait() == 0
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) * 1024, answers


def main():
    if not sys.platform.startswith("linux"):
        print("skipped: bytes resident are counted on Linux")
        return 77
    if b"__asan_init" in pathlib.Path(PROGRAM).read_bytes() or \
            b"__tsan_init" in pathlib.Path(PROGRAM).read_bytes():
        print("skipped: a sanitizer's own memory would be counted")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        words = make()
        lines = [" ".join(words[(i * 7919 + k * 104729) % len(words)] for k in range(1 + i % 50))
                 for i in range(400)]
        lines += [" ".join(words[(i + k) % len(words)] for k in range(700)) for i in range(4)]
        most, answers = peak("small.gguf", lines)
        of_one, one = peak("small.gguf", lines[5:6])
        os.chdir("/")
    print(f"{most / 1e6:.1f} MB resident at most, {of_one / 1e6:.1f} MB with one text alone")
    assert all(answers) and answers[5] == one[0]
    assert most <= MOST, f"{most} bytes are resident, at most {MOST} are to be"
    return 0


if __name__ == "__main__":
    sys.exit(main())
