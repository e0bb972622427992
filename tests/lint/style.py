# SPDX-License-Identifier: BSD-3-Clause
"""What other programs check: clang-format, shellcheck and mandoc.

A missing program is a failure, since tools/setup installs all three.
"""

import os
import shutil
import subprocess

import tree

SHELLS = (b"sh", b"bash", b"dash")


def run(program, arguments, root):
    if not shutil.which(program):
        return [f"{program}: not installed: run tools/setup"]
    result = subprocess.run([program, *arguments], cwd=root, capture_output=True, text=True,
                            check=False)
    if result.returncode == 0:
        return []
    text = (result.stdout + result.stderr).strip()
    return text.splitlines() or [f"{program}: ended with {result.returncode}"]


def check_format(root):
    # The .def files are tables laid out by hand, one row a line.
    paths = tree.files(root, ".c", ".h")
    if not paths:
        return []
    lines = run("clang-format", ["--dry-run", "-Werror", *paths], root)
    return [line for line in lines if ": error: " in line or ": not installed" in line] or lines


def is_shell(root, path):
    with open(os.path.join(root, path), "rb") as file:
        first = file.readline()
    words = first[2:].split() if first.startswith(b"#!") else []
    return any(os.path.basename(word) in SHELLS for word in words)


def check_scripts(root):
    paths = [path for path in tree.files(root) if is_shell(root, path)]
    return run("shellcheck", paths, root) if paths else []


def check_manuals(root):
    paths = [path for path in tree.files(root) if path.startswith("docs/man/")]
    problems = []
    for path in paths:
        problems += run("mandoc", ["-Tlint", "-Wwarning", path], root)
    return problems
