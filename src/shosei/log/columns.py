"""Events of one kind as arrays: millions of them take bytes each, not objects."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Protocol

import msgspec
import numpy as np

from shosei.log.event import Event
from shosei.log.events import Request

MISSING = np.iinfo(np.int64).min  # stands for None among integers

# The kinds that are read into columns, and which of their fields metrics look at by the million.
FIELDS: dict[type[Event], tuple[str, ...]] = {
    Request: (
        *("host", "boot", "pid", "phase", "purpose", "seen_by", "stream", "error", "first_try_error", "tries"),
        *("scheduled_ns", "sent_ns", "first_token_ns", "first_answer_ns", "last_token_ns", "done_ns", "longest_gap_ns"),
        *("status", "tokens_out", "tokens_reasoning", "thought_pieces", "bytes_sent", "bytes_received"),
    )
}
_ORDER = ("wall_ns", "mono_ns", "seq")  # what only the sorting needs

Rows = np.ndarray | slice  # a choice of events, in their order


class Source(Protocol):
    """Where whole events are had from, by their rows."""

    def events(self, rows: Rows) -> Iterator[Any]:
        """The events themselves."""

    def lines(self, rows: Rows) -> Iterator[bytes]:
        """Their JSON as the writer spells it, one after another without newlines."""


class Columns:
    """Events of one kind in order of time. ``columns[field]`` is an array, one value an event.

    Integers are int64, with ``MISSING`` for None; texts are codes, numbers in ``names[field]``; the rest are booleans.
    """

    def __init__(self, arrays: dict[str, np.ndarray], names: dict[str, list[str]], source: Source) -> None:
        self.names = names
        self._arrays, self._source = arrays, source
        self._rows: Rows = slice(None)

    @classmethod
    def of(cls, kind: type[Event], events: Sequence[Event]) -> Columns:
        """The columns of events that are at hand, in their order."""
        builder = Builder(kind)
        builder.add(builder.arrays_of(events))
        return cls(builder.arrays(), builder.names, InMemory(events))

    def __len__(self) -> int:
        return len(self["pid"])

    def __getitem__(self, field: str) -> np.ndarray:
        return self._arrays[field][self._rows]

    def __iter__(self) -> Iterator[Any]:
        return self._source.events(self._rows)

    def lines(self) -> Iterator[bytes]:
        """The events' JSON as the writer spells it, one after another without newlines."""
        return self._source.lines(self._rows)

    def has(self, field: str) -> np.ndarray:
        """Where the field is known, true or not empty."""
        values = self[field]
        if field in self.names:
            return ~self.where(field, "")
        return values if values.dtype == bool else values != MISSING

    def where(self, field: str, *texts: str) -> np.ndarray:
        """Where the field has one of these texts."""
        return np.isin(self[field], [code for code, name in enumerate(self.names[field]) if name in texts])

    def texts(self, field: str) -> list[str]:
        """The texts that the field has in any of the events, in the order of their first."""
        codes, firsts = np.unique(self[field], return_index=True)
        return [self.names[field][code] for code in codes[np.argsort(firsts)]]

    def at(self, chosen: np.ndarray) -> Columns:
        """The chosen events: by a boolean an event, or by row."""
        if chosen.dtype == bool and chosen.all():
            return self
        rows = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        part = Columns(self._arrays, self.names, self._source)
        part._rows = rows.astype(np.int32) if isinstance(self._rows, slice) else self._rows[rows]
        return part

    def first_and_last(self) -> Columns:
        """Each process's first event and its last."""
        where = self["host"] * len(self.names["boot"]) + self["boot"]
        process = self["pid"] * (len(self.names["host"]) * len(self.names["boot"])) + where
        _, first = np.unique(process, return_index=True)
        _, last = np.unique(process[::-1], return_index=True)
        return self.at(np.union1d(first, len(self) - 1 - last))


class Builder:
    """Collects the columns of a kind, some events at a time."""

    def __init__(self, kind: type[Event]) -> None:
        types = {field.name: field.type for field in msgspec.structs.fields(kind)}
        self._fields = (*FIELDS[kind], *_ORDER)
        self._values = attrgetter(*self._fields)
        self._codes = {field: _numbered() for field in self._fields if types[field] is str}
        self._as_array = {
            field: _coded(self._codes[field]) if field in self._codes else _flags if types[field] is bool else _integers
            for field in self._fields
        }
        self._columns: dict[str, _Growing] = {}

    @property
    def names(self) -> dict[str, list[str]]:
        """The texts of each field that has texts, by their codes."""
        return {field: list(codes) for field, codes in self._codes.items()}

    def __bool__(self) -> bool:
        return bool(self._columns)

    def arrays_of(self, events: Sequence[Event]) -> dict[str, np.ndarray]:
        """Some events' columns."""
        values = zip(*map(self._values, events), strict=True) if events else itertools.repeat((), len(self._fields))
        return {
            field: as_array(column) for (field, as_array), column in zip(self._as_array.items(), values, strict=True)
        }

    def add(self, arrays: dict[str, np.ndarray]) -> None:
        """The next ``arrays_of`` in reading order, and other columns of the same events."""
        for field, array in arrays.items():
            self._columns.setdefault(field, _Growing(array.dtype)).extend(array)

    def first_wall_ns(self) -> dict[str, int]:
        """The first wall clock of each boot."""
        boots, walls = self._columns["boot"].whole(), self._columns["wall_ns"].whole()
        return {boot: int(walls[boots == code].min()) for boot, code in self._codes["boot"].items()}

    def order(self, first_wall_ns: dict[str, int]) -> Rows:
        """The rows in order of time: boots by their first wall clock, then the monotonic clock, process and turn."""
        begun = np.array([first_wall_ns[boot] for boot in self._codes["boot"]], dtype=np.int64)
        seq, pid, mono_ns, boot = (self._columns[field].whole() for field in ("seq", "pid", "mono_ns", "boot"))
        order = np.lexsort([seq, pid, mono_ns, begun[boot]])
        return slice(None) if (np.diff(order) == 1).all() else order

    def arrays(self, order: Rows = slice(None)) -> dict[str, np.ndarray]:
        """All that was added, in ``order``. The builder is empty afterwards, so that there are never two copies."""
        for field in _ORDER:
            del self._columns[field]
        return {field: self._columns.pop(field).whole()[order] for field in list(self._columns)}


class _Growing:
    """An array that grows in place: parts to be put together at the end would take the memory twice."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._array, self._length = np.empty(0, dtype), 0

    def extend(self, part: np.ndarray) -> None:
        length = self._length + len(part)
        if length > len(self._array):
            self._array.resize(length + length // 8, refcheck=False)
        self._array[self._length : length] = part
        self._length = length

    def whole(self) -> np.ndarray:
        """What was added; nothing must be added afterwards."""
        self._array.resize(self._length, refcheck=False)
        return self._array


def _numbered() -> defaultdict[str, int]:
    """Gives each new text the next number."""
    return defaultdict(itertools.count().__next__)


def _coded(codes: defaultdict[str, int]) -> Callable[[Sequence[Any]], np.ndarray]:
    return lambda texts: np.fromiter(map(codes.__getitem__, texts), dtype=np.int32, count=len(texts))


def _flags(values: Sequence[Any]) -> np.ndarray:
    return np.array(values, dtype=bool)


def _integers(values: Sequence[Any]) -> np.ndarray:
    return np.array([MISSING if value is None else value for value in values], dtype=np.int64)


class InMemory:
    """Events that are at hand."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events

    def events(self, rows: Rows) -> Iterator[Any]:
        return iter(self._events) if isinstance(rows, slice) else (self._events[row] for row in rows)

    def lines(self, rows: Rows) -> Iterator[bytes]:
        return map(msgspec.json.encode, self.events(rows))
