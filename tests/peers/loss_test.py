#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""qemu-storage-daemon killed under load: the guest does not notice.

Its writes are throttled and its reads are not, so requests complete out of order,
and the used index alone does not tell what was in flight. A stock guest loses its
disk at the first kill; see the last test.
"""

import random
import re
import time

from rawpeer import VERSION_1, ask_features
from rig import (
    PATIENCE,
    Child,
    NoFerry,
    PeerTest,
    Qsd,
    QemuGuest,
    RigError,
    full,
    main,
    program,
    wait_until,
    written_blocks,
)

DEEP = "blk,/dev/vda,8,16,32"


class Loss(PeerTest):
    def kills(self, ferry, backend, count, seed):
        """Kills it at random moments; how long each outage was, in us."""
        moments = random.Random(seed)
        events = ferry.events()
        outages, resubmitted = [], 0
        for _ in range(count):
            time.sleep(moments.uniform(0, 0.2))
            wait_until("requests are in flight", ferry.inflight)
            backend = backend.again()
            back = events.wait_event("BACKEND_BACK")["data"]
            outages.append(back["outage_us"])
            resubmitted += back["resubmitted"]
            ferry.wait_relayed()
        events.close()
        self.assertGreater(resubmitted, 0)
        return backend, sorted(outages), resubmitted

    def run_kills(self, qemu, qsd, queues=1, writes_a_second=400):
        self.need_ferry()
        backend = Qsd(self.rig, version=qsd, queues=queues, writes_a_second=writes_a_second)
        ferry = self.rig.between(backend)
        guest = QemuGuest(self.rig, qemu, "blk", ferry.socket, queues=queues, work=DEEP)
        guest.wait_ready()
        guest.wait_work(50)
        before = guest.tick()["longest_us"]
        count = 100 if full() else 5
        backend, outages, resubmitted = self.kills(ferry, backend, count, seed=qemu)
        counts = self.run_guest(guest, ferry, queues)
        guest.expect_no_complaint()
        backend.expect_alive()
        self.assertEqual(ferry.status()["replays"], count)
        self.assertGreater(written_blocks(backend.image), 0)
        print(
            f"{count} kills, {resubmitted} requests resubmitted; outage with the back-end's start:"
            f" median {outages[len(outages) // 2] / 1000:.0f} ms, longest {outages[-1] / 1000:.0f}"
            f" ms; guest's longest request {counts['longest_us'] / 1000:.0f} ms"
            f" ({before / 1000:.0f} ms before)"
        )

    def test_kills_with_slow_writes_in_flight_verify_on_qemu7(self):
        self.run_kills(7, qsd=7)

    def test_kills_with_slow_writes_in_flight_verify_on_qemu10(self):
        self.run_kills(10, qsd=10)

    def test_kills_with_fast_writes_on_four_queues_verify_on_qemu10(self):
        self.run_kills(10, qsd=7, queues=4, writes_a_second=0)

    def test_kills_under_a_load_of_four_deep_queues_verify(self):
        """Without a guest: as many kills as there is time for."""
        self.need_ferry()
        backend = Qsd(self.rig, version=10, queues=4)
        ferry = self.rig.between(backend)
        load = Child(self.rig, "bench", [
            program("vhost-ferry-bench"), f"--socket-path={ferry.socket}", "--verify", "--queues=4",
            "--depth=32", "--rounds=1", f"--seconds={120 if full() else 3}", "--timeout=60",
        ])  # fmt: skip
        wait_until("requests are in flight", ferry.inflight)
        kills = 0
        while load.alive() and kills < 1000:
            kills += 1
            backend = backend.again()
            self.wait_or_end(load, "it is back", lambda: ferry.status()["replays"] >= kills)
            # Five that do nothing before they die are given up.
            before = ferry.relayed()
            self.wait_or_end(load, "it has done something", lambda: ferry.relayed() > before)
        self.assertEqual(load.wait_exit(5 * PATIENCE), 0, load.last_line())
        told = re.findall(r"(\d+) requests were submitted again", "\n".join(ferry.log.lines()))
        self.assertGreater(sum(int(number) for number in told), 0)
        print(f"{kills} kills, {sum(int(number) for number in told)} requests resubmitted")

    @staticmethod
    def wait_or_end(load, what, predicate):
        wait_until(f"{what}, or the load has ended", lambda: not load.alive() or predicate())

    def test_lost_backend_of_direct_rings_lets_the_frontend_go_and_the_next_one_works(self):
        self.need_ferry()
        backend = Qsd(self.rig)
        ferry = self.rig.between(backend)
        guest = QemuGuest(self.rig, 7, "blk", ferry.socket)
        guest.wait_ready()
        ferry.switch("direct")
        mark = ferry.log.mark()
        backend = backend.again()
        ferry.wait_line(
            re.escape(backend.socket) + ".*what it had in flight of ring 0, which is direct, is"
            " known to nobody: .* the front-end is let go",
            after=mark,
        )
        ferry.check_idle()
        guest.kill()
        ferry.switch("auto")
        self.run_guest(QemuGuest(self.rig, 10, "blk", ferry.socket), ferry, queues=1)
        backend.expect_alive()

    def test_frontend_waits_for_a_backend_that_does_not_listen_yet(self):
        self.need_ferry()
        backend = Qsd(self.rig)
        ferry = self.rig.between(backend)
        backend.kill()
        guest = QemuGuest(self.rig, 10, "blk", ferry.socket)
        ferry.wait_line("the front-end waits: is the back-end running")
        guest.expect_alive()
        backend.again()
        self.run_guest(guest, ferry, queues=1)

    def test_frontend_is_let_go_when_the_backend_stays_away_too_long(self):
        self.need_ferry()
        backend = Qsd(self.rig)
        ferry = self.rig.between(backend, backend_timeout=1)
        backend.kill()
        self.assertIsNone(ask_features(ferry.socket))
        ferry.check_idle()
        backend.again()
        self.assertTrue(ask_features(ferry.socket) & VERSION_1)

    def test_without_the_daemon_a_stock_guest_loses_its_disk(self):
        """Why all this: the first kill under slow writes ends it."""
        if not full():
            self.skipTest("evidence about the stock parts alone: FERRY_FULL=1 shows it")
        backend = Qsd(self.rig, writes_a_second=400)
        guest = QemuGuest(self.rig, 7, "blk", backend.socket, work=DEEP, reconnect=True)
        guest.wait_ready()
        guest.wait_work(100)
        backend.again()
        guest.wait_console(r"is not a head!")
        with self.assertRaisesRegex(RigError, "IOERROR|VERIFY-FAIL|errors"):
            self.run_guest(guest, NoFerry(backend.socket), queues=1)


if __name__ == "__main__":
    main()
