"""Made-up questions whose answers are scripted, right and wrong ones, so that it is known how many are right."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

COUNT = 120
WRONG = 0.35  # share of the answers
SEED = 16


@dataclass(frozen=True)
class Question:
    """One question, with what the scripted server answers and whether that is right."""

    text: str
    truth: str
    answer: str
    right: bool
    references: list[str] = field(default_factory=list)
    context: str = ""


def sums(phrasings: Sequence[str]) -> list[Question]:
    """A phrasing has the places ``{said}`` and, for a number that was considered and dropped, ``{other}``."""
    draw, questions = random.Random(SEED), []
    for place in range(COUNT):
        left, right = draw.randrange(10, 900), draw.randrange(10, 900)
        is_right = draw.random() > WRONG
        said = left + right + (0 if is_right else draw.randrange(1, 9))
        answer = draw.choice(phrasings).format(said=said, other=left + right + 10)
        questions.append(Question(f"#{place} What is {left} + {right}?", str(left + right), answer, is_right))
    return questions


def choices(phrasings: Sequence[str]) -> list[Question]:
    """Of four towns. A phrasing has the places ``{said}`` and ``{other}``, letters."""
    draw, questions = random.Random(SEED), []
    for place in range(COUNT):
        truth, *others = draw.sample("ABCD", 4)
        is_right = draw.random() > WRONG
        said, other = (truth, others[0]) if is_right else (others[0], truth)
        listed = "\n".join(f"{letter}. {town}" for letter, town in zip("ABCD", draw.sample(TOWNS, 4), strict=True))
        text = f"#{place} Where does the made-up river end?\n{listed}"
        questions.append(Question(text, truth, draw.choice(phrasings).format(said=said, other=other), is_right))
    return questions


def names() -> list[Question]:
    """Towns by their names, in other cases and with full stops."""
    draw, questions = random.Random(SEED), []
    for place in range(COUNT):
        truth, other = draw.sample(TOWNS, 2)
        is_right = draw.random() > WRONG
        said = truth if is_right else other
        answer = draw.choice([said, said, said, said.lower(), said.upper(), f"{said}."])
        questions.append(Question(f"#{place} Which town has gate number {place}?", truth, answer, is_right))
    return questions


def intents() -> list[Question]:
    """Classes of unequal size. One answer in twenty names none."""
    draw, questions = random.Random(SEED), []
    for place in range(4 * COUNT):
        truth = draw.choices(INTENTS, [32, 16, 8, 4, 2])[0]
        is_right = draw.random() > WRONG
        answer = truth if is_right else draw.choice([intent for intent in INTENTS if intent != truth])
        if draw.random() < 0.05:
            is_right, answer = False, "I cannot tell."
        questions.append(Question(f"#{place} What does customer {place} want?", truth, answer, is_right))
    return questions


def english_spans() -> list[Question]:
    """Answers out of a passage, as people mark them: with articles, cut short, too long, in another order."""
    draw, questions = random.Random(SEED), []
    for place in range(COUNT):
        town, colour, things = draw.choice(TOWNS), draw.choice(COLOURS), draw.choice(THINGS)
        truth = f"{place + 3} {colour} {things} of {town}"
        said = draw.choice(
            [
                *(truth, f"the {truth}", f"{truth}.", truth.upper()),
                *(f"{things} of {town}", f"It sold the {truth}, every year", f"{town}, {place + 3} {colour} {things}"),
                *(f"A {colour} harbour", "nothing at all", ""),
            ]
        )
        references = [f"{colour} {things} of {town}"] if place % 3 == 0 else []
        context = f"In the tale of number {place} the old market sold the {truth} every single year."
        question = f"#{place} What did the market sell?"
        questions.append(Question(question, truth, said, said == truth, references, context))
    return questions


def chinese_spans() -> list[Question]:
    """The same in Chinese: in quotation marks or full width, spaced out, cut short, with halves exchanged."""
    draw, questions = random.Random(SEED), []
    for place in range(COUNT):
        first, second = draw.choice(CHINESE_PLACES), draw.choice(CHINESE_THINGS)
        truth = f"{first}的{place + 3}座{second}"
        wide = truth.translate({code: code + 0xFEE0 for code in range(0x30, 0x3A)})
        said = draw.choice(
            [
                *(truth, truth, truth, f"「{truth}」", f"{truth}。", wide, " ".join(truth)),
                *(first, second, f"{place + 3}座{second}，{first}的", f"答案是{truth}"),
                *(f"{first}与{second}", "没有人知道这件事"),
            ]
        )
        context = f"第{place}个故事说，王国每年修缮{truth}，从不间断。"
        questions.append(Question(f"#{place} 王国每年修缮什么？", truth, said, said == truth, [], context))
    return questions


TOWNS = ["Arvale", "Brimholt", "Corrin", "Dunmere", "Eskham", "Farlow", "Gressing", "Hollin"]
INTENTS = ["billing", "delivery", "refund", "warranty", "praise"]
COLOURS = ["green", "amber", "violet", "grey"]
THINGS = ["lanterns", "barrels", "ribbons", "kettles"]
CHINESE_PLACES = ["青石镇", "白河村", "东岭", "月牙湾"]
CHINESE_THINGS = ["石桥", "灯塔", "水车", "钟楼"]
