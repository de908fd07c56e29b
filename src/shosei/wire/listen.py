"""The listening socket, made before anything slow so that a busy port is said at once."""

from __future__ import annotations

import errno
import socket

from shosei.errors import InputError


def listen(host: str, port: int) -> socket.socket:
    """Bind ``host:port`` (0: any free port) and listen. Raises InputError that says why it cannot."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"port {port} on {host} is busy: choose another with --port", param="port") from None
        raise InputError(f"cannot listen on {host}:{port}: {error.strerror}", param="host") from None
    except OverflowError:
        raise InputError(f"port {port} is out of range: choose one from 0 to 65535", param="port") from None
