"""What the operator asks of those who rate on the chat page: a scale, reasons to choose from, a survey. A TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from shosei.errors import InputError
from shosei.text_files import read_text
from shosei.wire.feedback import MAX_QUESTIONS, MAX_TAG_CHARACTERS, MAX_TAGS

_ON_THE_WHOLE = "csat"  # what the page calls its own question
_Id = Annotated[str, msgspec.Meta(pattern=f"^[a-z0-9-]{{1,{MAX_TAG_CHARACTERS}}}$")]
_Words = Annotated[dict[str, str], msgspec.Meta(min_length=1)]  # by language: en, zh-CN, ja


class RatingTag(msgspec.Struct, forbid_unknown_fields=True):
    """A reason to choose; ``good`` is offered for a thumb up or four stars and more, otherwise for the rest."""

    id: _Id
    good: bool
    words: _Words


class SurveyQuestion(msgspec.Struct, forbid_unknown_fields=True):
    """A question of the operator's; text is asked for only where text is kept."""

    id: _Id
    words: _Words
    kind: Literal["stars", "text"] = "stars"


class SurveyForm(msgspec.Struct, forbid_unknown_fields=True):
    """How satisfied a user is on the whole, asked ``after`` so many answers, and what else the operator asks."""

    after: Annotated[int, msgspec.Meta(ge=1)]
    questions: Annotated[list[SurveyQuestion], msgspec.Meta(max_length=MAX_QUESTIONS)] = []


class RatingForm(msgspec.Struct, forbid_unknown_fields=True):
    """The whole form."""

    scale: Literal["thumbs", "stars"] = "thumbs"
    tags: Annotated[list[RatingTag], msgspec.Meta(max_length=2 * MAX_TAGS)] = []
    survey: SurveyForm | None = None


def read_rating_form(path: Path) -> RatingForm:
    """The form in a file. Raises InputError that names the file and what is wrong with it."""
    return parse_rating_form(read_text(path), str(path))


def parse_rating_form(text: str, where: str) -> RatingForm:
    """The form that a TOML text has. Raises InputError that begins with ``where``."""
    try:
        form = msgspec.convert(tomllib.loads(text), RatingForm)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where}: no TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: {error}") from None
    questions = form.survey.questions if form.survey else []
    _check_ids("tags", [tag.id for tag in form.tags], where)
    _check_ids("questions", [_ON_THE_WHOLE, *(question.id for question in questions)], where)
    for good in (True, False):
        if sum(tag.good == good for tag in form.tags) > MAX_TAGS:
            raise InputError(
                f"{where}: more than {MAX_TAGS} tags are 'good = {str(good).lower()}': a rating has no more"
            )
    return form


def _check_ids(noun: str, ids: list[str], where: str) -> None:
    if twice := next((id for id in ids if ids.count(id) > 1), ""):
        raise InputError(f"{where}: two {noun} have the id '{twice}'")
