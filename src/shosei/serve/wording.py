"""How each endpoint words an answer, whole or chunk by chunk."""

from __future__ import annotations

import codecs
import time
import uuid
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence

import msgspec

from shosei.serve.generation import Choices, Generation, Scored
from shosei.text import CallPiece, Piece, ThoughtPiece, Tokenizer
from shosei.wire.openai_answers import (
    AnswerCall,
    AnswerMessage,
    ChatChoice,
    ChatChunk,
    ChatChunkChoice,
    ChatCompletion,
    ChatLogprobs,
    ChatTokenLogprob,
    Completion,
    Delta,
    FunctionCall,
    TextChoice,
    TextLogprobs,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)

_encode = msgspec.json.Encoder().encode


class Wording(ABC):
    """Every method returns a JSON object. Answers have numbers; with ``scores`` their tokens' are told."""

    def __init__(self, id: str, model: str, tokenizer: Tokenizer, scores: bool) -> None:
        self._id, self._model, self._created = id, model, int(time.time())
        self._tokenizer, self._scores = tokenizer, scores

    @abstractmethod
    def whole(self, answers: Sequence[Sequence[Piece]], choices: Choices) -> bytes: ...

    def opening(self, number: int) -> bytes | None:
        """The chunk before any piece, where the endpoint has one."""
        return None

    @abstractmethod
    def piece(self, number: int, piece: Piece, scored: Sequence[Scored]) -> bytes: ...

    @abstractmethod
    def closing(self, number: int, finish_reason: str, scored: Sequence[Scored]) -> bytes: ...

    @abstractmethod
    def usage(self, usage: Usage) -> bytes: ...


class ChatWording(Wording):
    """``chat.completion`` and ``chat.completion.chunk``."""

    def __init__(self, id: str, model: str, tokenizer: Tokenizer, scores: bool) -> None:
        super().__init__(id, model, tokenizer, scores)
        self._calls = Counter[int]()  # that ``piece`` has begun, by answer

    def whole(self, answers: Sequence[Sequence[Piece]], choices: Choices) -> bytes:
        return _encode(
            ChatCompletion(
                id=self._id,
                created=self._created,
                model=self._model,
                choices=[
                    self._choice(number, pieces, generation)
                    for number, (pieces, generation) in enumerate(zip(answers, choices.generations, strict=True))
                ],
                usage=choices.usage,
            )
        )

    def _choice(self, number: int, pieces: Sequence[Piece], generation: Generation) -> ChatChoice:
        words, calls, thoughts = _words(pieces), _calls(pieces), _thoughts(pieces)
        message = AnswerMessage(
            words or None if calls else words,
            reasoning_content=thoughts or msgspec.UNSET,
            tool_calls=calls or msgspec.UNSET,
        )
        return ChatChoice(message, generation.finish_reason, number, self._logprobs(generation.take_scored()))

    def opening(self, number: int) -> bytes:
        return self._chunk([ChatChunkChoice(Delta(role="assistant", content=""), index=number)])

    def piece(self, number: int, piece: Piece, scored: Sequence[Scored]) -> bytes:
        match piece:
            case str():
                delta = Delta(content=piece)
            case ThoughtPiece():
                delta = Delta(reasoning_content=piece.text)
            case CallPiece():
                delta = Delta(tool_calls=[self._call_delta(number, piece)])
        return self._chunk([ChatChunkChoice(delta, index=number, logprobs=self._logprobs(scored))])

    def _call_delta(self, number: int, piece: CallPiece) -> ToolCallDelta:
        if not piece.name:
            return ToolCallDelta(self._calls[number] - 1, FunctionCall(arguments=piece.arguments))
        self._calls[number] += 1
        return ToolCallDelta(self._calls[number] - 1, FunctionCall(piece.name), _call_id(), "function")

    def closing(self, number: int, finish_reason: str, scored: Sequence[Scored]) -> bytes:
        return self._chunk([ChatChunkChoice(Delta(), finish_reason, number, self._logprobs(scored))])

    def usage(self, usage: Usage) -> bytes:
        return self._chunk([], usage)

    def _logprobs(self, scored: Sequence[Scored]) -> ChatLogprobs | msgspec.UnsetType:
        return _chat_logprobs(scored, self._tokenizer) if self._scores else msgspec.UNSET

    def _chunk(self, choices: list[ChatChunkChoice], usage: Usage | None = None) -> bytes:
        return _encode(
            ChatChunk(
                id=self._id,
                created=self._created,
                model=self._model,
                choices=choices,
                object="chat.completion.chunk",
                usage=usage,
            )
        )


class TextWording(Wording):
    """``text_completion``, the same object whole and in chunks."""

    def __init__(self, id: str, model: str, tokenizer: Tokenizer, scores: bool) -> None:
        super().__init__(id, model, tokenizer, scores)
        self._writers: dict[int, _TextLogprobWriter] = {}  # by answer

    def whole(self, answers: Sequence[Sequence[Piece]], choices: Choices) -> bytes:
        texts = [
            TextChoice(
                _words(pieces), generation.finish_reason, number, self._logprobs(number, generation.take_scored())
            )
            for number, (pieces, generation) in enumerate(zip(answers, choices.generations, strict=True))
        ]
        return self._completion(texts, choices.usage)

    def piece(self, number: int, piece: Piece, scored: Sequence[Scored]) -> bytes:
        return self._completion([TextChoice(_words([piece]), None, number, self._logprobs(number, scored))])

    def closing(self, number: int, finish_reason: str, scored: Sequence[Scored]) -> bytes:
        return self._completion([TextChoice("", finish_reason, number, self._logprobs(number, scored))])

    def usage(self, usage: Usage) -> bytes:
        return self._completion([], usage)

    def _logprobs(self, number: int, scored: Sequence[Scored]) -> TextLogprobs | None:
        if not self._scores:
            return None
        return self._writers.setdefault(number, _TextLogprobWriter(self._tokenizer)).write(scored)

    def _completion(self, choices: list[TextChoice], usage: Usage | None = None) -> bytes:
        return _encode(
            Completion(
                id=self._id,
                created=self._created,
                model=self._model,
                choices=choices,
                object="text_completion",
                usage=usage,
            )
        )


def _words(pieces: Sequence[Piece]) -> str:
    return "".join(piece for piece in pieces if isinstance(piece, str))


def _thoughts(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, ThoughtPiece))


def _calls(pieces: Sequence[Piece]) -> list[AnswerCall]:
    calls: list[AnswerCall] = []
    for piece in pieces:
        if not isinstance(piece, CallPiece):
            continue
        if piece.name:
            calls.append(AnswerCall(_call_id(), FunctionCall(piece.name)))
        calls[-1].function.arguments += piece.arguments
    return calls


def _call_id() -> str:
    return f"call_{uuid.uuid4().hex}"


def _chat_logprobs(scored: Sequence[Scored], tokenizer: Tokenizer) -> ChatLogprobs:
    """Chat Completions': a token with its bytes, beside the most probable ones."""

    def one(token: int, logprob: float) -> TokenLogprob:
        written = tokenizer.written(token)
        return TokenLogprob(written.decode("utf-8", "replace"), logprob, [*written])

    return ChatLogprobs(
        [
            ChatTokenLogprob(
                **msgspec.structs.asdict(one(token, score.logprob)), top_logprobs=[one(*best) for best in score.best]
            )
            for token, score, _ in scored
            if score
        ]
    )


class _TextLogprobWriter:
    """Completions': lists side by side, with where each token begins in the text of its answer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder, self._offset = codecs.getincrementaldecoder("utf-8")("replace"), 0

    def write(self, scored: Sequence[Scored]) -> TextLogprobs:
        """The next tokens of the answer."""
        lists = TextLogprobs([], [], [], [])
        for token, score, text in scored:
            lists.tokens.append(_name(token, self._tokenizer))
            lists.text_offset.append(self._offset)
            lists.token_logprobs.append(score.logprob if score else None)
            # The token itself is among them even where it is not one of the most probable.
            best = [*score.best, (token, score.logprob)] if score else []
            lists.top_logprobs.append({_name(each, self._tokenizer): logprob for each, logprob in best} or None)
            self._offset += len(self._decoder.decode(text))
        return lists


def _name(token: int, tokenizer: Tokenizer) -> str:
    """A token's text; where that is a part of a character, ``bytes:`` and the bytes, as OpenAI's API has it."""
    written = tokenizer.written(token)
    try:
        return written.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in written)
