# SPDX-License-Identifier: BSD-3-Clause
"""The core makes no system call: its archives need nothing but pure functions.

What is allowed is listed, not what is forbidden: a function nobody thought of
is then refused rather than overlooked.
"""

import os
import re
import subprocess

PURE = set("""
abort assert calloc free malloc realloc reallocarray strdup strndup
memchr memcmp memcpy memmem memmove memset strcasecmp strcasestr strchr strcmp strcpy strlen strsep
strncasecmp strncmp strncpy strnlen strrchr strspn strcspn strstr strtok_r
snprintf vsnprintf asprintf vasprintf sscanf __isoc99_sscanf
strtol strtoll strtoul strtoull strtod
__isoc23_strtol strerror
bsearch qsort
__assert_fail __errno_location __stack_chk_fail _GLOBAL_OFFSET_TABLE_ __ctype_b_loc
""".split())
# What compilers and sanitizers add, checked variants, and zstd's pure coder (capture archives).
ADDED = re.compile(r"^(__(asan|ubsan|tsan|msan|lsan|sanitizer|sancov|gcov|llvm)_|__start___sanc|"
                   r"__stop___sanc|ZSTD_|__(u?div|u?mod)ti3$|__popcountdi2$|__tls_get_addr$)")
CHECKED = re.compile(r"^__(\w+)_chk$")


def symbols(archive, option):
    output = subprocess.run(["nm", "-A", option, archive], capture_output=True, text=True,
                            check=True).stdout
    pairs = []
    for line in output.splitlines():
        place, _, name = line.rpartition(" ")
        pairs.append((place.split(":")[-2] if ":" in place else archive, name.split("@")[0]))
    return pairs


def pure(name):
    checked = CHECKED.match(name)
    return name in PURE or bool(ADDED.match(name)) or bool(checked and checked.group(1) in PURE)


def check_archives(archives):
    defined = {name for archive in archives for _, name in symbols(archive, "--defined-only")}
    problems = []
    for archive in archives:
        for member, name in symbols(archive, "-u"):
            if name not in defined and not pure(name):
                problems.append(f"{os.path.basename(archive)}: {member} needs {name}: the core "
                                "makes no system call, move the use to proxy/shell/ (or, if it is "
                                "pure, list it in symbols.py)")
    return problems
