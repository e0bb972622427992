#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""One guest, one disk, the daemon between them, and what it saw: tools/demo."""

import subprocess
import sys
import time

from qemu import qemu_command
from rig import Ferry, Qsd, QemuGuest, Rig, RigError, message_count, written_blocks

QUEUES = 2
WORK_SECONDS = 5


def say(text):
    print(f"demo: {text}", flush=True)


def version(command):
    line = subprocess.run(
        [*command, "--version"], capture_output=True, text=True, timeout=20, check=True
    ).stdout.splitlines()[0]
    return line.split(" (")[0]


def work(guest):
    """Lets the guest work, with a line a second."""
    end = time.monotonic() + WORK_SECONDS
    while time.monotonic() < end:
        tick = guest.wait_work(1)
        say(
            f"  guest: {tick['requests']} requests, {tick['verified']} read back,"
            f" {tick['rate']} a second"
        )


def run(rig):
    backend = Qsd(rig, queues=QUEUES)
    say(f"backend: {version(backend.argv[:1])} with a scratch disk of 16 MiB")
    ferry = Ferry(rig, socket_path=rig.path("vf.sock"), backend_path=backend.socket)
    say(f"daemon: vhost-ferry, pid {ferry.pid}, listens at {ferry.socket}")
    say(f"front-end: {version(qemu_command(7))} boots a guest under TCG")
    guest = QemuGuest(rig, 7, "blk", ferry.socket, queues=QUEUES)
    guest.wait_ready()
    work(guest)
    running = ferry.check_running(guest.pid, queues=QUEUES)
    say("the guest stops and reads back all it has written")
    counts = guest.verify()
    ferry.check_idle()
    ended = ferry.status()
    blocks = written_blocks(backend.image)
    say("the daemon is told to end")
    ferry.stop()
    if counts["verified"] == 0 or blocks == 0:
        raise RigError(f"the guest verified {counts['verified']} requests, the disk holds {blocks}")
    return running, ended, counts, blocks


def columns(words, width=60):
    """The words in lines of at most that width."""
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) + 1 > width:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return lines


def show_messages(status):
    print(f"\n  {'message':<30}{'front-to-back':>15}{'back-to-front':>15}")
    for name in sorted(status["messages"]):
        front = message_count(status, name, "front-to-back")
        back = message_count(status, name, "back-to-front")
        if front or back:
            print(f"  {name:<30}{front:>15}{back:>15}")


def show(running, ended, counts, blocks):
    show_messages(ended)
    for title, words in (
        ("features", running["frontend"]["features"]),
        ("protocol features", running["frontend"]["protocol_features"]),
    ):
        for index, line in enumerate(columns(words)):
            print(f"{chr(10) if index == 0 else ''}  {title if index == 0 else '':<18}  {line}")
    print(f"\n  {'queue':<8}{'size':>6}{'format':>9}{'path':>9}{'started':>9}")
    for queue in running["queues"]:
        if queue["started"]:
            print(
                f"  {queue['index']:<8}{queue['size']:>6}{queue['format']:>9}{queue['path']:>9}"
                f"{'yes':>9}"
            )
    print(
        f"\n  guest:  {counts['requests']} requests written, {counts['verified']} read back and"
        f" verified,\n          at the end every block once more"
    )
    print(f"  disk:   {blocks} blocks in the file, each whole and in its place")
    print(f"  daemon: {running['rss_kb']} KiB resident\n")


def main():
    start = time.monotonic()
    try:
        with Rig() as rig:
            seen = run(rig)
        show(*seen)
    except (RigError, ValueError, KeyError, OSError, subprocess.SubprocessError) as error:
        what = f"status has no key {error}" if isinstance(error, KeyError) else error
        print(f"demo: FAILED: {what}", file=sys.stderr)
        return 1
    say(f"all well, in {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
