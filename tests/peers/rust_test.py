#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Backends written in Rust: another library of the protocol, and stricter."""

from rig import (
    PeerTest,
    QemuGuest,
    ScsiRust,
    VirtiofsdRust,
    VsockRust,
    main,
    written_blocks,
)


class Rust(PeerTest):
    def run_fs(self, qemu):
        self.need_rust("virtiofsd")
        backend = VirtiofsdRust(self.rig)
        ferry = self.rig.between(backend)
        guest = QemuGuest(self.rig, qemu, "fs", ferry.socket)
        self.run_guest(guest, ferry, queues=2)
        self.assertGreater(written_blocks(backend.share / "gw.dat"), 0)

    def run_vsock(self, qemu):
        self.need_rust("vhost-device-vsock")
        ferry = self.rig.between(VsockRust(self.rig))
        # Its third queue, for events, stays in QEMU.
        self.run_guest(QemuGuest(self.rig, qemu, "vsock", ferry.socket), ferry, queues=2)

    def run_scsi(self, qemu):
        self.need_rust("vhost-device-scsi")
        ferry = self.rig.between(ScsiRust(self.rig))
        guest = QemuGuest(self.rig, qemu, "scsi", ferry.socket)
        # Queues for control and events, and one for requests.
        self.run_guest(guest, ferry, queues=3)

    def test_rust_virtiofsd_verifies_on_qemu7(self):
        self.run_fs(7)

    def test_rust_virtiofsd_verifies_on_qemu10(self):
        self.run_fs(10)

    def test_rust_vsock_verifies_on_qemu7(self):
        self.run_vsock(7)

    def test_rust_vsock_verifies_on_qemu10(self):
        self.run_vsock(10)

    def test_rust_scsi_verifies_on_qemu7(self):
        self.run_scsi(7)

    def test_rust_scsi_verifies_on_qemu10(self):
        self.run_scsi(10)


if __name__ == "__main__":
    main()
