#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vhost-ferry-probe against back-ends that answer, and ones that do not."""

import json
import os
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

PROBE = os.path.join(os.environ["FERRY_BIN"], "vhost-ferry-probe")

GET_FEATURES, GET_PROTOCOL, SET_PROTOCOL = 1, 15, 16
GET_QUEUE_NUM, GET_CONFIG, GET_SLOTS = 17, 24, 36
HEADER = struct.Struct("=III")


def reply(id_, payload, flags=5):
    return HEADER.pack(id_, flags, len(payload)) + payload


def u64(value):
    return struct.pack("=Q", value)


class BackEnd:
    """Serves connections one after the other; `answer` maps a request's id
    and payload to bytes, to None (say nothing) or to "close"."""

    def __init__(self, answer):
        self.folder = tempfile.TemporaryDirectory(prefix="probe-")
        self.path = os.path.join(self.folder.name, "sock")
        self.answer = answer
        self.seen = []
        self.ended = threading.Event()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(4)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                peer = self.listener.accept()[0]
            except OSError:
                return
            with peer:
                try:
                    self.talk(peer)
                except ConnectionResetError:
                    pass
            self.ended.set()

    def talk(self, peer):
        while True:
            header = peer.recv(HEADER.size, socket.MSG_WAITALL)
            if len(header) < HEADER.size:
                return
            id_, _, size = HEADER.unpack(header)
            payload = peer.recv(size, socket.MSG_WAITALL) if size else b""
            self.seen.append((id_, payload))
            answer = self.answer(id_, payload)
            if answer == "close":
                return
            if answer:
                try:
                    peer.sendall(answer)
                except OSError:
                    return

    def close(self):
        # Its thread must be out of accept() first: the number of a closed socket
        # is given again at once, and it would serve the next test's probe.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.listener.close()
        self.folder.cleanup()


DISK = bytes(8) + bytes([0, 0, 0, 0, 126, 0, 0, 0]) + bytes(4) + \
    struct.pack("<I", 512) + bytes(10) + struct.pack("<H", 4) + bytes(21)


def disk(id_, payload, over=None):
    """A disk as qemu-storage-daemon shows it, with answers replaced by `over`."""
    if over and id_ in over:
        return over[id_]
    if id_ == GET_FEATURES:
        return reply(id_, u64(0x175007E46))
    if id_ == GET_PROTOCOL:
        return reply(id_, u64(0x8F2B))
    if id_ == GET_QUEUE_NUM:
        return reply(id_, u64(4))
    if id_ == GET_SLOTS:
        return reply(id_, u64(32))
    if id_ == GET_CONFIG:
        offset, size, flags = struct.unpack_from("=III", payload)
        if size > len(DISK):
            return reply(id_, b"")
        return reply(id_, struct.pack("=III", offset, size, flags) + DISK[:size])
    return None


def run(*arguments, limit=30):
    return subprocess.run([PROBE, *arguments], capture_output=True, text=True,
                          timeout=limit, check=False)


class Probe(unittest.TestCase):
    def back_end(self, answer):
        back_end = BackEnd(answer)
        self.addCleanup(back_end.close)
        return back_end

    def with_over(self, over):
        return self.back_end(lambda i, p: disk(i, p, over))

    def check_fails(self, result, *words):
        """Exit 1 and exactly one line on stderr that has the words."""
        self.assertEqual(result.returncode, 1, result.stderr)
        lines = result.stderr.splitlines()
        self.assertEqual(len(lines), 1, result.stderr)
        self.assertTrue(lines[0].startswith("vhost-ferry-probe: "), lines[0])
        for word in words:
            self.assertIn(word, lines[0])

    def test_reports_a_disk_for_people(self):
        result = run(self.back_end(disk).path)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for words in ("looks like        blk", "RING_EVENT_IDX(29)", "PAGEFAULT(8)",
                      "blk_size=512", "num_queues=4", "INFLIGHT_SHMFD (protocol bit 12)",
                      "vhost-ferry: not yet in this version", "known to break"):
            self.assertIn(words, result.stdout)
        self.assertFalse([line for line in result.stdout.splitlines()
                          if line != line.rstrip()])

    def test_reports_a_disk_for_programs(self):
        back_end = self.back_end(disk)
        result = run("--json", back_end.path)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        found = json.loads(result.stdout)
        self.assertEqual(found["device"], "blk")
        self.assertEqual((found["queues"], found["mem_slots"], found["status"]), (4, 32, None))
        self.assertEqual(found["features_value"], "0x175007e46")
        self.assertIn("CONFIGURE_MEM_SLOTS", found["protocol_features"])
        self.assertEqual(found["config"]["fields"]["num_queues"], 4)
        self.assertEqual(found["pid"], os.getpid())
        self.assertIsNone(found["error"])
        verdicts = {c["name"]: c for c in found["capabilities"]}
        self.assertEqual(verdicts["precopy"]["verdict"], "has")
        self.assertEqual(verdicts["viommu"]["verdict"], "lacks")
        self.assertEqual(verdicts["viommu"]["missing"],
                         [{"name": "ACCESS_PLATFORM", "space": "virtio", "bit": 33}])
        self.assertEqual(verdicts["viommu"]["daemon"], "not-yet")

    def test_asks_only_what_leaves_the_back_end_as_it_was(self):
        back_end = self.back_end(disk)
        run(back_end.path)
        self.assertTrue(back_end.ended.wait(5), "the connection was not closed")
        self.assertEqual([i for i, _ in back_end.seen],
                         [GET_FEATURES, GET_PROTOCOL, SET_PROTOCOL, GET_QUEUE_NUM, GET_SLOTS,
                          GET_CONFIG])
        acknowledged = struct.unpack("=Q", back_end.seen[2][1])[0]
        self.assertEqual(acknowledged & ~0x8F2B, 0, "a bit that was not offered")

    def test_a_back_end_without_protocol_features_is_asked_no_more(self):
        back_end = self.with_over({GET_FEATURES: reply(GET_FEATURES, u64(1 << 32))})
        result = run(back_end.path)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("PROTOCOL_FEATURES (virtio bit 30) is not offered", result.stdout)
        self.assertEqual([i for i, _ in back_end.seen], [GET_FEATURES])

    def test_an_absent_path_is_told_from_a_file_and_from_a_dead_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "sock")
            self.check_fails(run(path), path, "does not exist")
            with open(path, "w", encoding="ascii"):
                pass
            self.check_fails(run(path), path, "is no socket")
            os.unlink(path)
            dead = socket.socket(socket.AF_UNIX)
            dead.bind(path)
            dead.close()
            self.check_fails(run(path), path, "connection refused")
            os.unlink(path)
            other = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.addCleanup(other.close)
            other.bind(path)
            other.listen(1)
            self.check_fails(run(path), path, "no stream socket")

    def test_a_path_longer_than_a_socket_can_have_is_refused(self):
        self.check_fails(run("/tmp/" + "x" * 200), "does not exist")

    def test_a_silent_back_end_is_given_up_on_in_time_and_the_message_named(self):
        cases = {GET_FEATURES: "GET_FEATURES", GET_PROTOCOL: "GET_PROTOCOL_FEATURES",
                 GET_QUEUE_NUM: "GET_QUEUE_NUM", GET_CONFIG: "GET_CONFIG"}
        for id_, name in cases.items():
            with self.subTest(name):
                result = run("--timeout=0.5", self.with_over({id_: None}).path)
                self.check_fails(result, "no answer to " + name, "0.5 s")

    def test_the_timeout_is_for_all_questions_together(self):
        def slow(id_, payload):
            time.sleep(0.4)
            return disk(id_, payload)
        # Each answer alone is in time.
        result = run("--timeout=1", self.back_end(slow).path)
        self.check_fails(result, "no answer to", "within 1 s")

    def test_bytes_that_trickle_for_ever_do_not_extend_the_timeout(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "sock")
            listener = socket.socket(socket.AF_UNIX)
            self.addCleanup(listener.close)
            listener.bind(path)
            listener.listen(1)

            def trickle():
                peer = listener.accept()[0]
                answer = reply(GET_FEATURES, bytes(8))
                with peer:
                    try:
                        for byte in answer[:-1]:
                            peer.sendall(bytes([byte]))
                            time.sleep(1.5)
                    except OSError:
                        gave_up.set()
            gave_up = threading.Event()
            thread = threading.Thread(target=trickle, daemon=True)
            thread.start()
            result = run("--timeout=2", path)
            self.check_fails(result, "no answer to GET_FEATURES")
            # Not only after the last byte.
            thread.join()
            self.assertTrue(gave_up.is_set())

    def test_a_back_end_that_nobody_accepts_for_is_given_up_on(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "sock")
            listener = socket.socket(socket.AF_UNIX)
            self.addCleanup(listener.close)
            listener.bind(path)
            listener.listen(0)
            waiting = []
            while True:
                client = socket.socket(socket.AF_UNIX)
                client.setblocking(False)
                waiting.append(client)
                self.addCleanup(client.close)
                if client.connect_ex(path):
                    break
            self.check_fails(run("--timeout=0.5", path), "queue of connections stayed full")

    def test_closing_instead_of_an_answer_is_told_from_closing_in_the_middle(self):
        self.check_fails(run(self.with_over({GET_PROTOCOL: "close"}).path),
                         "closed instead of an answer to GET_PROTOCOL_FEATURES")

        class Cut(BackEnd):
            def talk(self, peer):
                peer.recv(12)
                peer.sendall(reply(GET_FEATURES, u64(0))[:15])
        cut = Cut(None)
        self.addCleanup(cut.close)
        self.check_fails(run(cut.path), "closed in the middle of the answer to GET_FEATURES")

    def test_what_does_not_speak_vhost_user_is_told_so(self):
        garbage = {
            "text": b"220 mail.example ready\r\n" * 4,
            "another id": reply(99, u64(0)),
            "no reply flag": HEADER.pack(GET_FEATURES, 1, 8) + u64(0),
            "short payload": reply(GET_FEATURES, bytes(4)),
            "long payload": reply(GET_FEATURES, bytes(16)),
            "huge payload": HEADER.pack(GET_FEATURES, 5, 0xFFFFFFFF),
            "unknown flags": reply(GET_FEATURES, u64(0), flags=0x85),
        }
        for name, answer in garbage.items():
            with self.subTest(name):
                result = run("--timeout=2", self.with_over({GET_FEATURES: answer}).path)
                self.check_fails(result, "does not speak vhost-user")

    def test_what_was_answered_before_a_failure_is_still_shown(self):
        back_end = self.with_over({GET_CONFIG: "close"})
        result = run(back_end.path)
        self.check_fails(result, "GET_CONFIG")
        self.assertIn("PAGEFAULT(8)", result.stdout)
        found = json.loads(run("--json", back_end.path).stdout)
        self.assertIn("GET_CONFIG", found["error"])
        self.assertEqual(found["queues"], 4)

    def test_json_has_the_error_also_when_nothing_was_answered(self):
        result = run("--json", "/nonexistent/sock")
        self.check_fails(result, "does not exist")
        self.assertIn("does not exist", json.loads(result.stdout)["error"])

    def test_a_config_space_that_is_refused_is_no_failure(self):
        result = run(self.with_over({GET_CONFIG: reply(GET_CONFIG, b"")}).path)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("none to be had", result.stdout)

    def test_an_unknown_device_can_be_named(self):
        back_end = self.with_over({GET_FEATURES: reply(GET_FEATURES, u64(0x174000002)),
                                   GET_QUEUE_NUM: reply(GET_QUEUE_NUM, u64(1)),
                                   GET_PROTOCOL: reply(GET_PROTOCOL, u64(0x9))})
        self.assertIn("no device this program can tell", run(back_end.path).stdout)
        self.assertIn("HOTPLUG(1)", run("--device=scsi", back_end.path).stdout)

    def test_bad_usage_ends_with_2_and_one_line(self):
        for arguments in ((), ("--timeout=0", "p"), ("--timeout=-1", "p"), ("--timeout=x", "p"),
                          ("--timeout=nan", "p"), ("--timeout=1e9", "p"), ("--nonsense", "p"),
                          ("--device=floppy", "p"), ("a", "b")):
            with self.subTest(arguments):
                result = run(*arguments)
                self.assertEqual(result.returncode, 2, result.stderr)
                self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
                self.assertEqual(result.stdout, "")

    def test_help_and_version_end_with_0(self):
        self.assertIn("--timeout", run("--help").stdout)
        version = run("--version")
        self.assertEqual(version.returncode, 0)
        self.assertRegex(version.stdout, r"^vhost-ferry-probe \d+\.\d+\.\d+\n$")

    def test_a_stdout_that_is_full_is_a_failure(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            result = subprocess.run([PROBE, self.back_end(disk).path], stdout=full,
                                    stderr=subprocess.PIPE, text=True, timeout=30, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("stdout", result.stderr)


if __name__ == "__main__":
    unittest.main()
