"""From families and the phrasings of ``phrasings.toml`` to tasks of one split."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from itertools import islice
from random import Random

from shosei.data.config import DataConfig
from shosei.data.families import FAMILIES, LANGUAGES, TOOL_FAMILIES, Problem
from shosei.data.splitting import SPLITS, Split, split_of, split_phrasings
from shosei.errors import InputError
from shosei.wire.suite import Task

INTENT = "intent"
SUITES = (*FAMILIES, INTENT)
_ALL = FAMILIES | TOOL_FAMILIES
_INTENT_MAX_TOKENS = 12


@cache
def phrasings() -> dict[str, dict[str, dict[str, list[str]]]]:
    """family -> language -> direction -> phrasings with slots in braces."""
    return tomllib.loads(resources.files(__package__).joinpath("phrasings.toml").read_text("utf-8"))


class TaskPool:
    """Draws tasks. Each split has operands of its own and, for the intent suite, phrasings of its own.

    The other suites are asked in training phrasings: what they test is the operand.
    """

    def __init__(self, config: DataConfig) -> None:
        self._seed = config.seed
        self._operands: dict[tuple[str, Split], list[str]] = {(name, split): [] for name in _ALL for split in SPLITS}
        for name, family in _ALL.items():
            for operand in family.operands(Random(f"{config.seed} operands of {name}")):
                split = split_of(
                    family.shares_split_of or name, family.cluster(operand), config.held_out, config.validation
                )
                self._operands[name, split].append(operand)
        for (name, split), operands in self._operands.items():
            if not operands:
                raise InputError(f"no {split} operands of {name} are left; change data.held_out or data.validation")
        self._phrasings = {
            (name, lang, direction): split_phrasings(phrasings()[name][lang][direction], config.held_out_phrasings)
            for name, family in _ALL.items()
            for lang in LANGUAGES
            for direction in family.directions
        }

    def draw(self, suite: str, split: Split, count: int) -> list[Task]:
        """At most ``count`` tasks of ``suite``, half Chinese and half Japanese, from one split."""
        rng = Random(f"{self._seed} {split} {suite}")
        tasks = self._intents(split, rng) if suite == INTENT else (task for task, _ in self._asked(suite, split, rng))
        return list(islice(tasks, count))

    def draw_solved(self, family: str, split: Split, count: int) -> list[tuple[Task, Problem]]:
        """As ``draw``, each task with the problem behind it."""
        return list(islice(self._asked(family, split, Random(f"{self._seed} {split} {family}")), count))

    def _asked(self, name: str, split: Split, rng: Random) -> Iterator[tuple[Task, Problem]]:
        """Every operand once in each language and direction; none comes twice before all have come once."""
        operands = self._operands[name, split].copy()
        rng.shuffle(operands)
        variants = [(lang, direction) for direction in _ALL[name].directions for lang in LANGUAGES]
        for turn in range(len(variants)):
            for number, operand in enumerate(operands):
                lang, direction = variants[(turn + number) % len(variants)]
                phrasing = rng.choice(self._phrasings[name, lang, direction]["train"])
                yield _task(name, operand, lang, direction, phrasing)

    def _intents(self, split: Split, rng: Random) -> Iterator[Task]:
        """Without end: each phrasing by turns, about an operand of the split, within a request for its kind."""
        phrased = [
            (*key, phrasing)
            for key, group in self._phrasings.items()
            if key[0] in FAMILIES
            for phrasing in group[split]
        ]
        while True:
            rng.shuffle(phrased)
            for name, lang, direction, phrasing in phrased:
                inner, _ = _task(name, rng.choice(self._operands[name, split]), lang, direction, phrasing)
                request = rng.choice(phrasings()[INTENT][lang]["label"])
                yield Task(
                    id="",
                    suite=INTENT,
                    lang=lang,
                    cluster=phrasing,
                    grader="label",
                    truth=f"{lang}-{name}",
                    messages=[{"role": "user", "content": request.format(question=inner.messages[0]["content"])}],
                    max_tokens=_INTENT_MAX_TOKENS,
                )


def _task(name: str, operand: str, lang: str, direction: str, phrasing: str) -> tuple[Task, Problem]:
    """The family's question about ``operand``; whoever writes it to a file gives it an id."""
    family = _ALL[name]
    problem = family.problem(operand, lang, direction)
    task = Task(
        id="",
        suite=name,
        lang=lang,
        cluster=family.cluster(operand),
        grader=family.grader,
        messages=[{"role": "user", "content": phrasing.format_map(problem.slots)}],
        truth=problem.answer,
        max_tokens=family.max_tokens,
        entry_point=problem.entry_point,
        tests=problem.tests,
    )
    return task, problem
