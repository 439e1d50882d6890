#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Start, memory, size: a C program that opens a model, makes a session and encodes once is run with
a warm file cache. Prints the time from its start to its exit, the CPU time that opening the model
took in it, the peak resident memory of one run of 1 x 128 and of 8 x 128 above the file's size, and
the stripped size of the runtime library.

    startup_memory.py MODEL.gguf [--build BUILD_FOLDER] [--runs 20]      exit 1 if a bar was missed

Memory: what the kernel counts (ru_maxrss), mapped pages of the model file that were read among it.
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
START_MS, OPEN_MS, ABOVE_FILE_MB, BATCH_ABOVE_FILE_MB, LIBRARY_KB = 60, 40, 25, 15, 500
PROGRAM = r"""
#include <squeezebert/session.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}
int main(int argc, char **argv)
{
    sqz_context *context; sqz_model *model; sqz_session *session; sqz_error error;
    const uint32_t b = (uint32_t)atoi(argv[argc - 2]), t = (uint32_t)atoi(argv[argc - 1]);
    const uint32_t n = b * t;
    uint32_t ids[4096], first[65];
    for (uint32_t i = 0; i < n; i++) ids[i] = 1000 + 37 * i % 20000;
    for (uint32_t i = 0; i <= b; i++) first[i] = i * t;
    const sqz_batch batch = {b, first, ids, NULL};
    const sqz_session_options sizes = {n, b, t};
    const sqz_context_options threads = {.n_threads = 1};
    if (sqz_context_open(&threads, &context, &error)) return 1;
    const double start = now();
    if (sqz_model_open(context, argv[1], &model, &error)) return 1;
    const double opened = now() - start;
    if (sqz_session_open(model, &sizes, &session, &error)) return 1;
    const uint32_t width = sqz_model_get_info(model)->width;
    float *hidden = malloc(n * width * sizeof *hidden);
    if (!hidden || sqz_encode(session, &batch, hidden, width, &error)) return 1;
    printf("%g %g\n", opened, (double)hidden[0]);
    free(hidden);
    sqz_session_close(session); sqz_model_close(model); sqz_context_close(context);
    return 0;
}
"""


def compile_program(build, folder):
    source, program = folder / "once.c", folder / "once"
    source.write_text(PROGRAM)
    subprocess.run(["cc", "-O2", "-std=gnu11", f"-I{ROOT}/include", str(source),
                    f"{build}/libsqueezebert.a", "-lm", "-lpthread", "-o", str(program)],
                   check=True)
    return program


def once(program, model, n_sequences, length):
    """Milliseconds of wall clock and of CPU, peak resident bytes, and CPU milliseconds of opening
    the model, of one process."""
    start = time.perf_counter()
    process = subprocess.Popen([str(program), str(model), str(n_sequences), str(length)],
                               stdout=subprocess.PIPE)
    opened = process.stdout.read().split()
    _, status, usage = os.wait4(process.pid, 0)
    process.stdout.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"the program failed on {model}")
    return 1e3 * (time.perf_counter() - start), 1e3 * (
        usage.ru_utime + usage.ru_stime), usage.ru_maxrss * 1024, float(opened[0])


def library_bytes(build, folder):
    stripped = folder / "stripped.so"
    subprocess.run(["strip", "-o", str(stripped), str((build / "libsqueezebert.so").resolve())],
                   check=True)
    return stripped.stat().st_size


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        program = compile_program(options.build, folder)
        once(program, options.model, 1, 16)
        wall, cpu, _, opening = zip(
            *(once(program, options.model, 1, 16) for _ in range(options.runs)))
        above, batch_above = ((max(once(program, options.model, n, 128)[2] for _ in range(3)) -
                               options.model.stat().st_size) / 1e6 for n in (1, 8))
        library = library_bytes(options.build, folder) / 1e3
    print(f"start to first answer: median {statistics.median(wall):.1f} ms, of it CPU "
          f"{statistics.median(cpu):.1f} ms; on a busy machine the rest is waiting for a core")
    rows = [("start to first answer, 16 tokens, the fastest run, ms", min(wall), START_MS),
            ("opening the model, the fastest run, ms of CPU", min(opening), OPEN_MS),
            ("peak resident memory of 1x128 above the file, MB", above, ABOVE_FILE_MB),
            ("peak resident memory of 8x128 above the file, MB", batch_above, BATCH_ABOVE_FILE_MB),
            ("runtime library stripped, kB", library, LIBRARY_KB)]
    print("| what | measured | bar | |\n|---|---|---|---|")
    for what, value, bar in rows:
        print(f"| {what} | {value:.1f} | {bar} | {'met' if value <= bar else 'MISSED'} |")
    return 0 if all(value <= bar for _, value, bar in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
