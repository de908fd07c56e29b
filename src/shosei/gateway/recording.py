"""Record and replay: answers by what was asked, in files that are whole or absent.

A recording is a folder of ``{key}-{n}.json``: the n-th answer to one question, asked by one agent in one task. The
file has the answer alone; of the question it has only the hash.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from pathlib import Path

import msgspec

from shosei.errors import InputError
from shosei.files import write_atomic
from shosei.gateway.source import Ask, NotRecorded, Source
from shosei.gateway.tape import Tape, Taping
from shosei.wire.connection import Broken, Reader

# Fields that do not change what a model answers.
_IRRELEVANT = frozenset({
    "metadata", "prompt_cache_key", "safety_identifier", "service_tier", "store", "stream_options", "user",
})  # fmt: skip

_decode = msgspec.json.Decoder(Tape).decode


class Recorder:
    """Asks ``source`` and writes its answers down, refusals and broken ones included.

    What nobody waited for to the end is none. Answers that stand in the folder already are replaced. Raises InputError
    if there is a file where the folder is to be.
    """

    def __init__(self, source: Source, folder: Path) -> None:
        self._source, self._folder = source, folder
        self._counts: Counter[str] = Counter()
        if folder.exists() and not folder.is_dir():
            raise InputError(f"--record {folder} is a file: name a folder")
        folder.mkdir(parents=True, exist_ok=True)

    async def answer(self, ask: Ask, reader: Reader) -> int:
        taping = Taping(reader)
        try:
            done_ns = await self._source.answer(ask, taping)
        except Broken:
            taping.tape.whole = False
            await self._save(ask, taping)
            raise
        await self._save(ask, taping)
        return done_ns

    def close(self) -> None:
        self._source.close()

    async def _save(self, ask: Ask, taping: Taping) -> None:
        if taping.tape.status and not taping.ended:  # ended: what came after was not waited for
            key = _key(ask)
            self._counts[key] += 1
            path = self._folder / _name(key, self._counts[key])
            # Waiting for the disk must not hold up other clients' answers.
            await asyncio.to_thread(write_atomic, path, msgspec.json.encode(taping.tape))


class Replay:
    """Answers out of a recording, and asks nobody. Raises InputError if the folder holds none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._counts: Counter[str] = Counter()
        if not any(folder.glob("*-1.json")):
            raise InputError(f"{folder} holds no recording: make one with --record {folder}", param="replay")

    async def answer(self, ask: Ask, reader: Reader) -> int:
        tape, gate = self._next(ask), _Gate()
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in tape.headers]
        reader.begin(tape.status, headers, time.monotonic_ns())
        ask.client.attach(gate)
        try:
            for piece in tape.pieces:
                reader.feed(piece.encode(), time.monotonic_ns())
                if reader.ended:
                    break
                await asyncio.sleep(0)
                await gate.open.wait()
        finally:
            ask.client.attach(None)
        if not tape.whole:
            raise Broken("so it was recorded")
        return time.monotonic_ns()

    def close(self) -> None:
        pass

    def _next(self, ask: Ask) -> Tape:
        key = _key(ask)
        self._counts[key] += 1
        number = self._counts[key]
        try:
            return _decode((self._folder / _name(key, number)).read_bytes())
        except FileNotFoundError:
            asker = f"agent '{ask.agent}' in task '{ask.task}'"
            times = f"{number - 1} times, not {number}" if number > 1 else "never"
            message = f"{self._folder} has no answer: when it was recorded, {asker} asked {ask.route.path} this {times}"
            raise NotRecorded(message) from None
        except msgspec.DecodeError as error:
            raise NotRecorded(f"{self._folder / _name(key, number)} is no recorded answer: {error}") from None


class _Gate:
    """Holds a replay while its client does not read."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()

    def pause(self) -> None:
        self.open.clear()

    def resume(self) -> None:
        self.open.set()


def _key(ask: Ask) -> str:
    """The hash of the question in canonical JSON, and of who asks it for which task."""
    asked = {name: msgspec.json.decode(raw) for name, raw in ask.fields.items() if name not in _IRRELEVANT}
    identity = [ask.call.method, ask.route.path, ask.task, ask.agent, asked]
    return hashlib.sha256(msgspec.json.encode(identity, order="sorted")).hexdigest()[:32]


def _name(key: str, number: int) -> str:
    return f"{key}-{number}.json"
