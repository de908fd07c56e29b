"""The routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from fastapi import FastAPI, Request
from starlette.responses import Response

from shosei import __version__
from shosei.log import Writer
from shosei.serve import checks, errors, structure
from shosei.serve.engine_link import EngineLink
from shosei.serve.feedback import Ratings, RecentAnswers
from shosei.serve.front import Front, PreparedRequest
from shosei.serve.generation import Prompt
from shosei.serve.ledger import Counters, Ledger
from shosei.serve.shapes import ChatShape, TextShape
from shosei.text import Tokenizer
from shosei.wire.feedback import Feedback, FeedbackReceipt
from shosei.wire.openai import ChatRequest, CompletionRequest, ModelList

MAX_WAITING = 64


def create_app(
    model_folder: Path,
    socket: Path,
    model_name: str,
    *,
    writer: Writer | None = None,
    keep_rated_text: bool = False,
    max_waiting: int = MAX_WAITING,
) -> FastAPI:
    """The API over the engine at ``socket``, under the name ``model_name``.

    At most ``max_waiting`` requests wait for a slot of the engine; more are refused with 429. With ``writer``, each
    completion request becomes a ``request`` event and each rating a ``rating`` event; with ``keep_rated_text``, that
    holds the rated question and answer and the comment too. Raises InputError if the folder's tokenizer cannot be read.
    """
    recent = RecentAnswers() if keep_rated_text else None
    front = Front(model_name, Tokenizer.load(model_folder), EngineLink(socket), Counters(), max_waiting, recent)
    ratings = Ratings(writer, recent)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await front.link.close()

    app = FastAPI(
        title="Shosei",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},
        strict_content_type=False,
        responses={"default": {"description": "An error in OpenAI's form"}},
    )
    app.add_middleware(Ledger, counters=front.counters, writer=writer)
    errors.install(app)

    @app.post("/v1/chat/completions")
    async def chat_completions(http: Request, body: ChatRequest) -> Response:
        prepared = PreparedRequest(
            prompt=lambda: structure.chat_prompt(body, front.tokenizer),
            param="messages",
            max_tokens=body.max_completion_tokens or body.max_tokens,
            text=next((turn.text for turn in reversed(body.messages) if turn.role == "user"), ""),
        )
        return await front.answer(http.scope, body, prepared, ChatShape)

    @app.post("/v1/completions")
    async def completions(http: Request, body: CompletionRequest) -> Response:
        text = checks.prompt(body)
        prepared = PreparedRequest(
            prompt=lambda: Prompt(front.tokenizer.encode(text)),
            param="prompt",
            max_tokens=body.max_tokens if "max_tokens" in body.model_fields_set else None,
            default=body.max_tokens,
            text=text,
        )
        return await front.answer(http.scope, body, prepared, TextShape)

    @app.post("/v1/feedback", responses={503: {"description": "Not recorded: no run folder, or its disk failed"}})
    async def feedback(http: Request, body: Feedback) -> FeedbackReceipt:
        """Rate an answer. The answer to this means that the rating is on the server's disk."""
        return await ratings.take(body, http.client.host if http.client else "")

    @app.get("/v1/models")
    async def models() -> Response:
        return _json(ModelList([front.card]))

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> Response:
        front.check_model(name)
        return _json(front.card)

    @app.get("/health")
    async def health() -> Response:
        return _json({"status": "ok"})

    @app.get("/readyz")
    async def readyz() -> Response:
        await front.link.probe(front.tokenizer.bos_id)
        return _json({"status": "ready"})

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(front.counters.page(), media_type="text/plain; version=0.0.4")

    return app


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
