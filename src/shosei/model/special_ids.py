"""The special tokens that a model folder's configuration names by id. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shosei.errors import InputError
from shosei.model.hf_config import read_json
from shosei.spec import ModelSpec


def special_ids(tokenizer_folder: Path, spec: ModelSpec, source: Path | None = None) -> dict[str, Any]:
    """``eos_token_id`` (one, or the list that the model folder ``source`` has) and, where the tokenizer names such
    tokens, ``bos_token_id`` and ``pad_token_id``.

    Raises InputError if nothing ends an answer, or the tokenizer has more entries than the model has rows.
    """
    ids = _ids(read_json(tokenizer_folder, "tokenizer.json"))
    largest = max(ids.values())
    if largest >= spec.vocab_size:
        raise InputError(
            f"{tokenizer_folder / 'tokenizer.json'}: id {largest} has no row in the model's {spec.vocab_size}; take "
            "the tokenizer that the model was trained with"
        )
    names = read_json(tokenizer_folder, "tokenizer_config.json")
    special = {f"{kind}_token_id": ids.get(token_text(names.get(f"{kind}_token"))) for kind in ("bos", "eos", "pad")}
    if source:
        special["eos_token_id"] = _ends(source) or special["eos_token_id"]
    if special["eos_token_id"] is None:
        raise InputError(f"{tokenizer_folder / 'tokenizer_config.json'} names no eos_token of the tokenizer's")
    return {name: value for name, value in special.items() if value is not None}


def token_text(token: Any) -> str:
    """A special token's text: transformers writes it plain or as an object."""
    return str(token["content"] if isinstance(token, dict) else token)


def _ids(tokenizer: dict[str, Any]) -> dict[str, int]:
    pieces = tokenizer["model"]["vocab"]
    if isinstance(pieces, list):  # a Unigram model's: pairs of piece and score
        pieces = {piece: place for place, (piece, _) in enumerate(pieces)}
    return {**pieces} | {token["content"]: token["id"] for token in tokenizer.get("added_tokens", [])}


def _ends(source: Path) -> Any:
    """What the model itself says ends an answer; chat models often name several tokens."""
    for name in ("generation_config.json", "config.json"):
        if (source / name).is_file() and (ends := read_json(source, name).get("eos_token_id")) is not None:
            return ends
    return None
