"""Scores of tokens in the words of both endpoints."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shosei.serve.generation import Scored
from shosei.text import StreamDecoder, Tokenizer
from shosei.wire.openai_answers import ChatLogprobs, ChatTokenLogprob, TextLogprobs, TokenLogprob


def chat_logprobs(scored: Sequence[Scored], tokenizer: Tokenizer) -> ChatLogprobs:
    """Chat Completions': a token with its bytes, beside the most probable ones."""

    def one(token: int, logprob: float) -> TokenLogprob:
        written = tokenizer.written(token)
        return TokenLogprob(written.decode("utf-8", "replace"), logprob, [*written])

    return ChatLogprobs(
        [
            ChatTokenLogprob(
                **msgspec.structs.asdict(one(token, score.logprob)), top_logprobs=[one(*best) for best in score.best]
            )
            for token, score in scored
            if score
        ]
    )


class TextLogprobWriter:
    """Completions': lists side by side, with where each token begins in the text of its answer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder, self._offset = StreamDecoder(tokenizer.token_bytes), 0

    def write(self, scored: Sequence[Scored]) -> TextLogprobs:
        """The next tokens of the answer."""
        lists = TextLogprobs([], [], [], [])
        for token, score in scored:
            lists.tokens.append(_name(token, self._tokenizer))
            lists.text_offset.append(self._offset)
            lists.token_logprobs.append(score.logprob if score else None)
            # The token itself is among them even where it is not one of the most probable.
            best = [*score.best, (token, score.logprob)] if score else []
            lists.top_logprobs.append({_name(each, self._tokenizer): logprob for each, logprob in best} or None)
            self._offset += len(self._decoder.push(token))
        return lists


def _name(token: int, tokenizer: Tokenizer) -> str:
    """A token's text; where that is a part of a character, ``bytes:`` and the bytes, as OpenAI's API has it."""
    written = tokenizer.written(token)
    try:
        return written.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in written)
