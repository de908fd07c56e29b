"""The routes, and the HTTP process that serves them."""

from __future__ import annotations

import contextlib
import signal
import socket as sockets
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from shosei import __version__
from shosei.log import Writer
from shosei.log.secret import AnswerIds, RunSecret
from shosei.serve import errors
from shosei.serve.counters import Counters
from shosei.serve.engine_link import EngineLink
from shosei.serve.exchange import AccessLogMiddleware, AccessMiddleware, EventMiddleware, Exchange, server_access
from shosei.serve.fields import check_range
from shosei.serve.front import IGNORED_HEADER, Front
from shosei.serve.grammar_checker import GrammarChecker
from shosei.serve.http_server import DRAIN_S, HttpServer
from shosei.serve.prompt import PreparedChat, PreparedText, conversation_ids
from shosei.serve.wording import ChatWording, TextWording
from shosei.text import ChatFormat, load_chat
from shosei.text.generation import SamplingDefaults
from shosei.wire.accepted import ConnectionLimits
from shosei.wire.access import Access
from shosei.wire.api_error import ApiError
from shosei.wire.chat_page import ABOUT, ChatPage
from shosei.wire.feedback import Feedback, FeedbackReceipt, FilledSurvey, SurveyReceipt
from shosei.wire.openai import ChatRequest, CompletionRequest, DetokenizeRequest, TokenizeRequest
from shosei.wire.openai_answers import Detokenized, ModelList, Tokenized
from shosei.wire.proxies import Sender
from shosei.wire.rater import Rater
from shosei.wire.rating_desk import DEFAULT_RULES, RatingDesk, RatingRules
from shosei.wire.recent_answers import RecentAnswers

_Route = Callable[..., Coroutine[Any, Any, Response]]

MAX_WAITING = 64
MAX_BODY_BYTES = 1 << 20
_FEEDBACK_ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"description": "A key that this server does not know, or a user named without a key"},
    404: {"description": "This run gave no such answer"},
    429: {"description": "Too many ratings at once; Retry-After says when there is room again"},
    503: {"description": "Not recorded: no run folder, or its disk failed"},
}


@dataclass(frozen=True, slots=True)
class HttpRules:
    """What the operator decides of requests: the largest body; whether a field that changes nothing is refused; how
    many seconds those under way have once the server is to stop; whether each has a line on standard error; how many
    may wait for a slot of the engine, beyond which they are refused (429); what connections may take."""

    max_body_bytes: int = MAX_BODY_BYTES
    strict: bool = False
    drain_s: float = DRAIN_S
    log_json: bool = False
    max_waiting: int = MAX_WAITING
    limits: ConnectionLimits = ConnectionLimits()  # noqa: RUF009 - immutable


DEFAULT_HTTP = HttpRules()


def create_app(
    model_folder: Path,
    socket: Path,
    model_name: str,
    *,
    writer: Writer | None = None,
    rules: RatingRules = DEFAULT_RULES,
    http: HttpRules = DEFAULT_HTTP,
    access: Access | None = None,
    page: ChatPage | None = None,
) -> FastAPI:
    """The API over the engine at ``socket``, under the name ``model_name``.

    With ``writer``, each completion request becomes a ``request`` event and each rating a ``rating`` event, by
    ``rules``. Without ``access`` this machine may ask, and needs no key. ``page`` is the chat page, at ``/``. Raises
    InputError if the folder's tokenizer, its sampling defaults or the run's secret cannot be read.
    """
    secret = RunSecret.of(writer.path.parent.parent) if writer else RunSecret.of_process()
    recent = RecentAnswers() if rules.keep_text else None
    counters = Counters(model_name)
    front = Front(
        model_name,
        load_chat(model_folder),
        EngineLink(socket, counters),
        GrammarChecker(model_folder),
        counters,
        http.max_waiting,
        recent,
        SamplingDefaults.of_folder(model_folder),
        http.strict,
    )
    desk = RatingDesk(writer, secret, rules, recent)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await front.grammars.close()
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
    _install_middleware(app, front.counters, AnswerIds(secret), writer, http, access or server_access())
    errors.install(app)
    _install_routes(app, front, desk)
    if page:
        _install_page(app, page)
    return app


def _install_middleware(
    app: FastAPI, counters: Counters, ids: AnswerIds, writer: Writer | None, http: HttpRules, access: Access
) -> None:
    """What a request passes before its route, from the inside out."""
    app.add_middleware(EventMiddleware, counters=counters, ids=ids, writer=writer, max_body_bytes=http.max_body_bytes)
    app.add_middleware(AccessMiddleware, access=access, counters=counters)
    if access.origins:  # outside, so that a page may read why it was refused
        app.add_middleware(
            CORSMiddleware,
            allow_origins=access.origins,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["*"],
            allow_private_network=True,  # a page of the public network may ask a server at home
            expose_headers=[IGNORED_HEADER, "Retry-After"],
        )
    if http.log_json:
        app.add_middleware(AccessLogMiddleware, write=log_line)


def log_line(line: str) -> None:
    """Write a line of the access log to standard error."""
    with contextlib.suppress(OSError):  # a full disk, or nobody who reads: the answer has come all the same
        print(line, file=sys.stderr, flush=True)


def _install_routes(app: FastAPI, front: Front, desk: RatingDesk) -> None:
    def read(path: str) -> Callable[[_Route], _Route]:
        return lambda route: app.head(path, include_in_schema=False)(app.get(path)(route))

    @app.post("/v1/chat/completions")
    async def chat_completions(request: Request, body: ChatRequest) -> Response:
        return await front.answer(request, PreparedChat(body, front.chat), ChatWording)

    @app.post("/v1/completions")
    async def completions(request: Request, body: CompletionRequest) -> Response:
        return await front.answer(request, PreparedText(body, front.chat), TextWording)

    @app.post("/tokenize")
    async def tokenize(request: Request, body: TokenizeRequest) -> Response:
        front.check_model(body.model or front.card.id)
        engine = await front.link.client()

        def work() -> Response:
            ids = _ids(body, front.chat)
            names = [_text(front.chat, [token]) for token in ids] if body.return_token_strs else None
            return _json(Tokenized(len(ids), engine.hello.context_length, ids, names))

        return await front.in_thread(work, request)

    @app.post("/detokenize")
    async def detokenize(request: Request, body: DetokenizeRequest) -> Response:
        front.check_model(body.model or front.card.id)
        entries = (await front.link.client()).hello.vocab_size

        def work() -> Response:
            check_range("tokens", body.tokens, entries)
            return _json(Detokenized(_text(front.chat, body.tokens)))

        return await front.in_thread(work, request)

    @app.post("/v1/feedback", responses=_FEEDBACK_ERRORS)
    async def feedback(request: Request, response: Response, body: Feedback) -> FeedbackReceipt:
        """Rate an answer of this run. The answer to this means that the rating is on the server's disk."""
        receipt, rater = await desk.take(body, request.headers, _sender(request).address)
        _set_cookie(response, rater, request)
        return receipt

    @app.post("/v1/survey", responses=_FEEDBACK_ERRORS)
    async def survey(request: Request, response: Response, body: FilledSurvey) -> SurveyReceipt:
        """Say how satisfied one is on the whole. The answer to this means that it is on the server's disk."""
        receipt, rater = await desk.take_survey(body, request.headers, _sender(request).address)
        _set_cookie(response, rater, request)
        return receipt

    @read("/v1/models")
    async def models() -> Response:
        return _json(ModelList([front.card]))

    @read("/v1/models/{name:path}")
    async def model(name: str) -> Response:
        front.check_model(name)
        return _json(front.card)

    @read("/health")
    @read("/livez")
    async def livez() -> Response:
        return _json({"status": "ok"})

    @read("/readyz")
    async def readyz() -> Response:
        await front.link.probe(front.chat.tokenizer.bos_id)
        return _json({"status": "ready"})

    @read("/metrics")
    async def metrics() -> Response:
        return Response(front.counters.page(), media_type="text/plain; version=0.0.4")


def _ids(body: TokenizeRequest, chat: ChatFormat) -> list[int]:
    """The ids of the text, or of the conversation. Raises ApiError, InputError."""
    if (body.prompt is None) == (not body.messages):
        raise ApiError(400, "send either prompt or messages", param="prompt")
    if body.prompt is None:
        request = ChatRequest.model_validate(body.model_dump(exclude={"prompt", "add_special_tokens"}))
        return conversation_ids(request, chat)
    tokenizer = chat.tokenizer
    return tokenizer.encode_beginning(body.prompt) if body.add_special_tokens else tokenizer.encode(body.prompt)


def _text(chat: ChatFormat, ids: Sequence[int]) -> str:
    return b"".join(map(chat.tokenizer.written, ids)).decode("utf-8", "replace")


def _sender(request: Request) -> Sender:
    return Exchange.of(request.scope).sender


def _set_cookie(response: Response, rater: Rater, request: Request) -> None:
    if rater.cookie:
        response.headers.append("Set-Cookie", rater.set_cookie(secure=_sender(request).secure))


def _install_page(app: FastAPI, page: ChatPage) -> None:
    async def answer(request: Request) -> Response:
        found = page.answer(request.method, request.scope["path"], request.headers.raw)
        assert found, "the routes are the page's own"
        response = Response(found.body, found.status)
        response.raw_headers += found.headers
        return response

    for path in (*page.keyless, ABOUT):
        app.add_route(path, answer, methods=["GET", "HEAD"], include_in_schema=False)


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def run_server(
    model_folder: Path,
    socket: Path,
    model_name: str,
    listener: sockets.socket,
    writer: Writer | None = None,
    rules: RatingRules = DEFAULT_RULES,
    http: HttpRules = DEFAULT_HTTP,
    access: Access | None = None,
    page: ChatPage | None = None,
) -> None:
    """Serve on ``listener`` until SIGTERM or SIGINT, and then for as long as ``HttpServer`` has it."""
    app = create_app(model_folder, socket, model_name, writer=writer, rules=rules, http=http, access=access, page=page)
    # uvicorn raises the signal again once it has drained; the caller is to go on and end its run.
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: None)
    HttpServer(app, http.limits.within_open_files(), http.drain_s).run(sockets=[listener])
