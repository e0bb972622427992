#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Memory plugged into and out of a guest whose rings are relayed, under load.

The daemon has the guest's memory mapped, and its data threads work in it while
regions come and go. A front-end that has no memory slots sends the whole table
each time, in which the daemon's own region takes one of eight places; a table of
eight of the guest's leaves no place for it, and the rings become direct.
"""

from rig import PeerTest, Qsd, QemuGuest, main, message_count, wait_until, written_blocks

DIMM_MB = 128


class Hotplug(PeerTest):
    def guest_of(self, version, **options):
        self.need_ferry()
        self.backend = Qsd(self.rig, version=version)
        self.ferry = self.rig.between(self.backend, **options)
        guest = QemuGuest(
            self.rig, version, "blk", self.ferry.socket, work="blk,/dev/vda,8,16,8",
            # Memory that the guest uses it might not let go of again.
            memory="256M,slots=12,maxmem=4G", kernel="memhp_default_state=offline",
        )  # fmt: skip
        guest.wait_ready()
        guest.wait_work(100)
        self.ferry.check_running(guest.pid, queues=1)
        return guest

    def seen(self, name):
        return message_count(self.ferry.status(), name)

    def plug(self, guest, number, message):
        before = self.seen(message)
        guest.qmp.execute(
            "object-add", id=f"m{number}", size=DIMM_MB << 20, share=True,
            **{"qom-type": "memory-backend-memfd"},
        )  # fmt: skip
        guest.qmp.execute("device_add", driver="pc-dimm", id=f"dimm{number}", memdev=f"m{number}")
        wait_until(f"{message} came", lambda: self.seen(message) > before)

    def unplug(self, guest, number, message):
        before = self.seen(message)
        guest.qmp.execute("device_del", id=f"dimm{number}")
        guest.qmp.wait_event("DEVICE_DELETED")
        guest.qmp.execute("object-del", id=f"m{number}")
        wait_until(f"{message} came", lambda: self.seen(message) > before)

    def run_plugs(self, version, plugged, unplugged, **options):
        guest = self.guest_of(version, **options)
        for number in range(1, 4):
            self.plug(guest, number, plugged)
            guest.wait_work(100)
        for number in (2, 1, 3):
            self.unplug(guest, number, unplugged)
            guest.wait_work(100)
        self.run_guest(guest, self.ferry, queues=1)
        self.assertGreater(written_blocks(self.backend.image), 0)

    def test_memory_slots_come_and_go_under_relayed_rings_on_qemu7(self):
        self.run_plugs(7, "ADD_MEM_REG", "REM_MEM_REG")

    def test_memory_slots_come_and_go_under_relayed_rings_on_qemu10(self):
        self.run_plugs(10, "ADD_MEM_REG", "REM_MEM_REG")

    def test_memory_tables_come_under_relayed_rings_on_qemu7(self):
        self.run_plugs(7, "SET_MEM_TABLE", "SET_MEM_TABLE", hide="CONFIGURE_MEM_SLOTS")

    def test_memory_tables_come_under_relayed_rings_on_qemu10(self):
        self.run_plugs(10, "SET_MEM_TABLE", "SET_MEM_TABLE", hide="CONFIGURE_MEM_SLOTS")

    def test_a_table_without_a_place_for_ours_makes_rings_direct_on_qemu10(self):
        guest = self.guest_of(10, hide="CONFIGURE_MEM_SLOTS")
        number = 0
        while not self.ferry.log.wait("has 8 regions", 0):
            number += 1
            self.plug(guest, number, "SET_MEM_TABLE")
            guest.wait_work(50)
        self.ferry.mode = "direct"
        self.run_guest(guest, self.ferry, queues=1)
        self.assertGreater(written_blocks(self.backend.image), 0)


if __name__ == "__main__":
    main()
