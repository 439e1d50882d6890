#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the laws that ARCHITECTURE.md states about the tree.

    check_laws.py ROOT [--archive FILE.a]... [--objects LIST]

Reads the files that git tracks under ROOT (every file where ROOT is no repository, or there is no
git), prints one line a violation, `path:line: law: what was found`, and exits 1 if there was one.
Only text is read; nothing is compiled. Needs python3 and, for --archive, nm. What it cannot see:
includes made by macros, symbols of objects that are in no archive given.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys

LEFT_OF = {  # what a folder of src/ may include; itself is always allowed
    "base": "",
    "kernel": "base",
    "text": "base",
    "io": "base",
    "data": "base",
    "nn": "base kernel text io",
    "model": "base kernel text io nn",
    "task": "base kernel text io nn model",
    "rewrite": "base kernel text io nn model",
    "import": "base kernel text io data nn model rewrite",
    "export": "base kernel text io data nn model import",
    "eval": "base kernel text io data nn model task rewrite",
    "squeeze": "base kernel text io data nn model task rewrite eval",
    "train": "base kernel text io data nn model task rewrite eval squeeze",
    "compress": "base kernel text io data nn model task rewrite eval squeeze train",
    "build": "base kernel text io data nn model task rewrite eval squeeze train compress",
    "serve": "",
}
RUNTIME = "base kernel text io nn model task".split()
GRADIENT = re.compile(r"/kernel/(grad|optim|peak)/|(^|/|_)grad\.[ch]$")
ISA = "avx2 avxvnni avx512 avx512vnni avx512bf16 amx neon dotprod i8mm armbf16 simd128".split()
INTRINSICS = re.compile(r"#\s*include\s*<(\w*intrin|arm_neon|arm_acle|cpuid|wasm_simd128)\.h>|"
                        r"\b(__asm__|__asm|asm)\b|\b__builtin_ia32_")
LIBRARY_HEADERS = {  # header -> path prefixes that may include it
    "jansson.h": ("src/import/", "src/export/", "src/data/", "src/eval/", "src/train/",
                  "src/squeeze/", "src/serve/", "cli/", "tests/"),
    "cblas.h": ("src/squeeze/dense_algebra.c",),
    "lapacke.h": ("src/squeeze/dense_algebra.c",),
    "dlfcn.h": ("src/squeeze/load_library.c",),
    "mpi.h": ("src/train/comm_mpi.c",),
    "microhttpd.h": ("src/serve/http.c",),
    "zlib.h": ("src/import/", "cli/", "tests/"),
}
SPEAKS = re.compile(r"\b(v?printf|puts|putchar|perror|exit|_exit|quick_exit|abort|system|popen)"
                    r"\s*\(|\b(stdout|stderr|stdin)\b")
# What the host's setlocale changes; a format counts only in a string, which code_only leaves out.
FOLLOWS_LOCALE = re.compile(
    r"\b(strto(d|f|ld)|atof|setlocale|localeconv|str(n)?casecmp|"
    r"is(alpha|alnum|space|punct|upper|lower)|to(upper|lower))\s*\(")
REAL_FORMAT = re.compile(r'"[^"]*(?<!%)%[-+ #0-9.*]*[aAeEfFgG]')
ALLOCATES = re.compile(
    r"\b(malloc|calloc|realloc|aligned_alloc|posix_memalign|strdup|strndup|free)\s*\(")
SYMBOL = re.compile(r"^(sqz_|sqzi_|sqzk_)")
UNFINISHED = re.compile(r"\b(%s)\b" % "|".join(("TO" "DO", "FIX" "ME", "XX" "X", "HA" "CK")))
FOREIGN_PATH = re.compile(r"(?<![\w.\-/$*})>~])/(work|root|home|opt|mnt|media|Users)/\w")
REGISTRY = re.compile(
    r"\b(pypi\.%s|files\.pythonhosted\.%s|registry\.npmjs\.%s|proxy\.golang\.%s|crates\.%s)\b" %
    ("org", "org", "org", "org", "io"))
# Words of our own that had one of the field's (doc/notation.md): pattern and what to say instead,
# in src, include and doc. Names in model files stay (sqz.requires: reduced_embedding).
RETIRED = [(re.compile(r"(?<![A-Za-z])(%s)(?![A-Za-z])" % pattern, re.I), instead)
           for pattern, instead in (
    ("excess", "outlier"),
    ("kept apart", "an outlier; in memory of its own"),
    ("shift(s|ed|ing)?", "zero point (of unsigned rows); origin (of a workspace's rows); move"),
    (r"widen\w*", "convert, dequantise"),
    (r"compensat\w*", "GPTQ (of integers); column offset (of a panel)"),
    ("no[-_]correction|sqzi_corrections?", "bias correction"),
    ("sqz_pool(_[a-z_]+)?", "sqz_pooling, SQZ_POOLING_ (a pool is the threads of a context)"),
    (r"resiz(e|es|ed|ing)|reduced(?!_embedding)", "projected, factorised (of an embedding)"),
)]
LONGEST_FILE, LONG_FUNCTION, LONGEST_FUNCTION = 400, 60, 120
WIDEST = dict.fromkeys((".c", ".h", ".inc", ".py", ".sh", ".cmake", "CMakeLists.txt", "Makefile"),
                       100)
WIDEST[".md"] = 110  # but for tables and lines with an address
UNBROKEN = re.compile(r"\s*\||.*\bhttps?://")


def tracked(root):
    """Paths under root, with '/', in order."""
    top = shutil.which("git") and subprocess.run(
        ["git", "-C", root, "rev-parse", "--show-toplevel"], capture_output=True, text=True)
    if top and top.returncode == 0 and os.path.realpath(
            top.stdout.strip()) == os.path.realpath(root):
        listed = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True,
                                text=True, check=True)
        return sorted(p for p in listed.stdout.split("\0") if p
                      and os.path.isfile(os.path.join(root, p)))
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [f for f in folders if f != ".git" and not f.startswith("build")]
        found += [os.path.relpath(os.path.join(folder, f), root).replace(os.sep, "/")
                  for f in files]
    return sorted(found)


def read(root, path):
    """The file's text, or None where it is not text."""
    with open(os.path.join(root, path), "rb") as file:
        data = file.read()
    if b"\0" in data[:4096]:
        return None
    return data.decode("utf-8", "replace")


NOT_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text):
    """The text with comments, strings and characters blanked; lines keep their numbers. Lines of
    #include stay."""
    def blank(match):
        start = text.rfind("\n", 0, match.start()) + 1
        if match.group().startswith('"') and re.match(r"\s*#\s*include", text[start:match.start()]):
            return match.group()
        return re.sub(r"[^\n]", " ", match.group())
    return NOT_CODE.sub(blank, text)


def includes_of(code):
    for number, line in enumerate(code.split("\n"), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if match:
            yield number, match.group(1) == '"', match.group(2)


def check_includes(path, code, say):
    parts = path.split("/")
    for number, quoted, name in includes_of(code):
        base = os.path.basename(name)
        if base in LIBRARY_HEADERS and not path.startswith(LIBRARY_HEADERS[base]):
            say(path, number, "library",
                f"includes {name}; only {', '.join(LIBRARY_HEADERS[base])} may")
        if parts[0] == "src" and quoted:
            folder, target = parts[1], name.split("/")[0]
            if "/" not in name:
                say(path, number, "include", f'"{name}" names no folder; write "{folder}/{name}"')
            elif target != folder and target not in LEFT_OF.get(folder, "").split():
                say(path, number, "include", f"{folder} includes {name}; it may include "
                                             f"{LEFT_OF.get(folder, '') or 'nothing else of ours'}")
        if parts[0] == "include" and quoted:
            say(path, number, "include",
                f'a public header includes "{name}"; only <squeezebert/...> and the C library')
        if parts[0] in ("cli", "bindings") and quoted and (".." in name or "/" in name):
            say(path, number, "include", f'"{name}": cli and bindings see public headers only')


def check_gradients(path, code, say):
    """What runs a model links nothing that only training or measuring needs: the archive of these
    folders is made without it (cmake/libraries.cmake)."""
    parts = path.split("/")
    if parts[0] != "src" or parts[1] not in RUNTIME or GRADIENT.search(path):
        return
    for number, quoted, name in includes_of(code):
        if quoted and GRADIENT.search("src/" + name):
            say(path, number, "gradients",
                f"{name} is for training or measuring, and this file for running a model")


def check_instructions(path, code, say):
    stem = os.path.splitext(os.path.basename(path))[0]
    kernel = path.startswith("src/kernel/") and (stem.rsplit("_", 1)[-1] in ISA
                                                 or path.startswith("src/kernel/peak/"))
    if kernel or path == "src/base/cpu.c":
        return
    if path == "src/base/threads.c":  # the hint of a spinning thread, no instruction set of its own
        code = code.replace("__builtin_ia32_pause", "")
    for number, line in enumerate(code.split("\n"), 1):
        if INTRINSICS.search(line):
            say(path, number, "instructions",
                f"'{line.strip()}' belongs into src/kernel/*/*_<isa>.c")


def check_manners(path, code, text, say):
    """Library code never prints, exits or reads the environment, and takes memory from the
    context's allocator."""
    if not path.startswith("src/"):
        return
    raw = text.split("\n")
    for number, line in enumerate(code.split("\n"), 1):
        match = SPEAKS.search(line)
        if match:
            say(path, number, "manners",
                f"'{match.group().strip()}': the library never prints and never exits")
        if re.search(r"\b(secure_)?getenv\b", line) and 'getenv("SQZ_CPU")' not in raw[number - 1]:
            say(path, number, "manners", "reads the environment; SQZ_CPU is the one exception")
        if path != "src/base/memory.c" and ALLOCATES.search(line):
            say(path, number, "memory",
                f"'{line.strip()}': memory comes from the context's allocator")


def check_locale(path, code, text, say):
    """Numbers are written and read by src/base/number.c: printf and strtod follow the locale of the
    host program."""
    if not path.startswith("src/") or path == "src/base/number.c":
        return
    raw = text.split("\n")
    for number, line in enumerate(code.split("\n"), 1):
        match = FOLLOWS_LOCALE.search(line)
        if match:
            say(path, number, "locale", f"'{match.group()}' follows the locale of the host program")
        spoken = re.sub(r"/\*.*?(\*/|$)", "", raw[number - 1])
        is_code = line.strip() or spoken.lstrip().startswith('"')  # not the middle of a comment
        if is_code and REAL_FORMAT.search(spoken):
            say(path, number, "locale", "a format of real numbers follows the locale of the host "
                                        "program; %s and SQZI_REAL (base/number.h) do not")


def check_lengths(path, text, code, reasons, say):
    lines = code.split("\n")
    generated = "generated by" in text[:600].lower()
    if len(text.splitlines()) > LONGEST_FILE and not generated and path not in reasons:
        say(path, 1, "length",
            f"{len(text.splitlines())} lines; a file has at most {LONGEST_FILE}: split it")
    opened = None
    for number, line in enumerate(lines, 1):
        if line.rstrip() == "{":
            opened = number
        elif line.startswith("}") and opened:
            length, opened = number - opened + 1, None
            if length > LONGEST_FUNCTION and not generated and path not in reasons:
                say(path, number, "length",
                    f"a function of {length} lines; {LONGEST_FUNCTION} is the most: split it")
            elif length > LONG_FUNCTION and not generated and path not in reasons:
                say(path, number, "length", f"a function of {length} lines; over {LONG_FUNCTION} "
                                            "needs a line with its reason in tools/long_files.txt")


def check_width(path, text, say):
    """Lines that no window shows whole. Generated tables are left out."""
    name = os.path.basename(path)
    widest = WIDEST.get(name) or WIDEST.get(os.path.splitext(name)[1])
    if widest is None or "generated by" in text[:600].lower():
        return
    for number, line in enumerate(text.split("\n"), 1):
        columns = len(line.expandtabs(8))
        if columns > widest and not (name.endswith(".md") and UNBROKEN.match(line)):
            say(path, number, "width", f"{columns} columns; {widest} is the most")


def check_words(path, text, say):
    if path == "tools/check_laws.py":
        return
    for number, line in enumerate(text.split("\n"), 1):
        for law, pattern in (("unfinished", UNFINISHED), ("machine path", FOREIGN_PATH),
                             ("registry host", REGISTRY)):
            match = pattern.search(line)
            if match:
                say(path, number, law, f"'{match.group()}'")


def check_retired(path, text, say):
    if path.split("/")[0] not in ("src", "include", "doc"):
        return
    for number, line in enumerate(text.split("\n"), 1):
        for pattern, instead in RETIRED:
            match = pattern.search(line)
            if match:
                say(path, number, "words", f"'{match.group()}': say {instead}")


def check_names(paths, say):
    seen = {}
    for path in paths:
        if path.endswith((".c", ".h")):
            name = os.path.basename(path)
            if name in seen and not path.startswith("include/") and not seen[name].startswith(
                    "include/"):
                say(path, 1, "unique name", f"{seen[name]} has the same name")
            seen.setdefault(name, path)
        if (path.startswith("tests/") and path.endswith(".c") and "/support/" not in path
            and not os.path.basename(path).startswith(("test_", "fuzz_"))):
            say(path, 1, "unique name", "a test is named test_x.c")


def check_symbols(archive, say):
    listed = subprocess.run(["nm", "-g", "--defined-only", archive], capture_output=True, text=True)
    if listed.returncode != 0:
        say(archive, 0, "symbol", f"nm cannot read it: {listed.stderr.strip()}")
    for line in listed.stdout.split("\n"):
        fields = line.split()
        if len(fields) == 3 and not fields[2].startswith("__") and not SYMBOL.match(fields[2]):
            say(archive, 0, "symbol", f"'{fields[2]}' begins with none of sqz_ sqzi_ sqzk_")


def linkage(archives, objects):
    """{object: (symbols it defines, symbols it needs)} of archives' members and object files."""
    found = {}
    listed = subprocess.run(["nm", "-gA", *archives, *objects], capture_output=True, text=True)
    for line in listed.stdout.split("\n"):
        match = re.match(r"(?:.*:)?([^:]+):\s*(?:[0-9a-f]+ )?([A-Za-z]) (\S+)$", line)
        if match:
            name = os.path.basename(match.group(1))
            defined, needed = found.setdefault(name, (set(), set()))
            (needed if match.group(2) == "U" else defined).add(match.group(3))
    return found


def circles(needs):
    """Sets of more than one node that all reach each other in {node: nodes}: Tarjan's
    components."""
    index, lowest, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = lowest[node] = len(index)
        stack.append(node)
        for other in needs[node]:
            if other not in index:
                visit(other)
            if other in stack:
                lowest[node] = min(lowest[node], lowest[other])
        if lowest[node] == index[node]:
            at = stack.index(node)
            found.append(sorted(stack[at:]))
            del stack[at:]
    for node in needs:
        if node not in index:
            visit(node)
    return [nodes for nodes in found if len(nodes) > 1]


def check_circles(archives, objects, say):
    """An object that needs another one is not needed by it, however far around."""
    linked = linkage(archives, objects) if archives or objects else {}
    home = {symbol: name for name, (defined, _) in linked.items() for symbol in defined}
    needs = {name: sorted({home[s] for s in needed if s in home} - {name})
             for name, (_, needed) in linked.items()}
    for nodes in circles(needs):
        say(nodes[0], 0, "circle", f"{' '.join(nodes)} need each other")


def reasons_of(root):
    """Files whose length has a reason: 'path: reason' lines of tools/long_files.txt."""
    path = os.path.join(root, "tools/long_files.txt")
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return dict(line.strip().split(": ", 1)
                    for line in file if ": " in line and not line.startswith("#"))


def check_survivors(root, paths, say):
    """Lines of tools/mutate_survivors.txt, which mutate.py itself reads only in check-long."""
    name = "tools/mutate_survivors.txt"
    for number, line in enumerate((read(root, name) if name in paths else "").split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split(" | ", 2)]
        if len(parts) != 3:
            say(name, number, "survivors", "a line is 'path | pattern | reason'")
            continue
        try:
            re.compile(parts[1])
            for pattern in parts[0].split(" > "):
                if not any(re.fullmatch(pattern, path) for path in paths):
                    say(name, number, "survivors", f"{pattern} is not in the tree")
        except re.error as problem:
            say(name, number, "survivors", f"no regular expression: {problem}")


def check_tree(root, archives, objects=()):
    """Every violation as 'path:line: law: text'."""
    found = []
    def say(path, number, law, text):
        found.append(f"{path}:{number}: {law}: {text}")
    paths, reasons = tracked(root), reasons_of(root)
    for path in paths:
        text = read(root, path)
        if text is None:
            continue
        check_words(path, text, say)
        check_retired(path, text, say)
        check_width(path, text, say)
        if path.endswith((".c", ".h", ".inc")):
            code = code_only(text)
            check_includes(path, code, say)
            check_gradients(path, code, say)
            check_instructions(path, code, say)
            check_manners(path, code, text, say)
            check_locale(path, code, text, say)
            check_lengths(path, text, code, reasons, say)
    for path in reasons:
        if path not in paths:
            say("tools/long_files.txt", 0, "length", f"{path} is not in the tree")
    check_survivors(root, paths, say)
    check_names(paths, say)
    for archive in archives:
        check_symbols(archive, say)
    check_circles(archives, objects, say)
    return found


def main():
    parser = argparse.ArgumentParser(description="checks the laws of ARCHITECTURE.md")
    parser.add_argument("root")
    parser.add_argument("--archive", action="append", default=[],
                        help="a static library whose symbols are checked")
    parser.add_argument("--objects", help="a file that lists the program's object files")
    chosen = parser.parse_args()
    objects = []
    if chosen.objects:
        with open(chosen.objects, encoding="utf-8") as file:
            objects = file.read().split("\n")[:-1]
    found = check_tree(chosen.root, chosen.archive, objects)
    print("\n".join(found) if found else "every law holds")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
