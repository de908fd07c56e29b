"""When the pieces of a streamed answer came, and how fast that was."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

_FEWEST = 4  # tokens a stream, on average, that a rate of decoding is taken over


@dataclass(slots=True)
class TimedStream:
    """One answer as its client saw it. ``sent`` and ``times``, one a piece, are monotonic seconds.

    ``tokens_in`` is None where nobody counted; without ``tokens_out`` every piece is one token.
    """

    sent: float
    tokens_in: int | None = None
    tokens_out: int | None = None
    times: list[float] = field(default_factory=list)

    @property
    def first_token_s(self) -> float:
        """Seconds from sending to the first piece; there must be one."""
        return self.times[0] - self.sent

    @property
    def gaps_s(self) -> list[float]:
        """Seconds between a piece and the one before."""
        return [later - earlier for earlier, later in itertools.pairwise(self.times)]

    def tokens_between(self, begin: float, end: float) -> float:
        """Tokens that came after ``begin``, up to ``end``."""
        pieces = bisect_right(self.times, end) - bisect_right(self.times, begin)
        return pieces * (self.tokens_out or len(self.times)) / len(self.times)


def prefill_rate(stream: TimedStream) -> float | None:
    """Tokens a second of a prompt, until its first token came; None where the prompt's tokens were not counted."""
    return stream.tokens_in / stream.first_token_s if stream.tokens_in and stream.times else None


def decode_rate(streams: Sequence[TimedStream]) -> float | None:
    """Tokens a second of all ``streams`` while every one of them was being decoded: from the last one's first token to
    the first one's last. None where that was hardly ever."""
    if not all(stream.times for stream in streams):
        return None
    begin = max(stream.times[0] for stream in streams)
    end = min(stream.times[-1] for stream in streams)
    tokens = sum(stream.tokens_between(begin, end) for stream in streams)
    return tokens / (end - begin) if end > begin and tokens >= _FEWEST * len(streams) else None
