# SPDX-License-Identifier: BSD-3-Clause
"""The daemon killed under load, and started again.

QEMU keeps the inflight record that the daemon has given it, connects again
and gives it back: what was in flight is submitted again. Slow writes and fast
reads are completed out of order, so the used index alone does not tell what
that is: without the record QEMU's guest dies of "id is not a head".
"""

import random
import time

from rig import (
    Ferry,
    PeerTest,
    Qsd,
    QemuGuest,
    full,
    main,
    message_count,
    written_blocks,
)


class Restart(PeerTest):
    def restarts(self, ferry, guest, queues, seed):
        """Kills the daemon again and again; the last one started."""
        moments = random.Random(seed)
        for _ in range(10 if full() else 3):
            time.sleep(moments.uniform(0, 0.3))
            ferry.kill()
            ferry = Ferry(self.rig, **ferry.options)
            ferry.wait_state("running")
            guest.wait_work(50)
            ferry.check_running(guest.pid, queues)
        return ferry

    def run_blk(self, qemu, queues=1, writes_a_second=400):
        self.need_ferry()
        # That of QEMU 7.2 dies now and then when a client that has kicked goes while
        # writes are in flight, whoever the client is ("!server->wait_idle").
        backend = Qsd(self.rig, version=10, queues=queues, writes_a_second=writes_a_second)
        ferry = self.rig.between(backend)
        guest = QemuGuest(
            self.rig, qemu, "blk", ferry.socket, queues=queues, reconnect=True,
            work="blk,/dev/vda,8,16,8",
        )  # fmt: skip
        guest.wait_ready()
        guest.wait_work(50)
        self.assertGreater(message_count(ferry.status(), "GET_INFLIGHT_FD"), 0)
        ferry = self.restarts(ferry, guest, queues, seed=qemu)
        status = ferry.status()
        self.assertGreater(message_count(status, "SET_INFLIGHT_FD"), 0)
        counts = self.run_guest(guest, ferry, queues)
        self.assertGreater(written_blocks(backend.image), 0)
        print(f"longest request {counts['longest_us'] / 1000:.0f} ms")

    def test_killed_daemon_with_slow_writes_in_flight_verifies_on_qemu7(self):
        self.run_blk(7)

    def test_killed_daemon_with_slow_writes_in_flight_verifies_on_qemu10(self):
        self.run_blk(10)

    def test_killed_daemon_with_fast_writes_in_flight_verifies_on_qemu7(self):
        self.run_blk(7, writes_a_second=0)

    def test_killed_daemon_of_four_queues_verifies_on_qemu10(self):
        self.run_blk(10, queues=4)


    def run_paused(self, qemu):
        """The connection is lost while the guest is paused. QEMU 7.2 then begins nothing
        anew: it connects, says nothing, and at `cont` goes on with SET_FEATURES."""
        self.need_ferry()
        backend = Qsd(self.rig, version=10)
        ferry = self.rig.between(backend)
        guest = QemuGuest(
            self.rig, qemu, "blk", ferry.socket, reconnect=True, work="blk,/dev/vda,8,16,8"
        )
        guest.wait_ready()
        guest.wait_work(50)
        for _ in range(5 if full() else 2):
            guest.qmp.execute("stop")
            ferry.kill()
            ferry = Ferry(self.rig, **ferry.options)
            # QEMU 10 starts the device when it is back, although the guest is paused.
            ferry.wait_state("connected", "running")
            guest.qmp.execute("cont")
            ferry.wait_state("running")
            guest.wait_work(50)
        ferry.check_running(guest.pid, 1)
        self.run_guest(guest, ferry, 1)
        self.assertGreater(written_blocks(backend.image), 0)
        return ferry

    def test_daemon_killed_while_the_guest_is_paused_is_gone_on_with_on_qemu7(self):
        ferry = self.run_paused(7)
        told = [line for line in ferry.log.lines() if "a daemon before this one left" in line]
        self.assertTrue(told, "QEMU began anew: this is no test of --state")

    def test_daemon_killed_while_the_guest_is_paused_is_gone_on_with_on_qemu10(self):
        self.run_paused(10)


if __name__ == "__main__":
    main()
