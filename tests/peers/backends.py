# SPDX-License-Identifier: BSD-3-Clause
"""Real backends, and DPDK's virtio-user as a front-end without a guest."""

import os
import select
import socket
import threading
from pathlib import Path

from child import PATIENCE, Child, RigError, cache, wait_until
from ferry import program
from guestdata import block_content


class Qsd(Child):
    """qemu-storage-daemon with a vhost-user-blk export.

    size_mb   of the file it serves, made anew unless image names one
    null      no file: reads give zeros, so nothing verifies
    writes_a_second  throttles writes, so that reads overtake them
    """

    def __init__(self, rig, version=7, queues=1, size_mb=16, image=None, null=False,
                 writes_a_second=0, socket_path=None):
        self.socket = str(socket_path or rig.path("qsd.sock"))
        self.image = Path(image or rig.path("disk.img"))
        self._options = {
            "version": version, "queues": queues, "size_mb": size_mb, "null": null,
            "writes_a_second": writes_a_second,
        }  # fmt: skip
        if version == 7:
            program = "/usr/bin/qemu-storage-daemon"
        else:
            program = str(cache() / "qemu10/usr/bin/qemu-storage-daemon")
        if null:
            nodes = ["--blockdev",
                     f"driver=null-co,size={size_mb << 20},node-name=d0,read-zeroes=on"]
        else:
            if image is None:
                with open(self.image, "wb") as file:
                    file.truncate(size_mb << 20)
            nodes = ["--blockdev",
                     f"driver=file,filename={self.image},node-name=d0,locking=off"]
        node = "d0"
        if writes_a_second:
            node = "t0"
            nodes += ["--object", f"throttle-group,id=g0,x-iops-write={writes_a_second}",
                      "--blockdev", "driver=throttle,node-name=t0,throttle-group=g0,file=d0"]
        super().__init__(rig, f"qsd{version}", [
            program, *nodes,
            "--export", f"type=vhost-user-blk,id=e0,node-name={node},addr.type=unix,"
                        f"addr.path={self.socket},writable=on,num-queues={queues}",
        ])  # fmt: skip
        self.wait_listening(self.socket)

    def beside(self, **changes):
        """Another one for the same disk, at a socket of its own."""
        return Qsd(self.rig, image=self.image, **{**self._options, **changes})

    def again(self):
        """SIGKILL, and the next one in its place."""
        self.kill()
        return self.beside(socket_path=self.socket)


class TestDisk(Child):
    """Our own back-end, which offers what it is told to.

    options  of its --help, such as --features=-VHOST_F_LOG_ALL
    """

    def __init__(self, rig, size_mb=16, image=None, socket_path=None, options=()):
        self.socket = str(socket_path or rig.path("disk.sock"))
        self.image = Path(image or rig.path("disk.img"))
        if image is None:
            with open(self.image, "wb") as file:
                file.truncate(size_mb << 20)
        super().__init__(rig, "disk", [
            program("ferry-test-backend"), f"--socket-path={self.socket}",
            f"--file={self.image}", *options,
        ])  # fmt: skip
        self.wait_listening(self.socket)


class VirtiofsdC(Child):
    """The virtiofsd of QEMU 7.2. Serves one connection, then ends."""

    def __init__(self, rig, socket_path=None, share=None):
        self.socket = str(socket_path or rig.path("fs.sock"))
        self.share = share or rig.folder("share")
        super().__init__(rig, "virtiofsd-c", [
            "/usr/lib/qemu/virtiofsd", f"--socket-path={self.socket}",
            "-o", f"source={self.share}", "-o", "cache=auto",
        ])  # fmt: skip
        self.wait_served(self.socket)

    def again(self):
        """SIGKILL, and the next one in its place."""
        self.kill()
        return VirtiofsdC(self.rig, self.socket, self.share)


class RustBackend(Child):
    """A program that tools/setup --peers has built with cargo."""

    def __init__(self, rig, program, arguments):
        path = cache() / "rust/bin" / program
        if not path.exists():
            raise RigError(f"{path}: not built: run tools/setup --peers")
        super().__init__(rig, program, [path, *arguments])

    @staticmethod
    def missing(program):
        """Why it is not there, or None. With CI=true it must be there."""
        if (cache() / "rust/bin" / program).exists() or os.environ.get("CI") == "true":
            return None
        reason = cache() / "rust/SKIPPED"
        if reason.exists():
            return f"{program}: {reason.read_text(encoding='utf-8').strip()}"
        return f"{program}: not built: run tools/setup --peers"


class VirtiofsdRust(RustBackend):
    def __init__(self, rig, socket_path=None, share=None):
        self.socket = str(socket_path or rig.path("rfs.sock"))
        self.share = share or rig.folder("rshare")
        super().__init__(rig, "virtiofsd", [
            "--socket-path", self.socket, "--shared-dir", self.share,
        ])  # fmt: skip
        self.wait_served(self.socket)

    def again(self):
        """SIGKILL, and the next one in its place."""
        self.kill()
        return VirtiofsdRust(self.rig, self.socket, self.share)


class VsockRust(RustBackend):
    """vhost-device-vsock, and the host's end of it: an echo at port 1234 (`echo`)."""

    def __init__(self, rig, port=1234, socket_path=None):
        self.socket = str(socket_path or rig.path("vsock.sock"))
        uds = rig.path("uds")
        self.echo = Echo(f"{uds}_{port}")
        try:
            super().__init__(rig, "vhost-device-vsock", [
                "--vm", f"guest-cid=3,socket={self.socket},uds-path={uds}",
            ])  # fmt: skip
            self.wait_served(self.socket)
        except BaseException:
            self.echo.close()
            raise

    def kill(self):
        if self.alive():
            self.echo.close()
        super().kill()

    def again(self):
        """SIGKILL, and the next one in its place."""
        self.kill()
        return VsockRust(self.rig, socket_path=self.socket)


class ScsiRust(RustBackend):
    """vhost-device-scsi. It cannot write: its disk is filled beforehand."""

    def __init__(self, rig, size_mb=4, socket_path=None):
        self.socket = str(socket_path or rig.path("scsi.sock"))
        image = rig.path("scsi.img")
        with open(image, "wb") as file:
            for which in range(size_mb << 8):
                file.write(block_content(which, 1))
        super().__init__(rig, "vhost-device-scsi", ["--socket-path", self.socket, image])
        self.wait_served(self.socket)

    def again(self):
        """SIGKILL, and the next one in its place, with as good a disk."""
        self.kill()
        return ScsiRust(self.rig, socket_path=self.socket)


class Echo:
    """A unix socket that sends back what it gets, on any number of streams."""

    def __init__(self, path):
        self._going = threading.Event()
        self._going.set()
        self._wake, self._woken = socket.socketpair()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(16)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        streams = []
        while True:
            ready, _, _ = select.select([self._listener, self._woken, *streams], [], [])
            self._going.wait()
            if self._woken in ready:
                break
            for stream in ready:
                if stream is self._listener:
                    streams.append(stream.accept()[0])
                elif not self._echo(stream):
                    streams.remove(stream)
                    stream.close()
        for stream in streams:
            stream.close()

    @staticmethod
    def _echo(stream):
        try:
            data = stream.recv(65536)
            stream.sendall(data)
        except OSError:
            return False
        return bool(data)

    def pause(self):
        """Sends nothing back until resume(); what it has sent may still be under way."""
        self._going.clear()

    def resume(self):
        self._going.set()

    def close(self):
        self.resume()
        self._wake.send(b"x")
        self._thread.join(5)
        for each in (self._listener, self._wake, self._woken):
            each.close()


class Testpmd(Child):
    """dpdk-testpmd on one virtual device, without hugepages."""

    def __init__(self, rig, name, vdev, forward, queues, main_lcore):
        # stdbuf: on a pipe it would show nothing before it ends.
        # total-num-mbufs: its default of 155456 does not fit without hugepages.
        super().__init__(rig, name, [
            "stdbuf", "-oL", "dpdk-testpmd",
            # The forwarding core is the one that is not the main one, so two
            # of them poll on different cores of a machine with two.
            "-l", "0-1", f"--main-lcore={main_lcore}",
            "--no-pci", f"--file-prefix={rig.part_name('pmd')}{os.getpid()}",
            "-m", "256", "--no-huge", "--vdev", vdev,
            "--", "-i", "--no-mlockall", "--total-num-mbufs=8192",
            f"--forward-mode={forward}", "--port-topology=loop",
            f"--rxq={queues}", f"--txq={queues}",
        ], env={"RUNTIME_DIRECTORY": str(rig.dir)})  # fmt: skip

    def wait_prompt(self, timeout=PATIENCE):
        self.wait_line(r"^Done$", timeout)

    def command(self, text, pattern, timeout=PATIENCE):
        after = self.log.mark()
        self.send(text + "\n")
        return self.wait_line(pattern, timeout, after)

    def start(self, how="start"):
        self.command(how, r"packet forwarding|Logical Core|RX P=")

    def stats(self):
        """(received, sent) packets of its port."""
        after = self.log.mark()
        self.send("show port stats 0\n")
        received = self.wait_line(r"RX-packets:\s*(\d+)", after=after)
        sent = self.wait_line(r"TX-packets:\s*(\d+)", after=after)
        return int(received.group(1)), int(sent.group(1))

    def dropped(self):
        """Packets it has received, and had no room to send on."""
        after = self.log.mark()
        self.send("show fwd stats all\n")
        return int(self.wait_line(r"TX-dropped:\s*(\d+)\s+TX-total", 10, after).group(1))

    def wait_received(self, packets, timeout=PATIENCE):
        return wait_until(
            f"{self.name} receives {packets} more packets",
            self._more_than(self.stats()[0] + packets),
            timeout,
            0.2,
        )

    def _more_than(self, target):
        def check():
            received = self.stats()[0]
            return received if received >= target else 0

        return check

    def quit(self, timeout=PATIENCE):
        self.send("quit\n")
        return self.wait_exit(timeout)

    def end(self, timeout=5.0):
        if self.alive():
            try:
                self.quit(timeout)
            except (RigError, OSError):
                pass
        super().end(timeout)


class TestpmdVhost(Testpmd):
    """net_vhost, the backend. client: it connects, the other side listens."""

    def __init__(self, rig, forward="macswap", queues=1, client=False, socket_path=None):
        self.socket = str(socket_path or rig.path("net.sock"))
        self._options = {"forward": forward, "queues": queues, "client": client}
        vdev = f"net_vhost0,iface={self.socket},queues={queues}"
        if client:
            vdev += ",client=1"
        super().__init__(rig, "testpmd-vhost", vdev, forward, queues, main_lcore=0)
        self.wait_prompt()
        if not client:
            self.wait_listening(self.socket)
        self.start()

    def again(self):
        """SIGKILL, and the next one in its place."""
        self.kill()
        if not self._options["client"]:
            # DPDK does not bind to the name of a socket that was left behind.
            Path(self.socket).unlink(missing_ok=True)
        return TestpmdVhost(self.rig, socket_path=self.socket, **self._options)


class TestpmdVirtioUser(Testpmd):
    """net_virtio_user, a front-end. server: it listens."""

    def __init__(self, rig, socket_path, forward="txonly", packed=False, queues=1, server=False,
                 options=""):
        vdev = f"net_virtio_user0,path={socket_path},queues={queues}{options}"
        if packed:
            vdev += ",packed_vq=1"
        if server:
            vdev += ",server=1"
        super().__init__(rig, "testpmd-user", vdev, forward, queues, main_lcore=1)
        if server:
            self.wait_listening(socket_path)
        else:
            self.wait_prompt()


