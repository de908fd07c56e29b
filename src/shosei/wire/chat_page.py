"""The chat page as any server of ours hosts it: its files, and what the host says of its model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import msgspec

from shosei.wire.about import About
from shosei.wire.connection import Headers

ABOUT = "/page/about.json"
_TYPES = {
    "": "text/html; charset=utf-8",  # the page itself, at /
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
# Scripts, styles and requests of the page's own server only; no text becomes markup but by the sanitiser.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types dompurify"
)
_SAFETY: Headers = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
]


class PageAnswer(NamedTuple):
    """A whole HTTP answer; names of headers are in lower case."""

    status: int
    headers: Headers
    body: bytes


class ChatPage:
    """Answers GET and HEAD for the paths of ``files``, and says ``about``."""

    def __init__(self, files: Mapping[str, bytes], about: About) -> None:
        self._files = dict(files)
        self._tags = {path: f'"{hashlib.sha256(body).hexdigest()[:32]}"' for path, body in files.items()}
        self._about = msgspec.json.encode(about)

    @property
    def keyless(self) -> frozenset[str]:
        """Paths that ask for no key: a browser shows none before the page has asked its user for it."""
        return frozenset(self._files)

    def answer(self, method: str, path: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> PageAnswer | None:
        """The answer to a request that access has let in; None where it is not the page's."""
        if method not in ("GET", "HEAD"):
            return None
        if path == ABOUT:
            return self._whole(_TYPES[".json"], b"no-store", self._about)
        if path not in self._files:
            return None
        tag = self._tags[path].encode()
        if any(name == b"if-none-match" and tag in value for name, value in headers):
            return PageAnswer(304, [*_SAFETY, (b"etag", tag)], b"")
        answer = self._whole(_TYPES[PurePosixPath(path).suffix], b"no-cache", self._files[path])
        return answer._replace(headers=[*answer.headers, (b"etag", tag)])

    def _whole(self, media_type: str, cache: bytes, body: bytes) -> PageAnswer:
        return PageAnswer(200, [(b"content-type", media_type.encode()), (b"cache-control", cache), *_SAFETY], body)
