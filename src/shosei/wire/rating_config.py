"""What any server of ours can be told of ratings, as fields of its configuration."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from shosei.config import Config
from shosei.errors import InputError
from shosei.wire.api_keys import ApiKeys
from shosei.wire.rating_desk import RatingRules


class RatingConfig(Config):
    """Base of the configurations of verbs that take ratings."""

    rating_form: Path | None = Field(
        default=None,
        description="TOML file of what the chat page asks raters: scale, reasons, survey; ours unless given.",
    )
    feedback_keys: Path | None = Field(
        default=None,
        description="File of keys that no request needs, one a line or as in api_keys; their holders may name the user "
        "who rates, others get a cookie.",
    )
    raters_by_address: bool = Field(
        default=False,
        description="Take an address for one rater, instead of a cookie: a house or an office with one address is "
        "then one.",
    )
    ratings_per_minute: int = Field(
        default=30,
        ge=1,
        le=100_000,
        description="Ratings that a rater may give in a minute; an address four times as many.",
    )
    keep_rated_text: bool = Field(
        default=False,
        description="Write the question, the answer and the comment of each rated answer into the run's log, in plain "
        "text; without it only the rating and its tags. Tell your users.",
    )

    def rating_rules(self, keys: ApiKeys) -> RatingRules:
        """How ratings are taken by a server whose clients show ``keys``. Raises InputError for a file of none."""
        if self.feedback_keys and keys:
            raise InputError("--feedback-keys: the holders of API keys may name users as they are; leave it out")
        raters = ApiKeys(file=self.feedback_keys, hashed=False) if self.feedback_keys else keys
        return RatingRules(raters, self.raters_by_address, self.ratings_per_minute, self.keep_rated_text)

    def check_recorded(self, *, recorded: bool) -> None:
        """Raise InputError where ratings have nowhere to go."""
        if self.keep_rated_text and not recorded:
            raise InputError("--keep-rated-text keeps text in a run folder: name one with --run")
        if (self.feedback_keys or self.raters_by_address or self.rating_form) and not recorded:
            raise InputError("ratings are written into a run folder, and none is named: name one with --run")
