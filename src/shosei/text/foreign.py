"""What the files of a model folder say of its tokenizer, and those of others in a form of ours."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import tokenizers

from shosei.errors import InputError
from shosei.folder_files import is_there, read_json, read_text
from shosei.text.generation import GENERATION, end_ids, sampling_defaults, token_text

# Of our chat format, InternLM's.
SPECIAL_TOKENS = ("<|im_start|>", "<|im_end|>", "<|action_start|>", "<|action_end|>", "<|plugin|>", "<|interpreter|>")
TOKENIZER, CONFIG, TEMPLATE = "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"
TOOL_TEMPLATE = "additional_chat_templates/tool_use.jinja"
# Of our template before it laid out tools: the same format, in folders that were written with it.
_EARLIER_TEMPLATE = "26334ac15ba40cf100c88540c98122c14710e60f488df3de63e5f061dd9bca57"


def tokenizer_files(source: Path) -> dict[str, str]:
    """The tokenizer of the Hugging Face folder ``source`` as name -> text, with chat template and ends of answers.

    A SentencePiece ``tokenizer.model`` becomes JSON. Raises InputError if there is neither, or one is damaged.
    """
    config = read_json(source, CONFIG) or {}
    if config.pop("auto_map", None) or not (source / TOKENIZER).is_file():
        config["tokenizer_class"] = "PreTrainedTokenizerFast"  # without the code that the original class needs
    config.pop("chat_template", None)  # it becomes a file
    templates = read_templates(source)
    serialized = _with_opening(_serialized(source, config), config)
    ends = end_ids(source, token_ids(json.loads(serialized)))
    generation = sampling_defaults(source) | ({"eos_token_id": ends} if ends else {})
    files = {TOKENIZER: serialized, CONFIG: _as_text(config)} | (
        {GENERATION: _as_text(generation)} if generation else {}
    )
    return files | {name: text for name, text in templates.items() if text}


def read_templates(folder: Path) -> dict[str, str]:
    """A model folder's chat templates, by their files; empty where there is none. A file goes before what stands in
    ``tokenizer_config.json``. Raises InputError for one that cannot be read."""
    configured = _configured_templates((read_json(folder, CONFIG) or {}).get("chat_template"), folder / CONFIG)
    return {name: read_text(folder, name) or text for name, text in configured.items()}


def has_our_format(folder: Path) -> bool:
    """Whether conversations of a folder whose tokenizer is ours are laid out as ours: it has no template but ours."""
    return all(not text or _is_our_template(text) for text in read_templates(folder).values())


def own_template() -> str:
    """Our chat format as a template, for the readers of our folders."""
    return resources.files(__package__).joinpath(TEMPLATE).read_text("utf-8")


def read_end_ids(folder: Path) -> list[int]:
    """The ids that end an answer of a model folder's; none where its files name none."""
    return end_ids(folder, token_ids(read_json(folder, TOKENIZER) or {}))


def has_our_tokens(folder: Path) -> bool:
    """Whether a folder's tokenizer is ours: it has our tokens, and ``<|im_start|>`` begins conversations."""
    added = {token["content"] for token in (read_json(folder, TOKENIZER) or {}).get("added_tokens", [])}
    begins = token_names(folder).get("bos_token") == SPECIAL_TOKENS[0]
    return not read_json(folder, CONFIG) or (begins and added >= set(SPECIAL_TOKENS))


def token_names(folder: Path) -> dict[str, str]:
    """The special tokens that a model folder's configuration names, such as ``bos_token``, and their texts."""
    config = read_json(folder, CONFIG) or {}
    return {key: text for key, token in config.items() if key.endswith("_token") and (text := token_text(token))}


def token_ids(tokenizer: Mapping[str, Any]) -> dict[str, int]:
    """The id of each token of a ``tokenizer.json``, by its text."""
    pieces = tokenizer.get("model", {}).get("vocab", {})
    if isinstance(pieces, list):  # a Unigram model's: pairs of piece and score
        pieces = {piece: place for place, (piece, _) in enumerate(pieces)}
    return {**pieces} | {token["content"]: token["id"] for token in tokenizer.get("added_tokens", [])}


def most_shrinkage(tokenizer: Mapping[str, Any]) -> int:
    """How many bytes of a text may come to one byte of its tokens, at most; 0 where that is not known.

    A text is changed first by the normaliser and by what cuts it into words, of a ``tokenizer.json``. NFC makes 2 bytes
    of 7 (U+1FBE with two accents becomes U+0390), and nothing shrinks more.
    """
    takes_space = any(token.get("lstrip") or token.get("rstrip") for token in tokenizer.get("added_tokens", []))
    kept = all(_keeps_bytes(step) for step in _steps(tokenizer.get("pre_tokenizer"), "pretokenizers"))
    if takes_space or not kept or tokenizer.get("truncation") or tokenizer.get("model", {}).get("type") != "BPE":
        return 0
    return math.prod(_factor(step) for step in _steps(tokenizer.get("normalizer"), "normalizers"))


def _steps(step: Mapping[str, Any] | None, name: str) -> list[Mapping[str, Any]]:
    """The steps of a pipeline, one or several."""
    if step is None:
        return []
    return [inner for outer in step[name] for inner in _steps(outer, name)] if step["type"] == "Sequence" else [step]


def _factor(normalizer: Mapping[str, Any]) -> int:
    if normalizer["type"] == "Replace":  # SentencePiece's: each token has its spaces back
        return int(normalizer["pattern"] == {"String": " "} and normalizer["content"] == "▁")
    return {"NFC": 4, "Prepend": 1}.get(normalizer["type"], 0)


def _keeps_bytes(step: Mapping[str, Any]) -> bool:
    return step["type"] in ("ByteLevel", "Digits", "Metaspace") or (
        step["type"] == "Split" and step.get("behavior") != "Removed"
    )


def _serialized(source: Path, config: dict[str, Any]) -> str:
    serialized = read_text(source, TOKENIZER)
    if serialized is not None:
        try:
            tokenizers.Tokenizer.from_str(serialized)
        except Exception as error:  # tokenizers raises bare Exception
            raise InputError(f"{source / TOKENIZER} is not a tokenizer ({error}); copy it again") from None
        return serialized
    if not is_there(source, "tokenizer.model"):
        raise InputError(f"{source} has no tokenizer: neither {TOKENIZER} nor tokenizer.model; copy it again")
    from shosei.text.sentencepiece_model import read_sentencepiece  # of an extra

    try:
        added = {int(row): {**token} for row, token in (config.get("added_tokens_decoder") or {}).items()}
    except (AttributeError, TypeError, ValueError):
        raise InputError(f"{source / CONFIG}: added_tokens_decoder is not tokens by their ids; copy it again") from None
    return read_sentencepiece(source / "tokenizer.model", added)


def _with_opening(serialized: str, config: Mapping[str, Any]) -> str:
    """As transformers has it: with ``add_bos_token`` a text begins with that token, also where the tokenizer alone puts
    nothing before it."""
    begin, value = token_text(config.get("bos_token")), json.loads(serialized)
    row = token_ids(value).get(begin)
    if not config.get("add_bos_token") or row is None or tokenizers.Tokenizer.from_str(serialized).encode("").ids:
        return serialized
    first: dict[str, Any] = {"SpecialToken": {"id": begin, "type_id": 0}}
    texts = [{"Sequence": {"id": name, "type_id": place}} for place, name in enumerate("AB")]
    value["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [first, texts[0]],
        "pair": [first, *texts],
        "special_tokens": {begin: {"id": begin, "ids": [row], "tokens": [begin]}},
    }
    return json.dumps(value, ensure_ascii=False)


def _is_our_template(text: str) -> bool:
    return text.strip() == own_template().strip() or hashlib.sha256(text.encode()).hexdigest() == _EARLIER_TEMPLATE


def _configured_templates(template: Any, file: Path) -> dict[str, str]:
    """The templates in a ``tokenizer_config.json``, by the files that they become: one text, or several with names.

    Raises InputError for anything else.
    """
    try:
        entries = template if isinstance(template, list) else [{"name": "default", "template": template or ""}]
        named = {entry["name"]: entry["template"] for entry in entries}
        templates = {TEMPLATE: named.get("default", ""), TOOL_TEMPLATE: named.get("tool_use", "")}
        if all(isinstance(text, str) for text in templates.values()):
            return templates
    except (KeyError, TypeError):  # entries of another form
        pass
    raise InputError(f"{file}: chat_template is neither a text nor a list of names and texts; copy the model again")


def _as_text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
