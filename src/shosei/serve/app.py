"""The routes, and the HTTP process that serves them."""

from __future__ import annotations

import signal
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import Response

from shosei import __version__
from shosei.log import Writer
from shosei.log.secret import RunSecret
from shosei.serve import errors
from shosei.serve.answer_ids import AnswerIds
from shosei.serve.feedback import DEFAULT_RULES, FeedbackRules, Ratings, RecentAnswers
from shosei.serve.front import EngineLink, Front, PreparedRequest
from shosei.serve.middleware import Counters, RequestMiddleware
from shosei.serve.prompt import Prompt, chat_prompt, completion_text
from shosei.serve.rater import set_cookie
from shosei.serve.response import ChatWording, TextWording
from shosei.text import load_chat
from shosei.wire.feedback import Feedback, FeedbackReceipt
from shosei.wire.openai import ChatRequest, CompletionRequest, ModelList

MAX_WAITING = 64
DRAIN_S = 5  # for answers in flight when the process is told to stop
_FEEDBACK_ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"description": "A key that this server does not know, or a user named without a key"},
    404: {"description": "This run gave no such answer"},
    429: {"description": "Too many ratings at once; Retry-After says when there is room again"},
    503: {"description": "Not recorded: no run folder, or its disk failed"},
}
_KEEP_ALIVE_S = 75  # longer than clients keep an idle connection, so that none is closed as they use it again


def create_app(
    model_folder: Path,
    socket: Path,
    model_name: str,
    *,
    writer: Writer | None = None,
    rules: FeedbackRules = DEFAULT_RULES,
    max_waiting: int = MAX_WAITING,
) -> FastAPI:
    """The API over the engine at ``socket``, under the name ``model_name``.

    At most ``max_waiting`` requests wait for a slot of the engine; more are refused with 429. With ``writer``, each
    completion request becomes a ``request`` event and each rating a ``rating`` event, by ``rules``. Raises InputError
    if the folder's tokenizer or the run's secret cannot be read.
    """
    secret = RunSecret.of(writer.path.parent.parent) if writer else RunSecret.of_process()
    recent = RecentAnswers() if rules.keep_text else None
    front = Front(model_name, load_chat(model_folder), EngineLink(socket), Counters(), max_waiting, recent)
    ratings = Ratings(writer, secret, rules, recent)

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
    app.add_middleware(RequestMiddleware, counters=front.counters, ids=AnswerIds(secret), writer=writer)
    errors.install(app)

    @app.post("/v1/chat/completions")
    async def chat_completions(http: Request, body: ChatRequest) -> Response:
        prepared = PreparedRequest(
            prompt=lambda: chat_prompt(body, front.chat),
            param="messages",
            max_tokens=body.max_completion_tokens or body.max_tokens,
            text=next((turn.text for turn in reversed(body.messages) if turn.role == "user"), ""),
        )
        return await front.answer(http.scope, body, prepared, ChatWording)

    @app.post("/v1/completions")
    async def completions(http: Request, body: CompletionRequest) -> Response:
        text = completion_text(body)
        prepared = PreparedRequest(
            prompt=lambda: Prompt(front.chat.tokenizer.encode(text)),
            param="prompt",
            max_tokens=body.max_tokens if "max_tokens" in body.model_fields_set else None,
            default=body.max_tokens,
            text=text,
        )
        return await front.answer(http.scope, body, prepared, TextWording)

    @app.post("/v1/feedback", responses=_FEEDBACK_ERRORS)
    async def feedback(http: Request, response: Response, body: Feedback) -> FeedbackReceipt:
        """Rate an answer of this run. The answer to this means that the rating is on the server's disk."""
        receipt, rater = await ratings.take(body, http.headers, http.client.host if http.client else "")
        if rater.cookie:
            set_cookie(response, rater.cookie, secure=http.url.scheme == "https")
        return receipt

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
        await front.link.probe(front.chat.tokenizer.bos_id)
        return _json({"status": "ready"})

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(front.counters.page(), media_type="text/plain; version=0.0.4")

    return app


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def run_server(
    model_folder: Path,
    socket: Path,
    model_name: str,
    listener: sockets.socket,
    writer: Writer | None = None,
    rules: FeedbackRules = DEFAULT_RULES,
) -> None:
    """Serve on ``listener`` until SIGTERM or SIGINT, then let answers in flight end for ``DRAIN_S``."""
    app = create_app(model_folder, socket, model_name, writer=writer, rules=rules)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
    )
    # uvicorn raises the signal again once it has drained; the caller is to go on and end its run.
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: None)
    uvicorn.Server(config).run(sockets=[listener])
