"""Where ratings are taken: of this run's answers, by raters told apart, on the disk before the client is told so."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from shosei.log import Rating, Survey, Writer
from shosei.log.secret import AnswerIds, RunSecret
from shosei.wire.api_error import ApiError
from shosei.wire.api_keys import ApiKeys, RateLimit
from shosei.wire.feedback import Feedback, FeedbackReceipt, FilledSurvey, SurveyReceipt
from shosei.wire.rater import Rater, RaterIdentity
from shosei.wire.recent_answers import RatedText, RecentAnswers

_RATERS_A_NETWORK = 4  # may rate as often as they can side by side


@dataclass(frozen=True, slots=True)
class RatingRules:
    """What the operator decides: whose keys may name users, who is one rater, how often a rater rates, what is kept."""

    keys: ApiKeys = ApiKeys()  # noqa: RUF009 - an empty one never changes
    by_address: bool = False
    per_minute: int = 30
    keep_text: bool = False


DEFAULT_RULES = RatingRules()


class RatingDesk:
    """Takes ratings of answers whose ids ``secret`` signed into the run's log; text only where ``recent`` has it.

    Names of headers are in lower case.
    """

    def __init__(
        self,
        writer: Writer | None,
        secret: RunSecret,
        rules: RatingRules = DEFAULT_RULES,
        recent: RecentAnswers | None = None,
    ) -> None:
        self._writer, self._recent = writer, recent
        self._ids = AnswerIds(secret)
        self._identity = RaterIdentity(secret, rules.keys, rules.by_address)
        self._of_rater = RateLimit(rules.per_minute)
        self._of_network = RateLimit(rules.per_minute * _RATERS_A_NETWORK)

    async def take(self, feedback: Feedback, headers: Mapping[str, str], address: str) -> tuple[FeedbackReceipt, Rater]:
        """Write a rating down; when this returns, the disk has it. Raises ApiError."""
        _check(feedback)
        writer = self._recording()
        rater = self._identity.of(feedback.request, feedback.user, headers, address)
        self._admit(feedback.request, rater, judges=feedback.rater_kind == "model")
        rating = self._rating(feedback, rater)
        text_kept = bool(rating.comment or rating.question or rating.answer)
        await _record(writer, rating)
        return FeedbackReceipt(request=feedback.request, turn=feedback.turn, text_kept=text_kept), rater

    async def take_survey(
        self, survey: FilledSurvey, headers: Mapping[str, str], address: str
    ) -> tuple[SurveyReceipt, Rater]:
        """Write a survey down; when this returns, the disk has it. Raises ApiError."""
        writer = self._recording()
        rater = self._identity.of(survey.request, survey.user, headers, address)
        self._admit(survey.request, rater)
        words = {id: value for id, value in survey.answers.items() if isinstance(value, str)}
        event = Survey(
            rater=rater.hash,
            request=survey.request,
            csat=survey.csat,
            stars={id: value for id, value in survey.answers.items() if isinstance(value, int)},
            words=words if self._recent else {},
            phase="inference",
        )
        text_kept = bool(event.words)
        await _record(writer, event)
        return SurveyReceipt(request=survey.request, text_kept=text_kept), rater

    def _recording(self) -> Writer:
        if self._writer is None:
            message = "This server records nothing: to collect ratings, start it with --run RUN"
            raise ApiError(503, message, code="not_recording")
        return self._writer

    def _admit(self, answer: str, rater: Rater, *, judges: bool = False) -> None:
        """Raise ApiError for an answer that this run did not give, and for more ratings than one gives in earnest.

        Networks are limited before anything else is looked at, so that nobody can try out ids. The holder of a key
        sends the ratings of many from one network, and those of judges as they come.
        """
        if not rater.has_key:
            _take_turn(self._of_network, rater.network)
        if not self._ids.is_own(answer):
            raise ApiError(
                404,
                f"This run gave no answer '{answer}': send the 'id' of an answer as it came",
                param="request",
                code="unknown_answer",
            )
        if not (rater.has_key and judges):
            _take_turn(self._of_rater, rater.hash)

    def _rating(self, feedback: Feedback, rater: Rater) -> Rating:
        text = self._recent.text(feedback.request) if self._recent and not feedback.withdrawn else RatedText()
        scale, value = _verdict(feedback)
        return Rating(
            rater=rater.hash,
            rater_kind=feedback.rater_kind,
            scale=scale,
            value=value,
            request=feedback.request,
            turn=feedback.turn,
            live=True,
            withdrawn=feedback.withdrawn,
            tags=feedback.tags,
            comment=feedback.comment if self._recent else "",
            question=text.question.text,
            answer=text.answer,
            context=text.question.context,
            context_messages=text.question.context_messages,
            phase="inference",
        )


def _check(feedback: Feedback) -> None:
    """Raise ApiError unless it is one thing: a thumb, stars, or a withdrawal with nothing beside it."""
    if feedback.withdrawn + (feedback.thumbs is not None) + (feedback.stars is not None) != 1:
        message = "Give either thumbs ('up' or 'down') or stars (1 to 5), or take a rating back with withdrawn"
        raise ApiError(400, message, param="thumbs")
    if feedback.withdrawn and (feedback.tags or feedback.comment):
        raise ApiError(400, "Beside withdrawn there are no tags and no comment: leave them out", param="withdrawn")


def _verdict(feedback: Feedback) -> tuple[str, int | None]:
    """Scale and value as a ``rating`` event has them."""
    if feedback.withdrawn:
        return "", None
    return ("stars", feedback.stars) if feedback.stars else ("thumbs", int(feedback.thumbs == "up"))


async def _record(writer: Writer, event: Rating | Survey) -> None:
    # In a thread: waiting for the disk must not hold up the answers of others.
    if not await asyncio.to_thread(writer.record, [event]):
        raise ApiError(
            503,
            "The rating could not be written: the server's disk may be full; send it again later",
            code="not_recorded",
            retry_after_s=60,
        )


def _take_turn(limit: RateLimit, name: str) -> None:
    if wait_s := limit.wait_s(name):
        raise ApiError(429, f"Too many ratings at once: try again in {wait_s} s", retry_after_s=wait_s)
