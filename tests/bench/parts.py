# SPDX-License-Identifier: BSD-3-Clause
"""The processes that the benchmarks start, and end."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CPUS = os.sched_getaffinity(0)
WAIT_S = 10


class BenchError(Exception):
    """A part did not do what it is here for; the text says which and what."""


def wait_until(what, predicate):
    end = time.monotonic() + WAIT_S
    while not predicate():
        if time.monotonic() > end:
            raise BenchError(f"{what}: not so after {WAIT_S} s")
        time.sleep(0.005)


def listening(path):
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as table:
        return any(
            line.split()[7:8] == [str(path)] and int(line.split()[3], 16) & 0x10000
            for line in table
        )


class Parts:
    """The processes of a run; those still alive are ended at its end."""

    def __init__(self, folder, programs, daemon_options):
        self.daemon_options = daemon_options
        self.folder = Path(folder)
        self.programs = Path(programs)
        self.running = []

    def path(self, name):
        return self.folder / name

    def program(self, name):
        path = self.programs / name
        if not path.exists():
            raise BenchError(f"{path}: not built: build first, or name the folder with --bin")
        return str(path)

    def start(self, name, argv):
        with open(self.path(f"{name}.log"), "wb") as log:
            child = subprocess.Popen(argv, stdout=log, stderr=log)  # pylint: disable=R1732
        # In shadow the daemon is a third worker: it goes where there is room.
        if "--data-path=shadow" not in argv:
            os.sched_setaffinity(child.pid, {max(CPUS)})
        self.running.append(child)
        return child

    def listen(self, name, argv, path):
        child = self.start(name, argv)

        def ready():
            if child.poll() is not None:
                log = self.path(f"{name}.log").read_text(encoding="utf-8", errors="replace")
                raise BenchError(f"{name} ended with {child.returncode}: {log.strip()[-300:]}")
            return listening(path)

        wait_until(f"{name} listens at {path}", ready)
        return child

    def stop(self, child):
        if child in self.running:
            self.running.remove(child)
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def kill(self, child):
        self.running.remove(child)
        child.kill()
        child.wait()

    def stop_all(self):
        for child in list(reversed(self.running)):
            self.stop(child)

    def null_disk(self, name, latency_us=0):
        program = shutil.which("qemu-storage-daemon")
        if not program:
            raise BenchError("qemu-storage-daemon: not found: run tools/setup")
        path = self.path(f"{name}.sock")
        self.listen(name, [
            program,
            "--blockdev", "driver=null-co,size=1073741824,node-name=d0,read-zeroes=on,"
                          f"latency-ns={latency_us * 1000}",
            "--export", "type=vhost-user-blk,id=e0,node-name=d0,addr.type=unix,"
                        f"addr.path={path},writable=on,num-queues=1",
        ], path)  # fmt: skip
        return path

    def test_disk(self, name, latency_us=0):
        path = self.path(f"{name}.sock")
        self.listen(name, [
            self.program("ferry-test-backend"), f"--socket-path={path}", f"--delay-us={latency_us}",
        ], path)  # fmt: skip
        return path

    def ferry_argv(self, path, backend):
        return [
            self.program("vhost-ferry"), f"--socket-path={path}", f"--backend-path={backend}",
            *self.daemon_options,
        ]  # fmt: skip

    def ferry(self, name, backend):
        path = self.path(f"{name}.sock")
        return path, self.listen(name, self.ferry_argv(path, backend), path)


def bench(parts, sockets, cpu, **options):
    argv = [parts.program("vhost-ferry-bench"), "--json"]
    argv += [f"--socket-path={path}" for path in sockets]
    argv += [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    os.sched_setaffinity(0, {cpu})
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=False)
    os.sched_setaffinity(0, CPUS)
    if done.returncode:
        raise BenchError(f"vhost-ferry-bench ended with {done.returncode}")
    return json.loads(done.stdout)
