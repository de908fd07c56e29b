"""Ratings of answers: checked, hashed, and on the disk before the client is told so."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from shosei.errors import InputError
from shosei.log import Rating, Writer
from shosei.log.raters import Raters
from shosei.serve.errors import ApiError
from shosei.serve.prompt import check_unicode
from shosei.wire.feedback import Feedback, FeedbackReceipt

_REMEMBERED = 1_000  # answers
_LONGEST_TEXT = 10_000  # characters of a question or an answer that are kept

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecentAnswer:
    """A question and the pieces of its answer, which may still be growing."""

    question: str
    pieces: Sequence[str]


class RecentAnswers:
    """The last 1,000 questions and answers by the answer's id, for ratings that come while they are here."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, RecentAnswer] = OrderedDict()

    def add(self, id: str, question: str, pieces: Sequence[str]) -> None:
        """Remember an answer that begins; the oldest is forgotten."""
        self._answers[id] = RecentAnswer(question[:_LONGEST_TEXT], pieces)
        if len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)

    def texts(self, id: str) -> tuple[str, str]:
        """Question and answer; empty where they are not remembered."""
        answer = self._answers.get(id, RecentAnswer("", ()))
        return answer.question, "".join(answer.pieces)[:_LONGEST_TEXT]


class Ratings:
    """Takes ratings into the run's log. Text is kept only with ``recent``, the operator's switch."""

    def __init__(self, writer: Writer | None, recent: RecentAnswers | None) -> None:
        self._writer, self._recent = writer, recent
        self._raters: Raters | None = None

    async def take(self, feedback: Feedback, address: str) -> FeedbackReceipt:
        """Write ``feedback`` down; when this returns, the disk has it. Raises ApiError."""
        _check(feedback)
        if self._writer is None:
            raise ApiError(
                503,
                "This server records nothing: to collect ratings, start it with 'shosei serve MODEL --run RUN'",
                code="not_recording",
            )
        question, answer = self._recent.texts(feedback.request) if self._recent else ("", "")
        rating = Rating(
            rater="",
            rater_kind=feedback.rater_kind,
            scale="stars" if feedback.stars else "thumbs",
            value=feedback.stars or int(feedback.thumbs == "up"),
            request=feedback.request,
            turn=feedback.turn,
            tags=feedback.tags,
            comment=feedback.comment if self._recent else "",
            question=question,
            answer=answer,
            phase="inference",
        )
        text_kept = bool(rating.comment or rating.question or rating.answer)
        # In a thread: waiting for the disk must not hold up the answers of others.
        if not await asyncio.to_thread(self._record, self._writer, rating, feedback.user, address):
            raise ApiError(
                503,
                "The rating could not be written: the server's disk may be full; send it again later",
                code="not_recorded",
                retry_after_s=60,
            )
        return FeedbackReceipt(request=feedback.request, turn=feedback.turn, text_kept=text_kept)

    def _record(self, writer: Writer, rating: Rating, user: str | None, address: str) -> bool:
        """Whether the disk has ``rating``."""
        try:
            raters = self._raters = self._raters or Raters(writer.path.parent.parent)
        except (OSError, InputError):
            _log.exception("no rating can be taken")
            return False
        rating.rater = raters.user(user) if user else raters.address(address)
        return writer.record([rating])


def _check(feedback: Feedback) -> None:
    """Raise ApiError for what the fields' own types cannot say."""
    if (feedback.thumbs is None) == (feedback.stars is None):
        raise ApiError(400, "Give either thumbs ('up' or 'down') or stars (1 to 5)", param="thumbs")
    for param, texts in (("tags", feedback.tags), ("comment", [feedback.comment]), ("user", [feedback.user or ""])):
        for text in texts:
            check_unicode(text, param)
