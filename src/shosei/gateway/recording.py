"""Answers kept and read back: recordings by what was asked, and bodies in plain text for whoever asked for them.

A recording is a folder of ``{key}-{n}.json``, whole or absent: the n-th answer to one question, asked by one agent in
one task. The file has the answer alone; of the question it has only the hash.
"""

from __future__ import annotations

import asyncio
import codecs
import hashlib
import os
import time
from collections import Counter
from pathlib import Path

import msgspec

from shosei.errors import InputError
from shosei.files import write_atomic
from shosei.gateway.call import Call
from shosei.gateway.upstream import NotRecorded, Source
from shosei.wire.connection import Broken, Headers, Reader

# Fields that do not change what a model answers.
_IRRELEVANT = frozenset(
    {
        "metadata",
        "prompt_cache_key",
        "safety_identifier",
        "service_tier",
        "store",
        "stream_options",
        "user",
    }
)
_NOT_KEPT = b"set-cookie"  # may let its reader in


class Recording(msgspec.Struct):
    """An upstream's answer as it came. Pieces end where they did on the wire, but for characters split there."""

    status: int = 0
    headers: list[tuple[str, str]] = []
    pieces: list[str] = []
    whole: bool = True  # else the connection ended within the answer


_read = msgspec.json.Decoder(Recording).decode


class Tee:
    """Asks ``source`` and keeps its answers, refusals and broken ones included.

    In ``folder`` as recordings, which take the place of those that stand there already; what nobody waited for to the
    end is not one. In ``bodies`` with the questions, one JSON object a line, which only its owner can read. Raises
    InputError if there is a file where the folder is to be.
    """

    def __init__(self, source: Source, folder: Path | None, bodies: Path | None) -> None:
        self._source, self._folder, self._bodies = source, folder, -1
        self._counts: Counter[str] = Counter()
        if folder:
            if folder.exists() and not folder.is_dir():
                raise InputError(f"--record {folder} is a file: name a folder")
            folder.mkdir(parents=True, exist_ok=True)
        if bodies:
            bodies.parent.mkdir(parents=True, exist_ok=True)
            self._bodies = os.open(bodies, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def answer(self, call: Call, reader: Reader) -> int:
        copy = _Copy(reader)
        try:
            try:
                done_ns = await self._source.answer(call, copy)
            except Broken:
                copy.answer.whole = False
                await self._record(call, copy)
                raise
            await self._record(call, copy)
        finally:
            self._keep_bodies(call, copy.answer)
        return done_ns

    def close(self) -> None:
        self._source.close()
        if self._bodies >= 0:
            os.close(self._bodies)

    async def _record(self, call: Call, copy: _Copy) -> None:
        if self._folder and copy.answer.status and not copy.ended:  # ended: what came after was not waited for
            key = _key(call)
            self._counts[key] += 1
            path = self._folder / _name(key, self._counts[key])
            # Waiting for the disk must not hold up other clients' answers.
            await asyncio.to_thread(write_atomic, path, msgspec.json.encode(copy.answer))

    def _keep_bodies(self, call: Call, answer: Recording) -> None:
        if self._bodies >= 0 and call.id:
            line = {"id": call.id, "request": call.fields, "status": answer.status, "answer": "".join(answer.pieces)}
            os.write(self._bodies, msgspec.json.encode(line) + b"\n")


class _Copy:
    """A reader that keeps in ``answer`` what it hands on to another."""

    def __init__(self, reader: Reader) -> None:
        self.answer = Recording()
        self.ended = False
        self._reader = reader
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def begin(self, status: int, headers: Headers, first_byte_ns: int) -> None:
        kept = [(name, value) for name, value in headers if name != _NOT_KEPT]
        self.answer.status = status
        self.answer.headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in kept]
        self._reader.begin(status, headers, first_byte_ns)

    def feed(self, data: bytes, now_ns: int) -> None:
        self.answer.pieces.append(self._decode(data))
        self._reader.feed(data, now_ns)
        self.ended = self._reader.ended


class Replay:
    """Answers out of a recording, and asks nobody. Raises InputError if the folder holds none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._counts: Counter[str] = Counter()
        if not any(folder.glob("*-1.json")):
            raise InputError(f"{folder} holds no recording: make one with --record {folder}", param="replay")

    async def answer(self, call: Call, reader: Reader) -> int:
        answer, reads = self._next(call), asyncio.Event()  # reads: the client does
        reads.set()
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
        reader.begin(answer.status, headers, time.monotonic_ns())
        call.downstream.attach(lambda waits: reads.clear() if waits else reads.set())
        try:
            for piece in answer.pieces:
                reader.feed(piece.encode(), time.monotonic_ns())
                if reader.ended:
                    break
                await asyncio.sleep(0)
                await reads.wait()
        finally:
            call.downstream.attach(None)
        if not answer.whole:
            raise Broken("so it was recorded")
        return time.monotonic_ns()

    def close(self) -> None:
        pass

    def _next(self, call: Call) -> Recording:
        key = _key(call)
        self._counts[key] += 1
        number = self._counts[key]
        path = self._folder / _name(key, number)
        try:
            return _read(path.read_bytes())
        except FileNotFoundError:
            asker = f"agent '{call.agent}' in task '{call.task}'"
            times = f"{number - 1} times, not {number}" if number > 1 else "never"
            message = f"{self._folder} has no answer: when it was recorded, {asker} asked {call.path} this {times}"
            raise NotRecorded(message) from None
        except msgspec.DecodeError as error:
            raise NotRecorded(f"{path} is not a recorded answer: {error}") from None


def _key(call: Call) -> str:
    """The hash of the question in canonical JSON, and of who asks it for which task."""
    asked = {name: msgspec.json.decode(raw) for name, raw in call.fields.items() if name not in _IRRELEVANT}
    # Of what is not a call to a model, nobody is asked who calls.
    task, agent = (call.task, call.agent) if call.id else ("", "")
    identity = [call.method, call.path, task, agent, asked]
    return hashlib.sha256(msgspec.json.encode(identity, order="sorted")).hexdigest()[:32]


def _name(key: str, number: int) -> str:
    return f"{key}-{number}.json"
