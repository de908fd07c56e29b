"""Instructions: what an answer is to be, in the language of the question."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence

_KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fa\uff66-\uff9d]")
_HAN = re.compile(r"[\u3400-\u9fff]")
_CHINESE_WORDS = {*"這那哪誰嗎呢吧麼們你您她很沒怎"}
_LETTER = re.compile(r"[^\W\d_]")
_TEXTS_READ = 200

INSTRUCTIONS = {
    "zh": {
        "number": "请一步一步地思考，最后一行只写答案的数字。",
        "choice": "请只回答正确选项的字母。",
        "label": "请只回答以下之一：{labels}。",
        "text": "请简短地回答，只写答案。",
        "span": "请用原文中的词语简短地回答。",
        "span or none": "请用原文中的词语简短地回答。如果原文没有给出答案，请只回答：没有答案。",
        "python": "请完成下面的 Python 函数，只回答代码。",
    },
    "ja": {
        "number": "順を追って考え、最後の行に答えの数字だけを書いてください。",
        "choice": "正しい選択肢の記号だけを答えてください。",
        "label": "次のどれかだけを答えてください：{labels}。",
        "text": "答えだけを短く書いてください。",
        "span": "本文中の言葉で短く答えてください。",
        "span or none": "本文中の言葉で短く答えてください。本文に答えがなければ「答えなし」とだけ答えてください。",
        "python": "次の Python 関数を完成させ、コードだけを答えてください。",
    },
    "en": {
        "number": "Think step by step, and write only the number of the answer on the last line.",
        "choice": "Answer with the letter of the right option only.",
        "label": "Answer with one of these only: {labels}.",
        "text": "Answer briefly, with the answer only.",
        "span": "Answer briefly, in words of the text.",
        "span or none": "Answer briefly, in words of the text. If it does not hold the answer, say only: no answer.",
        "python": "Complete the following Python function. Answer with code only.",
    },
}


def language(texts: Iterable[str]) -> str:
    """The language of a file by the script of its first texts: ja, zh, or else en.

    Japanese has more than one kana among ten characters, Chinese text that quotes Japanese has not.
    """
    text = "".join(itertools.islice(texts, _TEXTS_READ))
    kana, han = len(_KANA.findall(text)), len(_HAN.findall(text))
    if kana > 0.1 * (kana + han):
        return "ja"
    return "zh" if han > 0.1 * len(text) else "en"


def languages(texts: Sequence[str]) -> list[str]:
    """The language of each row by its own script; what its script leaves open is that of the file."""
    of_file = language(texts)
    return [_of_row(text, of_file) for text in texts]


def _of_row(text: str, of_file: str) -> str:
    if not _LETTER.search(text):
        return of_file
    own = language([text])
    if own != "zh" or of_file == "zh":
        return own
    signs = _HAN.findall(text)
    is_japanese = of_file == "ja" and not any(_only_chinese(sign) for sign in signs)
    return "ja" if is_japanese or any(_only_japanese(sign) for sign in signs) else "zh"


def _only_chinese(sign: str) -> bool:
    """Simplified signs are not in Japan's character set; of the traditional ones, these words are not Japanese."""
    return sign in _CHINESE_WORDS or not _in_set(sign, "cp932")


def _only_japanese(sign: str) -> bool:
    """Such as 円 and 駅, which are in neither of the Chinese character sets."""
    return not _in_set(sign, "gb2312") and not _in_set(sign, "big5")


def _in_set(sign: str, codec: str) -> bool:
    try:
        sign.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def ask(text: str, grader: str, lang: str, labels: tuple[str, ...] = ()) -> str:
    """``text`` with what kind of answer is wanted; as it is, where nothing needs to be said."""
    words = INSTRUCTIONS[lang].get(grader, "").format(labels=" / ".join(labels))
    return f"{text}\n\n{words}" if words and grader != "python" else f"{words}\n\n{text}" if words else text
