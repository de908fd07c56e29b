"""From families and phrasings to tasks of one split."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from random import Random

from shosei.data.config import DataConfig
from shosei.data.families import FAMILIES, LANGUAGES, Family
from shosei.data.phrasings import phrasings
from shosei.data.splitting import SPLITS, Split, split_of, split_phrasings
from shosei.errors import InputError
from shosei.wire.suite import Task

INTENT = "intent"
SUITES = (*(family.name for family in FAMILIES), INTENT)
_INTENT_MAX_TOKENS = 12


class Questions:
    """Draws tasks. Each split has operands of its own and, for the intent suite, phrasings of its own.

    The other suites are asked in training phrasings: what they test is the operand.
    """

    def __init__(self, config: DataConfig) -> None:
        self._seed = config.seed
        self._operands: dict[tuple[str, Split], list[str]] = {
            (family.name, split): [] for family in FAMILIES for split in SPLITS
        }
        for family in FAMILIES:
            for operand in family.operands(Random(f"{config.seed} operands of {family.name}")):
                split = split_of(family.name, family.cluster(operand), config.held_out, config.validation)
                self._operands[family.name, split].append(operand)
        for (name, split), operands in self._operands.items():
            if not operands:
                raise InputError(
                    f"the split leaves '{name}' no {split} operands; change data.held_out or data.validation"
                )
        self._phrasings = {
            (family.name, lang, direction): split_phrasings(
                phrasings()[family.name][lang][direction], config.held_out_phrasings
            )
            for family in FAMILIES
            for lang in LANGUAGES
            for direction in family.directions
        }

    def draw(self, suite: str, split: Split, count: int) -> list[Task]:
        """At most ``count`` distinct tasks of ``suite``, half Chinese and half Japanese, from one split."""
        rng = Random(f"{self._seed} {split} {suite}")
        if suite == INTENT:
            return list(islice(self._intents(split, rng), count))
        family = next(family for family in FAMILIES if family.name == suite)
        return list(islice(self._tasks(family, split, "train", rng), count))

    def _tasks(self, family: Family, split: Split, phrased: Split, rng: Random) -> Iterator[Task]:
        """Every operand in each language and direction. No operand comes twice before all have come once."""
        operands = self._operands[family.name, split].copy()
        rng.shuffle(operands)
        variants = [(lang, direction) for direction in family.directions for lang in LANGUAGES]
        for turn in range(len(variants)):
            for number, operand in enumerate(operands):
                lang, direction = variants[(turn + number) % len(variants)]
                phrasing = rng.choice(self._phrasings[family.name, lang, direction][phrased])
                yield _task(family, operand, lang, direction, phrasing)

    def _intents(self, split: Split, rng: Random) -> Iterator[Task]:
        """Every phrasing by turns, about operands of the split, wrapped in a request for the question's kind."""
        groups = [
            (family, lang, direction, phrasing)
            for (name, lang, direction), group in self._phrasings.items()
            for family in FAMILIES
            if family.name == name
            for phrasing in group[split]
        ]
        while True:
            rng.shuffle(groups)
            for family, lang, direction, phrasing in groups:
                operand = rng.choice(self._operands[family.name, split])
                inner = _task(family, operand, lang, direction, phrasing).messages[0]["content"]
                wrapper = rng.choice(phrasings()[INTENT][lang]["label"])
                yield Task(
                    id="", suite=INTENT, lang=lang, cluster=phrasing, grader="label", truth=f"{lang}-{family.name}",
                    messages=[{"role": "user", "content": wrapper.format(question=inner)}],
                    max_tokens=_INTENT_MAX_TOKENS,
                )  # fmt: skip


def _task(family: Family, operand: str, lang: str, direction: str, phrasing: str) -> Task:
    problem = family.problem(operand, lang, direction)
    return Task(
        id="", suite=family.name, lang=lang, cluster=family.cluster(operand), grader=family.grader,
        messages=[{"role": "user", "content": phrasing.format_map(problem.slots)}], truth=problem.answer,
        max_tokens=family.max_tokens, entry_point=problem.entry_point, tests=problem.tests,
    )  # fmt: skip
