#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A disk of qemu-storage-daemon in a QEMU guest."""

from rig import PeerTest, Qsd, QemuGuest, main, written_blocks


class Blk(PeerTest):
    def run_blk(self, qemu, queues, qsd=7):
        backend = Qsd(self.rig, version=qsd, queues=queues)
        ferry = self.rig.between(backend)
        guest = QemuGuest(self.rig, qemu, "blk", ferry.socket, queues=queues)
        self.run_guest(guest, ferry, queues, features=("VERSION_1", "FLUSH"))
        # The file itself, past whatever guest and backend may both cache.
        self.assertGreater(written_blocks(backend.image), 0)

    def test_blk_one_queue_verifies_on_qemu7(self):
        self.run_blk(7, 1)

    def test_blk_one_queue_verifies_on_qemu10(self):
        self.run_blk(10, 1)

    def test_blk_four_queues_verifies_on_qemu7(self):
        self.run_blk(7, 4)

    def test_blk_four_queues_verifies_on_qemu10(self):
        self.run_blk(10, 4)

    def test_blk_of_storage_daemon_10_verifies_on_qemu10(self):
        self.run_blk(10, 1, qsd=10)


if __name__ == "__main__":
    main()
