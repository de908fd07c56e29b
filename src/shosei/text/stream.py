"""From a stream of tokens to a stream of whole characters."""

from __future__ import annotations

import codecs
from collections.abc import Callable


class StreamDecoder:
    """Decodes one answer token by token. A character cut between tokens waits until its last byte is there.

    The pieces joined equal ``Tokenizer.decode`` of all ids; bytes that are no UTF-8 become U+FFFD in both.
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
