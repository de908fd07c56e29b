"""A measuring client for any OpenAI-compatible endpoint: one request in, one timed ``Reply`` out, never an exception.

No hidden retries: a reply is the fate of one attempt on the wire. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from shosei.errors import InputError
from shosei.wire.connection import Broken, NotConnected, Page, Pool
from shosei.wire.endpoint import KEY_VARIABLE, Endpoint, read_key
from shosei.wire.reply import UNREADABLE, Reply, ReplyReader, refusal

__all__ = ["Client", "Reply"]

_MODELS_TIMEOUT_S = 15.0
_NO_SUCH_PAGE = (404, 405, 501)


class _Model(msgspec.Struct):
    id: str
    max_model_len: int | None = None  # vLLM's and SGLang's word for the context


class _Models(msgspec.Struct):
    data: list[_Model]


_decode_models = msgspec.json.Decoder(_Models).decode


class Client:
    """Talks to ``base_url`` (with or without a trailing ``/v1``). Use as an async context manager.

    ``headers`` go with every request, and so does the key in ``OPENAI_API_KEY``, if that is set and they hold none. The
    key is nowhere logged. Raises InputError for a URL or a key that cannot be one.
    """

    def __init__(self, base_url: str, *, timeout_s: float = 120.0, headers: Mapping[str, str] | None = None) -> None:
        endpoint = Endpoint.of(base_url)
        self.base_url, self._path, self._query = endpoint.base_url, endpoint.path, endpoint.query
        self._pool = Pool(endpoint.host, endpoint.port, tls=endpoint.tls)
        # No compression: an answer's bytes are what was sent, and its pieces come when they are made.
        sent = {"Host": endpoint.authority, "Accept-Encoding": "identity", "Content-Type": "application/json"}
        if key := read_key():
            sent["Authorization"] = f"Bearer {key}"
        own = {name.lower() for name in headers or {}}
        sent = {name: value for name, value in sent.items() if name.lower() not in own} | dict(headers or {})
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        self._timeout_s = timeout_s
        self._name, self._asked = f"req-{uuid.uuid4().hex[:16]}", 0

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._pool.close()

    async def models(self) -> dict[str, int | None]:
        """Names of the served models, each with its context in tokens where the server tells it.

        Raises InputError if nothing answers there, or not in the API's form, or if it refuses the key.
        """
        return self._served(await self._models_page())

    async def model(self, name: str, setting: str) -> str:
        """``name``, or else that of the first served model. Raises InputError as ``models``, or if there is none.

        A server may list no models where ``name`` says which; ``setting`` is how a user says it.
        """
        page = await self._models_page()
        if name and page.status in _NO_SUCH_PAGE:
            return name
        served = self._served(page, f": if this is its address, name a model of it with {setting}")
        if not (name or served):
            raise InputError(f"{self.base_url} lists no model: name one with {setting}")
        return name or next(iter(served))

    async def _models_page(self) -> Page:
        page, answer = f"{self.base_url}/v1/models", Page()
        try:
            async with asyncio.timeout(_MODELS_TIMEOUT_S):
                await self._pool.send(self._request("GET", "/v1/models", b""), answer)
        except TimeoutError:
            raise InputError(f"no answer from {page} within {_MODELS_TIMEOUT_S:g} s") from None
        except ConnectionError as error:
            raise InputError(f"no answer from {page}: {error}") from None
        if answer.status in (401, 403):
            what = "refused the key" if read_key() else f"wants a key: set {KEY_VARIABLE}"
            raise InputError(f"{page}: the server {what} ({answer.status}): {refusal(answer.body)[0]}")
        return answer

    def _served(self, answer: Page, remedy: str = "") -> dict[str, int | None]:
        try:
            return {model.id: model.max_model_len for model in _decode_models(answer.body).data}
        except UNREADABLE:
            status = f" (status {answer.status})" if answer.status != 200 else ""
            page = f"{self.base_url}/v1/models"
            remedy = remedy if answer.status in _NO_SUCH_PAGE else ""
            raise InputError(f"{page} does not answer as an OpenAI-compatible server{status}{remedy}") from None

    async def ask(
        self,
        path: str,
        body: dict[str, Any],
        *,
        scheduled_ns: int | None = None,
        timeout_s: float | None = None,
        on_text: Callable[[str], None] | None = None,
        on_piece: Callable[[int], None] | None = None,
    ) -> Reply:
        """POST ``body`` to ``path`` (such as ``/v1/chat/completions``) and time the answer, streamed or whole.

        ``timeout_s`` may shorten the client's own limit. As the pieces of a streamed answer come, ``on_text`` is given
        their text and ``on_piece`` the monotonic nanoseconds of each, thoughts' too.
        """
        reply = self.reply(stream=bool(body.get("stream")), scheduled_ns=scheduled_ns)
        await self.post(path, msgspec.json.encode(body), reply, timeout_s=timeout_s, on_text=on_text, on_piece=on_piece)
        return reply

    def reply(self, *, stream: bool, scheduled_ns: int | None = None) -> Reply:
        """A reply to come, with an id of its own; scheduled now, unless told otherwise."""
        self._asked += 1
        return Reply(f"{self._name}-{self._asked}", scheduled_ns or time.monotonic_ns(), stream=stream)

    async def post(
        self,
        path: str,
        body: bytes,
        reply: Reply,
        *,
        timeout_s: float | None = None,
        on_text: Callable[[str], None] | None = None,
        on_piece: Callable[[int], None] | None = None,
    ) -> None:
        """As ``ask``, with a body that is JSON already, into a reply that is there even if this is cancelled.

        What this machine has no connection for is ``cancelled`` too: the server has no part in it.
        """
        limit_s = self._timeout_s if timeout_s is None else min(timeout_s, self._timeout_s)
        reader = ReplyReader(reply, on_text, on_piece=on_piece)
        request = self._request("POST", path, body)
        reply.bytes_sent, reply.sent_ns = len(body), time.monotonic_ns()
        try:
            async with asyncio.timeout(limit_s):
                reply.done_ns = await self._pool.send(request, reader)
            reader.finish()
        except asyncio.CancelledError:
            reply.error = "cancelled"
            raise
        except TimeoutError:
            reply.error, reply.done_ns = "timeout", time.monotonic_ns()
        except NotConnected as error:
            reply.error = "cancelled" if error.exhausted else "connect"
            reply.message, reply.done_ns = str(error), time.monotonic_ns()
        except Broken as error:
            reply.error, reply.message = "cut stream" if reply.status else "connect", str(error)
            reply.done_ns = time.monotonic_ns()

    def _request(self, method: str, path: str, body: bytes) -> bytes:
        head = (
            f"{method} {self._path}{path}{self._query} HTTP/1.1\r\n{self._headers}Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body
