"""Which requests are calls to a model, and how each kind of them is read."""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from shosei.wire.openai import ID_PREFIXES
from shosei.wire.reply import ReplyReader
from shosei.wire.responses import ResponsesReader


@dataclass(frozen=True, slots=True)
class Api:
    """One of OpenAI's ways to call a model."""

    id_prefix: str  # of its answers' ids
    reader: Callable[..., ReplyReader]  # of its answers
    conversation: str = "messages"  # the request's field that has what was said and what tools gave back
    usage_on_request: bool = True  # its streams count their tokens only where ``stream_options`` asks for it
    renames: bool = True  # its answers get an id of ours; not where later requests name an answer to the upstream


# By how a path ends, so that a server whose API lies elsewhere than under /v1 is measured as well.
MEASURED = {
    "/chat/completions": Api(ID_PREFIXES["/v1/chat/completions"], ReplyReader),
    "/completions": Api(ID_PREFIXES["/v1/completions"], ReplyReader),
    "/responses": Api("resp_", ResponsesReader, conversation="input", usage_on_request=False, renames=False),
}


@functools.lru_cache(maxsize=1024)
def api_of(method: str, path: str) -> Api | None:
    """How a request is measured; None where it is passed on without. A path in disguise is what it leads to."""
    if method != "POST":
        return None
    plain = posixpath.normpath(unquote(path))
    return next((api for ending, api in MEASURED.items() if plain.endswith(ending)), None)
