"""A stream of events as it came, cut into blocks: an event with its lines and line ends, or a sign of life."""

from __future__ import annotations

import re

from shosei.gateway.splice import ID_FIRST, edited, id_edits, is_only_id

# Lines that belong to no event: comments, and blank ones. They pass at once.
_IDLE = re.compile(rb"(?:(?::[^\r\n]*)?(?:\r?\n|\r(?=[^\n])))+")
_END = re.compile(rb"\r\n\r?\n|\n\r?\n|\r\r\n?")  # of an event: a blank line, with whatever line ends
_DATA = re.compile(rb"(?:^|(?<=[\r\n]))data: ?([^\r\n]*)")
_FIRST = (b"data:", b"event:")  # what events begin with
MOST_BYTES = 1 << 24  # a block that is longer is no event of a model's answer


class Blocks:
    """Feed it what came, cut anywhere; it returns every block that became whole. ``rest`` is what did not."""

    def __init__(self) -> None:
        self.rest = b""
        self._searched = 0  # so much of the rest has no end in it

    def feed(self, data: bytes) -> list[bytes]:
        if not self.rest and data.startswith(_FIRST) and data.find(b"\n\n") == len(data) - 2 and b"\r" not in data:
            return [data]  # one whole block, as most servers write them
        text, at, blocks = self.rest + data, 0, []
        while True:
            if idle := _IDLE.match(text, at):
                blocks.append(idle[0])
                at = idle.end()
            end = _END.search(text, max(at, self._searched))
            self._searched = 0
            if end is None:
                break
            blocks.append(text[at : end.end()])
            at = end.end()
        self.rest = text[at:]
        self._searched = max(0, len(self.rest) - 3)
        if len(self.rest) > MOST_BYTES:
            blocks.append(self.rest)
            self.rest, self._searched = b"", 0
        return blocks


class Renaming:
    """Gives the chunks of one stream another ``id`` (JSON). Most of them are alike up to the end of their id."""

    def __init__(self, id: bytes) -> None:
        self._id = id
        self._begins, self._becomes = b"", b""

    def apply(self, block: bytes, data: bytes) -> bytes:
        """The block whose event has this ``data``."""
        begins = self._begins
        if begins and block.startswith(begins) and is_only_id(block):
            return self._becomes + block[len(begins) :]
        first = ID_FIRST.match(data)
        at = block.find(data)
        if first and at >= 0:
            self._begins = block[: at + first.end()]  # with what follows the id, so that no longer one begins so
            self._becomes = block[: at + first.start(1)] + self._id + data[first.end(1) : first.end()]
        return with_id(block, data, self._id)


def with_id(block: bytes, data: bytes, id: bytes) -> bytes:
    """The block whose event has this ``data``, a chunk of an answer, with another ``id`` (JSON)."""
    edits = id_edits(data, id)
    if b"\n" not in data:
        at = block.find(data)
        return block[:at] + edited(data, edits) + block[at + len(data) :] if at >= 0 else block
    moved, begin = [], 0
    for line in _DATA.finditer(block):  # the data of several lines, joined by newlines
        end = begin + len(line[1])
        offset = line.start(1) - begin
        moved += [(start + offset, stop + offset, new) for start, stop, new in edits if begin <= start and stop <= end]
        begin = end + 1
    return edited(block, moved)
