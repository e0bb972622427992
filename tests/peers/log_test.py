#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Live migrations of a guest whose dirty log the daemon keeps.

The back-end can not log, or is not asked to. The guest keeps pages that the disk
wrote and looks at them after the migration: a write that was not in the log is a
page of poison there. Without the daemon QEMU refuses to migrate such a back-end.
"""

import time

from rig import PeerTest, QemuGuest, Qsd, ScsiRust, TestDisk, TestpmdVhost, full, main, wait_until

WORK = "blk,/dev/vda,8,16,8"
# Bytes a second: at once, or so that it does not end by itself.
FAST, SLOW = 200 << 20, 1 << 20
NO_LOG_ALL = "--features=-VHOST_F_LOG_ALL"
NO_SHMFD = "--protocol-features=-LOG_SHMFD"


class Log(PeerTest):
    def guest(self, version, socket, incoming=False, kind="blk"):
        extra = ("-incoming", "defer") if incoming else ()
        work = WORK if kind == "blk" else None
        return QemuGuest(self.rig, version, kind, socket, work=work, extra=extra)

    def begin(self, source, target, bandwidth=FAST):
        """A migration is under way."""
        uri = f"unix:{self.rig.path('migrate.sock')}"
        target.qmp.execute("migrate-incoming", uri=uri)
        self.limit(source, bandwidth)
        source.qmp.execute("migrate", uri=uri)

    def limit(self, source, bandwidth):
        source.qmp.execute(
            "migrate-set-parameters", **{"downtime-limit": 500, "max-bandwidth": bandwidth}
        )

    def wait_migration(self, guest, *states, timeout=90.0):
        end = time.monotonic() + timeout
        status = {}
        while time.monotonic() < end:
            status = guest.qmp.execute("query-migrate")
            if status.get("status") in states:
                return status
            time.sleep(0.05)
        self.fail(f"the migration is not {' or '.join(states)}: {status}")

    def finish(self, source):
        """The figures of QEMU, when the guest runs on at the target."""
        status = self.wait_migration(source, "completed", "failed")
        self.assertEqual(status["status"], "completed", status)
        source.qmp.execute("quit")
        source.wait_exit()
        return status["total-time"], status["downtime"]

    def there_and_back(self, versions, back_ends, sockets, kind="blk"):
        """A guest that goes from one to the next; it is verified at the end."""
        guest = self.guest(versions[0], sockets[0](), kind=kind)
        guest.wait_ready()
        for version, socket in zip(versions[1:], sockets[1:]):
            guest.wait_work(100)
            target = self.guest(version, socket(), incoming=True, kind=kind)
            self.begin(guest, target)
            print("migration: {} ms, downtime {} ms".format(*self.finish(guest)), flush=True)
            guest = target
        guest.wait_work(100)
        counts = guest.verify()
        self.assertGreater(counts["verified"], 0)
        for back_end in back_ends:
            back_end.expect_alive()

    def runs(self, versions, make, **options):
        """`make(name)` starts a back-end on the one disk; there are two, in turns."""
        rounds = 20 if full() else 1 if 7 in versions else 2
        self.need_sound_source(versions[0])
        first = make("disk1.sock")
        second = make("disk2.sock", image=first.image)
        ferries = [
            self.rig.between(back_end, socket=f"vf{i}.sock", **options)
            for i, back_end in enumerate((first, second))
        ]
        path = [versions[i % len(versions)] for i in range(rounds + 1)]
        sockets = [lambda i=i: ferries[i % 2].socket for i in range(rounds + 1)]
        self.there_and_back(path, (first, second), sockets)
        for ferry in ferries:
            ferry.check_idle()

    def lacking(self, name, image=None):
        return TestDisk(
            self.rig,
            socket_path=self.rig.path(name),
            image=image,
            options=(NO_LOG_ALL, NO_SHMFD),
        )

    def storage_daemon(self, name, image=None, writes_a_second=0):
        return Qsd(
            self.rig,
            socket_path=self.rig.path(name),
            image=image,
            writes_a_second=writes_a_second,
        )

    def slow_storage_daemon(self, name, image=None):
        return self.storage_daemon(name, image, writes_a_second=400)

    def test_a_back_end_without_a_log_is_migrated_between_qemu7(self):
        self.need_ferry()
        self.runs([7, 7], self.lacking)

    def test_a_back_end_without_a_log_is_migrated_between_qemu10(self):
        self.need_ferry()
        self.runs([10, 10], self.lacking)

    def test_a_back_end_without_a_log_is_migrated_from_qemu10_to_qemu7_and_back(self):
        self.need_ferry()
        self.runs([10, 7], self.lacking)

    def test_a_log_kept_for_qemu_storage_daemon_loses_nothing(self):
        self.runs([10, 7], self.storage_daemon, synthesize="auto,log")

    def test_slow_writes_in_flight_are_in_the_log_between_qemu7(self):
        self.need_ferry()
        self.runs([7, 7], self.slow_storage_daemon, synthesize="auto,log")

    def test_slow_writes_in_flight_are_in_the_log_between_qemu10(self):
        self.need_ferry()
        self.runs([10, 10], self.slow_storage_daemon, synthesize="auto,log")

    def test_the_daemon_on_the_source_alone_is_enough(self):
        self.need_ferry()
        source_disk = self.lacking("disk1.sock")
        target_disk = TestDisk(self.rig, image=source_disk.image)
        ferry = self.rig.between(source_disk)
        path = (lambda: ferry.socket, lambda: target_disk.socket)
        self.there_and_back([10, 7], (source_disk, target_disk), path)
        ferry.check_idle()

    def test_the_daemon_on_the_target_alone_takes_the_guest_and_gives_it_on(self):
        self.need_ferry()
        source_disk = TestDisk(self.rig)
        target_disk = self.lacking("disk2.sock", image=source_disk.image)
        ferry = self.rig.between(target_disk)
        path = (lambda: source_disk.socket, lambda: ferry.socket, lambda: source_disk.socket)
        self.there_and_back([10, 10, 10], (source_disk, target_disk), path)
        ferry.check_idle()

    def test_a_scsi_back_end_in_rust_that_can_not_log_is_migrated(self):
        self.need_ferry()
        self.need_rust("vhost-device-scsi")
        back_ends = [ScsiRust(self.rig, socket_path=self.rig.path(f"scsi{i}.sock")) for i in (1, 2)]
        ferries = [
            self.rig.between(back_end, socket=f"vf{i}.sock")
            for i, back_end in enumerate(back_ends)
        ]
        # Each of them serves one front-end, then it ends.
        sockets = [lambda: ferries[0].socket, lambda: ferries[1].socket]
        self.there_and_back([10, 10], (), sockets, kind="scsi")
        for ferry in ferries:
            ferry.check_idle()

    def test_a_network_card_under_traffic_is_migrated_with_a_log_of_the_daemon_s(self):
        self.need_ferry()
        cards = [TestpmdVhost(self.rig, socket_path=self.rig.path(f"net{i}.sock")) for i in (1, 2)]
        ferries = [
            self.rig.between(card, socket=f"vf{i}.sock", synthesize="log")
            for i, card in enumerate(cards)
        ]
        versions = [10] * (21 if full() else 3)
        sockets = [lambda i=i: ferries[i % 2].socket for i in range(len(versions))]
        self.there_and_back(versions, cards, sockets, kind="net")
        for ferry in ferries:
            ferry.check_idle()

    def pair(self, **options):
        """Two daemons, each before a back-end without a log, on one disk."""
        source_disk = self.lacking("disk1.sock")
        target_disk = self.lacking("disk2.sock", image=source_disk.image)
        return source_disk, [
            self.rig.between(disk, socket=f"vf{i}.sock", **options)
            for i, disk in enumerate((source_disk, target_disk))
        ]

    def test_a_cancelled_migration_leaves_the_guest_running_and_the_next_one_moves_it(self):
        self.need_ferry()
        _, ferries = self.pair(synthesize="log")
        source = self.guest(10, ferries[0].socket)
        source.wait_ready()
        for _ in range(2):
            target = self.guest(10, ferries[1].socket, incoming=True)
            self.begin(source, target, bandwidth=SLOW)
            self.wait_migration(source, "active")
            wait_until("the log is on", lambda: ferries[0].status()["log"]["active"])
            source.wait_work(50)
            self.assertEqual(ferries[0].status()["queues"][0]["path"], "shadow")
            self.assertGreater(ferries[0].query("log")["pages_marked"], 0)
            self.assertEqual(ferries[0].query("log")["source"], "ferry")
            source.qmp.execute("migrate_cancel")
            self.wait_migration(source, "cancelled")
            wait_until("the log is off", lambda: not ferries[0].status()["log"]["active"])
            wait_until(
                "the ring is direct again",
                lambda: ferries[0].status()["queues"][0]["path"] == "direct",
            )
            source.wait_work(50)
            target.kill()
        target = self.guest(10, ferries[1].socket, incoming=True)
        self.begin(source, target)
        self.finish(source)
        target.wait_work(50)
        target.verify()

    def test_a_back_end_that_dies_in_a_migration_costs_no_page(self):
        self.need_ferry()
        disk, ferries = self.pair()
        source = self.guest(10, ferries[0].socket)
        target = self.guest(10, ferries[1].socket, incoming=True)
        source.wait_ready()
        self.begin(source, target, bandwidth=SLOW)
        self.wait_migration(source, "active")
        source.wait_work(50)
        disk.kill()
        TestDisk(
            self.rig, image=disk.image, socket_path=disk.socket, options=(NO_LOG_ALL, NO_SHMFD)
        )
        source.wait_work(50)
        self.limit(source, FAST)
        self.finish(source)
        target.wait_work(50)
        target.verify()

    def test_a_rehearsal_measures_and_gives_way_to_a_migration(self):
        self.need_ferry()
        _, ferries = self.pair()
        source = self.guest(10, ferries[0].socket)
        target = self.guest(10, ferries[1].socket, incoming=True)
        source.wait_ready()
        events = ferries[0].events()
        self.assertTrue(ferries[0].query("dirty-rate", seconds="2")["measuring"])
        events.wait_event("DIRTY_RATE")
        data = events.wait_event("DIRTY_RATE")["data"]
        self.assertTrue(data["done"])
        self.assertGreater(data["distinct_pages"], 0)
        self.assertFalse(data["interrupted"])
        ferries[0].query("dirty-rate", seconds="3600")
        self.begin(source, target)
        while not data["interrupted"]:
            data = events.wait_event("DIRTY_RATE")["data"]
        events.close()
        self.finish(source)
        target.wait_work(50)
        target.verify()

    def test_a_front_end_that_dies_in_a_migration_leaves_two_daemons_that_serve_the_next(self):
        self.need_ferry()
        _, ferries = self.pair()
        source = self.guest(7, ferries[0].socket)
        target = self.guest(7, ferries[1].socket, incoming=True)
        source.wait_ready()
        self.begin(source, target, bandwidth=SLOW)
        self.wait_migration(source, "active")
        source.wait_work(50)
        source.kill()
        target.wait_exit()
        self.assertEqual(target.tick(), {}, "the guest must not run on half of its memory")
        for ferry in ferries:
            ferry.check_idle()
        self.run_guest(self.guest(10, ferries[0].socket), ferries[0], queues=1)

    def test_rings_that_are_relayed_for_the_log_alone_come_in_and_go_again(self):
        self.need_ferry()
        self.runs([10, 10], self.storage_daemon, synthesize="log")

    def refused(self, option, text):
        back_end = TestDisk(self.rig, options=(option,))
        guest = self.guest(10, back_end.socket)
        guest.wait_ready()
        reasons = guest.qmp.execute("query-migrate")["blocked-reasons"]
        self.assertTrue(any(text in reason for reason in reasons), reasons)
        guest.kill()

    def test_without_the_daemon_qemu_refuses_and_says_why(self):
        self.refused(NO_LOG_ALL, "vhost lacks VHOST_F_LOG_ALL feature")
        self.refused(NO_SHMFD, "lacks VHOST_USER_PROTOCOL_F_LOG_SHMFD feature")


if __name__ == "__main__":
    main()
