#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every command that README.md and the guides print for users does what it is there for.

    check_commands.py SOURCE PROGRAM BUILD CMAKE

In a tree of its own tools/demo_import.sh makes what `make demo-import` leaves, with a tiny random
model in place of the one it gets; tiny ones stand for the models that ship where these are not
there. tools/demo.sh must run over them. Then the indented blocks with commands run as they stand,
line by line: those of README.md in the top of that tree, a section in a shell of its own, those of
the guides where `make demo-import` left its files. A command fails by its exit code, or by making
nothing: neither its -o nor a word on the terminal. `make install` is done as it does it, from
BUILD, and README's C program must print what `similarity` prints.
"""
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
IN_DEMO = "export PATH=$PWD/build:$PATH; cd build/demo"


def commands_of(page):
    """[lines of commands] a section: blocks indented by four with a squeezebert in them; a line
    that ends in a backslash goes on."""
    sections = []
    text = re.sub(r"^```.*?^```$", "", page, flags=re.S | re.M)
    text = re.sub(r" *\\\n *", " ", text)
    for section in re.split(r"^#+ .*$", text, flags=re.M):
        lines = []
        for block in re.findall(r"(?:^    .*\n(?:\n(?=    ))?)+", section, flags=re.M):
            if re.search(r"^    (make install|(.*\| )?squeezebert )", block, flags=re.M):
                lines += [x[4:] for x in block.split("\n") if x.strip() and x[4] != "#"]
        sections.append(lines)
    return [lines for lines in sections if lines]


def script_of(lines):
    """Runs each line as it stands; says which one failed and what it printed."""
    script = ["exec < /dev/null"]
    for line in lines:
        output = re.search(r" -o (\S+)", line)
        made = output[1] if output else "$HOME" if line.startswith("export ") else "$HOME/said"
        quoted = shlex.quote(line)
        script.append(f'eval {quoted} > "$HOME/said" 2>&1 && [ -s "{made}" ] || '
                      f'{{ echo {quoted} failed:; cat "$HOME/said"; exit 1; }}')
    return "\n".join(script + ['cp "$HOME/said" "$HOME/last"']) + "\n"


def run_all(page, lines, tree, environment):
    lines = [x.replace("pq:64", "pq:12") for x in lines]  # the width of what is made is 24
    done = subprocess.run(["bash", "-c", script_of(lines)], cwd=tree, text=True,
                          env=environment, capture_output=True)
    if done.returncode != 0:
        sys.exit(f"{page}: {done.stdout}{done.stderr}")
    print(f"{page}: {len(lines)} commands")
    with open(os.path.join(environment["HOME"], "last"), encoding="utf-8") as file:
        return file.read()


def make_tree(source, program, tree):
    """What a user has after `make demo-import`."""
    os.makedirs(os.path.join(tree, "build"))
    os.symlink(program, os.path.join(tree, "build", "squeezebert"))
    folder = os.path.join(tree, "made")
    make_folder(source, folder, "BertModel")
    subprocess.run([os.path.join(source, "tools", "demo_import.sh"), "build/squeezebert",
                    "build/demo", folder], cwd=tree, check=True, capture_output=True)
    shutil.copytree(os.path.join(source, "examples"), os.path.join(tree, "examples"))


def make_folder(source, folder, kind, *faults):
    make = os.path.join(source, "tests", "cli", "make_folder.py")
    subprocess.run([sys.executable, "-B", make, folder, kind, "positions=512", *faults], check=True)


def make_stand_ins(source, program, folder):
    """Tiny models in a folder for those of models/ that are not there."""
    os.makedirs(folder)
    for name in ("sentiment", "intents", "embed", "embed-static"):
        if os.path.exists(os.path.join(source, "models", name + ".gguf")):
            continue
        print(f"models/{name}.gguf is not there: a tiny model stands for it")
        kind = "BertModel" if name.startswith("embed") else "BertForSequenceClassification"
        made = os.path.join(folder, "folder")
        make_folder(source, made, kind)
        subprocess.run([program, "import", made, "-o", os.path.join(folder, name + ".gguf")],
                       check=True, capture_output=True)
        shutil.rmtree(made)


def run_demo(source, program, environment):
    """tools/demo.sh has something to say of every model."""
    said = subprocess.run([os.path.join(source, "tools", "demo.sh"), program], check=True,
                          text=True, env=environment, capture_output=True).stdout
    for name in ("sentiment", "intents", "embed", "embed-static"):
        if not re.search(rf"^{name} +\d+ bytes +[\d.]+ ms", said, re.M):
            sys.exit(f"tools/demo.sh has no line of {name}:\n{said}")


def main():
    source, program, build = map(os.path.abspath, sys.argv[1:4])
    cmake = sys.argv[4]
    with tempfile.TemporaryDirectory() as home:
        tree = os.path.join(home, "tree")
        make_tree(source, program, tree)
        stand_ins = os.path.join(home, "models")
        make_stand_ins(source, program, stand_ins)
        environment = dict(os.environ, HOME=home, SQUEEZEBERT_MODELS=stand_ins)
        run_demo(source, program, environment)
        with open(os.path.join(source, "README.md"), encoding="utf-8") as file:
            readme = file.read()
        with open(os.path.join(tree, "alike.c"), "w", encoding="utf-8") as file:
            file.write(re.search(r"```c\n(.*?)```", readme, re.S)[1])
        install = f"{shlex.quote(cmake)} --install {shlex.quote(build)} --prefix $HOME/squeezebert"
        last = ""
        for lines in commands_of(readme):
            lines = [install if x == "make install PREFIX=$HOME/squeezebert" else x for x in lines]
            last = run_all("README.md", lines, tree, environment)
        alike = subprocess.run([program, "similarity", "build/demo/minilm.gguf"], cwd=tree,
                               input="a cat on a mat\ta kitten on a rug\n", text=True, check=True,
                               capture_output=True).stdout
        if abs(float(last) - float(alike)) > 0.5e-4 + 1e-6:
            sys.exit(f"README.md's program prints {last}, similarity {alike}")
        for name in sorted(os.listdir(os.path.join(source, "doc"))):
            if name.endswith(".md"):
                with open(os.path.join(source, "doc", name), encoding="utf-8") as file:
                    for lines in commands_of(file.read()):
                        run_all("doc/" + name, [IN_DEMO, *lines], tree, environment)


if __name__ == "__main__":
    main()
