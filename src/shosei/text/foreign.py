"""What the files of a model folder say of its tokenizer, and those of others in a form of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tokenizers

from shosei.errors import InputError

# Of our chat format, InternLM's.
SPECIAL_TOKENS = ("<|im_start|>", "<|im_end|>", "<|action_start|>", "<|action_end|>", "<|plugin|>", "<|interpreter|>")
TOKENIZER, CONFIG, TEMPLATE = "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"
GENERATION = "generation_config.json"
TOOL_TEMPLATE = "additional_chat_templates/tool_use.jinja"


def tokenizer_files(source: Path) -> dict[str, str]:
    """The tokenizer of the Hugging Face folder ``source`` as name -> text, with chat template and ends of answers.

    A SentencePiece ``tokenizer.model`` becomes JSON. Raises InputError if there is neither, or one is damaged.
    """
    config = _json(source / CONFIG) or {}
    if config.pop("auto_map", None) or not (source / TOKENIZER).is_file():
        config["tokenizer_class"] = "PreTrainedTokenizerFast"  # without the code that the original class needs
    template = config.pop("chat_template", "")
    named = {entry["name"]: entry["template"] for entry in template} if isinstance(template, list) else {}
    templates = {TEMPLATE: named.get("default", "") if named else template, TOOL_TEMPLATE: named.get("tool_use", "")}
    for name in templates:
        if (source / name).is_file():
            templates[name] = (source / name).read_text(encoding="utf-8")
    files = {TOKENIZER: _serialized(source, config), CONFIG: json.dumps(config, indent=2, ensure_ascii=False) + "\n"}
    ends = [(_json(source / name) or {}).get("eos_token_id") for name in (GENERATION, "config.json")]
    if any(end is not None for end in ends):
        files[GENERATION] = json.dumps({"eos_token_id": next(end for end in ends if end is not None)}) + "\n"
    return files | {name: text for name, text in templates.items() if text}


def read_end_ids(folder: Path) -> list[int] | None:
    """The ids that end an answer of a model folder's, or None where its tokenizer is ours: it has our tokens, and
    ``<|im_start|>`` begins conversations."""
    config, names = _json(folder / CONFIG), token_names(folder)
    tokenizer = _json(folder / TOKENIZER) or {}
    added: dict[str, int] = {token["content"]: token["id"] for token in tokenizer.get("added_tokens", [])}
    if not config or (names.get("bos_token") == SPECIAL_TOKENS[0] and added.keys() >= set(SPECIAL_TOKENS)):
        return None
    generation = _json(folder / GENERATION) or {}
    ends = generation.get("eos_token_id", added.get(names.get("eos_token", "")))
    return ends if ends is None or isinstance(ends, list) else [int(ends)]


def token_names(folder: Path) -> dict[str, str]:
    """The special tokens that a model folder's configuration names, such as ``bos_token``, and their texts."""
    config = _json(folder / CONFIG) or {}
    return {key: text for key, token in config.items() if key.endswith("_token") and (text := token_text(token))}


def _serialized(source: Path, config: dict[str, Any]) -> str:
    if (file := source / TOKENIZER).is_file():
        try:
            serialized = file.read_text(encoding="utf-8")
            tokenizers.Tokenizer.from_str(serialized)
        except Exception as error:  # tokenizers raises bare Exception
            raise InputError(f"{file} is not a tokenizer ({error}); copy it again") from None
        return serialized
    if not (source / "tokenizer.model").is_file():
        raise InputError(f"{source} has no tokenizer: neither {TOKENIZER} nor tokenizer.model; copy it again")
    from shosei.text.sentencepiece_model import read_sentencepiece  # of an extra

    added = {int(row): token for row, token in config.get("added_tokens_decoder", {}).items()}
    return read_sentencepiece(source / "tokenizer.model", added)


def _json(file: Path) -> Any:
    """What ``file`` holds, or None if it is absent. Raises InputError if it is malformed."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {file}: {error}; copy it again") from None


def token_text(token: Any) -> str:
    """A special token's text, which transformers writes plain or as an object; empty where there is none."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else ""
