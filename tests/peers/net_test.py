#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A network card of testpmd in a QEMU guest."""

from rig import PeerTest, QemuGuest, TestpmdVhost, main


class Net(PeerTest):
    def run_net(self, qemu, queue_pairs=1):
        backend = TestpmdVhost(self.rig, queues=queue_pairs)
        ferry = self.rig.between(backend)
        guest = QemuGuest(self.rig, qemu, "net", ferry.socket, queues=queue_pairs)
        counts = self.run_guest(
            guest, ferry, 2 * queue_pairs, features=("VERSION_1", "MRG_RXBUF")
        )
        # What is under way when the device starts may be lost, nothing later.
        self.assertLess(counts["lost"], 200)

    def test_net_verifies_on_qemu7(self):
        self.run_net(7)

    def test_net_verifies_on_qemu10(self):
        self.run_net(10)

    def test_net_two_queue_pairs_verifies_on_qemu7(self):
        self.run_net(7, 2)

    def test_net_two_queue_pairs_verifies_on_qemu10(self):
        self.run_net(10, 2)


if __name__ == "__main__":
    main()
