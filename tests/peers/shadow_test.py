# SPDX-License-Identifier: BSD-3-Clause
"""--data-path=shadow in front of every kind of backend, and guests reset in it."""

from rig import (
    PeerTest,
    Qsd,
    QemuGuest,
    ScsiRust,
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

    def test_relayed_vsock_verifies_on_qemu7(self):
        self.run_vsock(7)

    def test_relayed_vsock_verifies_on_qemu10(self):
        self.run_vsock(10)

    def test_relayed_vsock_goes_on_after_pauses_on_qemu10(self):
        """With nothing under way: vhost-device-vsock does not bear it otherwise."""
        self.need_rust("vhost-device-vsock")
        backend = VsockRust(self.rig)
        ferry = self.shadowed(backend)
        guest = QemuGuest(self.rig, 10, "vsock", ferry.socket)
        guest.wait_ready()
        for _ in range(3):
            guest.wait_work(50)
            after = guest.console.log.mark()
            backend.echo.pause()
            guest.wait_console("^STALL ", after=after)
            guest.qmp.execute("stop")
            guest.qmp.execute("cont")
            backend.echo.resume()
        self.run_guest(guest, ferry, queues=2)

    def run_scsi(self, qemu):
        """SeaBIOS uses the disk before the kernel does: two starts of each ring,
        which without the daemon vhost-device-scsi 0.1.0 can not do."""
        self.need_rust("vhost-device-scsi")
        ferry = self.shadowed(ScsiRust(self.rig))
        guest = QemuGuest(self.rig, qemu, "scsi", ferry.socket, firmware=True)
        guest.wait_ready()
        guest.wait_work(50)
        guest.qmp.execute("stop")
        guest.qmp.execute("cont")
        self.run_guest(guest, ferry, queues=3)

    def test_relayed_scsi_starts_again_and_verifies_on_qemu7(self):
        self.run_scsi(7)

    def test_relayed_scsi_starts_again_and_verifies_on_qemu10(self):
        self.run_scsi(10)

    def test_relayed_net_goes_on_after_pauses_on_qemu10(self):
        ferry = self.shadowed(TestpmdVhost(self.rig))
        guest = QemuGuest(self.rig, 10, "net", ferry.socket)
        guest.wait_ready()
        for _ in range(5):
            guest.wait_work(50)
            guest.qmp.execute("stop")
            guest.qmp.execute("cont")
        self.run_guest(guest, ferry, queues=2)

    def run_net(self, qemu):
        ferry = self.shadowed(TestpmdVhost(self.rig, queues=2))
        guest = QemuGuest(self.rig, qemu, "net", ferry.socket, queues=2)
        counts = self.run_guest(guest, ferry, queues=4)
        self.assertLess(counts["lost"], 200)

    def test_relayed_net_verifies_on_qemu7(self):
        self.run_net(7)

    def test_relayed_net_verifies_on_qemu10(self):
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
