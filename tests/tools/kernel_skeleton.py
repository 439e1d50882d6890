#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The kernel that doc/kernels.md shows under "A skeleton" compiles and keeps its duties: it agrees
with a loop in double, does not see neighbours, reads and writes nothing past its columns, may write
where it reads, and leaves a NaN one.

    kernel_skeleton.py ROOT CC

Exit 77, skipped: this machine has no AVX2.
"""
import os
import re
import subprocess
import sys
import tempfile

FLAGS = ["-std=c11", "-O2", "-mavx2", "-mfma", "-mf16c", "-ffp-contract=off", "-Wall", "-Wextra",
         "-Wpedantic", "-Wconversion", "-Werror"]
CHECK = r"""
#include "skeleton.c"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* n floats that end at a page that nobody may touch */
static float *at_the_edge(size_t n)
{
    char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mprotect(map + 4096, 4096, PROT_NONE) != 0) exit(2);
    return (float *)(void *)(map + 4096) - n;
}

static void run(size_t m, size_t n, const float *x, const float *weight, float *out)
{
    sqzk_rms_norm_avx2(&(sqzk_rms_norm_args){.m = m, .n = n, .x = x, .ldx = n, .weight = weight,
                                             .epsilon = 1e-6f, .out = out, .ldo = n});
}

static int check(size_t n)
{
    enum { ROWS = 3 };
    float *x = at_the_edge(ROWS * n), *weight = at_the_edge(n), *out = at_the_edge(ROWS * n),
          *alone = at_the_edge(n);
    for (size_t i = 0; i < ROWS * n; i++) x[i] = (float)(int)(i * 37 % 101) / 17.0f - 2.5f;
    for (size_t j = 0; j < n; j++) weight[j] = 0.5f + (float)j / (float)n;
    run(ROWS, n, x, weight, out);
    for (size_t r = 0; r < ROWS; r++) {
        double squares = 0;
        for (size_t j = 0; j < n; j++) squares += (double)x[r * n + j] * x[r * n + j];
        for (size_t j = 0; j < n; j++) {
            const double wanted = x[r * n + j] / sqrt(squares / (double)n + 1e-6) * weight[j],
                         /* n sums, and six roundings behind them */
                         bound = ((double)n + 6) * 0x1p-24 * fabs(wanted);
            if (!(fabs(out[r * n + j] - wanted) <= bound))
                return printf("n %zu, row %zu, column %zu: %.9g, not %.9g\n", n, r, j,
                              (double)out[r * n + j], wanted);
        }
        run(1, n, x + r * n, weight, alone);
        if (memcmp(alone, out + r * n, n * sizeof *alone) != 0)
            return printf("n %zu, row %zu: other bits alone\n", n, r);
    }
    x[n] = NAN; /* of the second row */
    run(ROWS, n, x, weight, x);
    for (size_t i = 0; i < ROWS * n; i++)
        if (i / n == 1 ? !isnan(x[i]) : memcmp(&x[i], &out[i], sizeof *x) != 0)
            return printf("n %zu, number %zu: in place, beside a NaN: %.9g\n", n, i, (double)x[i]);
    return 0;
}

int main(void)
{
    for (size_t n = 1; n <= 70; n++)
        if (check(n)) return 1;
    return 0;
}
"""


def main():
    root, compiler = sys.argv[1:]
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            has = set(re.search(r"^flags\s*:(.*)$", file.read(), re.M)[1].split())
    except (OSError, TypeError):
        has = set()
    if not {"avx2", "fma", "f16c"} <= has:
        print("skipped: this machine has no AVX2")
        return 77
    with open(os.path.join(root, "doc/kernels.md"), encoding="utf-8") as file:
        text = re.search(r"^## A skeleton$.*?^```c\n(.*?)^```$", file.read(), re.M | re.S)[1]
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("skeleton.c", text), ("check.c", CHECK)):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(("#define _GNU_SOURCE\n" if name == "check.c" else "") + content)
        program = os.path.join(folder, "check")
        subprocess.run([compiler, *FLAGS, "-I", os.path.join(root, "src"), "-I",
                        os.path.join(root, "include"), os.path.join(folder, "check.c"), "-o",
                        program, "-lm"], check=True)
        return subprocess.run([program]).returncode


if __name__ == "__main__":
    sys.exit(main())
