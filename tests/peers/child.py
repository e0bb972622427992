# SPDX-License-Identifier: BSD-3-Clause
"""Processes of a test: started, watched, and ended by their pid."""

import collections
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

# For whatever is sure to come: how long it takes on a loaded machine is nobody's fault.
PATIENCE = 60.0


class RigError(Exception):
    """A part did not do what the test needs; the text says which and what."""


def cache() -> Path:
    return Path(os.environ.get("VHOST_FERRY_CACHE", "/var/cache/vhost-ferry"))


def wait_until(what, predicate, timeout=PATIENCE, interval=0.02):
    """Returns the first true value of predicate(); RigError after timeout."""
    end = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise RigError(f"{what}: not so after {timeout:g} s")
        time.sleep(interval)


CONNECTED = 3


def _sockets(path):
    """(whether it listens, state) of each unix socket of this name."""
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as table:
        for line in table:
            words = line.split()
            if len(words) > 7 and words[7] == str(path):
                yield int(words[3], 16) & 0x10000 != 0, int(words[5], 16)


def listening(path) -> bool:
    """Whether a unix socket listens at path: it exists before it listens."""
    return any(listens for listens, _ in _sockets(path))


def served(path) -> bool:
    """Whether one does, or has: some listen no longer once somebody has come."""
    return any(listens or state == CONNECTED for listens, state in _sockets(path))


class Log:
    """What a part printed, by line, of bounded size.

    Kept are the first and the last lines: a QEMU whose postcopy failed was
    seen to print 15 MB in a minute, all of it the same line.
    """

    HEAD_LINES = 4000
    TAIL_LINES = 4000
    LINE_CHARS = 2000
    FILE_BYTES = 4 << 20

    def __init__(self, path):
        self.path = Path(path)
        self._file = open(path, "wb", buffering=0)
        self._written = 0
        self._head = []
        self._tail = collections.deque(maxlen=self.TAIL_LINES)
        self._count = 0
        self._partial = b""
        self._changed = threading.Condition()
        self.ended = False

    def feed(self, data: bytes):
        if self._written < self.FILE_BYTES:
            self._file.write(data)
            self._written += len(data)
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > self.LINE_CHARS:
            lines.append(self._partial)
            self._partial = b""
        with self._changed:
            for line in lines:
                self._add(line[: self.LINE_CHARS].decode("utf-8", "replace").rstrip("\r"))
            self._changed.notify_all()

    def _add(self, line):
        self._count += 1
        if len(self._head) < self.HEAD_LINES:
            self._head.append(line)
        else:
            self._tail.append(line)

    def end(self):
        with self._changed:
            if self._partial:
                self._add(self._partial.decode("utf-8", "replace"))
                self._partial = b""
            self.ended = True
            self._changed.notify_all()
        self._file.close()

    def mark(self) -> int:
        """The number of lines so far, to be given as `after`."""
        with self._changed:
            return self._count

    def _lines(self, after):
        if after < len(self._head):
            return self._head[after:] + list(self._tail)
        dropped = self._count - len(self._head) - len(self._tail)
        skip = max(0, after - len(self._head) - dropped)
        return list(self._tail)[skip:]

    def lines(self, after=0):
        with self._changed:
            return self._lines(after)

    def wait(self, pattern, timeout, after=0):
        """The first match of pattern in a line after the mark, or None."""
        regex = re.compile(pattern)
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                for line in self._lines(after):
                    match = regex.search(line)
                    if match:
                        return match
                # What was looked at need not be looked at again.
                after = self._count
                left = end - time.monotonic()
                if left <= 0 or self.ended:
                    return None
                self._changed.wait(left)


class Child:
    """One started process. Its output goes to a Log and to NAME.log."""

    def __init__(self, rig, name, argv, env=None, pass_fds=()):
        self.rig = rig
        self.name = rig.part_name(name)
        self.argv = [str(word) for word in argv]
        self.log = Log(rig.dir / f"{self.name}.log")
        self._ended = False
        # setpriv: should this test be killed, its children must not live on.
        # A session of its own, so that what a child forks ends with it.
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *self.argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=rig.dir,
            start_new_session=True,
            pass_fds=pass_fds,
        )
        self.pid = self.process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        rig.add(self)

    def _read(self):
        while True:
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                break
            self.log.feed(data)
        self.process.stdout.close()
        self.log.end()

    def alive(self) -> bool:
        return self.process.poll() is None

    def expect_alive(self):
        if not self.alive():
            raise RigError(f"{self.name} has ended with {self.status_text()}: {self.last_line()}")

    def status_text(self):
        code = self.process.poll()
        if code is None:
            return "no exit code yet"
        if code < 0:
            return f"signal {signal.Signals(-code).name}"
        return f"exit code {code}"

    def last_line(self):
        lines = [line for line in self.log.lines() if line.strip()]
        return lines[-1] if lines else "it printed nothing"

    def wait_line(self, pattern, timeout=PATIENCE, after=0):
        """Waits for a line of its output; the match. RigError if it ends."""
        match = self.log.wait(pattern, timeout, after)
        if match:
            return match
        if not self.alive():
            raise RigError(
                f"{self.name} ended with {self.status_text()} before it printed"
                f" /{pattern}/: {self.last_line()}"
            )
        raise RigError(f"{self.name} did not print /{pattern}/ within {timeout:g} s")

    def wait_listening(self, path, timeout=PATIENCE):
        wait_until(
            f"{self.name} listens at {path}",
            lambda: self.expect_alive() or listening(path),
            timeout,
        )

    def wait_served(self, path):
        wait_until(
            f"{self.name} listens at {path}, or has", lambda: self.expect_alive() or served(path)
        )

    def wait_exit(self, timeout=PATIENCE) -> int:
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise RigError(f"{self.name} has not ended after {timeout:g} s") from None

    def send(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def signal(self, number):
        if self.alive():
            os.kill(self.pid, number)

    def end(self, timeout=5.0):
        """SIGTERM, and SIGKILL where that does not help. Never raises."""
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def kill(self):
        if self._ended:
            return
        self._ended = True
        try:
            # The whole session, once: what it forked may have outlived it.
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self._reader.join(5)
        self.process.stdin.close()

    def fds(self) -> int:
        """Its open file descriptors."""
        try:
            return len(os.listdir(f"/proc/{self.pid}/fd"))
        except FileNotFoundError:
            raise RigError(f"{self.name} (pid {self.pid}) is gone") from None

    def fd_list(self):
        found = []
        for number in sorted(os.listdir(f"/proc/{self.pid}/fd"), key=int):
            try:
                found.append(f"{number}->" + os.readlink(f"/proc/{self.pid}/fd/{number}"))
            except FileNotFoundError:
                pass
        return found

    def own_kb(self) -> int:
        """Its memory without the pages of files, which are read in when they are needed."""
        # Counted page by page; those of status are estimates, off by up to 32 a processor.
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text(encoding="utf-8")
        return int(re.search(r"Anonymous:\s+(\d+)", text).group(1))


class Console:
    """A listening socket that a QEMU connects to; its output goes to a Log.

    We listen and QEMU connects, so nothing it prints is lost.
    """

    def __init__(self, path, log_path):
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self.log = Log(log_path)
        self._peer = None
        self._closing = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while not self._closing:
            ready, _, _ = select.select([self._listener], [], [], 0.2)
            if ready:
                self._peer, _ = self._listener.accept()
                break
        while self._peer and not self._closing:
            ready, _, _ = select.select([self._peer], [], [], 0.2)
            if not ready:
                continue
            try:
                data = self._peer.recv(65536)
            except OSError:
                break
            if not data:
                break
            self.log.feed(data)
        self.log.end()

    def send(self, text):
        wait_until("the console is connected", lambda: self._peer)
        self._peer.sendall(text.encode())

    def close(self):
        self._closing = True
        self._thread.join(5)
        if self._peer:
            self._peer.close()
        self._listener.close()
