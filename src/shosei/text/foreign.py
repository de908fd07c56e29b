"""Tokenizers that others made: their files in a form of ours, and their chat format."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shosei.errors import InputError
from shosei.text.special import SPECIAL_TOKENS
from shosei.text.template import ChatTemplate

TOKENIZER, CONFIG, TEMPLATE = "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"
GENERATION = "generation_config.json"


@dataclass(frozen=True, slots=True)
class ForeignChat:
    """How a foreign model's conversations are laid out, and the ids that end its answers.

    ``template`` None: a base model's folder, which has none.
    """

    template: ChatTemplate | None
    end_ids: list[int]


def tokenizer_files(source: Path) -> dict[str, str]:
    """The tokenizer of the Hugging Face folder ``source`` as name -> text, with chat template and ends of answers.

    A SentencePiece ``tokenizer.model`` becomes JSON. Raises InputError if there is neither, or one is damaged.
    """
    config = _json(source / CONFIG) or {}
    if config.pop("auto_map", None) or not (source / TOKENIZER).is_file():
        config["tokenizer_class"] = "PreTrainedTokenizerFast"  # without the code that the original class needs
    template = config.pop("chat_template", "")
    if isinstance(template, list):
        template = next((entry["template"] for entry in template if entry["name"] == "default"), "")
    if (source / TEMPLATE).is_file():
        template = (source / TEMPLATE).read_text(encoding="utf-8")
    files = {TOKENIZER: _serialized(source, config), CONFIG: json.dumps(config, indent=2, ensure_ascii=False) + "\n"}
    ends = [(_json(source / name) or {}).get("eos_token_id") for name in (GENERATION, "config.json")]
    if any(end is not None for end in ends):
        files[GENERATION] = json.dumps({"eos_token_id": next(end for end in ends if end is not None)}) + "\n"
    return files | ({TEMPLATE: template} if template else {})


def read_foreign_chat(folder: Path) -> ForeignChat | None:
    """The chat format of a model folder, or None where it is ours: conversations begin with ``<|im_start|>``."""
    config = _json(folder / CONFIG) or {}
    names = {key: token_text(token) for key, token in config.items() if key.endswith("_token")}
    if not config or names.get("bos_token") == SPECIAL_TOKENS[0]:
        return None
    tokenizer = _json(folder / TOKENIZER) or {}
    added: dict[str, int] = {token["content"]: token["id"] for token in tokenizer.get("added_tokens", [])}
    generation = _json(folder / GENERATION) or {}
    ends = generation.get("eos_token_id", added.get(names.get("eos_token", "")))
    if ends is None:
        return None
    special = [token["content"] for token in tokenizer.get("added_tokens", []) if token["special"]]
    file = folder / TEMPLATE
    template = ChatTemplate(file.read_text(encoding="utf-8"), names, special) if file.is_file() else None
    return ForeignChat(template, list(ends) if isinstance(ends, list) else [int(ends)])


def _serialized(source: Path, config: dict[str, Any]) -> str:
    if (source / TOKENIZER).is_file():
        return (source / TOKENIZER).read_text(encoding="utf-8")
    if not (source / "tokenizer.model").is_file():
        raise InputError(f"{source} has no tokenizer: neither {TOKENIZER} nor tokenizer.model; copy it again")
    from shosei.text.sentencepiece_model import read_sentencepiece  # of an extra

    added = {int(row): token for row, token in config.get("added_tokens_decoder", {}).items()}
    return read_sentencepiece(source / "tokenizer.model", added)


def read_begin_token(folder: Path) -> str:
    """The text of the token that a model folder's documents begin with; empty where it names none."""
    token = (_json(folder / CONFIG) or {}).get("bos_token")
    return token_text(token) if token else ""


def _json(file: Path) -> Any:
    """What ``file`` holds, or None if it is absent. Raises InputError if it is malformed."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {file}: {error}") from None


def token_text(token: Any) -> str:
    """A special token's text: transformers writes it plain or as an object."""
    return str(token["content"] if isinstance(token, dict) else token)
