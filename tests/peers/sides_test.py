#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Who listens and who connects, on both sides of the daemon."""

from rig import (
    Ferry,
    NoFerry,
    PeerTest,
    QemuGuest,
    TestpmdVhost,
    TestpmdVirtioUser,
    main,
    wanted,
)


class Sides(PeerTest):
    def run_both(self, qemu):
        """QEMU server=on and testpmd client=1: OVS's usual arrangement."""
        front = self.rig.path("front.sock")
        if wanted():
            back = self.rig.path("back.sock")
            ferry = Ferry(self.rig, frontend_connect=front, backend_listen=back)
        else:
            back, ferry = front, NoFerry(front)
        TestpmdVhost(self.rig, client=True, socket_path=back)
        guest = QemuGuest(self.rig, qemu, "net", front, server=True)
        self.run_guest(guest, ferry, queues=2)

    def test_listening_qemu7_and_connecting_testpmd_verify(self):
        self.run_both(7)

    def test_listening_qemu10_and_connecting_testpmd_verify(self):
        self.run_both(10)

    def test_backend_listen_for_connecting_testpmd_verifies(self):
        self.need_ferry()
        back = self.rig.path("back.sock")
        ferry = Ferry(self.rig, socket_path=self.rig.path("front.sock"), backend_listen=back)
        TestpmdVhost(self.rig, client=True, socket_path=back)
        for _ in range(2):
            guest = QemuGuest(self.rig, 10, "net", ferry.socket)
            self.run_guest(guest, ferry, queues=2, requests=50)

    def run_virtio_user_server(self, packed):
        front = self.rig.path("front.sock")
        if wanted():
            back = self.rig.path("back.sock")
            ferry = Ferry(self.rig, frontend_connect=front, backend_listen=back)
        else:
            back, ferry = front, NoFerry(front)
        backend = TestpmdVhost(self.rig, forward="rxonly", client=True, socket_path=back)
        user = TestpmdVirtioUser(self.rig, front, server=True, packed=packed)
        user.wait_prompt()
        user.start()
        backend.wait_received(100_000)
        ferry.check_running(user.pid, queues=2, packed=packed)
        self.assertEqual(user.quit(), 0)
        ferry.check_idle()

    def test_listening_virtio_user_and_connecting_testpmd_split(self):
        self.run_virtio_user_server(packed=False)

    def test_listening_virtio_user_and_connecting_testpmd_packed(self):
        self.run_virtio_user_server(packed=True)


if __name__ == "__main__":
    main()
