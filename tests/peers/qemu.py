# SPDX-License-Identifier: BSD-3-Clause
"""A real guest in a real QEMU, under TCG."""

import re
import socket
import subprocess
import time
from pathlib import Path

from child import PATIENCE, Child, Console, RigError, cache
from ferry import wanted
from jsonline import JsonLines

HERE = Path(__file__).resolve().parent

# Under TCG on two busy cores a boot of 2 s was seen to take 15.
BOOT_TIMEOUT = 120.0

COMPLAINT = re.compile(
    r"is not a head|I/O error|IOERROR|BADBLOCK|BADPAGE|blocked for more than|Call Trace|BUG:"
)


def qemu_command(version):
    """The QEMU of Debian 12 (7) or the one unpacked beside it (10)."""
    if version == 7:
        return ["/usr/bin/qemu-system-x86_64"]
    root = cache() / "qemu10" / "usr"
    program = root / "bin" / "qemu-system-x86_64"
    if not program.exists():
        raise RigError(f"{program}: QEMU 10 is not there: run tools/setup --peers")
    return [
        str(program),
        "-L", str(root / "share/qemu"),
        "-L", str(root / "share/seabios"),
        "-L", "/usr/lib/ipxe/qemu",
    ]  # fmt: skip


def initramfs():
    done = subprocess.run(
        [HERE / "guest" / "mkinitramfs"], capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode != 0:
        raise RigError(f"mkinitramfs: {done.stderr.strip()}")
    return done.stdout.strip()


class QemuGuest(Child):
    """QEMU with one vhost-user device and a guest that works on it.

    kind      blk, fs, net, vsock or scsi
    socket    of the backend (or of the daemon in front of it)
    work      what the guest does, see guest/gw.c; by default fits the kind
    queues    of the device (net: queue pairs); the guest uses as many only
              with as many vCPUs, which it therefore gets
    server    QEMU listens at socket and the backend connects
    reconnect QEMU, as a client, connects again a second after a loss
    memory    as of -m: its size, and slots for more
    kernel    more of the guest kernel's command line
    firmware  scsi: SeaBIOS, which uses the disk before the kernel does
    """

    def __init__(self, rig, version, kind, socket_path, work=None, queues=1,
                 server=False, reconnect=False, memory="256M", kernel="", extra=(), shell=None,
                 firmware=False):
        self.kind = kind
        self.version = version
        self.socket = str(socket_path)
        self._firmware = firmware
        name = rig.part_name("guest")
        self.console = Console(rig.dir / f"{name}.tty", rig.dir / f"{name}.console.log")
        self._qmp_listener = socket.socket(socket.AF_UNIX)
        self._qmp_listener.bind(str(rig.dir / f"{name}.qmp"))
        self._qmp_listener.listen(1)
        self._qmp = None
        append = f"console=ttyS0 quiet panic=-1 rig={work or self._default_work(queues)}"
        append += f" {kernel}"
        if shell:
            append += f" sh={shell}"
        argv = [
            *qemu_command(version),
            "-nodefaults", "-no-user-config", "-display", "none",
            "-accel", "tcg", "-cpu", "qemu64",
            "-machine", "pc-q35-7.2,memory-backend=m0",
            "-m", memory, "-smp", str(queues),
            # Without share=on the backend gets no memory and nothing works.
            "-object", f"memory-backend-memfd,id=m0,size={memory.partition(',')[0]},share=on",
            "-chardev", f"socket,id=qmp,path={rig.dir}/{name}.qmp",
            "-mon", "chardev=qmp,mode=control",
            "-chardev", f"socket,id=tty,path={rig.dir}/{name}.tty",
            "-serial", "chardev:tty",
            "-kernel", str(cache() / "kernel" / "vmlinuz"),
            "-initrd", initramfs(),
            "-append", append,
            "-msg", "timestamp=on",
            *self._chardev(server, reconnect),
            *self._device(queues),
            *extra,
        ]  # fmt: skip
        try:
            super().__init__(rig, f"qemu{version}", argv)
        except BaseException:
            self._close()
            raise

    def _default_work(self, queues):
        return {
            "blk": f"blk,/dev/vda,8,16,{max(2, 2 * queues)}",
            "fs": "fs,myfs,8,16,2",
            "net": "net,eth0,32",
            "vsock": "vsock,1234,2",
            "scsi": "blkread,/dev/sda,4,2",
        }[self.kind]

    def _chardev(self, server, reconnect):
        option = f"socket,id=c0,path={self.socket}"
        if server:
            option += ",server=on,wait=off"
        elif reconnect:
            # 7.2 has only reconnect= in seconds.
            option += ",reconnect=1" if self.version == 7 else ",reconnect-ms=1000"
        return ["-chardev", option]

    def _device(self, queues):
        if self.kind == "net":
            # Debian's 7.2 dies at driver start with MSI-X under TCG.
            vectors = ",vectors=0" if self.version == 7 else ""
            multi = ",mq=on" if queues > 1 else ""
            return [
                "-netdev", f"vhost-user,id=n0,chardev=c0,queues={queues}",
                "-device", f"virtio-net-pci,netdev=n0,romfile={multi}{vectors}",
            ]  # fmt: skip
        extra = []
        if self.kind == "scsi" and not self._firmware:
            # SeaBIOS uses a disk before the kernel does, and the second start
            # of a ring breaks vhost-device-scsi 0.1.0: it goes on at its old
            # used index ("request:id 0 is not a head!"). qboot touches none.
            extra = ["-bios", "qboot.rom"]
        return [*extra, "-device", {
            "blk": f"vhost-user-blk-pci,chardev=c0,id=d0,num-queues={queues}",
            "fs": "vhost-user-fs-pci,chardev=c0,id=d0,tag=myfs",
            "vsock": "vhost-user-vsock-pci,chardev=c0,id=d0",
            # QEMU (7.2 and 10.0) offers the guest HOTPLUG and CHANGE whether the
            # backend has them or not, and a Rust backend closes the connection
            # when the guest takes a bit it has not offered. The daemon leaves
            # such bits out.
            "scsi": f"vhost-user-scsi-pci,chardev=c0,id=d0,num_queues={queues}"
                    + ("" if wanted() else ",hotplug=off,param_change=off"),
        }[self.kind]]  # fmt: skip

    @property
    def qmp(self):
        if self._qmp is None:
            self._qmp_listener.settimeout(PATIENCE)
            try:
                peer, _ = self._qmp_listener.accept()
            except TimeoutError:
                raise RigError(f"{self.name}: did not connect its QMP socket") from None
            self._qmp = JsonLines(peer, f"{self.name} QMP")
            self._qmp.execute("qmp_capabilities")
        return self._qmp

    def wait_console(self, pattern, timeout=PATIENCE, after=0):
        end = time.monotonic() + timeout
        while True:
            match = self.console.log.wait(pattern, 0.5, after)
            if match:
                return match
            if not self.alive():
                raise RigError(
                    f"{self.name} ended with {self.status_text()} before its console"
                    f" showed /{pattern}/: {self.last_line()}"
                )
            if time.monotonic() > end:
                raise RigError(
                    f"{self.name}: console did not show /{pattern}/ within {timeout:g} s;"
                    f" last: {(self.console.log.lines() or ['nothing'])[-1]}"
                )

    def wait_ready(self, timeout=BOOT_TIMEOUT, after=0):
        """Until the workload has begun."""
        match = self.wait_console(r"READY|VERIFY-FAIL.*", timeout, after)
        if match.group(0) != "READY":
            raise RigError(f"{self.name}: {match.group(0)}")

    def tick(self):
        """The last TICK as a dict of numbers; {} before the first."""
        for line in reversed(self.console.log.lines()):
            if line.startswith("TICK "):
                return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", line)}
        return {}

    def wait_work(self, requests=1, timeout=2 * PATIENCE):
        """Until so many more requests are done than at the call."""
        target = self.tick().get("requests", 0) + requests
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            self.wait_console(r"^TICK ", after=self.console.log.mark())
            tick = self.tick()
            if tick.get("bad"):
                raise RigError(f"{self.name}: the guest has seen {tick['bad']} errors")
            if tick["requests"] >= target:
                return tick
        raise RigError(
            f"{self.name}: {requests} more requests are not done after {timeout:g} s:"
            f" {self.tick().get('requests', 0)} of {target}"
        )

    def stalls(self):
        """The lengths in ms of the stalls the guest has told of."""
        return [int(m.group(1)) for m in
                (re.match(r"STALL-END ms=(\d+)", line) for line in self.console.log.lines()) if m]

    def expect_no_complaint(self):
        """That neither its kernel nor its work has said that a request went wrong,
        and QEMU nothing but warnings of what it was started with."""
        lines = [line for line in self.console.log.lines() if COMPLAINT.search(line)]
        lines += [line for line in self.log.lines() if "warning: " not in line]
        for line in lines:
            raise RigError(f"{self.name}: {line}")

    def verify(self, timeout=2 * PATIENCE, key="q"):
        """All that was written is read back; the counts. Ends the guest."""
        after = self.console.log.mark()
        self.console.send(key)
        line = self.wait_console(r"VERIFY-(OK|FAIL).*", timeout, after).group(0)
        if line.startswith("VERIFY-FAIL"):
            raise RigError(f"{self.name}: {line}")
        counts = {word: int(value) for word, value in re.findall(r"(\w+)=(\d+)", line)}
        if key == "q":
            self.wait_exit()
        return counts

    def verify_and_reboot(self):
        """As verify, but the guest boots again and begins anew."""
        after = self.console.log.mark()
        counts = self.verify(key="r")
        self.wait_ready(after=after)
        return counts

    def reset(self):
        """The reset button: nothing is said to the device beforehand."""
        after = self.console.log.mark()
        self.qmp.execute("system_reset")
        self.wait_ready(after=after)

    def reboot_at_once(self):
        """A reboot by the guest itself, in the middle of its work."""
        after = self.console.log.mark()
        self.console.send("b")
        self.wait_ready(after=after)

    def _close(self):
        self.console.close()
        if self._qmp:
            self._qmp.close()
        self._qmp_listener.close()

    def kill(self):
        super().kill()
        self._close()
