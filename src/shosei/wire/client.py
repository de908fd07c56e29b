"""A measuring client for any OpenAI-compatible endpoint: one request in, one timed ``Reply`` out, never an exception.

No hidden retries: a reply is the fate of one attempt on the wire.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec

from shosei.errors import InputError
from shosei.log.events import Request
from shosei.wire import sse

_MODELS_TIMEOUT_S = 15.0


@dataclass(slots=True)
class Reply:
    """What became of one request. Times are monotonic nanoseconds; None where the moment never came."""

    id: str
    scheduled_ns: int
    sent_ns: int | None = None
    first_byte_ns: int | None = None
    first_token_ns: int | None = None
    done_ns: int | None = None
    longest_gap_ns: int | None = None
    status: int | None = None
    error: str = ""
    message: str = ""  # the server's own words, where it failed
    text: str = ""
    finish_reason: str = ""
    usage: dict[str, Any] = field(default_factory=dict)
    bytes_sent: int = 0
    bytes_received: int = 0
    stream: bool = False

    def event(self, purpose: str, **envelope: Any) -> Request:
        """The ``request`` event of this reply, as a client saw it."""
        details = self.usage.get("prompt_tokens_details") or {}
        return Request(
            id=self.id, purpose=purpose, seen_by="client", scheduled_ns=self.scheduled_ns, sent_ns=self.sent_ns,
            first_byte_ns=self.first_byte_ns, first_token_ns=self.first_token_ns, done_ns=self.done_ns,
            status=self.status, error=self.error, stream=self.stream, tokens_in=self.usage.get("prompt_tokens"),
            tokens_out=self.usage.get("completion_tokens"), tokens_cached=details.get("cached_tokens"),
            bytes_sent=self.bytes_sent, bytes_received=self.bytes_received, first_try_error=self.error,
            longest_gap_ns=self.longest_gap_ns, **envelope,
        )  # fmt: skip


class Client:
    """Talks to ``base_url`` (with or without a trailing ``/v1``). Use as an async context manager.

    ``headers`` go with every request, and so does the key in ``OPENAI_API_KEY``, if that is set. The key is nowhere
    logged.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float = 120.0,
        connections: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise InputError(f"{base_url} is no URL: write it as http://host:port")
        self.base_url = base_url.rstrip("/").removesuffix("/v1")
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        if api_key := os.environ.get("OPENAI_API_KEY", "").strip():
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._connections = connections

    async def __aenter__(self) -> Client:
        connector = aiohttp.TCPConnector(limit=self._connections)
        self._session = aiohttp.ClientSession(connector=connector, headers=self._headers, timeout=self._timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def models(self) -> list[str]:
        """Names of the served models. Raises InputError if nothing answers there, or not in the API's form."""
        try:
            limit = aiohttp.ClientTimeout(total=_MODELS_TIMEOUT_S)
            async with self._session.get(f"{self.base_url}/v1/models", timeout=limit) as response:
                body = msgspec.json.decode(await response.read())
                return [model["id"] for model in body["data"]]
        except TimeoutError:
            raise InputError(f"no answer from {self.base_url}/v1/models within {_MODELS_TIMEOUT_S:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise InputError(f"no answer from {self.base_url}/v1/models: {error or type(error).__name__}") from None
        except (msgspec.DecodeError, KeyError, TypeError):
            raise InputError(f"{self.base_url}/v1/models does not answer as an OpenAI-compatible server") from None

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
        data = msgspec.json.encode(body)
        reply = Reply(
            id=f"req-{uuid.uuid4().hex}", scheduled_ns=scheduled_ns or time.monotonic_ns(),
            bytes_sent=len(data), stream=bool(body.get("stream")),
        )  # fmt: skip
        reply.sent_ns = time.monotonic_ns()
        try:
            async with asyncio.timeout(timeout_s), self._session.post(self.base_url + path, data=data) as response:
                reply.status = response.status
                if response.status >= 400:
                    self._refused(reply, await response.read())
                elif reply.stream:
                    await self._read_stream(reply, response, on_text)
                else:
                    self._read_whole(reply, await response.read())
        except asyncio.CancelledError:
            reply.error = "cancelled"
            raise
        except TimeoutError:
            reply.error = "timeout"
        except aiohttp.ClientConnectorError as error:
            reply.error, reply.message = "connect", str(error)
        except (aiohttp.ClientError, OSError) as error:
            reply.error = "cut stream" if reply.status else "connect"
            reply.message = str(error)
        except (msgspec.DecodeError, LookupError, TypeError, AttributeError) as error:
            reply.error, reply.message = "5xx", f"answer is not in the API's form: {error}"
        reply.done_ns = time.monotonic_ns()
        return reply

    async def _read_stream(
        self, reply: Reply, response: aiohttp.ClientResponse, on_text: Callable[[str], None] | None
    ) -> None:
        decoder, parts, ended = sse.Decoder(), [], False
        last_ns: int | None = None
        async for chunk in response.content.iter_any():
            now = time.monotonic_ns()
            reply.first_byte_ns = reply.first_byte_ns or now
            reply.bytes_received += len(chunk)
            for data in decoder.feed(chunk):
                if data == sse.DONE:
                    ended = True
                    continue
                body = msgspec.json.decode(data)
                if "error" in body:
                    reply.error, reply.message = "5xx", str(body["error"].get("message", ""))
                    return
                text = self._absorb(reply, body)
                if text:
                    reply.first_token_ns = reply.first_token_ns or now
                    if last_ns is not None:
                        reply.longest_gap_ns = max(reply.longest_gap_ns or 0, now - last_ns)
                    last_ns = now
                    parts.append(text)
                    if on_text:
                        on_text(text)
        reply.text = "".join(parts)
        if not ended:
            reply.error = "cut stream"
        elif not reply.text and not reply.finish_reason:
            reply.error = "empty"

    def _read_whole(self, reply: Reply, data: bytes) -> None:
        reply.first_byte_ns = time.monotonic_ns()
        reply.bytes_received = len(data)
        reply.text = self._absorb(reply, msgspec.json.decode(data))
        if not reply.text and not reply.finish_reason:
            reply.error = "empty"

    def _absorb(self, reply: Reply, body: dict[str, Any]) -> str:
        """Take usage and finish reason from a whole answer or a chunk; return its text."""
        reply.id = body.get("id") or reply.id
        reply.usage = body.get("usage") or reply.usage
        choices = body.get("choices")
        if not choices:
            return ""
        choice = choices[0]
        reply.finish_reason = choice.get("finish_reason") or reply.finish_reason
        return (choice.get("message") or choice.get("delta") or {}).get("content") or choice.get("text") or ""

    def _refused(self, reply: Reply, data: bytes) -> None:
        reply.bytes_received = len(data)
        status = reply.status or 500
        try:
            error = msgspec.json.decode(data)["error"]
            reply.message, code = str(error.get("message", "")), error.get("code")
        except (msgspec.DecodeError, LookupError, TypeError, AttributeError):
            reply.message, code = data[:200].decode("utf-8", "replace"), None
        if code == "context_length_exceeded":
            reply.error = "context limit"
        elif status == 429:
            reply.error = "429"
        else:
            reply.error = "4xx" if status < 500 else "5xx"
