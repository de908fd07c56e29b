"""``POST /v1/feedback``: what a user, or a model that judges, thinks of one answer. Unknown fields are refused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_TURN = 10_000
MAX_TAGS, MAX_TAG_CHARACTERS = 16, 64
MAX_COMMENT_CHARACTERS = 4_000
MAX_NAME_CHARACTERS = 256

RATER_KINDS = ("person", "model")

Tag = Annotated[str, Field(min_length=1, max_length=MAX_TAG_CHARACTERS)]


class Feedback(BaseModel):
    """A rating of an answer: ``thumbs`` or ``stars``, one of the two.

    The last rating of a rater counts for each ``request`` and ``turn``, so a click can be repeated or changed.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    request: Annotated[
        str, Field(pattern=r"^(chat)?cmpl-[A-Za-z0-9_-]{1,128}$", description="The `id` of the rated answer.")
    ]
    turn: Annotated[int, Field(ge=0, le=MAX_TURN, description="Which turn of the conversation is rated.")] = 0
    thumbs: Annotated[Literal["up", "down"] | None, Field(description="Instead of `stars`.")] = None
    stars: Annotated[int | None, Field(ge=1, le=5, description="Instead of `thumbs`; 5 is best.")] = None
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
