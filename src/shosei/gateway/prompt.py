"""Who calls, where nothing names it: told by its system text and its tools, which a program mostly repeats."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from shosei.gateway import tools
from shosei.log.guessed_agent import GuessedAgent
from shosei.wire.reply import UNREADABLE
from shosei.wire.thoughts import said_in

_WORDS = 24  # characters of a name
_BEGINNING = 200  # characters of a system text, by which texts are taken for one template
_SYSTEM = ("system", "developer")

# What programs fill into a prompt. A single digit stays: it may be all that tells "agent 1" from "agent 2"; and so does
# what is quoted in few words: it may be a name.
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)\b\.?"
)
_VARIABLE = re.compile(
    r"https?://[^\s\"'<>）」]+|[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]+"
    r"|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\b(?=[a-f]*\d)[0-9a-f]{8,}\b"
    r"|\"[^\"]{33,}\"|“[^“”]{33,}”|「[^「」]{33,}」|『[^『』]{33,}』"
    r"|\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b|[月火水木金土日]曜日?|(?:星期|礼拜)[一二三四五六日天]"
    rf"|\b{_MONTH}\s+\d{{1,2}}\b(?:,?\s+\d{{4}})?|\b\d{{1,2}}\s+{_MONTH}(?:,?\s+\d{{4}})?"
    r"|\d+[年月日時时分秒]|\d[\d.,:/_TZ+-]*\dZ?(?:\s?[AaPp]\.?[Mm]\b)?"
)
_MOST = 1 << 14  # characters of a system text that are looked at
_ELLIPSIS = "…"
_REPEATED = re.compile(r"…(?:\s*…)+")


class _Opening(msgspec.Struct):
    """A message of a chat, or an item of the Responses API's input."""

    role: str = ""
    content: msgspec.Raw = msgspec.Raw(b"null")


_openings = msgspec.json.Decoder(list[_Opening]).decode


def agent_of(fields: Mapping[str, msgspec.Raw]) -> str:
    """A name for who sends a body with these fields: the same whenever system text and tools are, but for variables.

    Empty where there is neither.
    """
    return _named(_system_text(fields)[:_MOST], bytes(fields.get("tools", b"")))


@functools.lru_cache(maxsize=256)
def _named(system: str, offered: bytes) -> str:
    text, names = constant(system), " ".join(sorted(tools.schemas(offered)))
    if not (text or names):
        return ""
    return str(GuessedAgent(_words(text or names), _digits(names, text[:_BEGINNING]), _digits(names, text)))


def constant(text: str) -> str:
    """A prompt without what programs fill in, such as dates, numbers, ids and addresses, and in plain spaces."""
    return " ".join(_REPEATED.sub(_ELLIPSIS, _VARIABLE.sub(_ELLIPSIS, text)).split())


def _system_text(fields: Mapping[str, msgspec.Raw]) -> str:
    """What stands before the conversation. Later system texts are reminders, and change."""
    texts = []
    try:
        if "instructions" in fields:
            texts.append(said_in(msgspec.json.decode(fields["instructions"])))
        for opening in _conversation(fields):
            if opening.role not in _SYSTEM:
                break
            texts.append(said_in(msgspec.json.decode(opening.content)))
    except UNREADABLE:  # the upstream will say so; or its input is a text
        pass
    return "\n".join(texts)


def _conversation(fields: Mapping[str, msgspec.Raw]) -> Iterable[_Opening]:
    said: Any = fields.get("messages", fields.get("input"))
    return () if said is None else _openings(said)


def _words(text: str) -> str:
    """The first words, or the first characters where no spaces are written."""
    text = text.lstrip("#*=-<[ ")
    if len(text) <= _WORDS:
        return text
    words, _, rest = text[: _WORDS + 1].rpartition(" ")
    begin = words if words and len(rest) < _WORDS // 2 else text[:_WORDS]
    return begin.rstrip(" .,:;…") + _ELLIPSIS


def _digits(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:4]
