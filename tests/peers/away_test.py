#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a guest's owner does while the back-end is away.

QEMU asks for a ring's base when it stops, resets or ends a device, and takes all
requests for done that it does not get back. The daemon answers when those in flight
are done: after the next back-end has come, or never, if it is not waited for so long.
"""

import threading

from rig import PeerTest, Qsd, QemuGuest, RigError, main, wait_until


class Away(PeerTest):
    def loaded(self, qemu, **options):
        """A guest with slow writes in flight."""
        self.need_ferry()
        backend = Qsd(self.rig, writes_a_second=400)
        ferry = self.rig.between(backend, **options)
        guest = QemuGuest(self.rig, qemu, "blk", ferry.socket, work="blk,/dev/vda,8,16,32")
        guest.wait_ready()
        guest.wait_work(50)
        return backend, ferry, guest

    def lose(self, backend, ferry):
        wait_until("requests are in flight", ferry.inflight)
        backend.kill()
        ferry.wait_state("backend-lost")

    def run_reset(self, qemu):
        backend, ferry, guest = self.loaded(qemu)
        self.lose(backend, ferry)
        after = guest.console.log.mark()
        reset = Later(guest.qmp, "system_reset")
        backend = backend.again()
        reset.wait()
        guest.wait_ready(after=after)
        backend = backend.again()
        guest.reset()
        self.run_guest(guest, ferry, queues=1)
        guest.expect_no_complaint()

    def test_guest_reset_while_it_is_away_boots_when_it_is_back_on_qemu7(self):
        self.run_reset(7)

    def test_guest_reset_while_it_is_away_boots_when_it_is_back_on_qemu10(self):
        self.run_reset(10)

    def test_paused_guest_is_held_for_as_long_as_it_takes(self):
        """Longer than a running one would be."""
        backend, ferry, guest = self.loaded(10, backend_timeout=1)
        guest.qmp.execute("stop")
        backend.kill()
        ferry.wait_line("away 2 s, 0 requests parked")
        backend = backend.again()
        guest.qmp.execute("cont")
        self.run_guest(guest, ferry, queues=1)
        guest.expect_no_complaint()

    def test_pause_while_it_is_away_ends_when_all_is_done(self):
        backend, ferry, guest = self.loaded(7)
        self.lose(backend, ferry)
        stop = Later(guest.qmp, "stop")
        ferry.wait_line("away 1 s, ")
        self.assertFalse(stop.over())
        backend = backend.again()
        stop.wait()
        guest.qmp.execute("cont")
        self.run_guest(guest, ferry, queues=1)
        guest.expect_no_complaint()

    def test_quit_while_it_is_away_waits_until_it_is_given_up(self):
        backend, ferry, guest = self.loaded(10, backend_timeout=2)
        self.lose(backend, ferry)
        Later(guest.qmp, "quit")
        ferry.wait_line(r"was waited for 2 s \(--backend-timeout\): the front-end is let go")
        self.assertEqual(guest.wait_exit(), 0)
        ferry.check_idle()

    def test_killed_guest_is_forgotten_while_it_is_away(self):
        backend, ferry, guest = self.loaded(10)
        self.lose(backend, ferry)
        guest.kill()
        ferry.check_idle()
        backend.again()
        self.run_guest(QemuGuest(self.rig, 7, "blk", ferry.socket), ferry, queues=1)


class Later:
    """A QMP command that may take long."""

    def __init__(self, qmp, command):
        self._error = None
        self._thread = threading.Thread(target=self._run, args=(qmp, command), daemon=True)
        self._thread.start()

    def _run(self, qmp, command):
        try:
            qmp.execute(command)
        except RigError as error:
            self._error = error

    def over(self):
        return not self._thread.is_alive()

    def wait(self):
        wait_until("the command has ended", self.over)
        if self._error:
            raise self._error


if __name__ == "__main__":
    main()
