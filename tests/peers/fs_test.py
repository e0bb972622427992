#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A folder of the C virtiofsd in a QEMU guest."""

from rig import PeerTest, QemuGuest, VirtiofsdC, main, written_blocks


class Fs(PeerTest):
    def run_fs(self, qemu):
        backend = VirtiofsdC(self.rig)
        ferry = self.rig.between(backend)
        guest = QemuGuest(self.rig, qemu, "fs", ferry.socket)
        # Two queues: the one of high priority and one for requests.
        self.run_guest(guest, ferry, queues=2)
        self.assertGreater(written_blocks(backend.share / "gw.dat"), 0)

    def test_fs_verifies_on_qemu7(self):
        self.run_fs(7)

    def test_fs_verifies_on_qemu10(self):
        self.run_fs(10)


if __name__ == "__main__":
    main()
