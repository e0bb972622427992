#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vhost-ferry-bench and ferry-test-backend against each other, without the daemon."""

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from child import Child  # noqa: E402
from ferry import program  # noqa: E402
from rig import PeerTest, main  # noqa: E402


class TestBackend(Child):
    def __init__(self, rig, *options):
        self.socket = str(rig.path("back.sock"))
        super().__init__(rig, "backend", [
            program("ferry-test-backend"), f"--socket-path={self.socket}",
            "--size=16777216", *options,
        ])  # fmt: skip
        self.wait_listening(self.socket)


def start_bench(socket_path, *options):
    argv = [program("vhost-ferry-bench"), f"--socket-path={socket_path}", *options]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class Bench(PeerTest):
    def bench(self, socket_path, *options):
        """What it printed; it must succeed."""
        with start_bench(socket_path, *options) as child:
            out, err = child.communicate(timeout=60)
        self.assertEqual((child.returncode, err), (0, ""), options)
        return out

    def refused(self, code, socket_path, *options):
        """The one line it printed; it must end with this code."""
        with start_bench(socket_path, *options) as child:
            _, err = child.communicate(timeout=60)
        self.assertEqual((child.returncode, err.count("\n")), (code, 1), err)
        return err

    def verify_all(self, backend, formats=("split", "packed")):
        for ring, indirect, event, depth, queues in itertools.product(
            formats, ("on", "off"), ("on", "off"), (1, 32), (1, 4)
        ):
            self.bench(
                backend.socket, f"--format={ring}", f"--indirect={indirect}",
                f"--event-idx={event}", f"--depth={depth}", f"--queues={queues}",
                "--verify", "--rounds=1", "--requests=2000",
            )  # fmt: skip
        self.assertEqual(backend.log.lines(), [])

    def test_every_mix_verifies(self):
        self.verify_all(TestBackend(self.rig, "--queues=4", "--announce"))

    def test_every_mix_verifies_out_of_order(self):
        self.verify_all(TestBackend(self.rig, "--queues=4", "--shuffle", "--delay-us=20"))

    def test_a_backend_that_lacks_nearly_everything(self):
        backend = TestBackend(
            self.rig, "--features=-RING_EVENT_IDX,-RING_INDIRECT_DESC",
            "--protocol-features=-REPLY_ACK,-CONFIGURE_MEM_SLOTS,-BACKEND_REQ,-MQ",
        )  # fmt: skip
        self.bench(backend.socket, "--verify", "--rounds=1", "--requests=2000", "--depth=8")
        self.assertIn("RING_EVENT_IDX (bit 29)", self.refused(1, backend.socket, "--event-idx=on"))
        self.assertIn("--queue-size", self.refused(1, backend.socket, "--depth=100"))

    def test_odd_packed_ring_and_large_requests(self):
        backend = TestBackend(self.rig)
        for size, depth in ((512, 40), (1 << 20, 3)):
            self.bench(
                backend.socket, "--format=packed", "--queue-size=121", f"--size={size}",
                f"--depth={depth}", "--indirect=off", "--verify", "--rounds=2", "--requests=500",
            )  # fmt: skip

    def test_json_has_every_round_and_the_ratio(self):
        one, two = TestBackend(self.rig), TestBackend(self.rig)
        out = self.bench(
            one.socket, f"--socket-path={two.socket}", "--rounds=2", "--requests=100",
            "--control-rounds=120", "--json",
        )  # fmt: skip
        sockets = json.loads(out)["sockets"]
        self.assertEqual([len(s["rounds"]) for s in sockets], [2, 2])
        self.assertEqual({r["requests"] for s in sockets for r in s["rounds"]}, {100})
        self.assertNotIn("ratio", sockets[0])
        self.assertAlmostEqual(
            sockets[1]["ratio"]["iops"],
            sockets[1]["median"]["iops"] / sockets[0]["median"]["iops"], 5,
        )  # fmt: skip
        self.assertEqual(sockets[1]["control"]["rounds"], 120)

    def test_a_request_that_never_completes_ends_it(self):
        backend = TestBackend(self.rig, "--delay-us=100000000")
        line = self.refused(1, backend.socket, "--timeout=0.5", "--depth=4")
        self.assertIn("not completed within 0.5 s, 4 in flight", line)

    def test_a_silent_backend_ends_it(self):
        backend = TestBackend(self.rig)
        os.kill(backend.pid, signal.SIGSTOP)
        line = self.refused(1, backend.socket, "--timeout=0.5")
        os.kill(backend.pid, signal.SIGCONT)
        self.assertIn("GET_FEATURES: nothing came within 500 ms", line)

    def test_wrong_usage_is_one_line_and_2(self):
        for options in (
            ("--format=round",), ("--depth=0",), ("--queue-size=100",), ("--size=100",),
            ("--seconds=1", "--requests=1"), ("--verify", "--rw=read"), ("--bogus",), ("more",),
            ("--depth=64", "--indirect=off"),
        ):  # fmt: skip
            self.refused(2, "/nowhere", *options)
        self.refused(1, "/nowhere")


if __name__ == "__main__":
    main()
