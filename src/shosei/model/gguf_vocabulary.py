"""A byte-level BPE tokenizer inside a GGUF file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gguf import GGUFWriter, TokenType

from shosei.errors import InputError
from shosei.model.hf_files import read_json
from shosei.spec import ModelSpec
from shosei.text.tokenizer import QWEN2_PATTERN


def add_vocabulary(writer: GGUFWriter, folder: Path, spec: ModelSpec) -> None:
    """Tokens with their types, merges, special tokens and chat template of the model in ``folder``.

    Rows of the model without a token become unused tokens. Raises InputError if the tokenizer is not byte-level BPE
    with Qwen2's pattern: under any other name llama.cpp would split text otherwise, without a word.
    """
    tokenizer = read_json(folder, "tokenizer.json")
    if not _is_qwen2(tokenizer):
        raise InputError(
            f"{folder / 'tokenizer.json'} is not byte-level BPE with Qwen2's pattern, the one kind that is written as "
            "GGUF; export with --format hf and convert that with llama.cpp's own script"
        )
    tokens = [f"[PAD{row}]" for row in range(spec.vocab_size)]
    types = [TokenType.UNUSED] * spec.vocab_size
    for token, row in tokenizer["model"]["vocab"].items():
        tokens[row], types[row] = token, TokenType.NORMAL
    for added in tokenizer["added_tokens"]:
        row = added["id"]
        tokens[row] = added["content"]
        types[row] = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in tokenizer["model"]["merges"]]

    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    config = read_json(folder, "config.json")
    for kind, add in (
        ("bos", writer.add_bos_token_id),
        ("eos", writer.add_eos_token_id),
        ("pad", writer.add_pad_token_id),
    ):
        row = config.get(f"{kind}_token_id")
        if row is not None:
            add(row[0] if isinstance(row, list) else row)
    writer.add_add_bos_token(False)
    template = folder / "chat_template.jinja"
    if template.is_file():
        writer.add_chat_template(template.read_text(encoding="utf-8"))


def _is_qwen2(tokenizer: dict[str, Any]) -> bool:
    return tokenizer["model"]["type"] == "BPE" and json.dumps(QWEN2_PATTERN) in json.dumps(tokenizer["pre_tokenizer"])
