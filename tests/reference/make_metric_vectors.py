# SPDX-License-Identifier: Apache-2.0
"""Writes tests/unit/metric_vectors.h: small random and degenerate inputs with the figures of
scikit-learn and SciPy.

Run by hand where both are installed:

    python3 tests/reference/make_metric_vectors.py > tests/unit/metric_vectors.h
"""
import random

from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

rng = random.Random(20)


def c_list(values):
    return "{" + ", ".join(repr(v) for v in values) + "}"


def class_cases():
    for n, k in [(1, 2), (2, 2), (7, 2), (16, 2), (16, 3), (24, 3), (24, 5)]:
        yield k, [rng.randrange(k) for _ in range(n)], [rng.randrange(k) for _ in range(n)]
    yield 2, [0] * 8, [rng.randrange(2) for _ in range(8)]  # nothing positive predicted
    yield 2, [rng.randrange(2) for _ in range(8)], [1] * 8
    yield 2, [1] * 5, [1] * 5
    yield 3, [2, 1, 0, 2, 1, 0], [2, 1, 0, 2, 1, 0]


def number_cases():
    for n in (2, 3, 9, 24):
        yield [rng.gauss(0, 1) for _ in range(n)], [rng.gauss(0, 1) for _ in range(n)]
    # ties
    yield [float(rng.randrange(4)) for _ in range(24)], [float(rng.randrange(3)) for _ in range(24)]
    # a large mean
    yield [1e9 + rng.gauss(0, 1) for _ in range(20)], [rng.gauss(0, 1e-6) for _ in range(20)]
    yield [float(i) for i in range(12)], [float(-i) for i in range(12)]


print("/* SPDX-License-Identifier: Apache-2.0 */")
print("/* Written by tests/reference/make_metric_vectors.py from scikit-learn and SciPy. */")
print("#ifndef METRIC_VECTORS_H\n#define METRIC_VECTORS_H\n\n#include <stddef.h>\n"
      "#include <stdint.h>\n")
print("typedef struct class_case {\n    size_t n;\n"
      "    uint32_t n_classes, predicted[24], truth[24];\n    double accuracy, f1, matthews;\n"
      "} class_case;")
print("static const class_case class_cases[] = {")
for k, p, t in class_cases():
    f1 = f1_score(t, p, labels=[1], average="micro",
                  zero_division=0) if k > 2 else f1_score(t, p, zero_division=0)
    print(f"    {{{len(p)}, {k}, {c_list(p)}, {c_list(t)}, {float(accuracy_score(t, p))!r}, "
          f"{float(f1)!r}, {float(matthews_corrcoef(t, p))!r}}},")
print("};\n\ntypedef struct number_case {\n    size_t n;\n    double x[24], y[24];\n"
      "    double pearson, spearman;\n} number_case;")
print("static const number_case number_cases[] = {")
for x, y in number_cases():
    print(f"    {{{len(x)}, {c_list(x)}, {c_list(y)}, {float(pearsonr(x, y)[0])!r}, "
          f"{float(spearmanr(x, y)[0])!r}}},")
print("};\n\n#endif")
