#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""testpmd on both sides: virtio-user as the front-end, no guest."""

from rig import PeerTest, TestpmdVhost, TestpmdVirtioUser, main


class VirtioUser(PeerTest):
    def run_flow(self, packed, queues=1):
        backend = TestpmdVhost(self.rig, forward="rxonly", queues=queues)
        ferry = self.rig.between(backend)
        user = TestpmdVirtioUser(self.rig, ferry.socket, packed=packed, queues=queues)
        user.start()
        backend.wait_received(100_000)
        ferry.check_running(
            user.pid,
            queues=2 * queues,
            packed=packed,
            features=("VERSION_1", "RING_PACKED") if packed else ("VERSION_1",),
        )
        self.assertEqual(user.quit(), 0)
        ferry.check_idle()

    def test_virtio_user_split_carries_packets(self):
        self.run_flow(packed=False)

    def test_virtio_user_packed_carries_packets(self):
        self.run_flow(packed=True)

    def test_virtio_user_two_queues_split_carries_packets(self):
        self.run_flow(packed=False, queues=2)

    def test_virtio_user_two_queues_packed_carries_packets(self):
        self.run_flow(packed=True, queues=2)

    def test_virtio_user_packed_echo_comes_back(self):
        backend = TestpmdVhost(self.rig, forward="macswap")
        ferry = self.rig.between(backend)
        user = TestpmdVirtioUser(self.rig, ferry.socket, forward="io", packed=True)
        user.start("start tx_first 4")
        user.wait_received(100_000)
        ferry.check_running(user.pid, queues=2, packed=True)
        self.assertEqual(user.quit(), 0)
        ferry.check_idle()


if __name__ == "__main__":
    main()
