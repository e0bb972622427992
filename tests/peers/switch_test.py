# SPDX-License-Identifier: BSD-3-Clause
"""Rings of disks and file systems moved in and out of the data path under load."""

import random
import time

from rig import (
    PeerTest,
    Qsd,
    QemuGuest,
    RigError,
    VirtiofsdC,
    VirtiofsdRust,
    VsockRust,
    full,
    main,
    written_blocks,
)

# A QEMU guest under TCG completes some thousand fast writes a second, and the
# pauses between two moves are of random length, so moves come in every state
# of a ring: with requests on the way in, in flight, and completed unseen.
FAST, SLOW = 0, 400


class Switch(PeerTest):
    def moves(self, ferry, guest, queues, seed):
        """Moves the rings there and back; how long each stood still, in us."""
        moments = random.Random(seed)
        events = ferry.events()
        pauses = []
        for turn in range(200 if full() else 30):
            pauses += ferry.move("direct" if turn % 2 == 0 else "shadow", queues, events)
            if turn % 10 < 2:
                ferry.check_running(guest.pid, queues)
            time.sleep(moments.uniform(0, 0.1))
            self.assertFalse(guest.tick().get("bad"), "the guest has seen errors")
        events.close()
        # As it began, and by what is synthesised.
        ferry.switch("auto")
        return sorted(pauses)

    def run_guest_moved(self, guest, ferry, queues, seed):
        guest.wait_ready()
        guest.wait_work(50)
        pauses = self.moves(ferry, guest, queues, seed)
        counts = self.run_guest(guest, ferry, queues)
        print(
            f"{len(pauses)} moves of a ring, the longest pause {pauses[-1] / 1000:.1f} ms, the"
            f" median {pauses[len(pauses) // 2] / 1000:.1f} ms; the guest's longest request"
            f" {counts['longest_us'] / 1000:.0f} ms"
        )

    def run_blk(self, qemu, writes_a_second, queues=1, qsd=7):
        self.need_ferry()
        backend = Qsd(self.rig, version=qsd, queues=queues, writes_a_second=writes_a_second)
        ferry = self.rig.between(backend)
        guest = QemuGuest(
            self.rig, qemu, "blk", ferry.socket, queues=queues, work="blk,/dev/vda,8,16,8"
        )
        self.run_guest_moved(guest, ferry, queues, seed=qemu)
        self.assertGreater(written_blocks(backend.image), 0)

    def test_moves_under_fast_writes_verify_on_qemu7(self):
        self.run_blk(7, FAST)

    def test_moves_under_fast_writes_verify_on_qemu10(self):
        self.run_blk(10, FAST, qsd=10)

    def test_moves_under_slow_writes_verify_on_qemu7(self):
        self.run_blk(7, SLOW)

    def test_moves_under_slow_writes_verify_on_qemu10(self):
        self.run_blk(10, SLOW, qsd=10)

    def test_moves_of_four_queues_verify_on_qemu10(self):
        self.run_blk(10, FAST, queues=4)

    def test_file_system_moves_out_and_is_refused_the_way_back(self):
        """The C virtiofsd asserts that a started ring is given no second kick, so
        it can not be made quiet in the middle of its work."""
        self.need_ferry()
        backend = VirtiofsdC(self.rig)
        ferry = self.rig.between(backend, device="fs")
        guest = QemuGuest(self.rig, 10, "fs", ferry.socket, work="fs,myfs,8,16,4")
        guest.wait_ready()
        guest.wait_work(50)
        ferry.check_running(guest.pid, 2)
        ferry.switch("direct")
        guest.wait_work(50)
        ferry.check_running(guest.pid, 2)
        with self.assertRaisesRegex(RigError, "data-path shadow: .*HOST_NOTIFIER"):
            ferry.switch("shadow")
        self.run_guest(guest, ferry, 2)
        self.assertGreater(written_blocks(backend.share / "gw.dat"), 0)

    def test_moves_of_a_rust_file_system_verify_on_qemu10(self):
        self.need_ferry()
        self.need_rust("virtiofsd")
        backend = VirtiofsdRust(self.rig)
        ferry = self.rig.between(backend, device="fs")
        guest = QemuGuest(self.rig, 10, "fs", ferry.socket, work="fs,myfs,8,16,4")
        self.run_guest_moved(guest, ferry, 2, seed=10)
        self.assertGreater(written_blocks(backend.share / "gw.dat"), 0)

    def test_rings_of_a_socket_are_refused_and_run_on(self):
        """Its back-end is dead for good if anything comes for one ring while
        another is stopped."""
        self.need_ferry()
        self.need_rust("vhost-device-vsock")
        ferry = self.rig.between(VsockRust(self.rig))
        guest = QemuGuest(self.rig, 10, "vsock", ferry.socket)
        guest.wait_ready()
        guest.wait_work(50)
        with self.assertRaisesRegex(RigError, "data-path direct: .*could not come back"):
            ferry.switch("direct")
        self.run_guest(guest, ferry, 2)


if __name__ == "__main__":
    main()
