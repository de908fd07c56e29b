"""The HTTP process: uvicorn over the app, until it is told to stop."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import uvicorn

from shosei.log import Writer
from shosei.serve.app import create_app

DRAIN_SECONDS = 5  # for answers in flight when the process is told to stop
_KEEP_ALIVE_SECONDS = 75  # longer than clients keep an idle connection, so that none is closed as they use it again


def run_server(
    model_folder: Path,
    socket_path: Path,
    model_name: str,
    listener: socket.socket,
    writer: Writer | None = None,
    keep_rated_text: bool = False,
) -> None:
    """Serve on ``listener`` until SIGTERM or SIGINT, then let answers in flight end for ``DRAIN_SECONDS``."""
    app = create_app(model_folder, socket_path, model_name, writer=writer, keep_rated_text=keep_rated_text)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    # uvicorn raises the signal again once it has drained; the caller is to go on and end its run.
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: None)
    uvicorn.Server(config).run(sockets=[listener])
