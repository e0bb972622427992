# SPDX-License-Identifier: BSD-3-Clause
"""Every source has its licence line, a bounded length, and no left-over words."""

import re

import tree

SOURCES = (".c", ".h", ".def", ".py", ".sh", ".txt", ".cmake", ".1", ".bt")
PLAIN = ("LICENSE",)
LICENCE = "SPDX-License-Identifier: BSD-3-Clause"
LIMIT = 600   # lines; a file over it is two files
AIM = 400     # listed, not refused

# Split, so that this file does not find itself.
WORDS = (
    (re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK")) + r")\b"),
     "says that work is left: do it, or open an issue"),
    (re.compile("/wo" + r"rk/(main|shared|notes)\b"), "names one machine's path"),
    (re.compile("/(home|Us" + r"ers)/[a-z]"), "names one person's path"),
)


def is_source(root, path):
    return path.endswith(SOURCES) or tree.is_script(root, path)


def check_file(path, content):
    problems = []
    # A man page and a script begin with lines of their own.
    if path.split("/")[-1] not in PLAIN and not any(LICENCE in line for line in content[:5]):
        problems.append(f"{path}: no line with {LICENCE} among the first five")
    if len(content) > LIMIT:
        problems.append(f"{path}: {len(content)} lines, at most {LIMIT}: split it by concern")
    for number, line in enumerate(content, 1):
        for pattern, why in WORDS:
            if pattern.search(line):
                problems.append(f"{path}:{number}: {why}")
    return problems


def check(root):
    problems = []
    for path in tree.files(root):
        if not is_source(root, path):
            continue
        content = tree.lines(root, path)
        problems += check_file(path, content)
        if AIM < len(content) <= LIMIT:
            print(f"note: {path}: {len(content)} lines, aim at {AIM}")
    return problems
