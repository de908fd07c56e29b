"""What a host tells its chat page: which model answers, what it has learnt, what becomes of ratings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from shosei.wire.rating_form import RatingForm, RatingTag, SurveyForm
from shosei.wire.suite import Task, read_suites

_EXAMPLES = 2  # of each suite and language
_LONGEST_EXAMPLE = 60  # characters: it is to fit a button
_SUITE = "suite:"  # how the hashes of the verb that made training rows and suites name a suite


RatersBy = Literal["cookie", "address", "key"]  # by what those who rate are told apart


class Example(msgspec.Struct):
    """A question that the model was never trained on, of a kind that it was."""

    text: str
    lang: str
    suite: str


class RatingAbout(msgspec.Struct):
    """How answers are rated here."""

    scale: str
    tags: list[RatingTag]
    survey: SurveyForm | None
    keep_text: bool
    rater: RatersBy

    @classmethod
    def of(cls, form: RatingForm, keep_text: bool, rater: RatersBy) -> RatingAbout:
        """The operator's form, with what the server does with ratings."""
        return cls(form.scale, form.tags, form.survey, keep_text, rater)


class About(msgspec.Struct):
    """``model`` is the name to ask it by; empty: the first that ``/v1/models`` lists. No ``ratings``: none are taken.

    ``trained_on`` are the names of suites whose kind of questions it was trained on; nothing else is known of it where
    there are none. ``single_turn``: it has learnt single questions, and no conversations.
    """

    model: str = ""
    trained_on: list[str] = []
    single_turn: bool = False
    examples: list[Example] = []
    ratings: RatingAbout | None = None


def about_model(model: str, run: Path | None, ratings: RatingAbout | None = None) -> About:
    """What is known of a model by the run folder that it comes from, if any. Raises InputError for a broken suite."""
    if run is None:
        return About(model, ratings=ratings)
    suites = run / "suites"
    tasks = read_suites(suites) if any(suites.glob("*.jsonl")) else []
    trained_on = _trained_on(run)
    place = {name: place for place, name in enumerate(trained_on)}
    tasks.sort(key=lambda task: place.get(task.suite, len(place)))  # as the run made them, not by name
    return About(model, trained_on, bool(trained_on), _examples(tasks), ratings)


class _Begin(msgspec.Struct):
    """Of a segment's first line what is asked here."""

    kind: str
    verb: str = ""
    hashes: dict[str, str] = {}
    wall_ns: int = 0


def _trained_on(run: Path) -> list[str]:
    """The suites that were made together with the rows that the model learnt from, by the last ``shosei data``."""
    begins = [begin for begin in map(_first, sorted(run.glob("log/*.jsonl"))) if begin and begin.verb == "data"]
    last = max(begins, key=lambda begin: begin.wall_ns, default=None)
    return [name.removeprefix(_SUITE) for name in (last.hashes if last else {}) if name.startswith(_SUITE)]


def _first(segment: Path) -> _Begin | None:
    """The first event of a segment; None where it cannot be read, of which those tell who read the whole log."""
    try:
        with open(segment, "rb") as file:
            return msgspec.json.decode(file.readline(), type=_Begin)
    except (OSError, msgspec.DecodeError):
        return None


def _examples(tasks: Iterable[Task]) -> list[Example]:
    """Short questions that stand alone, a few of each suite and language."""
    chosen: dict[tuple[str, str], list[Example]] = {}
    for task in tasks:
        of_kind = chosen.setdefault((task.suite, task.lang), [])
        if len(task.messages) == 1 and len(task.asked) <= _LONGEST_EXAMPLE and len(of_kind) < _EXAMPLES:
            of_kind.append(Example(task.asked, task.lang, task.suite))
    return [example for of_kind in chosen.values() for example in of_kind]
