# SPDX-License-Identifier: Apache-2.0
"""Writes tests/unit/qa_vectors.h from ref/qa_reference.py: random logits over one to three
overlapping windows.

Run by hand:  python3 tests/reference/make_qa_vectors.py > tests/unit/qa_vectors.h
Logits are multiples of 1/8, so that sums are exact in any precision and ties happen.
"""
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "ref"))
from qa_reference import best_answers  # noqa: E402

rng = random.Random(7)
SHOWN, PIECES, WINDOWS = 6, 14, 3


def case(n_windows, n_question, n_context, overlap):
    windows, begin = [], 0
    for _ in range(n_windows):
        pieces = [(255, 0, 0)] + [(0, 3 * i, 3 * i + 2) for i in range(n_question)] + [(255, 0, 0)]
        pieces += [(1, 4 * (begin + i), 4 * (begin + i) + 3)
                   for i in range(n_context)] + [(255, 0, 0)]
        windows.append((pieces,
                        [(rng.randrange(-24, 24) / 8, rng.randrange(-24, 24) / 8) for _ in pieces]))
        begin += n_context - overlap
    return windows


def c_pair(pair):
    return "{%s, %s}" % tuple(repr(float(x)) + "f" for x in pair)


print("/* SPDX-License-Identifier: Apache-2.0 */\n"
      "/* Written by tests/reference/make_qa_vectors.py from ref/qa_reference.py. */")
print("#ifndef QA_VECTORS_H\n#define QA_VECTORS_H\n\n#include <squeezebert/task.h>\n")
print(f"enum {{ QA_SHOWN = {SHOWN}, QA_PIECES = {PIECES}, QA_WINDOWS = {WINDOWS} }};\n")
print("typedef struct qa_case {\n    uint32_t n_windows, n, max_answer_pieces;\n"
      "    int no_answer;\n    float null_threshold;")
print("    struct {\n        uint8_t sequence;\n        uint32_t begin, end;\n"
      "    } pieces[QA_WINDOWS][QA_PIECES];\n    float logits[QA_WINDOWS][QA_PIECES][2];")
print("    uint32_t n_answers, n_shown;\n    struct {\n        int none;\n"
      "        uint32_t begin, end;\n        float worth;\n        double score;\n"
      "    } answers[QA_SHOWN];\n} qa_case;\n")
print("static const qa_case qa_cases[] = {")
for n_windows, n_question, n_context, overlap, longest, no_answer, threshold in [
        (1, 2, 3, 0, 30, False, 0.0), (1, 2, 9, 0, 2, False, 0.0), (3, 2, 8, 4, 4, False, 0.0),
        (2, 1, 9, 5, 30, True, 0.0),
        (1, 2, 2, 0, 30, True, -100.0), (1, 2, 2, 0, 30, True, 100.0), (1, 3, 0, 0, 30, False, 0.0),
        (1, 3, 0, 0, 30, True, 0.0), (3, 1, 10, 9, 1, True, 1.0)]:
    windows = case(n_windows, n_question, n_context, overlap)
    answers = best_answers(windows, longest, no_answer, threshold)
    pieces = ", ".join("{%s}" % ", ".join("{%d, %d, %d}" % p for p in w[0]) for w in windows)
    logits = ", ".join("{%s}" % ", ".join(c_pair(p) for p in w[1]) for w in windows)
    shown = ", ".join("{%d, %d, %d, %rf, %r}" % (b is None, b or 0, e or 0, w, s)
                      for b, e, w, s in answers[:SHOWN]) or "{0, 0, 0, 0, 0}"
    print(f"    {{{n_windows}, {len(windows[0][0])}, {longest}, {int(no_answer)}, {threshold!r}f, "
          f"{{{pieces}}}, {{{logits}}}, {len(answers)}, {min(len(answers), SHOWN)}, {{{shown}}}}},")
print("};\n\n#endif")
