#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Changes kernels, and the files that run a model by them, one place at a time and looks whether
their checks see it.

    mutate.py ROOT BUILD [--count 20] [--seed 1] [--only TEXT]

BUILD is a build of ROOT with tests; those of another processor run in the emulator that ctest uses.
A kernel is a .c file of src/kernel/gemm, rows or grad that this machine's build has, with the
headers of those folders that it includes (the row kernels: and of src/kernel/activation). The files
of MODEL_TESTS are the same for every processor and left out where there is an emulator, but for
attention, which runs in its own test alone there. Each change - an operator, a constant, an index,
a bound, an intrinsic, in a line that this level compiles - is compiled as that file alone and
linked with the file's tests. One of them must fail, crash or hang. What survives must match a line
of tools/mutate_survivors.txt, `regular expression of the path | regular expression of "statement
before => statement after", each in one line | why no test can or need see it`; the path may be
`KERNEL > PATH` where the reason holds for some kernels alone. Exits 1 where something else
survives. A kernel that this CPU (or emulator) cannot run is named and left out.
"""
import argparse
import json
import os
import random
import re
import shlex
import subprocess
import sys
import tempfile
import time

SWAPS = [(" + ", " - "), (" - ", " + "), (" * ", " + "), (" / ", " * "), (" % ", " / "),
         (" < ", " <= "), (" <= ", " < "), (" > ", " >= "), (" >= ", " > "),
         (" == ", " != "), (" != ", " == "), (" && ", " || "), (" || ", " && "), (" & ", " | "),
         (" | ", " & "), ("++", "--"), (" += ", " -= "),
         ("_add(", "_sub("), ("_sub(", "_add("), ("_mul(", "_add("), ("_max(", "_min("),
         ("_min(", "_max("), ("!", ""),
         ("_add_ps(", "_sub_ps("), ("_mul_ps(", "_add_ps("), ("_max_ps(", "_min_ps("),
         ("_min_ps(", "_max_ps("), ("_fmadd_", "_fmsub_"),
         ("unpacklo", "unpackhi"), ("_slli_", "_srli_"), ("_and_", "_or_"), ("_or_", "_and_")]
NUMBER = re.compile(r"(?<![\w.])(0x[0-9A-Fa-f]+u?|\d+\.\d+(?:e-?\d+)?f|\d+u?)(?![\w.])")
OPERATORS = ("=", "+", "-", "*", "/", "%", "<", ">", "&", "|", "?")
FIRST_OPERATORS = tuple("? ,: ,= ,+ ,- ,* ,/ ,% ,< ,> ,& ,| ,&&,||".split(","))
DECLARES = re.compile(r"\s*(static |const |u?int\w* |size_t |float |double |bool |vec )")
CONDITION = re.compile(r"\s*((for|if|while|else if) \(.*\)|else)$")
NO_CODE = re.compile(r"\s*(#\s*(include|if|else|elif|endif|error|undef|pragma)|\.\w+ =|extern|"
                     r"static const float nothing)")
INDEX = re.compile(r"\[(\w+)\]")
# the smaller of two: < and <= are the same
SMALLER = re.compile(r"(\w+(?:->\w+)?(?: - \w+)?) [<>] (\w+(?: - \w+)?) \? \1 : \2")
FOLDERS = ("src/kernel/gemm/", "src/kernel/rows/", "src/kernel/activation/",
           "src/kernel/grad/")
ATTENTION = "src/nn/attention.c"
MODEL_TESTS = {ATTENTION: ["attention", "golden", "invariance"],
               "src/nn/embedding.c": ["golden", "invariance"],
               "src/nn/linear.c": ["linear", "permutations", "golden", "invariance"],
               "src/nn/block.c": ["golden", "keep", "profile", "invariance"],
               "src/nn/block_rows.c": ["golden", "keep", "invariance"],
               "src/nn/pack.c": ["pack", "repack", "permutations", "golden"],
               "src/nn/tensor_list.c": ["tensor_list", "quantize", "golden"],
               "src/nn/encoder.c": ["golden", "keep", "profile", "invariance"],
               "src/nn/head.c": ["golden", "head"],
               "src/model/session.c": ["golden", "model", "profile", "arguments", "head"]}


def tests_of(path):
    """The tests that must see a change, in the order in which they run; none for a file that is not
    changed."""
    if path in MODEL_TESTS:
        return ["test_" + name for name in MODEL_TESTS[path]]
    match = re.match(r"(gemm_(?:f32|bf16|s8|s16)|row_kernels|gather|transpose)_(?!list)",
                     os.path.basename(path))
    return ["test_" + match.group(1)] if match and path.startswith(FOLDERS) else []


def sources_of(root, path):
    """The file and the headers of the mutated folders that it includes, at any depth."""
    first, found, queue = path, [], [path]
    while queue:
        path = queue.pop(0)
        if path in found or not (path == first or path.startswith(FOLDERS)) or (
                "/gemm/" in first and "/activation/" in path):
            continue  # the functions of one number are the row kernels' duty
        found.append(path)
        with open(os.path.join(root, path)) as file:
            queue += ["src/" + name for name in re.findall(r'#include "([^"]+)"', file.read())]
    return found


def code_lines(text):
    """(number, line) of lines that hold code: no comments, includes, conditions or descriptors."""
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)
    for number, line in enumerate(text.split("\n")):
        if line.strip() and not NO_CODE.match(line):
            yield number, re.sub(r'"[^"]*"', lambda m: " " * len(m.group()), line)


def statements(text):
    """The (first, last) line of what each line is part of: a line goes on in the next one inside of
    brackets, behind an operator or before one, in a list of declarations, and from a condition to
    the one statement under it."""
    code, ends, first = [""] * (text.count("\n") + 2), [], 0
    for number, line in code_lines(text):
        code[number] = line.rstrip(" \\")
    for number, line in enumerate(code[:-1]):
        so_far, after = " ".join(code[first:number + 1]), code[number + 1].lstrip()
        opened = sum(map(so_far.count, "([")) > sum(map(so_far.count, ")]"))
        literal = "){" in so_far and so_far.count("{") > so_far.count("}")
        goes_on = (opened or literal or line.endswith(OPERATORS)
                   or line[-1:] not in (";", "{", "}", ":") and after.startswith(FIRST_OPERATORS)
                   or line.endswith(",") and DECLARES.match(so_far)
                   or CONDITION.match(so_far) and not after.startswith(("{", "}")))
        if not (line and after and goes_on):
            ends += [(first, number)] * (number + 1 - first)
            first = number + 1
    return ends


def in_one_line(lines):
    """A statement as it would stand without the width of a line."""
    joined = " ".join(line.strip().rstrip("\\").rstrip() for line in lines)
    return re.sub(r"(?<=[(\[]) | (?=[)\]])", "", joined)


def before_and_after(root, change):
    """The statement that a change is in, each in one line."""
    path, number, new = change
    with open(os.path.join(root, path)) as file:
        text = file.read()
    lines = text.split("\n")
    first, last = statements(text)[number]
    changed = lines[first:number] + [new] + lines[number + 1:last + 1]
    return in_one_line(lines[first:last + 1]), in_one_line(changed)


def changed_number(text, pick):
    if text.endswith("f") and "." in text and float(text[:-1]) == 0:
        return "1.0f"
    if text.endswith("f") and "." in text:
        return pick.choice(("-" + text, repr(float(text[:-1]) * 1.01) + "f"))
    value = int(text.rstrip("u"), 0) + pick.choice((1, -1))
    return str(abs(value)) + ("u" if text.endswith("u") else "")


def live_lines(text, seen):
    """The lines between two conditions of the preprocessor (#if, #else, #endif) of which it kept at
    least one."""
    parts = [[]]
    for number, line in enumerate(text.split("\n")):
        if re.match(r"\s*#\s*(if|el|endif)", line):
            parts.append([])
        parts[-1].append(number)
    return {number for part in parts if seen.intersection(part) for number in part}


def places(root, path, pick, seen):
    """Every change of one source: (path, line number, new line)."""
    with open(os.path.join(root, path)) as file:
        text = file.read()
    lines, live, parts = text.split("\n"), live_lines(text, seen), statements(text)
    for number, code in code_lines(text):
        if number not in live:
            continue
        line, code = lines[number], code + " "  # an operator may stand at the end
        first, last = parts[number]
        smaller = SMALLER.search(in_one_line(lines[first:last + 1]))
        def put(start, end, new):
            return path, number, line[:start] + new + line[end:]
        for old, new in SWAPS:
            start = code.find(old)
            while start >= 0:
                if not (old == "!" and code[start:start + 2] == "!=") and not (
                        old in (" < ", " > ") and smaller):
                    yield put(start, start + len(old), new)
                start = code.find(old, start + len(old))
        for match in NUMBER.finditer(code):
            yield put(*match.span(), changed_number(match.group(), pick))
        for match in INDEX.finditer(code):
            yield put(match.start(1), match.end(1), match.group(1) + " + 1")


def test_commands(build):
    """{test program: how ctest runs it}, an emulator in front where the build has one."""
    out = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1", "-R",
                          "^(kernel|unit|golden)/test_"], capture_output=True, text=True,
                         check=True).stdout
    return {test["name"].split("/")[1]: test["command"] for test in json.loads(out)["tests"]}


class Test:
    """One program, linked with a changed object in place of the library's."""

    def __init__(self, root, build, name, command, folder, changed):
        self.root, self.tests = root, os.path.join(build, "tests")
        program = os.path.join(folder, name + os.path.splitext(command[-1])[1])
        self.run = command[:-1] + [program]
        with open(os.path.join(self.tests, "CMakeFiles", name + ".dir", "link.txt")) as file:
            link = shlex.split(file.read().split("\n")[0])
        # clang has wasm-opt optimise the program for it
        link = [a for a in link if not re.match("-O[23]", a)]
        link[link.index("-o") + 1] = program
        first = next(i for i, a in enumerate(link) if a.endswith((".o", ".obj")))
        self.link = link[:first] + [changed] + link[first:]
        begin = time.monotonic()
        subprocess.run(command, cwd=root, capture_output=True, check=True)
        self.timeout = 60 + 4 * (time.monotonic() - begin)  # a change that loops for ever is caught

    def passes(self):
        """None where it does not link."""
        if subprocess.run(self.link, cwd=self.tests, capture_output=True).returncode:
            return None
        try:
            return subprocess.run(self.run, cwd=self.root, capture_output=True,
                                  timeout=self.timeout).returncode == 0
        except subprocess.TimeoutExpired:
            return False


class Kernel:
    def __init__(self, root, build, path, command, folder, test_commands):
        self.root, self.path, self.folder, self.tests = root, path, folder, os.path.join(
            build, "tests")
        self.compile = [a for a in shlex.split(command) if not a.startswith("-W")]
        self.compile = ["-O1" if re.match("-O[23]", a) else a for a in self.compile]
        self.object = os.path.join(folder, "mutant.o")
        self.compile[self.compile.index("-o") + 1] = self.object
        self.checks = [Test(root, build, name, run, folder, self.object)
                       for name, run in test_commands.items()]

    def lines_seen(self):
        """The numbers of the lines that the preprocessor keeps, by path."""
        command = ["-E" if a == "-c" else a for a in self.compile] + ["-dD"]
        command[command.index("-o") + 1] = "-"
        out = subprocess.run(command, cwd=self.tests, capture_output=True, text=True,
                             check=True).stdout
        seen, path, number = {}, "", 0
        for line in out.split("\n"):
            marker = re.match(r'# (\d+) "(.*?)"', line)
            if marker:
                path, number = os.path.relpath(marker.group(2), self.root), int(marker.group(1)) - 1
                continue
            if line.strip():
                seen.setdefault(path, set()).add(number)
            number += 1
        return seen

    def survives(self, change):
        """None where it does not compile, else whether all tests still pass."""
        path, number, new = change
        with open(os.path.join(self.root, path)) as file:
            lines = file.read().split("\n")
        lines[number] = new
        shadow = os.path.join(self.folder, path[len("src/"):])
        os.makedirs(os.path.dirname(shadow), exist_ok=True)
        with open(shadow, "w") as file:
            file.write("\n".join(lines))
        compile = [self.compile[0], "-I",
                   self.folder] + [shadow if a.endswith(path) else a for a in self.compile[1:]]
        compiled = subprocess.run(compile, cwd=self.tests, capture_output=True).returncode == 0
        os.remove(shadow)
        if not compiled:
            return None
        for check in self.checks:
            passes = check.passes()
            if not passes:
                return passes
        return True


def survivors_file(root):
    with open(os.path.join(root, "tools", "mutate_survivors.txt")) as file:
        rows = [[part.strip() for part in line.split(" | ", 2)]
                for line in file if line.strip() and not line.startswith("#")]
    return [(path, re.compile(pattern), why) for path, pattern, why in rows]


def check_kernel(kernel, options, explained):
    """[caught, explained, survived] of one kernel; prints what survived."""
    pick = random.Random(f"{options.seed} {kernel.path}")
    seen = kernel.lines_seen()
    changes = [c for source in sources_of(options.root, kernel.path)
               for c in places(options.root, source, pick, seen.get(source, set()))]
    pick.shuffle(changes)
    done = [0, 0, 0]
    while changes and sum(done) < options.count:
        path, number, new = change = changes.pop()
        survived = kernel.survives(change)
        if survived is None:
            continue
        old, became = before_and_after(options.root, change)
        known = survived and any(
            (re.fullmatch(p, path) or re.fullmatch(p, f"{kernel.path} > {path}"))
            and r.search(f"{old} => {became}") for p, r, _ in explained)
        done[survived + (survived and not known)] += 1
        if survived and not known:
            print(f"survived: {kernel.path}: {path}:{number + 1}\n  - {old}\n"
                  f"  + {became}", flush=True)
    print(f"{kernel.path}: {done[0]} caught, {done[1]} explained, {done[2]} survived", flush=True)
    return done


def runs_here(path, root, test_command):
    """Whether the test of this kernel names no level of the file as 'not run here'."""
    out = subprocess.run(test_command, capture_output=True, text=True, cwd=root).stdout
    level = os.path.splitext(os.path.basename(path))[0].rsplit("_", 1)[-1]
    return not re.search(rf"[_ ]{level}: not run here", out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("build")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    options.root, build = os.path.abspath(options.root), os.path.abspath(options.build)
    explained, total = survivors_file(options.root), [0, 0, 0]
    print(f"seed {options.seed}, {options.count} changes a file")
    with open(os.path.join(build, "compile_commands.json")) as file:
        commands = {os.path.relpath(c["file"], options.root): c["command"] for c in json.load(file)}
    tests = test_commands(build)
    for path in sorted(commands):
        names = tests_of(path)
        if names and len(tests[names[0]]) > 1 and path in MODEL_TESTS:
            names = names[:1] if path == ATTENTION else []
        if not names or options.only not in path:
            continue
        if not runs_here(path, options.root, tests[names[0]]):
            print(f"{path}: not run here")
            continue
        with tempfile.TemporaryDirectory() as folder:
            total = [a + b for a, b in zip(total, check_kernel(
                Kernel(options.root, build, path, commands[path], folder,
                       {name: tests[name] for name in names}), options, explained))]
    print(f"all: {total[0]} caught, {total[1]} explained, {total[2]} survived")
    return total[2] > 0


if __name__ == "__main__":
    sys.exit(main())
