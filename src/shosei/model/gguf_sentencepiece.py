"""SentencePiece's BPE between ``tokenizer.json`` and GGUF, where pieces have scores in the place of merges."""

from __future__ import annotations

import re
from itertools import compress
from typing import Any

from gguf import GGUFWriter, TokenType

_SPACE = "▁"
_BYTE = re.compile("<0x[0-9A-F]{2}>")


def is_sentencepiece(tokenizer: dict[str, Any]) -> bool:
    """Whether the contents of a ``tokenizer.json`` are such a model: what it knows no piece for, it writes in bytes."""
    return bool(tokenizer["model"].get("byte_fallback"))


def add_sentencepiece(writer: GGUFWriter, tokenizer: dict[str, Any], tokens: list[str], types: list[TokenType]) -> None:
    """Scores, as llama.cpp's ``llama`` vocabulary has them, and the types of those ``tokens`` that no merge makes, in
    place. Raises ValueError, which says what the tokenizer does, if it does more."""
    prefix = _space_prefix(tokenizer)
    unknown = tokenizer["model"].get("unk_token")
    for row, token in enumerate(tokens):
        if token == unknown:
            types[row] = TokenType.UNKNOWN
        elif _BYTE.fullmatch(token):
            types[row] = TokenType.BYTE
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_scores(_scores(tokens, types, tokenizer["model"]["merges"]))
    writer.add_add_space_prefix(prefix)


def _scores(tokens: list[str], types: list[TokenType], merges: list[Any]) -> list[float]:
    """llama.cpp joins the two neighbours whose union scores best: pieces score by the place of their merges, from 0
    down, as SentencePiece's trainer has it, and those that no merge makes below them.

    Raises ValueError if the merges that make one piece do not stand together, so that no score says the same.
    """
    places: dict[str, int] = {}
    last = ""
    for merge in merges:
        piece = "".join(merge.split(" ") if isinstance(merge, str) else merge)
        if piece != last and piece in places:
            raise ValueError(f"its merges that make {piece} do not stand together")
        places.setdefault(piece, len(places))
        last = piece
    learned = [kind in (TokenType.NORMAL, TokenType.UNUSED) for kind in types]
    for token in compress(tokens, learned):
        places.setdefault(token, len(places))
    return [-float(places[token]) if scored else 0.0 for token, scored in zip(tokens, learned, strict=True)]


def _space_prefix(tokenizer: dict[str, Any]) -> bool:
    """Whether a space is put before a text, and behind each special token. Raises ValueError for any other preparation
    of the text than that, and spaces written as ``▁``."""
    steps = normalizer_steps(tokenizer)
    replaced = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
    prepended = {"type": "Prepend", "prepend": _SPACE}
    metaspace = tokenizer.get("pre_tokenizer")
    if metaspace is None and steps in ([replaced], [prepended, replaced]):
        return len(steps) > 1
    metaspace = metaspace or {"type": "none"}
    scheme = {"always": True, "never": False}.get(metaspace.get("prepend_scheme", ""))
    if not steps and metaspace["type"] == "Metaspace" and metaspace.get("split") is False and scheme is not None:
        return scheme
    kinds = ", ".join(step["type"] for step in [*steps, metaspace])
    raise ValueError(f"it prepares text in a way of its own ({kinds})")


def normalizer_steps(tokenizer: dict[str, Any]) -> list[dict[str, Any]]:
    """What the normalizer of a ``tokenizer.json`` does, one after the other."""
    pending, steps = [tokenizer.get("normalizer")], []
    while pending:
        step = pending.pop(0)
        if step and step["type"] == "Sequence":
            pending = [*step["normalizers"], *pending]
        elif step:
            steps.append(step)
    return steps
