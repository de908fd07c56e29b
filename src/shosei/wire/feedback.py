"""What raters send: ``POST /v1/feedback``, a rating of one answer, and ``POST /v1/survey``, how satisfied a user is on
the whole. Unknown fields are refused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_TURN = 10_000
MAX_TAGS, MAX_TAG_CHARACTERS = 16, 64
MAX_COMMENT_CHARACTERS = 4_000
MAX_NAME_CHARACTERS = 256
MAX_QUESTIONS = 5  # of the operator's, in a survey

RATER_KINDS = ("person", "model")

Tag = Annotated[str, Field(min_length=1, max_length=MAX_TAG_CHARACTERS)]
QuestionId = Annotated[str, Field(pattern=rf"^[a-z0-9-]{{1,{MAX_TAG_CHARACTERS}}}$")]
Stars = Annotated[int, Field(ge=1, le=5)]
Words = Annotated[str, Field(min_length=1, max_length=MAX_COMMENT_CHARACTERS)]
_ANSWER_ID = r"^(chat)?cmpl-[A-Za-z0-9_-]{1,128}$"


class Feedback(BaseModel):
    """A rating of an answer: ``thumbs`` or ``stars``, one of the two; or ``withdrawn``, which takes a rating back.

    The last word of a rater counts for each ``request`` and ``turn``: a click can be repeated, changed or taken back.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    request: Annotated[str, Field(pattern=_ANSWER_ID, description="The `id` of the rated answer.")]
    turn: Annotated[int, Field(ge=0, le=MAX_TURN, description="Which turn of the conversation is rated.")] = 0
    thumbs: Annotated[Literal["up", "down"] | None, Field(description="Instead of `stars`.")] = None
    stars: Annotated[int | None, Field(ge=1, le=5, description="Instead of `thumbs`; 5 is best.")] = None
    withdrawn: Annotated[
        bool, Field(description="Instead of both: this rater's rating of the answer counts no more.")
    ] = False
    tags: Annotated[list[Tag], Field(max_length=MAX_TAGS, description="Short words such as `wrong` or `polite`.")] = []
    comment: Annotated[
        str, Field(max_length=MAX_COMMENT_CHARACTERS, description="Kept only where the operator keeps rated text.")
    ] = ""
    user: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=MAX_NAME_CHARACTERS,
            description="Who rates, as the holder of an API key names them; kept as a salted hash. Only with a key.",
        ),
    ] = None
    rater_kind: Annotated[
        Literal["person", "model"], Field(description="Model judges are never mixed with people.")
    ] = "person"


class FeedbackReceipt(BaseModel):
    """The rating is on the server's disk."""

    request: str
    turn: int
    recorded: Literal[True] = True
    text_kept: Annotated[
        bool, Field(description="Whether text was kept: the comment, or the question and answer if still known.")
    ]


class FilledSurvey(BaseModel):
    """A survey as a user filled it in. Of a rater and ``request`` the last one counts, so it can be sent again."""

    model_config = ConfigDict(extra="forbid", strict=True)

    request: Annotated[
        str, Field(pattern=_ANSWER_ID, description="The `id` of the newest answer that the user has seen.")
    ]
    csat: Annotated[Stars, Field(description="How satisfied the user is on the whole; 5 is best.")]
    answers: Annotated[
        dict[QuestionId, Stars | Words],
        Field(
            max_length=MAX_QUESTIONS,
            description="By the question's id, stars or words; words are kept only where the operator keeps rated "
            "text.",
        ),
    ] = {}
    user: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=MAX_NAME_CHARACTERS,
            description="Who answers, as the holder of an API key names them; kept as a salted hash. Only with a key.",
        ),
    ] = None


class SurveyReceipt(BaseModel):
    """The survey is on the server's disk."""

    request: str
    recorded: Literal[True] = True
    text_kept: Annotated[bool, Field(description="Whether words were kept.")]


# What is sent where.
FORMS: dict[str, type[Feedback | FilledSurvey]] = {"/v1/feedback": Feedback, "/v1/survey": FilledSurvey}
