#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The law checker's own test: a lawful tree passes; one breach of each law, put into that tree, is
named at its line."""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools"))
sys.dont_write_bytecode = True
import check_laws  # noqa: E402

LAWFUL = {
    "include/squeezebert/model.h": "#include <squeezebert/status.h>\n",
    "src/base/memory.c": '#include "base/memory.h"\nvoid sqzi_free(void *p)\n{\n    free(p);\n}\n',
    "src/base/memory.h": "/* never calls printf() or exit() */\n",
    "src/base/cpu.c": "#include <cpuid.h>\n",
    "src/kernel/gemm/gemm_f32_avx2.c": '#include <immintrin.h>\n#include "base/memory.h"\n',
    "src/nn/linear.c": '#include "base/memory.h"\n#include "kernel/kernel.h"\n'
                       'const char *sqzi_text = "abort() and stderr";\n',
    "src/nn/linear_grad.c": '#include "kernel/grad/grad_table.h"\n#include "nn/grad.h"\n',
    "src/eval/trained.c": '#include "kernel/grad/grad_table.h"\n',
    "src/model/context.c": 'const char *mask(void) { return getenv("SQZ_CPU"); }\n',
    "src/import/json.c": '#include <jansson.h>\n#include "model/context.h"\n',
    "cli/main.c": '#include <squeezebert/model.h>\n#include "options.h"\n',
    "src/base/number.c": 'void sqzi_put(char *t) { snprintf(t, 9, "%g", strtod("1", 0)); }\n',
    "src/model/features.c": 'const char *sqzi_feature = "reduced_embedding"; /* outliers */\n',
    "doc/notation.md": "The shifter of an excessively wide matrix.\n",
    "src/nn/percent.c": 'const char *sqzi_say = "%d %% error, 5 %"; /* "%g" */\n',
    "tests/unit/test_linear.c": "int main(void) { return 0; }\n",
}

BREACHES = [  # path, text, the law and the line that must be named
    ("src/base/a.c", '#include "nn/linear.h"\n', "src/base/a.c:1: include"),
    ("src/text/a.c", '\n#include "io/gguf.h"\n', "src/text/a.c:2: include"),
    ("src/task/a.c", '#include "import/json.h"\n', "src/task/a.c:1: include"),
    ("src/import/a.c", '#include "export/exporter.h"\n', "src/import/a.c:1: include"),
    ("src/nn/a.c", '#include "linear.h"\n', "src/nn/a.c:1: include"),
    ("src/nn/a.c", '\n#include "kernel/grad/grad_table.h"\n', "src/nn/a.c:2: gradients"),
    ("src/kernel/a.c", '#include "kernel/optim/adamw.h"\n', "src/kernel/a.c:1: gradients"),
    ("src/model/a.c", '#include "kernel/peak/peak.h"\n', "src/model/a.c:1: gradients"),
    ("src/model/a.c", '#include "nn/grad.h"\n', "src/model/a.c:1: gradients"),
    ("cli/a.c", '#include "../src/base/memory.h"\n', "cli/a.c:1: include"),
    ("include/squeezebert/a.h", '#include "base/memory.h"\n', "include/squeezebert/a.h:1: include"),
    ("src/nn/a.c", "#include <immintrin.h>\n", "src/nn/a.c:1: instructions"),
    ("src/kernel/gemm/gemm_any.c", 'void f(void) { __asm__("nop"); }\n',
     "src/kernel/gemm/gemm_any.c:1: instructions"),
    ("src/model/a.c", "#include <jansson.h>\n", "src/model/a.c:1: library"),
    ("src/squeeze/a.c", "#include <lapacke.h>\n", "src/squeeze/a.c:1: library"),
    ("src/squeeze/a.c", "#include <dlfcn.h>\n", "src/squeeze/a.c:1: library"),
    ("src/train/a.c", "#include <mpi.h>\n", "src/train/a.c:1: library"),
    ("src/serve/api.c", "#include <microhttpd.h>\n", "src/serve/api.c:1: library"),
    ("src/nn/a.c", 'void f(void) { fprintf(stderr, "x"); }\n', "src/nn/a.c:1: manners"),
    ("src/nn/a.c", "void f(void) { exit(1); }\n", "src/nn/a.c:1: manners"),
    ("src/nn/a.c", 'void f(void) { getenv("HOME"); }\n', "src/nn/a.c:1: manners"),
    ("src/nn/a.c", "void f(void) { malloc(1); }\n", "src/nn/a.c:1: memory"),
    ("src/nn/a.c", "double f(const char *t) { return strtod(t, 0); }\n", "src/nn/a.c:1: locale"),
    ("src/nn/a.c", 'void f(char *t) { snprintf(t, 9, "%u: %.3g", 1u, 0.5); }\n',
     "src/nn/a.c:1: locale"),
    ("src/io/linear.c", "int sqzi_x;\n", "src/nn/linear.c:1: unique name"),
    ("tests/unit/linears.c", "int main(void) { return 0; }\n",
     "tests/unit/linears.c:1: unique name"),
    ("src/nn/a.c", "void sqzi_f(void)\n{\n" + "    ;\n" * 60 + "}\n", "src/nn/a.c:63: length"),
    ("src/nn/a.c", "void sqzi_f(void)\n{\n" + "    ;\n" * 120 + "}\n", "src/nn/a.c:123: length"),
    ("src/nn/a.c", "int sqzi_x;\n" * 401, "src/nn/a.c:1: length"),
    ("src/nn/a.c", "int sqzi_x; /* " + "x" * 83 + " */\n", "src/nn/a.c:1: width"),
    ("tools/a.py", "x = 1\nx = '" + "x" * 96 + "'\n", "tools/a.py:2: width"),
    ("tests/cli/a.sh", "echo " + "x" * 96 + "\n", "tests/cli/a.sh:1: width"),
    ("cmake/a.cmake", "# " + "x" * 99 + "\n", "cmake/a.cmake:1: width"),
    ("Makefile", "all:\n\t@echo " + "x" * 90 + "\n", "Makefile:2: width"),
    ("bench/CMakeLists.txt", "# " + "x" * 99 + "\n", "bench/CMakeLists.txt:1: width"),
    ("doc/a.md", "| " + "x" * 200 + " |\nhttps://a.b/" + "x" * 200 + "\n\n" + "x" * 111 + "\n",
     "doc/a.md:4: width"),
    ("src/data/a.c", '#include "nn/linear.h"\n', "src/data/a.c:1: include"),
    ("src/nn/a.c", "int sqzi_x; /* an outlier */\nint sqzi_row_excess;\n",
     "src/nn/a.c:2: words: 'excess': say outlier"),
    ("doc/a.md", "The table is reduced.\n", "doc/a.md:1: words"),
    ("include/squeezebert/a.h", "int no_correction;\n", "include/squeezebert/a.h:1: words"),
    ("src/model/a.c", "float sqzi_shift;\n", "src/model/a.c:1: words"),
    ("include/squeezebert/a.h", "enum { SQZ_POOL_MEAN };\n", "include/squeezebert/a.h:1: words"),
    ("tools/long_files.txt", "src/nn/gone.c: no longer there\n", "tools/long_files.txt:0: length"),
    ("tools/mutate_survivors.txt", "src/nn/linear.c | a reason without a pattern\n",
     "tools/mutate_survivors.txt:1: survivors"),
    ("tools/mutate_survivors.txt", "src/nn/linear.c | ( | no pattern\n",
     "tools/mutate_survivors.txt:1: survivors"),
    ("tools/mutate_survivors.txt", "# path\nsrc/nn/linear.c > src/nn/gone.h | x | no such file\n",
     "tools/mutate_survivors.txt:2: survivors"),
    ("README.md", "fine\nTO" "DO: write this\n", "README.md:2: unfinished"),
    ("tools/a.py", "open('/ho" "me/someone/x')\n", "tools/a.py:1: machine path"),
    ("tools/a.sh", "curl https://py" "pi.org/simple\n", "tools/a.sh:1: registry host"),
]


def write(root, path, text):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8") as file:
        file.write(text)


def found_with(extra):
    """What the checker says about the lawful tree with these files put in."""
    root = tempfile.mkdtemp()
    try:
        for path, text in {**LAWFUL, **extra}.items():
            write(root, path, text)
        return check_laws.check_tree(root, [])
    finally:
        shutil.rmtree(root)


def symbols_of(source):
    """What the checker says about an archive of this source."""
    root = tempfile.mkdtemp()
    try:
        write(root, "a.c", source)
        subprocess.run(["cc", "-c", "a.c", "-o", "a.o"], cwd=root, check=True)
        subprocess.run(["ar", "rc", "a.a", "a.o"], cwd=root, check=True)
        found = []
        check_laws.check_symbols(os.path.join(root, "a.a"),
                                 lambda *violation: found.append(violation))
        return found
    finally:
        shutil.rmtree(root)


def circles_of(*sources):
    """What the checker says about objects made of these sources."""
    root = tempfile.mkdtemp()
    try:
        found, objects = [], []
        for i, source in enumerate(sources):
            write(root, f"{i}.c", source)
            subprocess.run(["cc", "-c", f"{i}.c", "-o", f"{i}.o"], cwd=root, check=True)
            objects.append(os.path.join(root, f"{i}.o"))
        check_laws.check_circles([], objects, lambda *violation: found.append(violation))
        return found
    finally:
        shutil.rmtree(root)


def main():
    failures = []
    lawful = found_with({})
    if lawful:
        failures.append(f"the lawful tree: {lawful}")
    for path, text, expected in BREACHES:
        found = found_with({path: text})
        if len(found) != 1 or not found[0].startswith(expected):
            failures.append(f"expected '{expected}' alone, got {found}")
    if symbols_of("int sqz_a, sqzi_b, sqzk_c; static int mine; int *sqzi_d = &mine;"):
        failures.append("lawful symbols were refused")
    if not symbols_of("int helper(void) { return 0; }"):
        failures.append("a global symbol without prefix was not seen")
    call = "void sqzi_%s(void); void sqzi_%s(void) { sqzi_%s(); }"
    if circles_of(call % ("b", "a", "b"), call % ("c", "b", "c"), "void sqzi_c(void) {}"):
        failures.append("objects in a row were called a circle")
    if len(circles_of(*(call % tuple(names) for names in ("bab", "cbc", "aca")))) != 1:
        failures.append("a circle of three objects was not seen")
    print("\n".join(failures) if failures else f"{len(BREACHES) + 2} breaches, each seen")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
