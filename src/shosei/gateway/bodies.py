"""Questions and answers in plain text, for operators who asked for them. One JSON object a line."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from shosei.gateway.source import Ask, Source
from shosei.gateway.tape import Taping
from shosei.wire.connection import Reader


class Bodies:
    """Keeps what ``source`` was asked and what it answered in ``file``, which only its owner can read."""

    def __init__(self, source: Source, file: Path) -> None:
        self._source = source
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def answer(self, ask: Ask, reader: Reader) -> int:
        taping = Taping(reader)
        try:
            return await self._source.answer(ask, taping)
        finally:
            if ask.id:
                said = "".join(taping.tape.pieces)
                line = {"id": ask.id, "request": ask.fields, "status": taping.tape.status, "answer": said}
                os.write(self._file, msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        self._source.close()
        os.close(self._file)
