"""The tokenizer and the chat template inside a GGUF file, as a Hugging Face folder has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gguf import TokenType
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from shosei.model.hf_files import write_json
from shosei.text.foreign import CONFIG, TEMPLATE, TOKENIZER, TOOL_TEMPLATE
from shosei.text.generation import GENERATION
from shosei.text.tokenizer import QWEN2_PATTERN

if TYPE_CHECKING:
    from shosei.model.gguf_import import Values

_LLAMA3_PATTERN = QWEN2_PATTERN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
# llama.cpp's names of the ways in which byte-level BPE divides text first.
_BY_PATTERN = {"qwen2": QWEN2_PATTERN, "llama-bpe": _LLAMA3_PATTERN}
_BY_DIGITS = ("smollm", "starcoder", "refact", "command-r")  # digits alone, then as GPT-2
_LIKE_GPT2 = ("gpt-2",)
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
    begins = values.fields.get("tokenizer.ggml.add_bos_token", kind == "llama")
    write_json(folder / CONFIG, {"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": begins, **names})
    ends = sorted({row for key in _ENDS if (row := _row(values, key)) is not None})
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
    before, whole_words = _pre_tokenizer(values)
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=whole_words))
    tokenizer.pre_tokenizer = before
    tokenizer.decoder = decoders.ByteLevel()
    for kind in (TokenType.CONTROL, TokenType.USER_DEFINED):
        special = kind == TokenType.CONTROL
        names = [token for token, given in entries if given == kind]
        added = [AddedToken(name, special=special, normalized=False) for name in names]
        (tokenizer.add_special_tokens if special else tokenizer.add_tokens)(added)
    return str(tokenizer.to_str())


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


def _pre_tokenizer(values: Values) -> tuple[Any, bool]:
    """What divides text first, and whether a word that is a token is taken whole, as Llama 3 has it."""
    name = values.fields.get("tokenizer.ggml.pre")
    if name in _BY_PATTERN:
        split = pre_tokenizers.Split(Regex(_BY_PATTERN[name]), behavior="isolated")
        joined = [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        return pre_tokenizers.Sequence(joined), name == "llama-bpe"
    like_gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if name in _BY_DIGITS:
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), like_gpt2]), False
    if name not in _LIKE_GPT2:
        known = ", ".join((*_BY_PATTERN, *_BY_DIGITS, *_LIKE_GPT2))
        raise values.error(f"pre-tokenizer {name} is not supported; these are: {known}")
    return like_gpt2, False


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
