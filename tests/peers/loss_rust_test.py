#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vhost-device-scsi and vhost-device-vsock killed under load, and started again."""

import random
import time

from rig import PeerTest, QemuGuest, ScsiRust, VsockRust, full, main


class LossRust(PeerTest):
    def begun(self, qemu, kind, backend):
        ferry = self.rig.between(backend)
        guest = QemuGuest(self.rig, qemu, kind, ferry.socket)
        guest.wait_ready()
        guest.wait_work(50)
        return ferry, guest

    def test_kills_of_a_scsi_disk_cost_no_request(self):
        self.need_ferry()
        self.need_rust("vhost-device-scsi")
        backend = ScsiRust(self.rig)
        ferry, guest = self.begun(10, "scsi", backend)
        moments = random.Random(10)
        events = ferry.events()
        for _ in range(50 if full() else 3):
            time.sleep(moments.uniform(0, 0.2))
            backend = backend.again()
            events.wait_event("BACKEND_BACK")
            ferry.wait_relayed()
        events.close()
        self.run_guest(guest, ferry, queues=3)
        guest.expect_no_complaint()

    def test_a_socket_works_again_for_streams_that_are_opened_anew(self):
        """Of those that were open the next one knows nothing, and says nothing: they
        hang until the guest closes them, here by a reboot."""
        self.need_ferry()
        self.need_rust("vhost-device-vsock")
        backend = VsockRust(self.rig)
        ferry, guest = self.begun(7, "vsock", backend)
        events = ferry.events()
        backend = backend.again()
        events.wait_event("BACKEND_BACK")
        events.close()
        guest.reboot_at_once()
        self.run_guest(guest, ferry, queues=2)


if __name__ == "__main__":
    main()
