# SPDX-License-Identifier: BSD-3-Clause
"""A guest that is paused while slow writes are in flight.

qemu-storage-daemon answers GET_VRING_BASE at once, whatever is in flight, and
what is completed after that is lost: a stock guest that is paused then has a
dead disk when it goes on (RIG_FERRY=0 shows it). The daemon drains the ring
before it asks.
"""

import random
import time

from rig import NoFerry, PeerTest, Qsd, QemuGuest, full, main, wait_until


class Pause(PeerTest):
    def run_pauses(self, qemu, qsd=7):
        pauses = 50 if full() else 12
        backend = Qsd(self.rig, version=qsd, writes_a_second=400)
        ferry = self.rig.between(backend)
        guest = QemuGuest(self.rig, qemu, "blk", ferry.socket, work="blk,/dev/vda,8,16,8")
        guest.wait_ready()
        guest.wait_work(100)
        # What the machine's load makes of it, not the pauses.
        before = guest.tick()["longest_us"]
        times = []
        # Seeded: when in the course of the writes the pauses come.
        moments = random.Random(qemu)
        for _ in range(pauses):
            time.sleep(moments.uniform(0.05, 0.2))
            wait_until("writes are in flight", lambda: busy(ferry))
            begin = time.monotonic()
            guest.qmp.execute("stop")
            times.append(time.monotonic() - begin)
            time.sleep(moments.uniform(0, 0.05))
            guest.qmp.execute("cont")
        counts = self.run_guest(guest, ferry, queues=1)
        print(
            f"{pauses} pauses with writes in flight, the longest took"
            f" {max(times) * 1000:.0f} ms; longest request {counts['longest_us'] / 1000:.0f} ms"
            f" ({before / 1000:.0f} ms before the first pause)"
        )

    def test_pauses_with_slow_writes_in_flight_verify_on_qemu7(self):
        self.run_pauses(7)

    def test_pauses_with_slow_writes_in_flight_verify_on_qemu10(self):
        self.run_pauses(10)

    def test_pauses_of_storage_daemon_10_verify_on_qemu10(self):
        self.run_pauses(10, qsd=10)


def busy(ferry):
    """Without the daemon nobody can tell."""
    return isinstance(ferry, NoFerry) or any(
        queue["inflight"] for queue in ferry.status()["queues"]
    )


if __name__ == "__main__":
    main()
