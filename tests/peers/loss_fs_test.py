#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""virtiofsd killed under a mounted file system.

What a mount, its looked up names and its open files are, virtiofsd alone knows, and
nobody can tell it to the next one. So they are lost: the guest gets errors, and no
hang as it does without the daemon. Mounted anew it works, with all that was written.
"""

import base64
import re

from rig import PeerTest, QemuGuest, RigError, VirtiofsdC, VirtiofsdRust, main, written_blocks

# Before the work, on a mount of its own. A shell of its own has the open file.
SNIPPET = b"""
mkdir -p /mnt
mount -t virtiofs myfs /mnt
(
	exec 9>/mnt/open
	echo before >&9
	echo FS-UP
	while echo more >&9; do usleep 10000; done
	cat /mnt/open || echo FS-LOST
) 2>/dev/null
umount /mnt
mount -t virtiofs myfs /mnt
grep -q before /mnt/open && echo FS-ANEW
umount /mnt
"""


class LossFs(PeerTest):
    def run_mounted_anew(self, qemu, backend):
        ferry = self.rig.between(backend)
        shell = base64.b64encode(SNIPPET).decode()
        guest = QemuGuest(self.rig, qemu, "fs", ferry.socket, shell=shell)
        guest.wait_console("FS-UP", 120)
        events = ferry.events()
        backend = backend.again()
        events.wait_event("BACKEND_BACK")
        events.close()
        guest.wait_console("FS-LOST")
        guest.wait_console("FS-ANEW")
        self.run_guest(guest, ferry, queues=2)
        self.assertGreater(written_blocks(backend.share / "gw.dat"), 0)

    def test_open_files_get_errors_and_a_new_mount_works(self):
        self.need_ferry()
        self.run_mounted_anew(10, VirtiofsdC(self.rig))

    def test_open_files_get_errors_and_a_new_mount_works_with_rust_virtiofsd(self):
        self.need_ferry()
        self.need_rust("virtiofsd")
        self.run_mounted_anew(7, VirtiofsdRust(self.rig))

    def test_swap_of_a_file_system_is_refused(self):
        self.need_ferry()
        backend = VirtiofsdC(self.rig)
        ferry = self.rig.between(backend, device="fs")
        guest = QemuGuest(self.rig, 10, "fs", ferry.socket)
        guest.wait_ready()
        other = VirtiofsdC(self.rig, share=backend.share)
        with self.assertRaisesRegex(RigError, "mounts and open files"):
            ferry.swap(other.socket)
        self.run_guest(guest, ferry, queues=2)

    def test_direct_rings_of_a_file_system_let_the_frontend_go_with_a_line(self):
        self.need_ferry()
        backend = VirtiofsdC(self.rig)
        ferry = self.rig.between(backend, device="fs")
        guest = QemuGuest(self.rig, 7, "fs", ferry.socket)
        guest.wait_ready()
        ferry.switch("direct")
        backend.kill()
        ferry.wait_line(
            re.escape(backend.socket) + ".*is direct, is known to nobody: have it relayed"
            r" \(--data-path, --device\): the front-end is let go"
        )
        ferry.check_idle()


if __name__ == "__main__":
    main()
