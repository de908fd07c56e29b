"""Where an OpenAI-compatible server is, which key it wants, whether it is ready; the socket of one of ours."""

from __future__ import annotations

import errno
import os
import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from shosei.errors import InputError

KEY_VARIABLE = "OPENAI_API_KEY"
_READY_TIMEOUT_S = 5.0
# What people copy of an address: the API's version, and a page below it.
_NOT_OF_A_SERVER = re.compile(r"/*(?:/v1)?(?:/(?:chat/completions|completions|responses|models))?/*$")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server's address, given with or without a trailing ``/v1``, or as that of a page such as ``/v1/models``."""

    base_url: str  # without /v1
    authority: str  # host, or host:port
    path: str  # what stands before /v1; often nothing
    query: str  # what follows every path, such as ?api-version=1; often nothing
    host: str
    port: int
    tls: bool

    @classmethod
    def of(cls, url: str) -> Endpoint:
        """Raises InputError for what is not a URL, or holds a password."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or parts.scheme not in ("http", "https") or "@" in parts.netloc or not url.isascii():
            raise InputError(f"{url.rpartition('@')[2]} is not a URL: write it as http://host:port")
        tls = parts.scheme == "https"
        path = _NOT_OF_A_SERVER.sub("", parts.path)
        base_url = f"{parts.scheme}://{parts.netloc}{path}"
        query = f"?{parts.query}" if parts.query else ""
        return cls(base_url, parts.netloc, path, query, host, port or (443 if tls else 80), tls)


def read_key(variable: str = KEY_VARIABLE) -> str:
    """The key in an environment variable; empty if there is none. Raises InputError for what no key can be."""
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise InputError(f"{variable} holds characters that no key has: set it anew")
    return key


def is_ready(url: str) -> bool:
    """Whether the server at ``url`` answers 200 to ``/readyz`` or, where it has none, lists its models.

    Raises InputError as ``Endpoint.of`` and ``read_key`` do.
    """
    base_url, key = Endpoint.of(url).base_url, read_key()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    status = _status(f"{base_url}/readyz", headers)
    return status == 200 or (status == 404 and _status(f"{base_url}/v1/models", headers) == 200)


def _status(url: str, headers: dict[str, str]) -> int | None:
    """HTTP status of a GET; None where nothing answers."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen  # slow to import

    try:
        with urlopen(Request(url, headers=headers), timeout=_READY_TIMEOUT_S) as response:
            return int(response.status)
    except HTTPError as error:
        return error.code
    except (OSError, HTTPException):  # URLError is one; something else listens there
        return None


def listen(host: str, port: int) -> socket.socket:
    """Bind ``host:port`` (0: any free port) and listen. Raises InputError that says why it cannot.

    Call it before anything slow, so that a busy port is said at once.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"port {port} on {host} is busy: choose another with --port", param="port") from None
        raise InputError(f"cannot listen on {host}:{port}: {error.strerror}", param="host") from None
    except OverflowError:
        raise InputError(f"port {port} is out of range: choose one from 0 to 65535", param="port") from None
