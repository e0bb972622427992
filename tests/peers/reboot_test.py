#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A guest that reboots, is reset, and is paused."""

from rig import PeerTest, Qsd, QemuGuest, main


class Reboot(PeerTest):
    def run_reboots(self, qemu):
        ferry = self.rig.between(Qsd(self.rig))
        guest = QemuGuest(self.rig, qemu, "blk", ferry.socket)
        guest.wait_ready()
        for _ in range(2):
            guest.wait_work(100)
            guest.verify_and_reboot()
        guest.wait_work(100)
        guest.reset()
        self.run_guest(guest, ferry, queues=1)

    def test_guest_reboots_and_resets_verify_on_qemu7(self):
        self.run_reboots(7)

    def test_guest_reboots_and_resets_verify_on_qemu10(self):
        self.run_reboots(10)

    def run_pauses(self, qemu):
        # With writes that end at once: slow ones are lost by a paused stock
        # guest, since the storage daemon does not drain its rings.
        ferry = self.rig.between(Qsd(self.rig))
        guest = QemuGuest(self.rig, qemu, "blk", ferry.socket, work="blk,/dev/vda,8,16,1")
        guest.wait_ready()
        for _ in range(3):
            guest.wait_work(100)
            guest.qmp.execute("stop")
            guest.qmp.execute("cont")
        self.run_guest(guest, ferry, queues=1)

    def test_paused_guest_goes_on_and_verifies_on_qemu7(self):
        self.run_pauses(7)

    def test_paused_guest_goes_on_and_verifies_on_qemu10(self):
        self.run_pauses(10)


if __name__ == "__main__":
    main()
