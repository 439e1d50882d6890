#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An installed copy can be used: the C example of the README builds against it with pkg-config
and with find_package, shared and static, starts, and reports a missing model; the example has at
most 30 lines. The shared libraries and the program are not linked with what is loaded when it is
needed. The installed program finds each of the source's models by its name, in the prefix, with a
card beside it. `make uninstall` leaves no file and no folder of ours.

    check_install.py SOURCE BUILD CMAKE CC

Skipped (77), with the names, while the library still refers to functions of ours that it does not
define: no program can link it then.
"""
import filecmp
import json
import os
import re
import subprocess
import sys
import tempfile

PROJECT = """cmake_minimum_required(VERSION 3.22)
project(example LANGUAGES C)
find_package(squeezebert REQUIRED)
add_executable(shared alike.c)
target_link_libraries(shared squeezebert::squeezebert)
add_executable(static alike.c)
target_link_libraries(static squeezebert::squeezebert_static)
"""


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def example_of(readme):
    """The README's one C program."""
    with open(readme, encoding="utf-8") as file:
        found = re.findall(r"```c\n(.*?)```", file.read(), re.S)
    if len(found) != 1 or found[0].count("\n") >= 30:
        sys.exit(f"{readme}: expected one C example of fewer than 30 lines, found "
                 f"{[f.count(chr(10)) for f in found]}")
    return found[0]


def reports_a_missing_model(program, library_folder):
    environment = dict(os.environ, LD_LIBRARY_PATH=library_folder)
    done = subprocess.run([program, "no-such.gguf", "a", "b"], capture_output=True, text=True,
                          env=environment)
    if done.returncode != 1 or "no-such.gguf" not in done.stderr:
        sys.exit(f"{program}: exit {done.returncode}, '{done.stdout}', '{done.stderr}'")


def undefined(library):
    return sorted(set(re.findall(r"\b(sqz[ik]?_\w+)", run("nm", "-uD", library))))


LOADED_WHEN_NEEDED = ("blas", "lapack", "gfortran")


def check_needed(folder):
    """No installed program or library, and no pkg-config file, names a library that squeezing
    loads."""
    seen = 0
    for top, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(top, name)
            with open(path, "rb") as file:
                is_elf = file.read(4) == b"\x7fELF"
            if is_elf:
                text = "\n".join(re.findall(r"NEEDED.*", run("readelf", "-d", path)))
                seen += "libc.so" in text
            elif name.endswith(".pc"):
                with open(path, encoding="utf-8") as file:
                    text = file.read()
            else:
                continue
            for word in LOADED_WHEN_NEEDED:
                if word in text:
                    sys.exit(f"{path} is linked with {word}:\n{text}")
    if seen < 2:
        sys.exit(f"{folder}: {seen} installed programs and libraries need libc.so")


def check_models(source, prefix):
    """The names of the models that the installed program finds: all of the source's."""
    wanted = sorted(n[:-5] for n in os.listdir(os.path.join(source, "models"))
                    if n.endswith(".gguf"))
    program = os.path.join(prefix, "bin", "squeezebert")
    if not wanted or not os.path.exists(program):
        return []
    environment = {k: v for k, v in os.environ.items() if k != "SQUEEZEBERT_MODELS"}
    found = {m["model"]: os.path.realpath(m["path"])
             for m in map(json.loads, run(program, "info", "--json", env=environment).splitlines())}
    folder = os.path.realpath(os.path.join(prefix, "share", "squeezebert", "models"))
    for name in wanted:
        if found.get(name) != os.path.join(folder, name + ".gguf"):
            sys.exit(f"the installed program finds {name} at {found.get(name)}, not in {folder}")
        for end in (".gguf", ".md"):
            if not filecmp.cmp(os.path.join(source, "models", name + end),
                               os.path.join(folder, name + end), shallow=False):
                sys.exit(f"{name}{end} was not installed as it is")
    return wanted


def main():
    source, build, cmake, cc = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        prefix, project = os.path.join(folder, "prefix"), os.path.join(folder, "project")
        run(cmake, "--install", build, "--prefix", prefix)
        names = [os.path.join(top, f) for top, _, files in os.walk(prefix) for f in files]
        check_needed(prefix)
        models = check_models(source, prefix)
        libraries = next(os.path.dirname(n) for n in names if n.endswith("/libsqueezebert.so"))
        missing = undefined(os.path.join(libraries, "libsqueezebert.so"))
        if missing:
            print(f"libsqueezebert.so does not define {' '.join(missing)}")
            sys.exit(77)
        os.mkdir(project)
        for name, text in (("alike.c", example_of(os.path.join(source, "README.md"))),
                           ("CMakeLists.txt", PROJECT)):
            with open(os.path.join(project, name), "w", encoding="utf-8") as file:
                file.write(text)
        environment = dict(os.environ, PKG_CONFIG_PATH=os.path.join(libraries, "pkgconfig"))
        flags = run("pkg-config", "--cflags", "--libs", "squeezebert", env=environment).split()
        program = os.path.join(project, "alike")
        run(cc, "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
            os.path.join(project, "alike.c"), *flags, "-o", program)
        reports_a_missing_model(program, libraries)
        run(cmake, "-S", project, "-B", os.path.join(project, "out"),
            f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_C_COMPILER={cc}")
        run(cmake, "--build", os.path.join(project, "out"))
        for name in ("shared", "static"):
            reports_a_missing_model(os.path.join(project, "out", name), libraries)
        run("make", "-C", source, "uninstall", f"BUILD={build}")
        left = [os.path.join(top, f) for top, _, files in os.walk(prefix) for f in files]
        if left:
            sys.exit(f"make uninstall leaves {' '.join(left)}")
        left = [top for top, _, _ in os.walk(prefix) if os.path.basename(top) == "squeezebert"]
        if left:
            sys.exit(f"make uninstall leaves the folders {' '.join(left)}")
    print("installed, the example built three ways, uninstalled;",
          f"models: {' '.join(models) or 'none is there'}")


if __name__ == "__main__":
    main()
