"""An aiohttp application that answers as an OpenAI-compatible server, in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading

from aiohttp import web


class Served:
    """Serves ``routes`` beside a list of one model, at ``url``, until ``stop``."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self.thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self.thread.start()
        started.wait()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    def routes(self) -> list[web.RouteDef]:
        raise NotImplementedError

    def _serve(self, started: threading.Event) -> None:
        app = web.Application()
        app.add_routes([web.get("/v1/models", self._models), *self.routes()])
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        self.loop.run_until_complete(runner.setup())
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self.loop.run_until_complete(web.SockSite(runner, listener).start())
            started.set()
            self.loop.run_forever()
            self.loop.run_until_complete(runner.cleanup())

    async def _models(self, _request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "書生", "object": "model"}]})
