#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""--frontend-connect: the daemon seeks a QEMU that listens."""

from rig import Ferry, PeerTest, Qsd, QemuGuest, main


class Connect(PeerTest):
    def run_listening_qemu(self, qemu):
        """QEMU server=on: the daemon connects to it, again and again."""
        self.need_ferry()
        front = self.rig.path("front.sock")
        backend = Qsd(self.rig)
        # The daemon first: what it connects to comes later, and goes again.
        ferry = Ferry(self.rig, frontend_connect=front, backend_path=backend.socket)
        for _ in range(2):
            guest = QemuGuest(self.rig, qemu, "blk", front, server=True)
            guest.wait_ready()
            guest.wait_work(100)
            ferry.check_running(guest.pid, queues=1)
            self.assertGreater(guest.verify()["verified"], 0)
            ferry.check_idle()

    def test_frontend_connect_to_listening_qemu7_verifies(self):
        self.run_listening_qemu(7)

    def test_frontend_connect_to_listening_qemu10_verifies(self):
        self.run_listening_qemu(10)


if __name__ == "__main__":
    main()
