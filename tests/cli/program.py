# SPDX-License-Identifier: Apache-2.0
"""What tests of the program share: the program, which is their last argument, and a folder of their
own. `tearDownModule = leave`, and enter() in setUpModule."""
import os
import subprocess
import sys
import tempfile

PROGRAM = os.path.realpath(sys.argv.pop())
_folder = None


def enter():
    """Into a new, empty folder."""
    global _folder
    _folder = tempfile.TemporaryDirectory()
    os.chdir(_folder.name)


def leave():
    os.chdir("/")
    _folder.cleanup()


def run(*arguments, code=0):
    """Its output, or where it is to fail what it says of that."""
    got = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True)
    assert got.returncode == code, (arguments, got.returncode, got.stdout, got.stderr)
    return got.stdout if code == 0 else got.stderr


def has_lapack(model):
    """Whether this build can squeeze."""
    probe = subprocess.run([PROGRAM, "squeeze", model, "--dry-run", "--rank", "50%", "--plain"],
                           capture_output=True, text=True)
    return "no LAPACK" not in probe.stderr


def need_lapack(model):
    """All tests are skipped without it."""
    if not has_lapack(model):
        print("skipped: this build has no LAPACK")
        sys.exit(77)
