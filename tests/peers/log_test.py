#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Live migrations of a guest whose dirty log the daemon keeps.

The back-end can not log, or is not asked to. The guest keeps pages that the disk
wrote and looks at them after the migration: a write that was not in the log is a
page of poison there. Without the daemon QEMU refuses to migrate such a back-end.
"""

import time

from rig import PeerTest, QemuGuest, Qsd, TestDisk, full, main

WORK = "blk,/dev/vda,8,16,8"
NO_LOG_ALL = "--features=-VHOST_F_LOG_ALL"
NO_SHMFD = "--protocol-features=-LOG_SHMFD"


class Log(PeerTest):
    def guest(self, version, socket, incoming=False):
        extra = ("-incoming", "defer") if incoming else ()
        return QemuGuest(self.rig, version, "blk", socket, work=WORK, extra=extra)

    def begin(self, guest, uri):
        guest.qmp.execute(
            "migrate-set-parameters", **{"downtime-limit": 500, "max-bandwidth": 200 << 20}
        )
        guest.qmp.execute("migrate", uri=uri)

    def wait_migration(self, guest, *states, timeout=90.0):
        end = time.monotonic() + timeout
        status = {}
        while time.monotonic() < end:
            status = guest.qmp.execute("query-migrate")
            if status.get("status") in states:
                return status
            time.sleep(0.05)
        self.fail(f"the migration is not {' or '.join(states)}: {status}")

    def migrate(self, source, target):
        """The figures of QEMU, when the guest runs on at the target."""
        uri = f"unix:{self.rig.path('migrate.sock')}"
        target.qmp.execute("migrate-incoming", uri=uri)
        self.begin(source, uri)
        status = self.wait_migration(source, "completed", "failed")
        self.assertEqual(status["status"], "completed", status)
        source.qmp.execute("quit")
        source.wait_exit()
        return status["total-time"], status["downtime"]

    def there_and_back(self, versions, back_ends, sockets):
        """A guest that goes from one to the next; it is verified at the end."""
        guest = self.guest(versions[0], sockets[0]())
        guest.wait_ready()
        for version, socket in zip(versions[1:], sockets[1:]):
            guest.wait_work(100)
            target = self.guest(version, socket(), incoming=True)
            print("migration: {} ms, downtime {} ms".format(*self.migrate(guest, target)), flush=True)
            guest = target
        guest.wait_work(100)
        counts = guest.verify()
        self.assertGreater(counts["verified"], 0)
        for back_end in back_ends:
            back_end.expect_alive()

    def runs(self, versions, make, **options):
        """`make(name)` starts a back-end on the one disk; there are two, in turns."""
        rounds = 20 if full() else 2
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

    def storage_daemon(self, name, image=None):
        return Qsd(self.rig, socket_path=self.rig.path(name), image=image)

    def test_a_back_end_without_a_log_is_migrated_between_qemu7(self):
        self.need_ferry()
        self.runs([7, 7], self.lacking)

    def test_a_back_end_without_a_log_is_migrated_between_qemu10(self):
        self.need_ferry()
        self.runs([10, 10], self.lacking)

    def test_a_back_end_without_a_log_is_migrated_from_qemu7_to_qemu10_and_back(self):
        self.need_ferry()
        self.runs([7, 10], self.lacking)

    def test_a_log_kept_for_qemu_storage_daemon_loses_nothing(self):
        self.need_ferry()
        self.runs([7, 10], self.storage_daemon, synthesize="auto,log")

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
