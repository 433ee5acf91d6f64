"""One command to a MongoDB server, without its driver's clients."""

import importlib
import socket
import struct
from collections.abc import Mapping
from typing import Any

from .machine import PATIENCE, NotAvailableError

_HEADER = struct.Struct("<iiii")
_MESSAGE = 2013


def ask(address: str, command: Mapping[str, Any], patience: float = PATIENCE) -> dict[str, Any]:
    """Return a server's answer to a command.

    Without a client of the driver, which would watch the server in threads of its own; to close it
    in the moment in which one of them connects leaves a socket behind.

    Raises:
        OSError: The server cannot be reached, or hangs up.
        NotAvailableError: The driver is missing, or the server refuses the command.
    """
    try:
        # Whoever only asks what rooms there are need not have the driver.
        bson: Any = importlib.import_module("bson")
    except ImportError as error:
        msg = "MongoDB's driver is missing: run this by the Python of .venv, as ./dev does"
        raise NotAvailableError(msg) from error
    body = bytes(5) + bson.encode({**command, "$db": "admin"})
    header = _HEADER.pack(_HEADER.size + len(body), 1, 0, _MESSAGE)
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=patience) as connection:
        connection.sendall(header + body)
        with connection.makefile("rb") as replies:
            answered = replies.read(_HEADER.size)
            if len(answered) < _HEADER.size:
                raise ConnectionResetError(f"{address} hung up before it answered")
            length: int = _HEADER.unpack(answered)[0]
            reply: dict[str, Any] = bson.decode(replies.read(length - _HEADER.size)[5:])
    if not reply["ok"]:
        msg = f"{address} refuses {command!r:.200}: {reply.get('errmsg')}"
        raise NotAvailableError(msg)
    return reply
