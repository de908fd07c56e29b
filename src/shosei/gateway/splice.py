"""Values replaced within JSON text, whose every other byte stays as it came."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from shosei.wire.reply import UNREADABLE

Edit = tuple[int, int, bytes]  # from where to where, and what is to stand there

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]:,]', re.DOTALL)
_DEPTH = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}
ID_FIRST = re.compile(rb'\s*\{\s*"id"\s*:\s*("[^"\\]*"|-?\d+|null)\s*[,}]')  # as most servers write it


def spans_of(name: str, text: bytes) -> list[tuple[int, int]]:
    """Where the values of the field ``name`` stand in ``text``, a JSON object: none, one, or several if it repeats."""
    spans: list[tuple[int, int]] = []
    depth, key, begin = 0, "", -1
    for token in _TOKEN.finditer(text):
        mark = token[0]
        depth += _DEPTH.get(mark, 0)
        if depth == 1 and mark == b":":
            begin = token.end()
        elif begin >= 0 and ((depth == 1 and mark == b",") or depth == 0):
            if key == name:
                value = text[begin : token.start()]
                begin += len(value) - len(value.lstrip())
                spans.append((begin, begin + len(value.strip())))
            begin = -1
        elif depth == 1 and begin < 0 and mark.startswith(b'"'):
            try:
                key = msgspec.json.decode(mark)
            except UNREADABLE:  # half a character: no name that anybody looks for
                key = ""
    return spans


def id_edits(text: bytes, id: bytes) -> list[Edit]:
    """What gives an answer, or a chunk of one, this ``id`` (JSON). An answer without one gets it; an error does not."""
    first = ID_FIRST.match(text)
    if first and is_only_id(text):
        return [(first.start(1), first.end(1), id)]
    if spans := spans_of("id", text):
        return [(begin, end, id) for begin, end in spans]
    if spans_of("choices", text):
        begin = text.index(b"{") + 1
        return [(begin, begin, b'"id":' + id + b",")]
    return []


def is_only_id(text: bytes) -> bool:
    """Whether an ``id`` that begins an object is the only one, so that the rest need not be looked at."""
    return text.count(b'"id"') == 1 and b"\\u006" not in text  # the name may be written in escapes


def edited(text: bytes, edits: Iterable[Edit]) -> bytes:
    """``text`` after ``edits``, which stand in order and do not overlap."""
    parts, at = [], 0
    for begin, end, new in edits:
        parts += [text[at:begin], new]
        at = end
    return b"".join([*parts, text[at:]])
