"""The special tokens that a model folder's configuration names by id. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shosei.errors import InputError
from shosei.model.hf_config import read_json
from shosei.spec import ModelSpec
from shosei.text.foreign import token_text


def special_ids(tokenizer_folder: Path, spec: ModelSpec) -> dict[str, Any]:
    """``eos_token_id``, one or, where the folder has a ``generation_config.json``, what that says, often several; and
    ``bos_token_id`` and ``pad_token_id`` where the tokenizer names such tokens.

    Raises InputError if nothing ends an answer, or the tokenizer has more entries than the model has rows.
    """
    ids = _ids(read_json(tokenizer_folder, "tokenizer.json"))
    largest = max(ids.values())
    if largest >= spec.vocab_size:
        raise InputError(
            f"{tokenizer_folder / 'tokenizer.json'}: id {largest} has no row in the model's {spec.vocab_size}; take "
            "the tokenizer that the model was trained with"
        )
    names = {"eos_token": "<|im_end|>"} | read_json(tokenizer_folder, "tokenizer_config.json")
    special = {f"{kind}_token_id": ids.get(token_text(names.get(f"{kind}_token"))) for kind in ("bos", "eos", "pad")}
    if (tokenizer_folder / "generation_config.json").is_file():
        ends = read_json(tokenizer_folder, "generation_config.json").get("eos_token_id")
        special["eos_token_id"] = special["eos_token_id"] if ends is None else ends
    if special["eos_token_id"] is None:
        raise InputError(f"{tokenizer_folder / 'tokenizer_config.json'} names no eos_token of the tokenizer's")
    return {name: value for name, value in special.items() if value is not None}


def _ids(tokenizer: dict[str, Any]) -> dict[str, int]:
    pieces = tokenizer["model"]["vocab"]
    if isinstance(pieces, list):  # a Unigram model's: pairs of piece and score
        pieces = {piece: place for place, (piece, _) in enumerate(pieces)}
    return {**pieces} | {token["content"]: token["id"] for token in tokenizer.get("added_tokens", [])}
