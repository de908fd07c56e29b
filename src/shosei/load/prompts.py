"""What is asked: conversations from files, generated ones, or a few of our own."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from shosei.errors import InputError
from shosei.load.config import LoadConfig
from shosei.text_files import json_lines
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

_GENERATED = 256  # distinct, so that a server's cache of prefixes finds little

_SENTENCES = (
    (
        "请用一句话概括：",
        "{who}{when}在{where}{did}。",
        {
            "who": ("老师", "医生", "邮递员", "我的邻居", "两个学生", "这位作家"),
            "when": ("昨天", "清晨", "下雨以后", "每逢周末", "去年冬天"),
            "where": ("图书馆", "河边", "火车站", "厨房里", "山脚下", "旧书店"),
            "did": ("读完了一封长信", "遇见了一位老朋友", "修好了收音机", "画了三张地图", "听见了钟声", "种下几棵桃树"),
        },
    ),
    (
        "一文で要約してください。",
        "{who}は{when}{where}で{did}。",
        {
            "who": ("先生", "医者", "郵便屋さん", "隣の人", "二人の学生", "その作家"),
            "when": ("昨日", "朝早く", "雨のあと", "週末になると", "去年の冬"),
            "where": ("図書館", "川のほとり", "駅", "台所", "山のふもと", "古本屋"),
            "did": ("手紙を読み終えた", "友人に会った", "ラジオを直した", "地図を描いた", "鐘を聞いた", "桃を植えた"),
        },
    ),
)


class _Line(msgspec.Struct):
    messages: Messages


def read_prompts(path: Path | None) -> list[Messages]:
    """The ``messages`` of every line of a JSON Lines file, or of a folder's ``*.jsonl`` in name order.

    Without a path, six short questions in Chinese and Japanese. Raises InputError that names the file and the line.
    """
    if path is None:
        return [[{"role": "user", "content": question}] for question in _QUESTIONS]
    prompts = [line.messages for file in suite_files(path) for _, line in json_lines(file, _Line, "a prompt")]
    if not prompts:
        raise InputError(f"{path} holds no prompts: give a JSON Lines file with 'messages', or a folder of them")
    return prompts


def prompts_of(config: LoadConfig) -> list[Messages]:
    """The prompts of a load. Raises InputError where they cannot be read."""
    if config.prompt_characters is not None:
        return generate(config.prompt_characters, config.seed)
    return read_prompts(config.suite)


def generate(characters: int, seed: int) -> list[Messages]:
    """256 conversations of one question of ``characters`` characters, by turns in Chinese and Japanese.

    The same seed makes the same. The number comes first, so that no two of the same language begin alike.
    """
    draw = random.Random(seed)
    prompts = []
    for number in range(_GENERATED):
        task, sentence, words = _SENTENCES[number % len(_SENTENCES)]
        text = f"{number + 1}. {task}"
        while len(text) < characters:
            text += sentence.format(**{slot: draw.choice(choices) for slot, choices in words.items()})
        prompts.append([{"role": "user", "content": text[:characters]}])
    return prompts


def digest(prompts: Sequence[Messages]) -> str:
    """Hex SHA-256 of the prompts, in order."""
    return hashlib.sha256(msgspec.json.encode(prompts)).hexdigest()


def order(count: int, seed: int) -> list[int]:
    """The numbers below ``count`` in a seeded order."""
    return list(map(int, np.random.default_rng(seed).permutation(count)))
