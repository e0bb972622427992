# SPDX-License-Identifier: BSD-3-Clause
"""--data-path=shadow in front of disks and file systems, the others left direct
with a warning, and guests reset in it."""

from rig import (
    PeerTest,
    Qsd,
    QemuGuest,
    TestpmdVhost,
    VirtiofsdC,
    VirtiofsdRust,
    VsockRust,
    main,
    written_blocks,
)


class Shadow(PeerTest):
    def shadowed(self, backend, **options):
        self.need_ferry()
        return self.rig.between(backend, data_path="shadow", **options)

    def run_fs(self, qemu, backend):
        ferry = self.shadowed(backend, device="fs")
        guest = QemuGuest(self.rig, qemu, "fs", ferry.socket, work="fs,myfs,8,16,8")
        self.run_guest(guest, ferry, queues=2, requests=2000)
        self.assertGreater(written_blocks(backend.share / "gw.dat"), 0)

    def test_relayed_virtiofsd_verifies_on_qemu7(self):
        self.run_fs(7, VirtiofsdC(self.rig))

    def test_relayed_rust_virtiofsd_verifies_on_qemu10(self):
        self.need_rust("virtiofsd")
        self.run_fs(10, VirtiofsdRust(self.rig))

    def run_vsock(self, qemu):
        self.need_rust("vhost-device-vsock")
        ferry = self.shadowed(VsockRust(self.rig))
        guest = QemuGuest(self.rig, qemu, "vsock", ferry.socket)
        self.run_guest(guest, ferry, queues=2)

    def test_vsock_is_left_direct_and_verifies_on_qemu10(self):
        self.run_vsock(10)

    def run_net(self, qemu):
        ferry = self.shadowed(TestpmdVhost(self.rig, queues=2))
        guest = QemuGuest(self.rig, qemu, "net", ferry.socket, queues=2)
        counts = self.run_guest(guest, ferry, queues=4)
        self.assertLess(counts["lost"], 200)

    def test_net_is_left_direct_and_verifies_on_qemu10(self):
        self.run_net(10)

    def run_resets(self, qemu):
        """Nobody tells the device before; slow writes are in flight."""
        backend = Qsd(self.rig, writes_a_second=400)
        ferry = self.shadowed(backend)
        guest = QemuGuest(self.rig, qemu, "blk", ferry.socket, work="blk,/dev/vda,8,16,8")
        guest.wait_ready()
        for reset in (guest.reset, guest.reboot_at_once):
            guest.wait_work(50)
            reset()
        self.run_guest(guest, ferry, queues=1)
        self.assertGreater(written_blocks(backend.image), 0)

    def test_resets_with_slow_writes_in_flight_verify_on_qemu7(self):
        self.run_resets(7)

    def test_resets_with_slow_writes_in_flight_verify_on_qemu10(self):
        self.run_resets(10)


if __name__ == "__main__":
    main()
