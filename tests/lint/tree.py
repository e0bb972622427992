# SPDX-License-Identifier: BSD-3-Clause
"""The project's files, as the checks see them."""

import os

# Made by a build, by an editor, or not ours.
SKIPPED = (".git", "__pycache__", "corpus")


def skipped(name):
    return name in SKIPPED or name.startswith("build")


def files(root, *endings):
    """Paths below root, relative, that end so; all files without endings."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(n for n in folders if not skipped(n))
        for name in sorted(names):
            if not endings or name.endswith(endings):
                found.append(os.path.relpath(os.path.join(folder, name), root))
    return found


def lines(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        return file.read().splitlines()


def is_script(root, path):
    """An executable text without an ending, or one of a shell or Python."""
    with open(os.path.join(root, path), "rb") as file:
        return file.read(2) == b"#!"
