# SPDX-License-Identifier: BSD-3-Clause
"""The daemon of a test, and its stand-in where a test runs without it."""

import os
import subprocess
import time
from pathlib import Path

from child import PATIENCE, Child, RigError, wait_until
from jsonline import JsonLines

ROOT = Path(__file__).resolve().parents[2]


def wanted() -> bool:
    """RIG_FERRY=0 runs the parts without the daemon, to compare."""
    return os.environ.get("RIG_FERRY", "1") != "0"


def full() -> bool:
    """FERRY_FULL=1: the large counts."""
    return os.environ.get("FERRY_FULL", "") not in ("", "0")


def program(name="vhost-ferry") -> Path:
    """Of build/bin, or of the folder that RIG_BIN names."""
    path = Path(os.environ.get("RIG_BIN", ROOT / "build" / "bin")) / name
    if not path.exists():
        raise RigError(f"{path}: not built: build first, or name another folder in RIG_BIN")
    return path


class Ferry(Child):
    """vhost-ferry with the given options; each as in its --help, - as _.

    Ferry(rig, socket_path=..., backend_path=...). What is read at once:
    the number of its fds before any front-end has come (idle_fds).
    RIG_DATA_PATH gives --data-path where the test gives none.
    """

    def __init__(self, rig, pass_fds=(), **options):
        self.control = rig.path("ctl.sock")
        if os.environ.get("RIG_DATA_PATH"):
            options.setdefault("data_path", os.environ["RIG_DATA_PATH"])
        self.options = dict(options)
        self.mode = "direct" if options.get("synthesize") == "none" else options.get("data_path", "auto")
        argv = [program(), f"--control={self.control}"]
        for name, value in options.items():
            argv.append(f"--{name.replace('_', '-')}={value}")
        # A sanitizer's report must not be lost among the lines of the log. The
        # quarantine of freed memory would look like growth.
        env = {
            "ASAN_OPTIONS": "abort_on_error=1:quarantine_size_mb=0:thread_local_quarantine_size_kb=0",
            "UBSAN_OPTIONS": "halt_on_error=1",
        }
        super().__init__(rig, "ferry", argv, env=env, pass_fds=pass_fds)
        self.socket = str(
            options.get("socket_path")
            or options.get("interpose")
            or options.get("frontend_connect")
            or ""
        )
        self.wait_line(r"\bready\b")
        self.idle_fds = self.fds()

    def query(self, command, **arguments):
        client = JsonLines.connect(self.control, f"{self.name} control")
        try:
            return client.execute(command, **arguments)
        finally:
            client.close()

    def events(self):
        """An open connection on which events can be waited for."""
        return JsonLines.connect(self.control, f"{self.name} events")

    def status(self):
        return self.query("status")

    def relayed(self):
        """How many requests were."""
        return sum(queue["relayed"] for queue in self.status()["queues"])

    def wait_relayed(self):
        """Until one more was: a back-end that does nothing before it dies, and that
        five times in a row, is given up."""
        before = self.relayed()
        wait_until(f"{self.name} has relayed a request", lambda: self.relayed() > before)

    def inflight(self):
        """How many requests are, of all rings that are relayed."""
        return sum(queue["inflight"] for queue in self.status()["queues"])

    def wait_state(self, *states, timeout=PATIENCE):
        def check():
            self.expect_alive()
            return self.status()["state"] in states

        try:
            wait_until(f"{self.name} state {' or '.join(states)}", check, timeout, 0.1)
        except RigError as error:
            raise RigError(f"{error} (it is {self.status()['state']})") from None

    def command(self, *words, timeout=PATIENCE):
        """As a person would give it, with vhost-ferryctl."""
        text = " ".join(words)
        try:
            done = subprocess.run(
                [program("vhost-ferryctl"), f"--control={self.control}", *words],
                capture_output=True, text=True, timeout=timeout, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise RigError(f"{self.name}: {text} has not ended in time") from None
        if done.returncode != 0:
            raise RigError(f"{self.name}: {text}: {done.stderr.strip()}")

    def switch(self, path):
        """Moves all rings; the seconds it took."""
        begin = time.monotonic()
        self.command("data-path", path)
        self.mode = path
        return time.monotonic() - begin

    def swap(self, path):
        """Moves to the back-end at path; how long the guest was without one, in us."""
        self.command("swap-backend", path)
        return self.status()["last_outage_us"]

    def move(self, path, queues, events):
        """As switch(), asked again while rings stay direct since the back-end is
        slow; how many us each of the rings stood still, as `events` of events()
        tell."""
        wait_until(f"{self.name} moves its rings", lambda: self._moves(path))
        return [events.wait_event("QUEUE_MOVED")["data"]["pause_us"] for _ in range(queues)]

    def _moves(self, path):
        try:
            self.switch(path)
        except RigError as error:
            if "stay direct" not in str(error):
                raise
            return False
        return True

    def path_of(self, device):
        """Where the rings of a device must be. No backend of the rig keeps an
        inflight record; a network device needs none."""
        if self.mode != "auto":
            return self.mode
        return "direct" if device == "net" else "shadow"

    def check_running(self, frontend_pid=None, queues=None, features=("VERSION_1",), packed=False,
                      size=None):
        """That status is true while a guest works; returns it.

        queues  how many must be started
        """
        self.wait_state("running")
        status = self.status()
        for side in ("frontend", "backend"):
            self._expect(status[side]["connected"] is True, f"{side}.connected", status[side])
        if frontend_pid:
            self._expect(status["frontend"]["pid"] == frontend_pid, "frontend.pid", status["frontend"])
        for feature in features:
            self._expect(
                feature in status["frontend"]["features"], f"feature {feature}", status["frontend"]
            )
        path = self.path_of(status["device"])
        started = [queue for queue in status["queues"] if queue["started"]]
        if queues is not None:
            self._expect(len(started) == queues, f"{queues} queues started", status["queues"])
        for queue in started:
            self._expect(queue["enabled"] is True, "an enabled queue", queue)
            self._expect(queue["size"] > 0, "a queue size", queue)
            self._expect(size is None or queue["size"] == size, f"queue size {size}", queue)
            self._expect(queue["path"] == path, f"a {path} path", queue)
            self._expect(
                queue["format"] == ("packed" if packed else "split"), "the ring format", queue
            )
        if path == "shadow":
            # Slow requests take a while.
            wait_until(f"{self.name} has relayed a request", self._relays)
        for name in ("SET_FEATURES", "SET_VRING_NUM", "SET_VRING_KICK"):
            self._expect(message_count(status, name) > 0, f"{name} counted", status["messages"])
        self._expect(status["rss_kb"] > 0, "rss_kb", status["rss_kb"])
        return status

    def _relays(self):
        return any(queue["relayed"] for queue in self.status()["queues"])

    def _expect(self, is_true, what, seen):
        if not is_true:
            raise RigError(f"{self.name}: status does not show {what}: {seen}")

    def check_idle(self, timeout=PATIENCE):
        """That after a front-end has gone nothing of it is left."""
        self.expect_alive()
        self.wait_state("listening", timeout=timeout)
        try:
            wait_until("fds", lambda: self.fds() <= self.idle_fds, timeout, 0.1)
        except RigError:
            raise RigError(
                f"{self.name}: {self.fds()} fds after the front-end has gone,"
                f" {self.idle_fds} before it came: {' '.join(self.fd_list())}"
            ) from None
        status = self.status()
        self._expect(status["frontend"]["connected"] is False, "the front-end gone", status["frontend"])

    def stop(self, timeout=PATIENCE):
        """SIGTERM; it must end, with exit code 0."""
        self.process.terminate()
        code = self.wait_exit(timeout)
        if code != 0:
            raise RigError(f"{self.name}: exit code {code} at SIGTERM: {self.last_line()}")


def message_count(status, name, direction=None):
    """How often a message was seen, in both directions or in one."""
    counts = status["messages"].get(name, {})
    return counts.get(direction, 0) if direction else sum(counts.values())


class NoFerry:
    """In the daemon's place with RIG_FERRY=0: nothing, and every check holds."""

    def __init__(self, socket_path):
        self.socket = str(socket_path)

    def check_running(self, *_, **__):
        return None

    def check_idle(self, *_, **__):
        pass

    def wait_state(self, *_, **__):
        pass

    def expect_alive(self):
        pass

    def stop(self, *_):
        pass
