#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the daemon is given when it is started: open sockets, bits to hide."""

import socket

from rig import Ferry, PeerTest, Qsd, QemuGuest, main


class Inherit(PeerTest):
    def test_inherited_listening_fd_verifies(self):
        self.need_ferry()
        backend = Qsd(self.rig)
        path = self.rig.path("front.sock")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(1)
            number = listener.fileno()
            ferry = Ferry(self.rig, pass_fds=(number,), fd=number, backend_path=backend.socket)
        self.run_guest(QemuGuest(self.rig, 10, "blk", path), ferry, queues=1)

    def test_inherited_backend_fd_verifies(self):
        self.need_ferry()
        backend = Qsd(self.rig)
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(backend.socket)
            number = peer.fileno()
            ferry = Ferry(
                self.rig,
                pass_fds=(number,),
                backend_fd=number,
                socket_path=self.rig.path("front.sock"),
            )
        guest = QemuGuest(self.rig, 7, "blk", ferry.socket)
        guest.wait_ready()
        guest.wait_work(100)
        ferry.check_running(guest.pid, queues=1)
        self.assertGreater(guest.verify()["verified"], 0)
        # The one connection it had is spent; what it does now is its own
        # matter, as long as it does not die by a signal.
        self.assertIn(ferry.process.poll(), (None, 0, 1))

    def test_hidden_feature_is_not_offered_and_the_guest_verifies(self):
        self.need_ferry()
        ferry = self.rig.between(Qsd(self.rig), hide="DISCARD,virtio:29,protocol:CONFIGURE_MEM_SLOTS")
        guest = QemuGuest(self.rig, 10, "blk", ferry.socket)
        guest.wait_ready()
        guest.wait_work(100)
        seen = ferry.check_running(guest.pid, queues=1)["frontend"]
        self.assertNotIn("DISCARD", seen["features"])
        # Bit 29, given by number.
        self.assertNotIn("EVENT_IDX", " ".join(seen["features"]))
        self.assertNotIn("CONFIGURE_MEM_SLOTS", seen["protocol_features"])
        self.assertGreater(guest.verify()["verified"], 0)
        ferry.check_idle()


if __name__ == "__main__":
    main()
