# SPDX-License-Identifier: BSD-3-Clause
"""Includes point down only, and are written with their folder.

The arrows are those of docs/ARCHITECTURE.md. What a layer may include is
listed here in full, so that a new arrow is a decision and shows in review.
"""

import os
import re

import tree

# What the pure layers beside each other, ring, logging and postcopy, all build on.
SHARED = {"base", "wire", "mem"}
MAY = {
    "base": set(),
    "wire": {"base"},
    "mem": {"base", "wire"},
    "ring": SHARED,
    "logging": SHARED,
    "postcopy": SHARED,
    "session": SHARED | {"ring", "logging", "postcopy"},
}
MAY["control"] = MAY["session"] | {"session", "shell"}
MAY["shell"] = MAY["session"] | {"session", "control"}
# The process itself: proxy/main.c and the files beside it.
MAY["proxy"] = MAY["shell"] | {"shell"}
TOOLS = {"base", "wire", "mem", "ring", "logging", "shell", "bpf", "tools"}

QUOTED = re.compile(r'\s*#\s*include\s+"([^"]+)"')
ANGLED = re.compile(r"\s*#\s*include\s+<uv\.h>")


def layer_of(path):
    """The layer a source belongs to, None: not held to any."""
    parts = path.split("/")
    if parts[0] == "proxy":
        return parts[1] if len(parts) > 2 else "proxy"
    if parts[0] in ("logging", "postcopy", "tools", "bpf"):
        return parts[0]
    return None


def target_of(root, included):
    """The layer of an included header."""
    first = included.split("/")[0]
    if os.path.isdir(os.path.join(root, "tools", first)) and first not in MAY:
        return "tools"
    return first if "/" in included else "proxy"


def check_include(root, path, layer, included):
    target = target_of(root, included)
    # A tool's own headers and those beside main.c stand in one folder.
    if layer in ("proxy", "bpf") and "/" not in included:
        return None
    if "/" not in included:
        return f'includes "{included}": write the folder, as in "wire/table.h"'
    allowed = TOOLS if layer == "tools" else MAY.get(layer, TOOLS) | {layer}
    if target in allowed:
        return None
    return (f'includes "{included}": {layer} may include only '
            f'{", ".join(sorted(allowed))}')


def uses_uv(path):
    return path.startswith("proxy/shell/") or path == "proxy/main.c"


def check(root):
    problems = []
    for path in tree.files(root, ".c", ".h"):
        layer = layer_of(path)
        if layer is None:
            continue
        if layer not in MAY and layer not in ("tools", "bpf"):
            problems.append(f"{path}: the folder {layer} is in no layer: add it to layers.py")
            continue
        for number, line in enumerate(tree.lines(root, path), 1):
            match = QUOTED.match(line)
            problem = match and check_include(root, path, layer, match.group(1))
            if problem:
                problems.append(f"{path}:{number}: {problem}")
            if ANGLED.match(line) and not uses_uv(path):
                problems.append(f"{path}:{number}: includes <uv.h>: only proxy/shell/ "
                                "and proxy/main.c may")
    return problems
