# SPDX-License-Identifier: BSD-3-Clause
"""A client of QMP and of what has its shape: JSON, one object a line."""

import json
import socket
import time

from child import PATIENCE, RigError, wait_until


class JsonLines:
    def __init__(self, peer, name):
        self._socket = peer
        self._name = name
        self._data = b""
        self._id = 0
        self.events = []

    @classmethod
    def connect(cls, path, name, timeout=PATIENCE):
        def attempt():
            peer = socket.socket(socket.AF_UNIX)
            try:
                peer.connect(str(path))
            except OSError:
                peer.close()
                return None
            return peer

        return cls(wait_until(f"{name}: connect to {path}", attempt, timeout), name)

    def _line(self, end):
        while b"\n" not in self._data:
            left = end - time.monotonic()
            if left <= 0:
                raise RigError(f"{self._name}: no answer in time")
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            except OSError as error:
                raise RigError(f"{self._name}: {error}") from None
            if not data:
                raise RigError(f"{self._name}: closed the connection")
            self._data += data
        line, self._data = self._data.split(b"\n", 1)
        return line

    def execute(self, command, timeout=PATIENCE, **arguments):
        """The `return` of a command; RigError with class and text of an error."""
        self._id += 1
        request = {"execute": command, "arguments": arguments, "id": self._id}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        end = time.monotonic() + timeout
        while True:
            answer = self._object(end)
            if "event" in answer:
                self.events.append(answer)
            elif answer.get("id") == self._id and "return" in answer:
                return answer["return"]
            elif answer.get("id") == self._id and "error" in answer:
                error = answer["error"]
                raise RigError(
                    f"{self._name}: {command}: {error.get('class')}: {error.get('desc')}"
                )

    def _object(self, end):
        line = self._line(end)
        try:
            return json.loads(line)
        except ValueError:
            raise RigError(f"{self._name}: not JSON: {line[:200]!r}") from None

    def wait_event(self, name, timeout=PATIENCE):
        end = time.monotonic() + timeout
        while True:
            for index, event in enumerate(self.events):
                if event["event"] == name:
                    return self.events.pop(index)
            answer = self._object(end)
            if "event" in answer:
                self.events.append(answer)

    def close(self):
        self._socket.close()
