#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""--interpose: taking over the socket of a backend that already listens."""

import os

from rig import Ferry, NoFerry, PeerTest, Qsd, QemuGuest, TestpmdVhost, main


class Interpose(PeerTest):
    def setUp(self):
        self.need_ferry()

    def interposed(self, backend):
        ferry = Ferry(self.rig, interpose=backend.socket)
        self.assertNotEqual(
            self.inode(backend), self.own_inode, "the daemon has not taken the socket over"
        )
        return ferry

    def inode(self, backend):
        return os.stat(backend.socket).st_ino

    def guest_verifies(self, ferry, backend, qemu=7):
        guest = QemuGuest(self.rig, qemu, "blk", backend.socket)
        self.run_guest(guest, ferry, queues=1)

    def blk_backend(self):
        backend = Qsd(self.rig)
        self.own_inode = self.inode(backend)
        return backend

    def test_interpose_on_a_running_backend_verifies_and_is_restored_on_exit(self):
        backend = self.blk_backend()
        names = set(os.listdir(os.path.dirname(backend.socket)))
        ferry = self.interposed(backend)
        self.guest_verifies(ferry, backend)
        ferry.stop()
        self.assertEqual(self.inode(backend), self.own_inode)
        left = {
            name for name in set(os.listdir(os.path.dirname(backend.socket))) - names
            if name.startswith(os.path.basename(backend.socket))
        }
        self.assertEqual(left, set(), "left beside the socket after a clean exit")
        self.guest_verifies(NoFerry(backend.socket), backend, qemu=10)

    def test_interpose_after_sigkill_takes_over_again_and_restores(self):
        backend = self.blk_backend()
        ferry = self.interposed(backend)
        ferry.kill()
        self.assertNotEqual(self.inode(backend), self.own_inode)
        for _ in range(3):
            ferry = self.interposed(backend)
            ferry.kill()
        ferry = self.interposed(backend)
        self.guest_verifies(ferry, backend)
        ferry.stop()
        self.assertEqual(self.inode(backend), self.own_inode)

    def test_interpose_after_sigkill_under_a_guest_restores(self):
        backend = self.blk_backend()
        ferry = self.interposed(backend)
        guest = QemuGuest(self.rig, 7, "blk", backend.socket)
        guest.wait_ready()
        guest.wait_work(100)
        ferry.kill()
        guest.kill()
        ferry = self.interposed(backend)
        self.guest_verifies(ferry, backend)
        ferry.stop()
        self.assertEqual(self.inode(backend), self.own_inode)

    def test_interpose_leaves_a_guest_that_is_already_connected_alone(self):
        backend = self.blk_backend()
        guest = QemuGuest(self.rig, 7, "blk", backend.socket)
        guest.wait_ready()
        ferry = self.interposed(backend)
        guest.wait_work(500)
        ferry.stop()
        self.assertEqual(self.inode(backend), self.own_inode)
        guest.wait_work(500)
        guest.verify()

    def test_interpose_on_testpmd_verifies_and_is_restored_on_exit(self):
        backend = TestpmdVhost(self.rig)
        self.own_inode = self.inode(backend)
        ferry = self.interposed(backend)
        guest = QemuGuest(self.rig, 10, "net", backend.socket)
        self.run_guest(guest, ferry, queues=2)
        ferry.stop()
        self.assertEqual(self.inode(backend), self.own_inode)


if __name__ == "__main__":
    main()
