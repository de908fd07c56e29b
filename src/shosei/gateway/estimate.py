"""What a call must have cost where its upstream does not say: for budgets alone, never for a metric."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from shosei.wire.answer import AnswerBody

BYTES_A_TOKEN = 4  # of UTF-8: English has about 4 letters a token, Chinese and Japanese 3 bytes a character
_ESCAPED = re.compile(rb"\\u[0-9a-fA-F]{4}")  # a character, as some clients write those that are not ASCII
_BINARY = re.compile(rb"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/=_-]{512,}")  # base64 of an image or a sound, which is no text


@dataclass(slots=True)
class Estimate:
    """Tokens of an answer by what of it has passed: one a delta, or one for each four bytes of text if those are more.

    A stream that was left, or broke off, is thus charged for what came, and nothing that was not seen.
    """

    deltas: int = 0
    text_bytes: int = 0

    @property
    def tokens(self) -> int:
        return max(self.deltas, -(-self.text_bytes // BYTES_A_TOKEN))

    def note(self, answer: AnswerBody) -> None:
        """Count an answer, or a chunk of one."""
        for choice in answer.choices or ():
            self.deltas += 1
            message = choice.delta or choice.message
            if message is None:
                self.text_bytes += _bytes(choice.text)
                continue
            self.text_bytes += _bytes(message.content or message.thoughts)
            for call in message.tool_calls or ():
                self.text_bytes += _bytes(call.function.arguments) if call.function else 0


def prompt_tokens(body: bytes) -> int:
    """Tokens of a request's prompt: one for each four bytes of its body, without what is encoded in base64."""
    return -(-len(_ESCAPED.sub(b"...", _BINARY.sub(b"", body))) // BYTES_A_TOKEN)


def _bytes(text: Any) -> int:
    if isinstance(text, str):
        return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return sum(map(_bytes, text.values() if isinstance(text, dict) else text)) if isinstance(text, dict | list) else 0
