"""A model folder's tokenizer and chat templates as a GGUF file has them: byte-level BPE, or SentencePiece's BPE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tokenizers
from gguf import GGUFWriter, TokenType

from shosei.errors import InputError
from shosei.model.folder import special_ids
from shosei.model.gguf_pretokenizer import name_of
from shosei.model.gguf_sentencepiece import add_sentencepiece, is_sentencepiece, normalizer_steps
from shosei.model.hf_files import read_json
from shosei.spec import ModelSpec
from shosei.text.foreign import TEMPLATE, TOKENIZER, TOOL_TEMPLATE, read_templates, token_ids, token_names

# Changes to a token's surroundings that llama.cpp does not make.
_AROUND = ("lstrip", "rstrip", "single_word")


def add_vocabulary(writer: GGUFWriter, folder: Path, spec: ModelSpec) -> list[str]:
    """Tokens with their types, what joins them, special tokens and chat templates of the model in ``folder``.

    Rows of the model without a token become unused tokens. Returns what llama.cpp does otherwise, for the user to know.
    Raises InputError for an id beyond the model's rows, and where llama.cpp would divide text otherwise: another kind
    of tokenizer, pre-tokenizer, normalisation.
    """
    tokenizer, special = read_json(folder, TOKENIZER), special_ids(folder, spec)
    try:
        _check(tokenizer)
        tokens, types = _entries(tokenizer, spec.vocab_size)
        if is_sentencepiece(tokenizer):
            notes: list[str] = []
            add_sentencepiece(writer, tokenizer, tokens, types)
        else:
            notes = _add_byte_level(writer, tokenizer)
        writer.add_token_list(tokens)
        writer.add_token_types(types)
        _add_opening(writer, folder)
    except ValueError as error:
        raise InputError(
            f"{folder / TOKENIZER}: {error}, which llama.cpp does not do, or not so; export with --format hf"
        ) from None
    notes += _add_special(writer, folder, special)
    written = read_templates(folder)
    templates = {"default": written[TEMPLATE], "tool_use": written[TOOL_TEMPLATE]}
    writer.add_chat_template([{"name": name, "template": text} for name, text in templates.items() if text])
    return notes


def _check(tokenizer: dict[str, Any]) -> None:
    """Raises ValueError, which says what the tokenizer does, if no kind of GGUF vocabulary does so."""
    model = tokenizer["model"]
    if model.get("type") != "BPE":
        raise ValueError(f"its model is {model.get('type')}")
    for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(key):
            raise ValueError(f"its model has {key}")
    for token in tokenizer.get("added_tokens", []):
        for key in _AROUND:
            if token.get(key):
                raise ValueError(f"its token {token['content']} has {key}")


def _entries(tokenizer: dict[str, Any], rows: int) -> tuple[list[str], list[TokenType]]:
    """The token of each row of the model, and its type."""
    tokens, types = [f"[PAD{row}]" for row in range(rows)], [TokenType.UNUSED] * rows
    for token, row in tokenizer["model"]["vocab"].items():
        tokens[row], types[row] = token, TokenType.NORMAL
    for added in tokenizer.get("added_tokens", []):
        row = added["id"]
        tokens[row] = added["content"]
        types[row] = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
    return tokens, types


def _add_byte_level(writer: GGUFWriter, tokenizer: dict[str, Any]) -> list[str]:
    """Raises ValueError as ``_check``."""
    name = name_of(tokenizer)
    if name is None:
        raise ValueError("its pre-tokenizer is none that is known here by llama.cpp's names")
    kinds = [step["type"] for step in normalizer_steps(tokenizer)]
    if kinds not in ([], ["NFC"]):
        raise ValueError(f"it normalises text ({', '.join(kinds)})")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(name)
    merges = tokenizer["model"]["merges"]
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in merges])
    return ["its tokenizer composes characters first (NFC), and llama.cpp's does not: send it text in NFC"] * len(kinds)


def _add_opening(writer: GGUFWriter, folder: Path) -> None:
    """Whether a text begins with the token for that. Raises ValueError for anything else that is put around texts."""
    around = tokenizers.Tokenizer.from_file(str(folder / TOKENIZER)).encode("").tokens
    if around not in ([], [token_names(folder).get("bos_token")]):
        raise ValueError(f"it puts {' '.join(around)} around texts")
    writer.add_add_bos_token(bool(around))


def _add_special(writer: GGUFWriter, folder: Path, special: dict[str, Any]) -> list[str]:
    """The ids of special tokens. llama.cpp has three that end an answer: of a text, of a turn, of a message."""
    ids, names = token_ids(read_json(folder, TOKENIZER)), token_names(folder)
    ends = special["eos_token_id"] if isinstance(special["eos_token_id"], list) else [special["eos_token_id"]]
    # The tokenizer's own is the first, as in llama.cpp's converter.
    ends = sorted(ends, key=lambda row: row != ids.get(names.get("eos_token", "")))
    adders = (writer.add_eos_token_id, writer.add_eot_token_id, writer.add_eom_token_id)
    for add, row in zip(adders, ends, strict=False):
        add(row)
    if "bos_token_id" in special:
        writer.add_bos_token_id(special["bos_token_id"])
    if "pad_token_id" in special:
        writer.add_pad_token_id(special["pad_token_id"])
    if names.get("unk_token") in ids:
        writer.add_unk_token_id(ids[names["unk_token"]])
    return [f"of {len(ends)} tokens that end an answer, GGUF has room for {len(adders)}"] if ends[len(adders) :] else []
