"""``/tokenize`` and ``/detokenize``, in vLLM's shapes."""

from __future__ import annotations

import msgspec
from fastapi import FastAPI, Request
from starlette.responses import Response

from shosei.serve.front import Front, client_of
from shosei.serve.prompt import check_range, conversation_ids
from shosei.wire.api_error import ApiError
from shosei.wire.openai import ChatRequest, DetokenizeRequest, TokenizeRequest


class Tokenized(msgspec.Struct):
    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] | None = None


class Detokenized(msgspec.Struct):
    prompt: str


def install(app: FastAPI, front: Front) -> None:
    """Add the routes."""
    tokenizer = front.chat.tokenizer

    @app.post("/tokenize")
    async def tokenize(request: Request, body: TokenizeRequest) -> Response:
        front.check_model(body.model or front.card.id)
        engine = await front.link.client()

        def work() -> Response:
            ids = _ids(body, front)
            names = [tokenizer.written(token).decode("utf-8", "replace") for token in ids if body.return_token_strs]
            strings = names if body.return_token_strs else None
            return _json(Tokenized(len(ids), engine.hello.context_length, ids, strings))

        return await front.in_thread(work, len(await request.body()), client_of(request))

    @app.post("/detokenize")
    async def detokenize(body: DetokenizeRequest) -> Response:
        front.check_model(body.model or front.card.id)
        check_range("tokens", body.tokens, (await front.link.client()).hello.vocab_size)
        return _json(Detokenized(b"".join(map(tokenizer.written, body.tokens)).decode("utf-8", "replace")))


def _ids(body: TokenizeRequest, front: Front) -> list[int]:
    """The ids of the text, or of the conversation. Raises ApiError, InputError."""
    if (body.prompt is None) == (not body.messages):
        raise ApiError(400, "send either prompt or messages", param="prompt")
    if body.prompt is None:
        request = ChatRequest.model_validate(body.model_dump(exclude={"prompt", "add_special_tokens"}))
        return conversation_ids(request, front.chat)
    tokenizer = front.chat.tokenizer
    return tokenizer.encode_beginning(body.prompt) if body.add_special_tokens else tokenizer.encode(body.prompt)


def _json(value: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
