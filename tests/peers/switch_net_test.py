# SPDX-License-Identifier: BSD-3-Clause
"""Rings of network cards relayed, and moved while packets flow."""

import random
import time

from rig import PeerTest, QemuGuest, TestpmdVhost, TestpmdVirtioUser, full, main


class SwitchNet(PeerTest):
    def setUp(self):
        self.need_ferry()

    def moves(self, ferry, queues, seed, now_and_then):
        """Moves the rings there and back while packets flow."""
        moments = random.Random(seed)
        events = ferry.events()
        pauses = []
        for turn in range(200 if full() else 20):
            pauses += ferry.move("shadow" if turn % 2 == 0 else "direct", queues, events)
            time.sleep(moments.uniform(0, 0.05))
            if turn % 10 < 2:
                now_and_then()
        events.close()
        pauses.sort()
        print(
            f"{len(pauses)} moves of a ring, the longest pause {pauses[-1] / 1000:.1f} ms, the"
            f" median {pauses[len(pauses) // 2] / 1000:.1f} ms"
        )

    def run_guest_moved(self, qemu, queue_pairs=1):
        backend = TestpmdVhost(self.rig, queues=queue_pairs)
        ferry = self.rig.between(backend)
        guest = QemuGuest(self.rig, qemu, "net", ferry.socket, queues=queue_pairs)
        guest.wait_ready()
        guest.wait_work(100)
        before = guest.tick()["lost"], backend.dropped()
        self.moves(
            ferry, 2 * queue_pairs, qemu,
            lambda: ferry.check_running(guest.pid, 2 * queue_pairs),
        )  # fmt: skip
        guest.wait_work(100)
        # testpmd drops what it has taken and can not send on while its device is
        # stopped; the guest counts as lost, too, what takes half a second.
        dropped = backend.dropped() - before[1]
        counts = self.run_guest(guest, ferry, 2 * queue_pairs)
        print(f"{counts['lost'] - before[0]} frames lost, testpmd says that it dropped {dropped}")

    def test_moves_under_a_guest_change_no_frame_on_qemu7(self):
        self.run_guest_moved(7)

    def test_moves_under_a_guest_change_no_frame_on_qemu10(self):
        self.run_guest_moved(10)

    def test_moves_of_two_queue_pairs_change_no_frame_on_qemu10(self):
        self.run_guest_moved(10, 2)

    def run_flow(self, packed, queues=1, options="", forward="rxonly", mode="auto"):
        """Packets between two testpmd, relayed from the start or moved. The echo
        is of packets that are made anew: what a stopped back-end drops would be
        missing in a loop until nothing goes round in it."""
        backend = TestpmdVhost(self.rig, forward=forward, queues=queues)
        ferry = self.rig.between(backend, data_path=mode)
        user = TestpmdVirtioUser(
            self.rig, ferry.socket, packed=packed, queues=queues, options=options,
            forward="txonly" if forward == "rxonly" else "flowgen",
        )  # fmt: skip
        user.start()
        end = backend if forward == "rxonly" else user
        end.wait_received(100_000)

        def flows():
            ferry.check_running(user.pid, queues=2 * queues, packed=packed)
            end.wait_received(1000)

        flows()
        if mode == "auto":
            self.moves(ferry, 2 * queues, queues, flows)
        flows()
        self.assertEqual(user.quit(), 0)
        ferry.check_idle()

    def test_relayed_split_two_queues_carry_packets(self):
        self.run_flow(False, queues=2, mode="shadow")

    def test_relayed_packed_two_queues_carry_packets(self):
        self.run_flow(True, queues=2, mode="shadow")

    def test_relayed_split_without_mergeable_buffers_echoes(self):
        self.run_flow(False, options=",mrg_rxbuf=0,in_order=0", forward="macswap", mode="shadow")

    def test_relayed_packed_without_mergeable_buffers_echoes(self):
        self.run_flow(True, options=",mrg_rxbuf=0,in_order=0", forward="macswap", mode="shadow")

    def test_moves_of_split_two_queues_keep_packets_flowing(self):
        self.run_flow(False, queues=2)

    def test_moves_of_packed_two_queues_keep_packets_flowing(self):
        self.run_flow(True, queues=2)

    def test_moves_of_a_split_echo_keep_packets_flowing(self):
        self.run_flow(False, forward="macswap")

    def test_moves_of_a_packed_echo_keep_packets_flowing(self):
        self.run_flow(True, forward="macswap")


if __name__ == "__main__":
    main()
