#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""testpmd killed under traffic, and started again: packets are lost, the device is not."""

from rig import Ferry, PeerTest, QemuGuest, TestpmdVhost, TestpmdVirtioUser, full, main

KILLS = 10 if full() else 2


class LossNet(PeerTest):
    def ferry_for(self, client, **options):
        """A daemon, and where its back-end is."""
        back = self.rig.path("back.sock")
        side = {"backend_listen": back} if client else {"backend_path": back}
        return Ferry(self.rig, socket_path=self.rig.path("front.sock"), **side, **options), back

    def run_virtio_user(self, client, packed=False, **options):
        self.need_ferry()
        ferry, back = self.ferry_for(client, **options)
        backend = TestpmdVhost(self.rig, forward="rxonly", client=client, socket_path=back)
        user = TestpmdVirtioUser(self.rig, ferry.socket, packed=packed)
        user.start()
        backend.wait_received(10_000)
        events = ferry.events()
        for _ in range(KILLS):
            backend = backend.again()
            events.wait_event("BACKEND_BACK")
            backend.wait_received(10_000)
        events.close()
        ferry.check_running(user.pid, queues=2, packed=packed)
        self.assertEqual(ferry.status()["replays"], KILLS)
        self.assertEqual(user.quit(), 0)
        ferry.check_idle()

    def test_virtio_user_goes_on_with_a_listening_testpmd(self):
        self.run_virtio_user(client=False)

    def test_virtio_user_goes_on_with_a_connecting_testpmd(self):
        self.run_virtio_user(client=True)

    def test_virtio_user_with_packed_rings_goes_on_if_they_are_relayed(self):
        self.run_virtio_user(client=False, packed=True, data_path="shadow")

    def run_guest_net(self, qemu, client):
        """No frame may come back changed; those on their way are lost."""
        self.need_ferry()
        ferry, back = self.ferry_for(client)
        backend = TestpmdVhost(self.rig, client=client, socket_path=back)
        guest = QemuGuest(self.rig, qemu, "net", ferry.socket)
        guest.wait_ready()
        guest.wait_work(100)
        events = ferry.events()
        for _ in range(KILLS):
            backend = backend.again()
            events.wait_event("BACKEND_BACK")
            guest.wait_work(100)
        events.close()
        counts = self.run_guest(guest, ferry, queues=2)
        guest.expect_no_complaint()
        print(f"{KILLS} kills, {counts['lost']} frames lost")

    def test_guest_goes_on_with_a_listening_testpmd_on_qemu7(self):
        self.run_guest_net(7, client=False)

    def test_guest_goes_on_with_a_connecting_testpmd_on_qemu10(self):
        self.run_guest_net(10, client=True)

    def test_packed_rings_let_the_frontend_go_with_a_line(self):
        """Where a packed ring was used last, only the back-end knows."""
        self.need_ferry()
        ferry, back = self.ferry_for(client=False)
        backend = TestpmdVhost(self.rig, forward="rxonly", socket_path=back)
        user = TestpmdVirtioUser(self.rig, ferry.socket, packed=True)
        user.start()
        backend.wait_received(10_000)
        backend.kill()
        ferry.wait_line("which is direct and packed, .* the front-end is let go")
        ferry.check_idle()
        user.expect_alive()


if __name__ == "__main__":
    main()
