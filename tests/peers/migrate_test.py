# SPDX-License-Identifier: BSD-3-Clause
"""A live migration of a guest whose rings are relayed on both ends.

The back-end logs what it writes into buffers; the guest's rings are written by
the daemon and marked by it. With slow writes in flight the stock parts lose the
disk or blocks though QEMU says completed (RIG_FERRY=0 shows it): the source
asks for the ring's base while the back-end works on, and what completes after
that is in no log.
"""

import time

from rig import PeerTest, Qsd, QemuGuest, full, main, wait_until

# Bytes a second. At the slow one a migration would take half a minute.
FAST, SLOW = 200 << 20, 4 << 20


class Migrate(PeerTest):
    def run_migration(self, source_version, target_version, writes_a_second=0, meanwhile=None,
                      **options):  # fmt: skip
        """meanwhile: called with the source guest, its disk and daemon, in the middle
        of it; options: of the daemons."""
        source_disk = Qsd(self.rig, writes_a_second=writes_a_second)
        target_disk = Qsd(
            self.rig,
            image=source_disk.image,
            writes_a_second=writes_a_second,
            socket_path=self.rig.path("qsd2.sock"),
        )
        source_ferry = self.rig.between(source_disk, **options)
        target_ferry = self.rig.between(target_disk, socket="vf2.sock", **options)
        work = "blk,/dev/vda,8,16,8"
        source = QemuGuest(self.rig, source_version, "blk", source_ferry.socket, work=work)
        target = QemuGuest(
            self.rig,
            target_version,
            "blk",
            target_ferry.socket,
            work=work,
            extra=("-incoming", "defer"),
        )
        source.wait_ready()
        source.wait_work(100)
        uri = f"unix:{self.rig.path('migrate.sock')}"
        target.qmp.execute("migrate-incoming", uri=uri)
        source.qmp.execute(
            "migrate-set-parameters",
            **{"downtime-limit": 500, "max-bandwidth": SLOW if meanwhile else FAST},
        )
        source.qmp.execute("migrate", uri=uri)
        if meanwhile:
            meanwhile(source, source_disk, source_ferry)
            source.qmp.execute("migrate-set-parameters", **{"max-bandwidth": FAST})
        self.wait_migrated(source)
        source.qmp.execute("quit")
        target.wait_work(100)
        counts = target.verify()
        self.assertGreater(counts["verified"], 0)
        source_ferry.check_idle()
        target_ferry.check_idle()

    def wait_migrated(self, guest, timeout=60.0):
        end = time.monotonic() + timeout
        status = None
        while time.monotonic() < end:
            status = guest.qmp.execute("query-migrate")
            if status.get("status") in ("completed", "failed"):
                break
            time.sleep(0.05)
        self.assertEqual(status.get("status"), "completed", status)

    def lose_disk(self, source, disk, ferry):
        events = ferry.events()
        wait_until("the migration has begun", lambda: self.sent(source) > 0)
        wait_until("requests are in flight", ferry.inflight)
        disk.again()
        events.wait_event("BACKEND_BACK")
        events.close()
        self.assertEqual(source.qmp.execute("query-migrate").get("status"), "active")

    def sent(self, guest):
        return guest.qmp.execute("query-migrate").get("ram", {}).get("transferred", 0)

    def run_loss(self, **options):
        self.need_ferry()
        self.run_migration(10, 10, writes_a_second=400, meanwhile=self.lose_disk, **options)

    def test_backend_killed_in_the_middle_of_a_migration_costs_no_block(self):
        self.run_loss()

    def test_backend_killed_while_the_daemon_keeps_the_log_costs_no_block(self):
        self.run_loss(synthesize="inflight,log")

    def runs(self, source, target):
        self.need_sound_source(source)
        for _ in range(10 if full() else 1):
            with self.subTest():
                self.run_migration(source, target, writes_a_second=400)

    def test_slow_writes_in_flight_survive_a_migration_from_qemu7_to_qemu7(self):
        self.runs(7, 7)

    def test_slow_writes_in_flight_survive_a_migration_from_qemu10_to_qemu10(self):
        self.runs(10, 10)

    def test_fast_writes_survive_a_migration_from_qemu10_to_qemu7(self):
        self.run_migration(10, 7)

    def test_fast_writes_survive_a_migration_from_qemu7_to_qemu10(self):
        self.need_sound_source(7)
        self.run_migration(7, 10)


if __name__ == "__main__":
    main()
