"""An error that a client of ours is to see, whoever found it, in OpenAI's form."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from shosei.wire.openai import error_body


class ApiError(Exception):
    """An HTTP ``status`` and a message. ``param`` names the field at fault, ``code`` is for programs.

    ``headers`` are those that the status asks for, beside ``Retry-After`` in seconds.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, _writable(message), code
        self.param = None if param is None else _writable(param)
        self.headers = dict(headers or {})
        if retry_after_s is not None:
            self.headers["Retry-After"] = str(retry_after_s)

    def body(self) -> bytes:
        return msgspec.json.encode(error_body(self.status, self.message, param=self.param, code=self.code))


def _writable(text: str) -> str:
    """``text`` with a question mark for each lone surrogate, which a client may have sent in a name."""
    return text.encode("utf-8", "replace").decode()
