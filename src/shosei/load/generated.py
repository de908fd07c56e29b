"""Generated prompts of a given length: for how a server bears long questions, not for what it answers."""

from __future__ import annotations

import random
from typing import Any

_PROMPTS = 256  # distinct, so that a server's cache of prefixes finds little

_LANGUAGES = (
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


def generate(characters: int, seed: int) -> list[list[dict[str, Any]]]:
    """256 conversations of one question of ``characters`` characters, by turns in Chinese and Japanese.

    The same seed makes the same. The number comes first, so that no two of the same language begin alike.
    """
    draw = random.Random(seed)
    prompts = []
    for number in range(_PROMPTS):
        task, sentence, words = _LANGUAGES[number % len(_LANGUAGES)]
        text = f"{number + 1}. {task}"
        while len(text) < characters:
            text += sentence.format(**{slot: draw.choice(choices) for slot, choices in words.items()})
        prompts.append([{"role": "user", "content": text[:characters]}])
    return prompts
