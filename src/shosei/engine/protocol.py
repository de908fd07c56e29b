"""What the engine and its clients say to each other: length-prefixed msgpack frames over a Unix socket.

A frame is four bytes of length, big-endian, and that many bytes of one message. The engine greets with ``Hello``;
then every ``Submit`` is answered by ``Token`` messages up to one with a ``finish``, or by one ``Failed``. A client
picks the ids of its requests; they mean something on its own connection only.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

_LENGTH_BYTES = 4
MAX_FRAME_BYTES = 1 << 24
OUT_OF_MEMORY = "out_of_memory"  # of ``Failed.kind``: the request may succeed another time


class Grammar(msgspec.Struct, frozen=True):
    """What an answer must be, in llguidance's dialect of Lark; special tokens by id, as ``<[7]>``.

    With ``trigger`` the answer is free until it holds that token, with which the grammar begins.
    """

    lark: str
    trigger: int | None = None


class LogitRules(msgspec.Struct, frozen=True):
    """What changes the logits before a token is chosen, greedily or not; the defaults change nothing.

    A token that prompt or answer has is made less likely by ``repetition_penalty`` (CTRL, Keskar et al. 2019), one that
    the answer has by ``presence_penalty`` once and by ``frequency_penalty`` for each time (OpenAI's API reference).
    ``logit_bias`` is added, by token; no stop id may come among the first ``min_tokens`` tokens.
    """

    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: dict[int, float] = {}
    min_tokens: int = 0


class Submit(msgspec.Struct, tag="submit", frozen=True):
    """Continue ``prompt`` (token ids) by at most ``max_tokens`` tokens.

    With ``alternatives`` every token comes with its score and those of so many most probable ones; with
    ``score_prompt`` the prompt's tokens do too, in a ``PromptScores`` before the first token.
    """

    id: int
    prompt: list[int]
    max_tokens: int
    temperature: float = 0.0  # 0: greedy
    top_p: float = 1.0
    seed: int | None = None  # None: a different answer every time
    stop_ids: list[int] = []
    grammar: Grammar | None = None
    top_k: int = 0  # 0: all
    min_p: float = 0.0
    rules: LogitRules | None = None
    alternatives: int | None = None
    score_prompt: bool = False


class Cancel(msgspec.Struct, tag="cancel", frozen=True):
    """Nobody waits for this request any more. It is not answered."""

    id: int


class Hello(msgspec.Struct, tag="hello", frozen=True):
    """The engine is loaded and ready."""

    model: str
    vocab_size: int
    context_length: int  # prompt and answer together, in tokens
    slots: int  # requests that run at the same time; more of them wait
    cache_tokens: int  # that the cache holds of all of them together


class TokenScore(msgspec.Struct, frozen=True):
    """Natural log-probabilities as the model computed them: of a token, and of the most probable ones, best first.

    No penalty, temperature, nucleus or grammar is in them.
    """

    logprob: float
    best: list[tuple[int, float]]


def most_score_bytes(alternatives: int) -> int:
    """What one ``TokenScore`` takes in a frame at most: a number is 9 bytes, a token's id 5."""
    return 32 + 16 * alternatives


class Token(msgspec.Struct, tag="token", frozen=True, omit_defaults=True):
    """One more token. With ``finish`` "stop" it is the stop id itself and no part of the answer's text.

    The first of an answer says how many of the prompt's tokens were not computed again, since another prompt had them;
    each, how often the request has given its memory to an older one since the token before.
    """

    id: int
    token: int
    finish: str = ""  # "" | "stop" | "length" (max_tokens reached, or the context is full)
    score: TokenScore | None = None
    reused: int = 0
    preempted: int = 0


class PromptScores(msgspec.Struct, tag="prompt_scores", frozen=True):
    """The scores of a prompt's tokens from the second on; the first has nothing before it."""

    id: int
    scores: list[TokenScore]


class Failed(msgspec.Struct, tag="failed", frozen=True):
    """The request ends without an answer, or without the rest of it."""

    id: int
    message: str
    kind: str  # context_length_exceeded | invalid_request | engine_error | out_of_memory


ClientMessage = Submit | Cancel
AnswerMessage = PromptScores | Token | Failed
EngineMessage = Hello | AnswerMessage

M = TypeVar("M")
_encode = msgspec.msgpack.Encoder().encode


def is_last(message: AnswerMessage) -> bool:
    """Whether nothing follows it for its request."""
    return isinstance(message, Failed) or (isinstance(message, Token) and message.finish != "")


class ProtocolError(Exception):
    """The other side does not speak this protocol; its connection must be closed."""


def frame(message: ClientMessage | EngineMessage) -> bytes:
    """One message as the bytes of one frame. Raises ProtocolError if it is larger than a receiver accepts."""
    body = _encode(message)
    if len(body) > MAX_FRAME_BYTES:
        raise ProtocolError(f"a frame of {len(body)} bytes is larger than {MAX_FRAME_BYTES}")
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


class FrameDecoder(Generic[M]):
    """Bytes, cut anywhere, to messages of ``kind``."""

    def __init__(self, kind: Any) -> None:  # M itself: a union is not a type[M]
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[M]:
        """The messages that ``data`` completes, in order. Raises ProtocolError for anything else than frames."""
        self._buffer += data
        messages = []
        begin = 0
        while (body := begin + _LENGTH_BYTES) <= len(self._buffer):
            length = int.from_bytes(self._buffer[begin:body], "big")
            if length > MAX_FRAME_BYTES:
                raise ProtocolError(f"a frame of {length} bytes is larger than {MAX_FRAME_BYTES}")
            if body + length > len(self._buffer):
                break
            begin = body + length
            try:
                messages.append(self._decode(self._buffer[body:begin]))
            except msgspec.DecodeError as error:
                raise ProtocolError(f"not a message of this protocol: {error}") from None
        del self._buffer[:begin]
        return messages
