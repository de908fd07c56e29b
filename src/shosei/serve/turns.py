"""Who is next at what one request at a time can have: clients take turns, however many requests each has waiting."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shosei.wire.api_error import ApiError

MOST_WAITING = 64
MOST_OF_ONE = 48  # of these, so that one client cannot fill the queue
WAIT_S = 20.0


class Turns:
    """A bounded queue before ``what``. Belongs to one event loop."""

    def __init__(self, what: str, most: int = MOST_WAITING, most_of_one: int = MOST_OF_ONE, wait_s: float = WAIT_S):
        self._what, self._most, self._most_of_one, self._wait_s = what, most, most_of_one, wait_s
        self._taken = False
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()  # the first client is next

    @asynccontextmanager
    async def turn(self, client: str) -> AsyncIterator[None]:
        """Wait for a turn, which lasts for the block; whoever is cancelled meanwhile frees its place at once.

        Raises ApiError: 429 where too many wait already, 503 where the turn does not come within ``wait_s``.
        """
        if self._taken:
            await self._wait(client)
        self._taken = True
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, client: str) -> None:
        own = self._waiting.get(client, deque())
        if len(own) >= self._most_of_one or sum(map(len, self._waiting.values())) >= self._most:
            raise ApiError(429, f"too many requests wait for {self._what}: try again later", retry_after_s=1)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, own).append(turn)
        try:
            async with asyncio.timeout(self._wait_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._pass_on()  # it came too late
            self._leave(client, turn)
            if isinstance(error, TimeoutError):
                message = f"{self._what} had no turn for this within {self._wait_s:g} s: try again later"
                raise ApiError(503, message, retry_after_s=5) from None
            raise

    def _pass_on(self) -> None:
        self._taken = False
        while self._waiting and not self._taken:
            client, own = self._waiting.popitem(last=False)
            turn = own.popleft()
            if own:
                self._waiting[client] = own
            if not turn.done():
                self._taken = True
                turn.set_result(None)

    def _leave(self, client: str, turn: asyncio.Future[None]) -> None:
        own = self._waiting.get(client, deque())
        if turn in own:
            own.remove(turn)
        if not own:
            self._waiting.pop(client, None)
