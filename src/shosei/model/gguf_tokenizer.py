"""The tokenizer and the chat template inside a GGUF file, as a Hugging Face folder has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gguf import TokenType
from tokenizers import AddedToken, Tokenizer, decoders, models

from shosei.model.gguf_pretokenizer import NAMES, begins_texts, pre_tokenizer, takes_whole_words
from shosei.model.hf_files import write_json
from shosei.text.foreign import CONFIG, TEMPLATE, TOKENIZER, TOOL_TEMPLATE
from shosei.text.generation import GENERATION

if TYPE_CHECKING:
    from shosei.model.gguf_import import Values

_NAMES = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}  # Hugging Face's to GGUF's
_ENDS = ("eos", "eot", "eom")


def write_tokenizer(values: Values, folder: Path) -> None:
    """Write tokenizer, special tokens, ends of answers and chat template of the file into ``folder``.

    Raises InputError for a kind of tokenizer that would divide text otherwise here.
    """
    kind = values.fields.get("tokenizer.ggml.model")
    if kind == "gpt2":
        (folder / TOKENIZER).write_text(_byte_level(values), encoding="utf-8")
    elif kind == "llama":
        (folder / "tokenizer.model").write_bytes(_sentencepiece(values))
    else:
        raise values.error(f"tokenizer {kind} is not supported; byte-level BPE (gpt2) and SentencePiece (llama) are")
    tokens = values.fields["tokenizer.ggml.tokens"]
    names = {f"{name}_token": tokens[row] for name, key in _NAMES.items() if (row := _row(values, key)) is not None}
    by_default = kind == "llama" or begins_texts(values.fields.get("tokenizer.ggml.pre"))
    begins = bool(values.fields.get("tokenizer.ggml.add_bos_token", by_default))
    write_json(folder / CONFIG, {"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": begins, **names})
    ends = list(dict.fromkeys(row for key in _ENDS if (row := _row(values, key)) is not None))
    if ends:
        write_json(folder / GENERATION, {"eos_token_id": ends})
    for key, name in (("tokenizer.chat_template", TEMPLATE), ("tokenizer.chat_template.tool_use", TOOL_TEMPLATE)):
        if template := values.fields.get(key):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(template, encoding="utf-8")


def _row(values: Values, key: str) -> int | None:
    """The row of the token that the file names for ``key``; None if it names none. Raises InputError if it is none."""
    row = values.fields.get(f"tokenizer.ggml.{key}_token_id")
    if row is None:
        return None
    if not isinstance(row, int) or not 0 <= row < len(values.fields["tokenizer.ggml.tokens"]):
        raise values.error(f"{key}_token_id {row} is no token; download it again")
    return row


def _entries(values: Values) -> list[tuple[str, int]]:
    """Each token with its type. Raises InputError if the file lacks either."""
    tokens, types = (values.fields.get(f"tokenizer.ggml.{name}") for name in ("tokens", "token_type"))
    if not isinstance(tokens, list) or not isinstance(types, list) or len(tokens) != len(types):
        raise values.error("its list of tokens is not whole; download it again")
    return list(zip(tokens, types, strict=True))


def _byte_level(values: Values) -> str:
    entries = _entries(values)
    vocabulary = {token: row for row, (token, kind) in enumerate(entries) if kind != TokenType.UNUSED}
    merges = _merges(values, vocabulary)
    name = values.fields.get("tokenizer.ggml.pre")
    if name not in NAMES:
        raise values.error(f"pre-tokenizer {name} is not supported; these are: {', '.join(NAMES)}")
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=takes_whole_words(name)))
    tokenizer.decoder = decoders.ByteLevel()
    for kind in (TokenType.CONTROL, TokenType.USER_DEFINED):
        special = kind == TokenType.CONTROL
        names = [token for token, given in entries if given == kind]
        added = [AddedToken(name, special=special, normalized=False) for name in names]
        (tokenizer.add_special_tokens if special else tokenizer.add_tokens)(added)
    return json.dumps(json.loads(tokenizer.to_str()) | {"pre_tokenizer": pre_tokenizer(name)}, ensure_ascii=False)


def _merges(values: Values, vocabulary: Mapping[str, int]) -> list[tuple[str, str]]:
    """The pairs that are joined. Raises InputError unless each is two tokens that make a third: the library ends the
    process otherwise."""
    written = values.fields.get("tokenizer.ggml.merges", [])
    if not isinstance(written, list):
        raise values.error("its list of merges is none; download it again")
    merges = []
    for merge in written:
        left, _, right = str(merge).partition(" ")
        if not {left, right, left + right} <= vocabulary.keys():
            raise values.error(f"merge {str(merge)[:40]!r} is not of two tokens that make a third; download it again")
        merges.append((left, right))
    return merges


def _sentencepiece(values: Values) -> bytes:
    """The ``tokenizer.model`` that the file was made from, but for what is only needed to train it."""
    from shosei.text.sentencepiece_model import schema  # of an extra

    scores = values.fields.get("tokenizer.ggml.scores")
    entries = _entries(values)
    if not isinstance(scores, list) or len(scores) != len(entries):
        raise values.error("its list of scores is not whole; download it again")
    proto = schema.ModelProto()
    for (token, kind), score in zip(entries, scores, strict=True):
        proto.pieces.add(piece=token, type=kind, score=score)  # the types' numbers are SentencePiece's
    proto.trainer_spec.model_type = schema.TrainerSpec.BPE
    proto.trainer_spec.byte_fallback = any(kind == TokenType.BYTE for _, kind in entries)
    proto.trainer_spec.unk_id = _row(values, "unknown") or 0
    proto.normalizer_spec.add_dummy_prefix = values.fields.get("tokenizer.ggml.add_space_prefix", True)
    proto.normalizer_spec.remove_extra_whitespaces = False
    return bytes(proto.SerializeToString())
