"""Which requests run, and of which tokens the next step computes what follows."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from operator import attrgetter

from shosei.engine.batch import Rows
from shosei.engine.blocks import BlockPool
from shosei.engine.stream import TokenStream
from shosei.spec.generation import BLOCK_TOKENS, PREFILL_TOKENS, blocks_of

_SCORED_AT_ONCE = 256  # tokens of a prompt: each takes the logits of a whole vocabulary
_MOST_DRAFTED = 15  # tokens of one stream
_DRAFTING_ROWS = 16  # of all answers with their drafts in a step; more where more rows may stand beside answers
_by_turn = attrgetter("turn")


def rows_beside_on(device: str) -> int:
    """How many rows take as long to multiply with the weights as these take to be read.

    A step of n answers takes about twice its time, then, with so many rows of prompts beside it and n more. Measured on
    two kinds of CPU: 3 to 8, depending on the weights' format.
    """
    return 4 if device == "cpu" else 256


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What a step computes of one stream: its next ``count`` tokens, and tokens that may follow them."""

    stream: TokenStream
    count: int
    draft: list[int] = field(default_factory=list)

    @property
    def end(self) -> int:
        """How many of the stream's tokens the cache holds after the step, the draft apart."""
        return self.stream.stored + self.count

    @property
    def answers(self) -> bool:
        """Whether the stream's next token can be drawn after the step."""
        return self.end == len(self.stream.tokens)

    @property
    def first_wanted(self) -> int:
        """The first token after which logits are wanted: one before the next to be scored, or the last of all."""
        stream = self.stream
        if stream.scoring:
            return min(max(stream.stored, len(stream.scores)), self.end)
        return self.end - self.answers

    @property
    def wanted(self) -> int:
        """Logits of this stream."""
        return self.end - self.first_wanted + len(self.draft)

    @property
    def rows(self) -> Rows:
        stream = self.stream
        tokens = stream.tokens[stream.stored : self.end] + self.draft
        return Rows(tokens, stream.stored, stream.blocks, self.wanted)


class Schedule:
    """Streams that run and streams that wait, each in the order of their turns, and the blocks that they have.

    A stream is admitted when there are blocks for all of its tokens. Where one that runs finds no free block for its
    next token, the newest gives its blocks up, waits, and is computed again.
    """

    def __init__(self, slots: int, blocks: int, max_length: int, rows_beside: int, reuse: bool) -> None:
        self.waiting: list[TokenStream] = []
        self.running: list[TokenStream] = []
        self._slots, self._max_length, self._reuse = slots, max_length, reuse
        self.pool = BlockPool(blocks)
        self._rows_beside = rows_beside

    @property
    def newest(self) -> TokenStream:
        """Of those that run."""
        return self.running[-1]

    def add(self, stream: TokenStream) -> None:
        """Have ``stream`` wait for its turn."""
        insort(self.waiting, stream, key=_by_turn)

    def remove(self, stream: TokenStream) -> None:
        """Forget ``stream``, and give its blocks to others."""
        if stream in self.waiting:
            self.waiting.remove(stream)
        else:
            self.running.remove(stream)
            self.pool.give_back(stream.blocks)

    def find(self, number: int) -> TokenStream | None:
        """The stream of the request with this id."""
        return next((it for it in (*self.running, *self.waiting) if it.request.id == number), None)

    def plan(self) -> list[Work]:
        """The next step: a token of every running answer, with its draft; and of prompts as many as do not hold those
        up for long, oldest first."""
        self._make_room()
        answering = [stream for stream in self.running if stream.missing == 1]
        filling = [stream for stream in self.running if stream.missing > 1]
        rows = self._prompt_rows(len(answering), len(filling))
        work = [*self._fill(filling, rows)]
        work += self._admit(rows - sum(item.count for item in work))
        shared = max(_DRAFTING_ROWS, self._rows_beside)
        drafted = 0 if work else min(_MOST_DRAFTED, shared // max(len(answering), 1) - 1)
        work += [Work(stream, 1, self._draft(stream, drafted)) for stream in answering]
        return sorted(work, key=lambda item: item.count + len(item.draft))  # equally many rows attend together

    def store(self, stream: TokenStream, count: int) -> None:
        """A step has computed its next ``count`` tokens: others may share the blocks that are full."""
        for block, name in stream.store(count):
            if self._reuse:
                self.pool.name(block, name)

    def _make_room(self) -> None:
        """Give every running stream the blocks for its tokens; where there are none, the newest gives up its own."""
        for stream in [*self.running]:
            while stream in self.running and blocks_of(len(stream.tokens)) > len(stream.blocks):
                if block := self.pool.take(1):
                    stream.blocks += block
                else:
                    self._preempt()

    def _preempt(self) -> None:
        stream = self.running.pop()
        self.pool.give_back(stream.blocks)
        stream.blocks, stream.stored = [], 0
        stream.preempted += 1
        self.add(stream)

    def _prompt_rows(self, answering: int, filling: int) -> int:
        """How many rows of prompts a step has: as many as double its time, for each stream whose prompt may be read.

        So one long prompt holds the ``answering`` streams up little, and many short ones are soon read.
        """
        if not answering:
            return PREFILL_TOKENS
        beginning = filling + min(len(self.waiting), self._slots - len(self.running))
        return min(PREFILL_TOKENS, (self._rows_beside + answering) * beginning)

    def _fill(self, streams: list[TokenStream], rows: int) -> list[Work]:
        work = []
        for stream in streams:
            most = _SCORED_AT_ONCE if stream.scoring else rows
            if count := min(rows, most, stream.missing):
                work.append(Work(stream, count))
            rows -= count
        return work

    def _admit(self, rows: int) -> list[Work]:
        """Begin with waiting streams, oldest first, as far as there are slots, blocks and ``rows``.

        One whose next block is just being computed for another waits until it is there.
        """
        work: list[Work] = []
        being_computed = {
            name for stream in self.running for name in self._names(stream)[stream.stored // BLOCK_TOKENS :]
        }
        for stream in [*self.waiting]:
            if rows <= 0 or len(self.running) >= self._slots:
                break
            names = self._names(stream)
            found = self.pool.find(names)
            if being_computed.intersection(names[len(found) : len(found) + 1]):
                continue
            blocks = self.pool.open(found, blocks_of(len(stream.tokens)), spare=len(self.running))
            if blocks is None:
                break
            self._start(stream, blocks, len(found) * BLOCK_TOKENS)
            being_computed.update(names[len(found) :])
            work += self._fill([stream], rows)
            rows -= work[-1].count
        return work

    def _names(self, stream: TokenStream) -> list[bytes]:
        return stream.names() if self._reuse and stream.missing > 1 else []

    def _start(self, stream: TokenStream, blocks: list[int], stored: int) -> None:
        stream.blocks, stream.stored = blocks, stored
        if not (stream.answered or stream.preempted):  # else some of it may be what it has computed itself
            stream.reused = stored
        self.waiting.remove(stream)
        insort(self.running, stream, key=_by_turn)

    def _draft(self, stream: TokenStream, most: int) -> list[int]:
        """Tokens that may follow those of ``stream``, for which it has blocks or gets them at nobody's cost."""
        if not stream.lookup:
            return []
        left = min(stream.request.max_tokens - stream.answered, self._max_length - len(stream.tokens)) - 1
        draft = stream.lookup.draft(stream.tokens, min(most, left))
        if blocks_of(len(stream.tokens) + len(draft)) > len(stream.blocks) and self.pool.free > len(self.running):
            stream.blocks += self.pool.take(1) or []
        return draft[: len(stream.blocks) * BLOCK_TOKENS - len(stream.tokens)]
