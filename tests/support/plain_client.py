"""A client that writes what it likes on a plain socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass
class PlainClient:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def connect(cls, url: str, *, receive_bytes: int = 0) -> PlainClient:
        """Connected to the server of ``url``; ``receive_bytes`` bounds what the kernel reads ahead."""
        parts = urlsplit(url)
        plain = socket.socket()
        if receive_bytes:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        plain.setblocking(False)
        await asyncio.get_running_loop().sock_connect(plain, (parts.hostname, parts.port))
        return cls(*await asyncio.open_connection(sock=plain, limit=1024 if receive_bytes else 1 << 20))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def ask(self, path: str) -> Answer:
        await self.send(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
        return await self.answer()

    async def answer(self) -> Answer:
        """One answer that has a length."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await self.reader.readexactly(int(headers["content-length"]))
        return Answer(int(status.split()[1]), headers, body)

    async def ended(self) -> bool:
        """Whether the server ends the connection, and says nothing before; waits for it."""
        try:
            return await self.reader.read(1) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self.writer.close()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> str:
        """Of an error."""
        return str(json.loads(self.body)["error"]["message"])


def post(path: str, body: Any, *, length: int | None = None) -> bytes:
    """A request in JSON; with ``length``, its header promises more than there is."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(data) if length is None else length}\r\n\r\n".encode() + data


async def feed(client: PlainClient, data: bytes) -> None:
    """Send ``data`` as far as the server reads it."""
    with contextlib.suppress(ConnectionError):
        await client.send(data)
