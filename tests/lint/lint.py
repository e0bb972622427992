#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""lint.py CHECK ROOT [ARCHIVE...]: one check over the tree, one problem a line.

Exit 0: nothing found; 1: something; 2: bad usage.
"""

import sys

import layers
import sources
import stages
import style
import symbols

CHECKS = {
    "layers": layers.check,
    "sources": sources.check,
    "stages": stages.check,
    "format": style.check_format,
    "scripts": style.check_scripts,
    "manuals": style.check_manuals,
}


def main(arguments):
    if len(arguments) >= 3 and arguments[0] == "symbols":
        problems = symbols.check_archives(arguments[2:])
    elif len(arguments) == 2 and arguments[0] in CHECKS:
        problems = CHECKS[arguments[0]](arguments[1])
    else:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
