#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A disk that moves between two qemu-storage-daemons under load."""

import random
import time

from rig import PeerTest, Qsd, QemuGuest, RigError, full, main, written_blocks


class Swap(PeerTest):
    def swaps(self, ferry, guest, backends, seed):
        """There and back at random moments; how long each took, in us."""
        moments = random.Random(seed)
        pauses = []
        for turn in range(200 if full() else 10):
            time.sleep(moments.uniform(0, 0.1))
            pauses.append(ferry.swap(backends[(turn + 1) % 2].socket))
            self.assertFalse(guest.tick().get("bad"), "the guest has seen errors")
        return sorted(pauses)

    def run_swaps(self, qemu, first, second, queues=1):
        self.need_ferry()
        ferry = self.rig.between(first)
        guest = QemuGuest(
            self.rig, qemu, "blk", ferry.socket, queues=queues, work="blk,/dev/vda,8,16,32"
        )
        guest.wait_ready()
        guest.wait_work(50)
        before = guest.tick()["longest_us"]
        pauses = self.swaps(ferry, guest, (first, second), seed=qemu)
        counts = self.run_guest(guest, ferry, queues)
        guest.expect_no_complaint()
        for backend in (first, second):
            backend.expect_alive()
        self.assertEqual(ferry.status()["replays"], len(pauses))
        self.assertGreater(written_blocks(first.image), 0)
        print(
            f"{len(pauses)} swaps, with the drain: median {pauses[len(pauses) // 2] / 1000:.1f} ms,"
            f" longest {pauses[-1] / 1000:.1f} ms; guest's longest request"
            f" {counts['longest_us'] / 1000:.0f} ms ({before / 1000:.0f} ms before)"
        )

    def test_swaps_under_slow_writes_verify_on_qemu7(self):
        first = Qsd(self.rig, writes_a_second=400)
        self.run_swaps(7, first, first.beside())

    def test_swaps_between_storage_daemon_7_and_10_under_fast_writes_verify_on_qemu10(self):
        first = Qsd(self.rig)
        self.run_swaps(10, first, first.beside(version=10))

    def test_swaps_of_four_queues_verify_on_qemu10(self):
        first = Qsd(self.rig, queues=4)
        self.run_swaps(10, first, first.beside(), queues=4)

    def test_unfit_backend_is_refused_and_the_guest_stays_with_the_old(self):
        self.need_ferry()
        old = Qsd(self.rig)
        larger = Qsd(self.rig, size_mb=32)
        ferry = self.rig.between(old)
        guest = QemuGuest(self.rig, 10, "blk", ferry.socket)
        guest.wait_ready()
        guest.wait_work(50)
        with self.assertRaisesRegex(RigError, "its config space differs at byte"):
            ferry.swap(larger.socket)
        with self.assertRaisesRegex(RigError, "No such file or directory"):
            ferry.swap(self.rig.path("nobody.sock"))
        self.run_guest(guest, ferry, queues=1)
        self.assertGreater(written_blocks(old.image), 0)
        self.assertEqual(written_blocks(larger.image), 0)

    def test_backend_killed_after_a_swap_is_waited_for_where_it_was(self):
        self.need_ferry()
        old = Qsd(self.rig)
        new = old.beside()
        ferry = self.rig.between(old)
        guest = QemuGuest(self.rig, 10, "blk", ferry.socket)
        guest.wait_ready()
        ferry.swap(new.socket)
        old.kill()
        guest.wait_work(50)
        events = ferry.events()
        new = new.again()
        events.wait_event("BACKEND_BACK")
        events.close()
        self.run_guest(guest, ferry, queues=1)
        guest.expect_no_complaint()
        new.expect_alive()


if __name__ == "__main__":
    main()
