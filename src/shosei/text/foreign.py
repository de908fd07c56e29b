"""Tokenizers that others made: their files in a form of ours, and their chat format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import tokenizers

from shosei.errors import InputError
from shosei.text.call_format import CallFormat
from shosei.text.special import SPECIAL_TOKENS
from shosei.text.template import ChatTemplate

TOKENIZER, CONFIG, TEMPLATE = "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"
GENERATION = "generation_config.json"
TOOL_TEMPLATE = "additional_chat_templates/tool_use.jinja"


@dataclass(frozen=True, slots=True)
class ForeignChat:
    """How a foreign model's conversations are laid out, and the ids that end its answers.

    ``template`` None: a base model's folder, which has none. ``tool_template``: of conversations with tools, where
    that is another.
    """

    template: ChatTemplate | None
    end_ids: list[int]
    tool_template: ChatTemplate | None = None

    @property
    def call_format(self) -> CallFormat | None:
        """How the model writes calls; None: unknown."""
        template = self.tool_template or self.template
        return template.call_format if template else None

    def template_of(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None
    ) -> ChatTemplate:
        """What lays out this conversation. Raises InputError if there is nothing."""
        if self.template is None:
            raise InputError("this is a base model without a chat template: ask for completions", param="messages")
        calling = tools or any(message.get("tool_calls") or message["role"] == "tool" for message in messages)
        return self.tool_template or self.template if calling else self.template


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


def read_foreign_chat(folder: Path) -> ForeignChat | None:
    """The chat format of a model folder, or None where it is ours: it has our tokens, and ``<|im_start|>`` begins
    conversations."""
    config = _json(folder / CONFIG) or {}
    names = {key: text for key, token in config.items() if key.endswith("_token") and (text := token_text(token))}
    tokenizer = _json(folder / TOKENIZER) or {}
    added: dict[str, int] = {token["content"]: token["id"] for token in tokenizer.get("added_tokens", [])}
    if not config or (names.get("bos_token") == SPECIAL_TOKENS[0] and added.keys() >= set(SPECIAL_TOKENS)):
        return None
    generation = _json(folder / GENERATION) or {}
    ends = generation.get("eos_token_id", added.get(names.get("eos_token", "")))
    if ends is None:
        return None
    special = [token["content"] for token in tokenizer.get("added_tokens", []) if token["special"]]
    end_ids = list(ends) if isinstance(ends, list) else [int(ends)]
    file = folder / TEMPLATE
    if not file.is_file():
        return ForeignChat(None, end_ids)
    template = ChatTemplate(file.read_text(encoding="utf-8"), names, special)
    if (tool_file := folder / TOOL_TEMPLATE).is_file():
        return ForeignChat(template, end_ids, ChatTemplate(tool_file.read_text(encoding="utf-8"), names, special))
    if template.call_format or not set(SPECIAL_TOKENS) <= set(special):
        return ForeignChat(template, end_ids)
    internlm = resources.files(__package__).joinpath("internlm.jinja").read_text("utf-8")
    return ForeignChat(template, end_ids, ChatTemplate(internlm, names, special))


def _serialized(source: Path, config: dict[str, Any]) -> str:
    if (file := source / TOKENIZER).is_file():
        try:
            serialized = file.read_text(encoding="utf-8")
            tokenizers.Tokenizer.from_str(serialized)
        except Exception as error:  # tokenizers raises bare Exception
            raise InputError(f"{file} is no tokenizer ({error}); copy it again") from None
        return serialized
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
        raise InputError(f"cannot read {file}: {error}; copy it again") from None


def token_text(token: Any) -> str:
    """A special token's text, which transformers writes plain or as an object; empty where there is none."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else ""
