#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A program ended by a signal dies by it, leaves nothing half written, and what stood there before.

    signals.py PROGRAM
"""
import os
import shutil
import resource
import signal
import subprocess
import sys
import tempfile
import time

PROGRAM = os.path.realpath(sys.argv[1])
HERE = os.path.dirname(os.path.realpath(__file__))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # two of these leave a core
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGXCPU)
PATIENCE = 60  # seconds until a wait is a failure
failed = False


def fail(text):
    global failed
    failed = True
    print("FAILED:", text)


def start(*arguments, ignored=(), **more):
    """The program, with signals as a terminal gives them (a test driver may ignore some)."""
    def set_signals():
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    return subprocess.Popen([PROGRAM, *arguments], preexec_fn=set_signals,
                            stderr=subprocess.PIPE, **more)


def wait_until(condition, process):
    """True when it holds, False when the process has ended before."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if condition():
            return True
        if process.poll() is not None:
            return condition()
    raise SystemExit("FAILED: waited too long")


def temporaries(folder="."):
    return [name for name in os.listdir(folder)
            if name.endswith(".tmp") or name.startswith("squeezebert.")]


def interrupt_at_work(what, arguments, number, folder=".", **more):
    """The signal arrives while something is half written; too fast a run is tried again."""
    for _ in range(20):
        process = start(*arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                        **more)
        if wait_until(lambda: temporaries(folder), process):
            process.send_signal(number)
        code = process.wait(PATIENCE)
        said = process.stderr.read().decode()
        process.stderr.close()
        if temporaries(folder):
            fail(f"{what}, {number.name}: left {temporaries(folder)}")
            return
        if code == -number:
            return
        if code != 0:
            fail(f"{what}, {number.name}: exit {code}, {said}")
            return
        if os.path.isdir("out"):
            shutil.rmtree("out")
    print(f"not seen here: {what} at work when {number.name} came")


def main():
    with open("pieces", "w", encoding="utf-8") as file:
        file.write("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ngood\n")
        file.write("".join(f"w{i}\n" for i in range(60000)))
    make = [sys.executable, "-B", os.path.join(HERE, "make_folder.py")]
    subprocess.run(make + ["folder", "BertModel", "vocab=pieces"], check=True)
    subprocess.run([PROGRAM, "import", "folder", "-o", "m.gguf"], check=True,
                   stderr=subprocess.DEVNULL)

    for number in ENDING:
        with open("old", "w", encoding="ascii") as file:
            file.write("old")
        interrupt_at_work("import", ["import", "folder", "-o", "old"], number)
        interrupt_at_work("quantize", ["quantize", "m.gguf", "-o", "old"], number)
        interrupt_at_work("export", ["export", "m.gguf", "-o", "out"], number)
        os.makedirs("made", exist_ok=True)
        bench = ["bench", "m.gguf", "--type", "bf16", "-l", "4", "-n", "1"]
        interrupt_at_work("bench --type", bench, number, "made",
                          env=dict(os.environ, TMPDIR=os.path.realpath("made")))
        shutil.rmtree("out", ignore_errors=True)

    # embed -o: TERM and HUP leave the old file, INT the rows so far without the line that was cut
    for number in ENDING:
        with open("old", "w", encoding="ascii") as file:
            file.write("old")
        process = start("embed", "m.gguf", "-o", "old", stdin=subprocess.PIPE)
        process.stdin.write(b"good\ngood w1\ngo")
        process.stdin.flush()
        wait_until(lambda: any(os.path.getsize(name) > 128 for name in temporaries()), process)
        process.send_signal(number)
        code = process.wait(PATIENCE)
        said = process.stderr.read().decode()
        with open("old", "rb") as file:
            held = file.read()
        if code != -number or temporaries():
            fail(f"embed -o, {number.name}: exit {code}, {said}, left {temporaries()}")
        kept = b"'shape': (2, 24)" in held and "interrupted: old holds the 2 rows before" in said
        if number == signal.SIGINT and not kept:
            fail(f"embed -o, SIGINT: {held[:128]}, {said}")
        if number != signal.SIGINT and held != b"old":
            fail(f"embed -o, {number.name}: the old file is gone")

    # nohup: a signal that was ignored stays so
    process = start("embed", "m.gguf", "-o", "kept", ignored=(signal.SIGHUP,),
                    stdin=subprocess.PIPE)
    process.stdin.write(b"good\n")
    process.stdin.flush()
    wait_until(temporaries, process)
    process.send_signal(signal.SIGHUP)
    process.stdin.close()
    if process.wait(PATIENCE) != 0 or not os.path.exists("kept"):
        fail("an ignored SIGHUP ended the program")


with tempfile.TemporaryDirectory() as work:
    os.chdir(work)
    main()
    os.chdir("/")
sys.exit(failed)
