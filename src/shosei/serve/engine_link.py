"""The front's connection to the engine, made again when the engine comes back."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

from shosei.engine.client import EngineClient, EngineLost, GenerationFailed
from shosei.serve.errors import ApiError

_CONNECT_SECONDS = 1.0
_PROBE_SECONDS = 3.0


class EngineLink:
    """Hands out one shared client for the engine at ``socket``, and proves that it works."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._client: EngineClient | None = None
        self._connecting: asyncio.Task[EngineClient] | None = None

    async def client(self) -> EngineClient:
        """The living connection. Raises EngineLost if there is none and none can be made at once."""
        if self._client is None or self._client.lost:
            if self._connecting is None or self._connecting.done():
                self._connecting = asyncio.create_task(EngineClient.connect(self._socket, _CONNECT_SECONDS))
            try:
                self._client = await asyncio.shield(self._connecting)
            except EngineLost:
                raise EngineLost("The engine does not answer: it is loading, lost or hanging") from None
        return self._client

    async def probe(self, token: int) -> None:
        """Decode one token for real, after ``token``. Raises ApiError (503) that says why it was impossible."""
        try:
            engine = await self.client()
            async with asyncio.timeout(_PROBE_SECONDS), aclosing(engine.generate([token], max_tokens=1)) as tokens:
                await anext(tokens)
        except TimeoutError:
            reason = f"the engine made no token within {_PROBE_SECONDS:g} s: it hangs or is overloaded"
        except (EngineLost, GenerationFailed) as error:
            reason = str(error)
        else:
            return
        raise ApiError(503, reason, code="not_ready", retry_after_s=1)

    async def close(self) -> None:
        if self._connecting:
            self._connecting.cancel()
        if self._client:
            await self._client.close()
