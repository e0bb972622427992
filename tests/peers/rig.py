# SPDX-License-Identifier: BSD-3-Clause
"""The rig: real front-ends and backends around one daemon.

    with Rig() as rig:
        backend = Qsd(rig, queues=4)
        ferry = rig.between(backend)
        guest = QemuGuest(rig, 10, "blk", ferry.socket, queues=4)
        guest.wait_ready()
        guest.wait_work(1000)
        ferry.check_running(guest.pid, queues=4)
        print(guest.verify())
        ferry.check_idle()

Every part has a log in the scratch folder; where the block ends with an
error the logs are printed. All parts are ended at the end, by pid, the last
one started first.
"""

import os
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

from backends import (
    Qsd,
    RustBackend,
    ScsiRust,
    TestDisk,
    TestpmdVhost,
    TestpmdVirtioUser,
    VirtiofsdC,
    VirtiofsdRust,
    VsockRust,
)
from child import PATIENCE, Child, RigError, listening, wait_until
from ferry import Ferry, NoFerry, full, message_count, program, wanted
from guestdata import written_blocks
from qemu import QemuGuest

__all__ = [
    "PATIENCE", "Child", "Ferry", "NoFerry", "PeerTest", "Qsd", "QemuGuest", "Rig", "RigError",
    "RustBackend", "ScsiRust", "TestDisk", "TestpmdVhost", "TestpmdVirtioUser", "VirtiofsdC",
    "VirtiofsdRust", "VsockRust", "full", "listening", "main", "message_count", "program",
    "wait_until", "wanted", "written_blocks",
]  # fmt: skip

LOG_LINES_ON_FAILURE = 40


class Rig:
    """A scratch folder and the parts started in it."""

    def __init__(self):
        # Short: a unix socket's path has at most 107 characters.
        self.dir = Path(tempfile.mkdtemp(prefix="vf-", dir="/tmp"))
        self._parts = []
        self._names = {}

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if error is not None and not isinstance(error, unittest.SkipTest):
            self.print_logs()
        for part in reversed(self._parts):
            part.end()
        # What a daemon that ended before its front-end keeps for the next one.
        for left in Path("/run/vhost-ferry").glob(str(self.dir).replace("/", "-") + "*"):
            left.unlink(missing_ok=True)
        if os.environ.get("RIG_KEEP") == "1":
            print(f"rig: logs are kept in {self.dir}", file=sys.stderr)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
        return False

    def add(self, part):
        self._parts.append(part)

    def parts(self):
        return list(self._parts)

    def part_name(self, name):
        """The name, with a number from the second part of that name on."""
        count = self._names.get(name, 0) + 1
        self._names[name] = count
        return name if count == 1 else f"{name}-{count}"

    def path(self, name):
        return str(self.dir / self.part_name(name))

    def folder(self, name):
        path = Path(self.path(name))
        path.mkdir()
        return path

    def between(self, backend, socket="vf.sock", **options):
        """A daemon that listens in front of a listening backend."""
        if not wanted():
            return NoFerry(backend.socket)
        return Ferry(self, socket_path=self.path(socket), backend_path=backend.socket, **options)

    def print_logs(self):
        for part in self._parts:
            logs = [(part.name, part.log)]
            if hasattr(part, "console"):
                logs.append((f"{part.name} console", part.console.log))
            print(f"--- {part.name}: {part.status_text()}: {' '.join(part.argv)}", file=sys.stderr)
            for name, log in logs:
                lines = log.lines()
                print(f"--- log of {name}, last of {log.mark()} lines:", file=sys.stderr)
                for line in lines[-LOG_LINES_ON_FAILURE:]:
                    print(f"    {line}", file=sys.stderr)


class PeerTest(unittest.TestCase):
    """A test with a rig of its own in self.rig."""

    def run(self, result=None):
        # Not in setUp and tearDown: the logs must be printed while the
        # failure is known, and before the parts are ended.
        with Rig() as self.rig:
            before = _problems(result)
            self.addCleanup(self.stop_ferries)
            outcome = super().run(result)
            if _problems(result) > before:
                self.rig.print_logs()
        return outcome

    def stop_ferries(self):
        """Every daemon that still runs has to end well at SIGTERM, whatever
        is connected; a leak checker's report shows in its exit code."""
        for part in self.rig.parts():
            if isinstance(part, Ferry) and part.alive():
                part.stop()

    def need_ferry(self):
        if not wanted():
            self.skipTest("RIG_FERRY=0: this is about the daemon itself")

    def need_sound_source(self, version):
        """QEMU 7.2 under TCG loses pages that the guest's processor wrote: of about
        50 migrations from it without the daemon, and 70 with it, one each ended with
        the guest's kernel dead. From QEMU 10 none did."""
        if version == 7 and not full():
            self.skipTest("QEMU 7.2 as the source loses pages without the daemon too: FERRY_FULL=1")

    def need_rust(self, program_name):
        reason = RustBackend.missing(program_name)
        if reason:
            self.skipTest(reason)

    def run_guest(self, guest, ferry, queues, requests=200, **expected):
        """The course of most tests: boot, work, status, verify, idle again."""
        guest.wait_ready()
        guest.wait_work(requests)
        ferry.check_running(guest.pid, queues, **expected)
        counts = guest.verify()
        self.assertGreater(counts["requests"], 0)
        self.assertGreater(counts["verified"], 0)
        ferry.check_idle()
        return counts


def _problems(result):
    return len(result.failures) + len(result.errors) if result else 0


def main():
    unittest.main(verbosity=2)
