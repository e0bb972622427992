#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vhost-ferryctl against daemons that answer, and ones that do not."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

CTL = os.path.join(os.environ["FERRY_BIN"], "vhost-ferryctl")

STATUS = {
    "state": "running", "version": "0.1.0", "uptime_s": 192.5, "device": "blk",
    "frontend": {"connected": True, "path": "/run/front\x1b[2J.sock", "pid": 17,
                 "features": ["FLUSH"], "protocol_features": []},
    "backend": {"connected": False, "path": None, "pid": None,
                "features": ["FLUSH", "bit52"], "protocol_features": []},
    "synthesized": [], "reconnects": 3, "replays": 0, "last_outage_us": 12500,
    "messages": {"GET_FEATURES": {"front-to-back": 12345, "back-to-front": 1}},
    "queues": [{"index": 0, "format": "split", "size": 128, "enabled": True, "started": False,
                "path": "direct", "kicks": 0, "calls": 0, "relayed": 0, "inflight": 0,
                "bytes_written": 1536}],
    "log": {"active": True, "size": 65536, "pages_marked": 0, "source": "backend"},
    "postcopy": {"state": "off", "faults": 0, "pages_waited": 0, "longest_wait_us": 0},
    "iotlb": {"entries": 0, "hits": 0, "misses": 0, "invalidations": 0}, "rss_kb": 3072,
}
EVENT = {"event": "QUEUE_STARTED", "data": {"queue": 4, "why": "x\ny"},
         "timestamp": {"seconds": 1700000000, "microseconds": 42}}


class Daemon:
    """Takes one connection, waits for one line and sends `answer`; then closes, unless told to
    stay until the client has gone."""

    def __init__(self, answer, stay=False):
        self.folder = tempfile.TemporaryDirectory(prefix="ctl-")
        self.path = os.path.join(self.folder.name, "sock")
        self.answer = answer
        self.stay = stay
        self.request = b""
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.thread.join(60)
        self.folder.cleanup()

    def serve(self):
        peer, _ = self.listener.accept()
        with peer:
            self.request = peer.makefile("rb").readline()
            peer.sendall(self.answer)
            while self.stay and peer.recv(4096):
                pass


def lines(*objects):
    return b"".join(json.dumps(item).encode() + b"\n" for item in objects)


def ctl(path, *args, code=0):
    result = subprocess.run([CTL, f"--control={path}", *args], capture_output=True, text=True,
                            timeout=30, check=False)
    assert result.returncode == code, (result.returncode, result.stdout, result.stderr)
    if code:
        assert result.stdout == "", result.stdout
        assert result.stderr.startswith("vhost-ferryctl: "), result.stderr
        assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr if code else result.stdout


class Answers(unittest.TestCase):
    def test_status_is_laid_out_for_people(self):
        with Daemon(lines({"return": STATUS, "id": 1})) as daemon:
            out = ctl(daemon.path, "status")
        self.assertEqual(json.loads(daemon.request), {"execute": "status", "id": 1})
        for part in ("running, up 3 min 12 s, device blk, 3 MiB of memory",
                     "connected, process 17, /run/front?[2J.sock", "not connected\n",
                     "FLUSH bit52", "on, 64 KiB, written by the backend", "last outage 12.5 ms",
                     "1.5 KiB\n"):
            self.assertIn(part, out)
        table = [line for line in out.splitlines() if "front to back" in line or "12345" in line]
        self.assertEqual(table[0].index("front to back") + 13, table[1].index("12345") + 5)

    def test_json_is_the_object_itself(self):
        with Daemon(lines({"return": STATUS, "id": 1})) as daemon:
            self.assertEqual(json.loads(ctl(daemon.path, "--json", "status")), STATUS)

    def test_an_answer_of_another_version_is_shown_as_far_as_it_goes(self):
        for command in ("status", "features", "queues", "memory", "iotlb", "log"):
            with Daemon(lines({"return": {}, "id": 1})) as daemon:
                ctl(daemon.path, command)

    def test_a_command_it_does_not_know_is_the_daemons_to_judge(self):
        with Daemon(lines({"return": {"pages": 7}, "id": 1})) as daemon:
            self.assertEqual(json.loads(ctl(daemon.path, "newer")), {"pages": 7})

    def test_events_before_the_answer_are_not_taken_for_it(self):
        with Daemon(lines(EVENT, EVENT, {"return": STATUS, "id": 1})) as daemon:
            self.assertEqual(json.loads(ctl(daemon.path, "--json", "status")), STATUS)

    def test_a_large_answer_is_read_whole(self):
        big = {"names": ["x" * 1000] * 2000}
        with Daemon(lines({"return": big, "id": 1})) as daemon:
            self.assertEqual(json.loads(ctl(daemon.path, "--json", "status")), big)

    def test_a_full_disk_is_no_success(self):
        with Daemon(lines({"return": STATUS, "id": 1})) as daemon, open("/dev/full", "w") as full:
            result = subprocess.run([CTL, f"--control={daemon.path}", "status"], stdout=full,
                                    stderr=subprocess.PIPE, timeout=30, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"can not be written", result.stderr)


class Failures(unittest.TestCase):
    def test_the_daemons_error_is_shown_and_exit_code_1(self):
        error = {"error": {"class": "CommandNotFound", "desc": "no: use yes"}, "id": 1}
        with Daemon(lines(error)) as daemon:
            self.assertEqual(ctl(daemon.path, "status", code=1), "vhost-ferryctl: no: use yes\n")

    def test_one_turned_away_unasked_says_why(self):
        with Daemon(lines({"error": {"class": "GenericError", "desc": "16 clients"}})) as daemon:
            self.assertIn("16 clients", ctl(daemon.path, "status", code=1))

    def test_a_daemon_gone_in_the_middle_is_named(self):
        for part in (b"", b'{"return":{"sta'):
            with Daemon(part) as daemon:
                self.assertIn("closed the connection", ctl(daemon.path, "status", code=1))

    def test_what_is_no_control_socket_is_said_to_be_none(self):
        for answer in (b"220 mail ready\r\n", b"[]\n", b'{"QMP":{}}\n', b"x" * (20 << 20)):
            with Daemon(answer) as daemon:
                self.assertIn("control socket?", ctl(daemon.path, "status", code=1))

    def test_a_daemon_that_says_nothing_is_given_up(self):
        with Daemon(b"", stay=True) as daemon:
            self.assertIn("no answer in time", ctl(daemon.path, "status", code=1))

    def test_no_socket_and_no_listener_are_told_apart(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "sock")
            self.assertIn("no such socket", ctl(path, "status", code=1))
            dead = socket.socket(socket.AF_UNIX)
            dead.bind(path)
            dead.close()
            self.assertIn("nobody listens", ctl(path, "status", code=1))
        self.assertIn("at most 107", ctl("/" + "x" * 200, "status", code=1))

    def test_wrong_usage_is_exit_code_2(self):
        for args in ((), ("status", "more"), ("--jsn", "status"), ("newer", "arg"), ("x" * 65,)):
            ctl("/nowhere", *args, code=2)
        result = subprocess.run([CTL, "status"], capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("--control", result.stderr)

    def test_help_and_version_need_no_daemon(self):
        out = subprocess.run([CTL, "--help"], capture_output=True, text=True, check=True).stdout
        for word in ("--control=PATH", "--json", "status", "features", "events"):
            self.assertIn(word, out)
        out = subprocess.run([CTL, "--version"], capture_output=True, text=True, check=True).stdout
        self.assertRegex(out, r"^vhost-ferryctl \d+\.\d+\.\d+\n$")


class Events(unittest.TestCase):
    def follow(self, *args, answer=EVENT, stay=True):
        daemon = Daemon(lines({"return": {}, "id": 1}, answer), stay)
        child = subprocess.Popen([CTL, f"--control={daemon.path}", *args, "events"], text=True,
                                 env=dict(os.environ, TZ="UTC"), stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)
        # A line that never comes fails the test rather than holding it up.
        timer = threading.Timer(60, child.kill)
        timer.daemon = True
        timer.start()
        return daemon, child

    def test_one_line_an_event_as_it_comes_until_a_signal(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            daemon, child = self.follow()
            with daemon, child:
                self.assertEqual(child.stdout.readline(), "2023-11-14 22:13:20.000042  "
                                 "QUEUE_STARTED  queue=4  why=x?y\n")
                child.send_signal(number)
                self.assertEqual(child.wait(60), 0)

    def test_json_events_are_the_objects(self):
        daemon, child = self.follow("--json")
        with daemon, child:
            self.assertEqual(json.loads(child.stdout.readline()), EVENT)
            child.send_signal(signal.SIGINT)
            self.assertEqual(child.wait(60), 0)

    def test_the_daemons_end_is_the_end_and_no_failure(self):
        daemon, child = self.follow(stay=False)
        with daemon, child:
            out, err = child.communicate(timeout=60)
        self.assertEqual((child.returncode, out.count("\n")), (0, 1))
        self.assertIn("closed the connection", err)


if __name__ == "__main__":
    unittest.main()
