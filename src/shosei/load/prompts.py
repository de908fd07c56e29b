"""What is asked: conversations from files, generated ones, or a few of our own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from shosei.errors import InputError
from shosei.load.config import LoadConfig
from shosei.load.generated import generate
from shosei.wire.suite import suite_files

Messages = list[dict[str, Any]]

_QUESTIONS = (
    "请用一句话介绍你自己。",
    "三千五百用阿拉伯数字怎么写？",
    "请写出一个表示颜色的词。",
    "自己紹介を一文でお願いします。",
    "「ひらがな」をカタカナで書いてください。",
    "二十五足す十七はいくつですか。",
)


class _Line(msgspec.Struct):
    messages: Messages


def read_prompts(path: Path | None) -> list[Messages]:
    """The ``messages`` of every line of a JSON Lines file, or of a folder's ``*.jsonl`` in name order.

    Without a path, six short questions in Chinese and Japanese. Raises InputError that names the file and the line.
    """
    if path is None:
        return [[{"role": "user", "content": question}] for question in _QUESTIONS]
    prompts = [prompt for file in suite_files(path) for prompt in _read_file(file)]
    if not prompts:
        raise InputError(f"{path} holds no prompts: give a JSON Lines file with 'messages', or a folder of them")
    return prompts


def prompts_of(config: LoadConfig) -> list[Messages]:
    """The prompts of a load. Raises InputError where they cannot be read."""
    if config.prompt_characters is not None:
        return generate(config.prompt_characters, config.seed)
    return read_prompts(config.suite)


def digest(prompts: Sequence[Messages]) -> str:
    """Hex SHA-256 of the prompts, in order."""
    return hashlib.sha256(msgspec.json.encode(prompts)).hexdigest()


def order(count: int, seed: int) -> list[int]:
    """The numbers below ``count`` in a seeded order."""
    found: list[int] = np.random.default_rng(seed).permutation(count).tolist()
    return found


def _read_file(file: Path) -> Iterator[Messages]:
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"cannot read prompts from {file}: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                yield msgspec.json.decode(line, type=_Line).messages
        except msgspec.DecodeError as error:
            raise InputError(f"{file}:{number}: no prompt: {error}") from None
