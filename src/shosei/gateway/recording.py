"""Answers kept and read back: recordings by what was asked, and bodies in plain text for whoever asked for them.

A recording is a folder of ``{key}-{n}.json``, whole or absent: the n-th answer to one question, asked by one agent in
one task. The file has the answer alone; of the question it has only the hash.
"""

from __future__ import annotations

import asyncio
import codecs
import hashlib
import logging
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from shosei.errors import InputError
from shosei.files import write_atomic
from shosei.gateway.bodies import MAX_BODY_BYTES
from shosei.gateway.call import Call
from shosei.gateway.relay import Relay
from shosei.gateway.upstream import NotRecorded, Source
from shosei.log.events import UNATTRIBUTED
from shosei.log.guessed_agent import GUESSED
from shosei.wire.connection import Broken, Headers, Reader
from shosei.wire.reply import UNREADABLE

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

_log = logging.getLogger(__name__)


class Recording(msgspec.Struct):
    """An upstream's answer as it came. Pieces end where they did on the wire, but for characters split there.

    What is not text has ``binary`` pieces, in base64.
    """

    status: int = 0
    headers: list[tuple[str, str]] = []
    pieces: list[str] = []
    binary: list[bytes] = []
    whole: bool = True  # else the connection ended within the answer


_read = msgspec.json.Decoder(Recording).decode


class Tee:
    """Asks ``source`` and keeps its answers, refusals and broken ones included.

    In ``folder`` as recordings, which take the place of those that stand there already; what nobody waited for to the
    end is not one. In ``bodies`` with the questions, one JSON object a line, which only its owner can read. A disk that
    takes no more is warned of, and changes no answer. Raises InputError if there is a file where the folder is to be.
    """

    def __init__(self, source: Source, folder: Path | None, bodies: Path | None) -> None:
        self._source, self._folder, self._bodies = source, folder, -1
        self._counts: Counter[str] = Counter()
        self._lost = 0  # answers that could not be written down
        if folder:
            if folder.exists() and not folder.is_dir():
                raise InputError(f"--record {folder} is a file: name a folder")
            folder.mkdir(parents=True, exist_ok=True)
        if bodies:
            bodies.parent.mkdir(parents=True, exist_ok=True)
            self._bodies = os.open(bodies, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def answer(self, call: Call, reader: Reader) -> int:
        if not (self._folder or call.id):  # of what is not measured, only recordings are kept
            return await self._source.answer(call, reader)
        copy = _Copy(reader, call)
        try:
            try:
                done_ns = await self._source.answer(call, copy)
            except Broken:
                await self._record(call, copy, whole=False)
                raise
            except asyncio.CancelledError:
                if copy.is_whole:  # its client has it all, and left without waiting for us
                    await self._record(call, copy, whole=True)
                raise
            await self._record(call, copy, whole=True)
        finally:
            self._keep_bodies(call, copy)
        return done_ns

    def close(self) -> None:
        self._source.close()
        if self._bodies >= 0:
            os.close(self._bodies)
        if self._lost:
            _log.warning("%d answers could not be written down: the recording lacks them", self._lost)

    async def _record(self, call: Call, copy: _Copy, *, whole: bool) -> None:
        if self._folder and copy.kept:
            key = _key(call)
            self._counts[key] += 1
            path = self._folder / _name(key, self._counts[key])
            # Waiting for the disk must not hold up other clients' answers, nor end when this client leaves.
            data = msgspec.json.encode(copy.recording(whole=whole))
            try:
                await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, write_atomic, path, data))
            except OSError as error:
                self._lose(error)

    def _keep_bodies(self, call: Call, copy: _Copy) -> None:
        if self._bodies >= 0 and call.id:
            answer = b"".join(copy.pieces).decode("utf-8", "replace")
            line = {"id": call.id, "request": call.fields, "status": copy.status, "answer": answer}
            rest = memoryview(msgspec.json.encode(line) + b"\n")
            try:
                while rest:
                    rest = rest[os.write(self._bodies, rest) :]
            except OSError as error:
                self._lose(error)

    def _lose(self, error: OSError) -> None:
        if not self._lost:
            _log.warning("an answer cannot be written down: %s", error)
        self._lost += 1


class _Copy:
    """A reader that keeps what it hands on to another, unless that is too large to be kept."""

    def __init__(self, reader: Reader, call: Call) -> None:
        self.ended, self.status = False, 0
        self.pieces: list[bytes] = []
        self._headers: Headers = []
        self._reader, self._call, self._bytes = reader, call, 0

    def begin(self, status: int, headers: Headers, first_byte_ns: int) -> None:
        self.status, self._headers, self.pieces, self._bytes = status, headers, [], 0
        self._reader.begin(status, headers, first_byte_ns)

    def feed(self, data: bytes, now_ns: int) -> None:
        self._bytes += len(data)
        if self._bytes <= MAX_BODY_BYTES:
            self.pieces.append(data)
        elif self.pieces:
            _log.warning("%s: an answer larger than %d bytes is not kept", self._call.path, MAX_BODY_BYTES)
            self.pieces = []
        self._reader.feed(data, now_ns)
        self.ended = self._reader.ended

    @property
    def kept(self) -> bool:
        """The answer came, as far as anybody waited for it, and all of it is here."""
        return self.status > 0 and not self.ended and self._bytes <= MAX_BODY_BYTES

    @property
    def is_whole(self) -> bool:
        """A stream's last event came, or as many bytes as the header promised of what is not measured."""
        if isinstance(self._reader, Relay):
            return self._reader.complete
        return dict(self._headers).get(b"content-length") == b"%d" % self._bytes

    def recording(self, *, whole: bool) -> Recording:
        kept = [(name, value) for name, value in self._headers if name != _NOT_KEPT]
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in kept]
        decode = codecs.getincrementaldecoder("utf-8")().decode
        try:
            pieces = [decode(piece) for piece in self.pieces]
            decode(b"", True)
        except UnicodeDecodeError:
            return Recording(self.status, headers, binary=self.pieces, whole=whole)
        return Recording(self.status, headers, pieces, whole=whole)


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
            for piece in answer.binary or [text.encode() for text in answer.pieces]:
                reader.feed(piece, time.monotonic_ns())
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
    asked: Any
    try:
        asked = {name: msgspec.json.decode(raw) for name, raw in call.fields.items() if name not in _IRRELEVANT}
    except UNREADABLE:  # nobody but the upstream can read it
        asked = hashlib.sha256(call.body).hexdigest()
    # Of what is not a call to a model, nobody is asked who calls.
    task, agent = (call.task, call.agent) if call.id else ("", "")
    if call.attribution == GUESSED:  # what is asked says it
        agent = UNATTRIBUTED
    if not (call.id and call.fields) and (call.body or call.query or call.spool):
        asked = [call.query, call.spool.digest() if call.spool else hashlib.sha256(call.body).hexdigest()]
    identity = [call.method, call.path, task, agent, asked]
    return hashlib.sha256(msgspec.json.encode(identity, order="sorted")).hexdigest()[:32]


def _name(key: str, number: int) -> str:
    return f"{key}-{number}.json"
