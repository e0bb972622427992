# SPDX-License-Identifier: BSD-3-Clause
"""The content that the guest's workload writes and expects, as in gw.c."""

import struct

BLOCK = 4096
_MASK = (1 << 64) - 1


def _mix(value):
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def block_content(which, sequence):
    seed = _mix(which) ^ _mix((sequence << 32) & _MASK)
    words = [_mix(seed ^ index) for index in range(BLOCK // 8)]
    words[0], words[1] = which, sequence
    return struct.pack(f"<{len(words)}Q", *words)


def written_blocks(path):
    """How many blocks of the file hold what the guest writes there.

    Every block that is not empty must be whole and in its place; ValueError
    names the first that is not. This looks at the file itself, past every
    cache that guest and backend may share.
    """
    found = 0
    with open(path, "rb") as file:
        which = 0
        while block := file.read(BLOCK):
            if any(block):
                claimed, sequence = struct.unpack_from("<2Q", block)
                if claimed != which or block != block_content(which, sequence):
                    raise ValueError(f"{path}: block {which} is not what the guest wrote")
                found += 1
            which += 1
    return found
