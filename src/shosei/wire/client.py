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
from shosei.wire.reply import Reply, ReplyReader

__all__ = ["Client", "Reply"]

_MODELS_TIMEOUT_S = 15.0
_KEY_REFUSED = (401, 403)


class Client:
    """Talks to ``base_url`` (with or without a trailing ``/v1``). Use as an async context manager.

    ``headers`` go with every request, and so does the key in ``OPENAI_API_KEY``, if that is set. The key is nowhere
    logged. Raises InputError for a URL or a key that cannot be one.
    """

    def __init__(self, base_url: str, *, timeout_s: float = 120.0, headers: Mapping[str, str] | None = None) -> None:
        endpoint = Endpoint.of(base_url)
        self.base_url, self._path = endpoint.base_url, endpoint.path
        self._pool = Pool(endpoint.host, endpoint.port, tls=endpoint.tls)
        # No compression: an answer's bytes are what was sent, and its pieces come when they are made.
        sent = {"Host": endpoint.authority, "Accept-Encoding": "identity", "Content-Type": "application/json"}
        sent |= headers or {}
        if key := read_key():
            sent["Authorization"] = f"Bearer {key}"
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        self._timeout_s = timeout_s
        self._name, self._asked = f"req-{uuid.uuid4().hex[:16]}", 0

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._pool.close()

    async def models(self) -> list[str]:
        """Names of the served models. Raises InputError if nothing answers there, or not in the API's form."""
        page = f"{self.base_url}/v1/models"
        answer = Page()
        try:
            async with asyncio.timeout(_MODELS_TIMEOUT_S):
                await self._pool.send(self._request("GET", "/v1/models", b""), answer)
            return [model["id"] for model in msgspec.json.decode(answer.body)["data"]]
        except TimeoutError:
            raise InputError(f"no answer from {page} within {_MODELS_TIMEOUT_S:g} s") from None
        except ConnectionError as error:
            raise InputError(f"no answer from {page}: {error}") from None
        except (msgspec.DecodeError, UnicodeDecodeError, LookupError, TypeError):
            if answer.status in _KEY_REFUSED:
                held = f"the key in {KEY_VARIABLE}" if read_key() else f"a request without a key: set {KEY_VARIABLE}"
                raise InputError(f"{page} refuses {held} (status {answer.status})") from None
            status = f" (status {answer.status})" if answer.status != 200 else ""
            raise InputError(f"{page} does not answer as an OpenAI-compatible server{status}") from None

    async def ask(
        self,
        path: str,
        body: dict[str, Any],
        *,
        scheduled_ns: int | None = None,
        timeout_s: float | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Reply:
        """POST ``body`` to ``path`` (such as ``/v1/chat/completions``) and time the answer, streamed or whole.

        ``timeout_s`` may shorten the client's own limit. ``on_text`` is given each piece of a streamed answer as it
        comes.
        """
        reply = self.reply(stream=bool(body.get("stream")), scheduled_ns=scheduled_ns)
        await self.post(path, msgspec.json.encode(body), reply, timeout_s=timeout_s, on_text=on_text)
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
    ) -> None:
        """As ``ask``, with a body that is JSON already, into a reply that is there even if this is cancelled.

        What this machine has no connection for is ``cancelled`` too: the server has no part in it.
        """
        limit_s = self._timeout_s if timeout_s is None else min(timeout_s, self._timeout_s)
        reader = ReplyReader(reply, on_text)
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
        head = f"{method} {self._path}{path} HTTP/1.1\r\n{self._headers}Content-Length: {len(body)}\r\n\r\n"
        return head.encode() + body
