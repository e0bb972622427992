#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A backend that is lost: the front-end is let go, the daemon goes on."""

import re

from rawpeer import VERSION_1, ask_features
from rig import PeerTest, Qsd, QemuGuest, main


class Loss(PeerTest):
    def test_lost_backend_lets_the_frontend_go_and_the_next_one_works(self):
        self.need_ferry()
        backend = Qsd(self.rig)
        ferry = self.rig.between(backend)
        guest = QemuGuest(self.rig, 7, "blk", ferry.socket)
        guest.wait_ready()
        mark = ferry.log.mark()
        backend.kill()
        ferry.check_idle()
        ferry.wait_line(re.escape(backend.socket), after=mark)
        guest.kill()
        again = Qsd(self.rig, image=backend.image, socket_path=backend.socket)
        self.run_guest(QemuGuest(self.rig, 10, "blk", ferry.socket), ferry, queues=1)
        again.expect_alive()

    def test_frontend_is_let_go_while_no_backend_listens(self):
        self.need_ferry()
        backend = Qsd(self.rig)
        ferry = self.rig.between(backend)
        backend.kill()
        self.assertIsNone(ask_features(ferry.socket))
        ferry.check_idle()
        Qsd(self.rig, image=backend.image, socket_path=backend.socket)
        self.assertTrue(ask_features(ferry.socket) & VERSION_1)


if __name__ == "__main__":
    main()
