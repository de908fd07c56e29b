"""Text as its tokens come: whole characters, and no part of a stop text."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence


class StreamDecoder:
    """Decodes one answer token by token. A character cut between tokens waits until its last byte is there.

    The pieces joined equal ``Tokenizer.decode`` of all ids; bytes that are not UTF-8 become U+FFFD in both.
    """

    def __init__(self, token_bytes: Callable[[int], bytes]) -> None:
        self._token_bytes = token_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        """The characters that became whole with this token; often none."""
        return self._decoder.decode(self._token_bytes(token_id))

    def finish(self) -> str:
        """What is left when no more tokens come: U+FFFD for a character that never became whole, or nothing."""
        return self._decoder.decode(b"", final=True)


class StopFilter:
    """Passes text on up to the first stop string and never a part of one, however the text is cut into pieces.

    The stop that is complete first wins; of two that end together, the longer.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.found = False
        self.rest = ""  # what came behind the stop

    def push(self, text: str) -> str:
        """Take more text; return what can no longer belong to a stop."""
        held = self._held + text
        hits = [(at + len(stop), at) for stop in self._stops if (at := held.find(stop)) >= 0]
        if hits:
            self.found = True
            end, begin = min(hits)
            self._held, self.rest = "", held[end:]
            return held[:begin]
        keep = max((_overlap(held, stop) for stop in self._stops), default=0)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]

    def finish(self) -> str:
        """No more text comes: return what was held back."""
        rest, self._held = self._held, ""
        return rest


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of ``text`` that is a proper beginning of ``stop``."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
