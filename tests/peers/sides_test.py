#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Who listens and who connects, on both sides of the daemon."""

import socket

from rig import (
    Ferry,
    NoFerry,
    PeerTest,
    Qsd,
    QemuGuest,
    TestpmdVhost,
    TestpmdVirtioUser,
    main,
    wanted,
)


class Sides(PeerTest):
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

    def run_both(self, qemu):
        """QEMU server=on and testpmd client=1: OVS's usual arrangement."""
        front = self.rig.path("front.sock")
        if wanted():
            back = self.rig.path("back.sock")
            ferry = Ferry(self.rig, frontend_connect=front, backend_listen=back)
        else:
            back, ferry = front, NoFerry(front)
        TestpmdVhost(self.rig, client=True, socket_path=back)
        ferry.settle()
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
        ferry.settle()
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
        ferry.settle()
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

    def test_inherited_listening_fd_verifies(self):
        self.need_ferry()
        backend = Qsd(self.rig)
        path = self.rig.path("front.sock")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(1)
            number = listener.fileno()
            ferry = Ferry(self.rig, pass_fds=(number,), fd=number, backend_path=backend.socket)
        self.run_guest(QemuGuest(self.rig, 10, "blk", path), ferry, queues=1)

    def test_inherited_backend_fd_verifies(self):
        self.need_ferry()
        backend = Qsd(self.rig)
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(backend.socket)
            number = peer.fileno()
            ferry = Ferry(
                self.rig,
                pass_fds=(number,),
                backend_fd=number,
                socket_path=self.rig.path("front.sock"),
            )
        guest = QemuGuest(self.rig, 7, "blk", ferry.socket)
        guest.wait_ready()
        guest.wait_work(100)
        ferry.check_running(guest.pid, queues=1)
        self.assertGreater(guest.verify()["verified"], 0)
        # The one connection it had is spent; what it does now is its own
        # matter, as long as it does not die by a signal.
        self.assertIn(ferry.process.poll(), (None, 0, 1))

    def test_hidden_feature_is_not_offered_and_the_guest_verifies(self):
        self.need_ferry()
        ferry = self.rig.between(Qsd(self.rig), hide="EVENT_IDX,protocol:CONFIGURE_MEM_SLOTS")
        guest = QemuGuest(self.rig, 10, "blk", ferry.socket)
        guest.wait_ready()
        guest.wait_work(100)
        seen = ferry.check_running(guest.pid, queues=1)["frontend"]
        self.assertNotIn("EVENT_IDX", seen["features"])
        self.assertNotIn("CONFIGURE_MEM_SLOTS", seen["protocol_features"])
        self.assertGreater(guest.verify()["verified"], 0)
        ferry.check_idle()


if __name__ == "__main__":
    main()
