"""Where an OpenAI-compatible server is, and the key that it wants."""

from __future__ import annotations

import os
from dataclasses import dataclass

from shosei.errors import InputError

KEY_VARIABLE = "OPENAI_API_KEY"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server's address, given with or without a trailing ``/v1``."""

    base_url: str  # without /v1
    authority: str  # host, or host:port
    path: str  # what stands before /v1; often nothing

    @classmethod
    def of(cls, url: str) -> Endpoint:
        base_url = url.rstrip("/").removesuffix("/v1")
        _, _, place = base_url.partition("://")
        authority, slash, path = place.partition("/")
        return cls(base_url, authority, slash + path)


def read_key(variable: str = KEY_VARIABLE) -> str:
    """The key in an environment variable; empty if there is none. Raises InputError for what no key can be."""
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise InputError(f"{variable} holds characters that no key has: set it anew")
    return key
