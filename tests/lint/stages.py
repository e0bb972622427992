# SPDX-License-Identifier: BSD-3-Clause
"""Every message of the table is named by a stage, or passed with a reason."""

import os
import re

import tree

TABLE = "proxy/wire/messages.def"
PASSED = "proxy/session/pass_through.def"
ROW = re.compile(r"^(?:FRONT|BACK)\(\s*\d+,\s*([A-Z0-9_]+),")
CASE = re.compile(r"\bcase\s+WIRE_([A-Z0-9_]+)\s*:")
PASS = re.compile(r'^PASS\(\s*([A-Z0-9_]+),\s*"([^"]*)"\)')


def found(root, path, pattern):
    return [m for m in map(pattern.search, tree.lines(root, path)) if m]


def check(root):
    if not os.path.isdir(os.path.join(root, "proxy/session")):
        return []
    rows = [m.group(1) for m in found(root, TABLE, ROW)]
    named = {m.group(1)
             for path in tree.files(root, ".c")
             if path.startswith("proxy/session/stage_")
             for m in found(root, path, CASE)}
    passed = {m.group(1): m.group(2) for m in found(root, PASSED, PASS)}
    problems = [f"{TABLE}: no row was read: has its form changed?"] if not rows else []
    for name in rows:
        if name not in named and name not in passed:
            problems.append(f"{TABLE}: {name}: no stage names it: add a case, or PASS() with "
                            f"the reason to {PASSED}")
    for name, reason in passed.items():
        if name not in rows:
            problems.append(f"{PASSED}: {name}: no such message in {TABLE}")
        if name in named:
            problems.append(f"{PASSED}: {name}: a stage names it: take it out here")
        if not reason:
            problems.append(f"{PASSED}: {name}: the reason is empty")
    return problems
