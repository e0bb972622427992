#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Front-ends that come and go, and front-ends that are killed."""

from rawpeer import VERSION_1, ask_features
from rig import Ferry, PeerTest, Qsd, QemuGuest, TestpmdVhost, TestpmdVirtioUser, main


class Frontend(PeerTest):
    def test_guests_come_and_go_five_times(self):
        ferry = self.rig.between(Qsd(self.rig))
        for turn in range(5):
            guest = QemuGuest(self.rig, 10 if turn % 2 else 7, "blk", ferry.socket)
            self.run_guest(guest, ferry, queues=1, requests=50)

    def test_testpmd_frontends_come_and_go_ten_times(self):
        backend = TestpmdVhost(self.rig, forward="rxonly")
        ferry = self.rig.between(backend)
        for turn in range(10):
            user = TestpmdVirtioUser(self.rig, ferry.socket, packed=turn % 2 == 1)
            user.start()
            backend.wait_received(10_000)
            self.assertEqual(user.quit(), 0)
            ferry.check_idle()

    def test_five_hundred_connections_leave_no_fd_and_no_memory(self):
        ferry = self.rig.between(Qsd(self.rig))
        self.growth_kb(ferry, 50)
        # The heap may move once, by how many sessions happen to end together; 450 leaks
        # of anything show each time.
        self.assertTrue(any(self.growth_kb(ferry, 450) < 64 for _ in range(3)))

    def growth_kb(self, ferry, connections):
        before = self.own_kb(ferry)
        for _ in range(connections):
            self.assertTrue(ask_features(ferry.socket) & VERSION_1)
        ferry.check_idle()
        return self.own_kb(ferry) - before

    def own_kb(self, ferry):
        return ferry.own_kb() if isinstance(ferry, Ferry) else 0

    def test_killed_guests_leave_the_daemon_ready(self):
        backend = Qsd(self.rig)
        ferry = self.rig.between(backend)
        for qemu in (7, 10, 7):
            guest = QemuGuest(self.rig, qemu, "blk", ferry.socket)
            guest.wait_ready()
            guest.wait_work(100)
            guest.kill()
            ferry.check_idle()
        self.run_guest(QemuGuest(self.rig, 10, "blk", ferry.socket), ferry, queues=1)


if __name__ == "__main__":
    main()
