"""Servers that speak MongoDB's protocol, for tests: real ones on a free port, and a scripted peer for rare answers."""

import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Self

import bson
from pymongo import MongoClient

NX = Path(sys.executable).parent / "nx-27017"
SERVERS = ["nx-27017", *(["mongod"] if shutil.which("mongod") else [])]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(name: str) -> Iterator[str]:
    """Start a server with no data and yield its address; it is gone afterwards."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "nx-27017": [NX, "--data-dir", "memory", "-p", str(port), "--log-file", f"{folder}/log"],
            "mongod": ["mongod", "--dbpath", folder, "--port", str(port), "--bind_ip", "127.0.0.1", "--quiet"],
        }
        if name == "nx-27017":
            commands[name] += ["--pid-file", f"{folder}/pid"]
        process = subprocess.Popen(
            [str(part) for part in commands[name]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
        )
        try:
            address = f"mongodb://127.0.0.1:{port}"
            with MongoClient(address, serverSelectionTimeoutMS=30_000) as client:
                client.admin.command("ping")
            yield address
        finally:
            process.kill()
            process.wait()


Answer = Callable[[dict[str, Any]], dict[str, Any] | None]


class Peer:
    """A server that answers what a script says: `answer(command)` gives the reply, None hangs up.

    Attributes:
        address: where it listens.
        commands: the names of all commands it was sent, in order.
    """

    HELLO: ClassVar[dict[str, Any]] = {
        "ok": 1.0, "isWritablePrimary": True, "helloOk": True, "maxBsonObjectSize": 16 << 20,
        "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000, "minWireVersion": 0, "maxWireVersion": 21,
    }  # fmt: skip

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.commands: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"mongodb://127.0.0.1:{self._socket.getsockname()[1]}"
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._socket, *self._connections):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            while head := _exactly(connection, 16):
                length, request, _, kind = struct.unpack("<iiii", head)
                body = _exactly(connection, length - 16)
                if kind == 2004:  # OP_QUERY, the first greeting
                    command = bson.decode(body[body.index(b"\0", 4) + 9 :])
                    reply = struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(self.HELLO)
                    connection.sendall(struct.pack("<iiii", 16 + len(reply), 1, request, 1) + reply)
                    continue
                command = bson.decode(body[5 : 5 + struct.unpack("<i", body[5:9])[0]])
                name = next(iter(command))
                if name.lower() in {"hello", "ismaster"}:
                    found: dict[str, Any] | None = self.HELLO
                    if command.get("maxAwaitTimeMS"):
                        time.sleep(0.2)
                else:
                    self.commands.append(name)
                    found = self._answer(command)
                if found is None:
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                reply = b"\0\0\0\0\0" + bson.encode(found)
                connection.sendall(struct.pack("<iiii", 16 + len(reply), 1, request, 2013) + reply)
        except OSError:
            return


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            return b""
        data += part
    return data
