"""Ratings of answers that came through the gateway: taken here, since only the gateway knows the ids that it gave."""

from __future__ import annotations

import msgspec
from pydantic import ValidationError

from shosei.gateway.call import Call
from shosei.gateway.downstream import JSON
from shosei.log import Writer
from shosei.log.secret import RunSecret
from shosei.wire.api_error import ApiError
from shosei.wire.feedback import FORMS, Feedback, FeedbackReceipt, SurveyReceipt
from shosei.wire.invalid_body import invalid_body
from shosei.wire.proxies import Sender
from shosei.wire.rating_desk import RatingDesk, RatingRules
from shosei.wire.recent_answers import AskedQuestion, RecentAnswers
from shosei.wire.reply import UNREADABLE
from shosei.wire.thoughts import said_in

_LARGEST = 1 << 20  # bytes


class _Said(msgspec.Struct):
    """What is read of a message."""

    role: str = ""
    content: object = None


class _Asked(msgspec.Struct):
    """What is read of a request for what was asked."""

    messages: list[_Said] = []
    prompt: object = None


_read_asked = msgspec.json.Decoder(_Asked).decode


def takes(call: Call) -> bool:
    """Whether a call brings a rating."""
    return call.method == "POST" and call.path in FORMS


class Ratings:
    """Takes ratings and surveys by ``rules``, and remembers texts where those keep them."""

    def __init__(self, writer: Writer | None, secret: RunSecret, rules: RatingRules) -> None:
        self._recent = RecentAnswers() if rules.keep_text else None
        self._desk = RatingDesk(writer, secret, rules, self._recent)

    async def answer(self, call: Call, sender: Sender) -> None:
        """Answer a call of ``sender`` that ``takes`` has. Raises ApiError."""
        if call.spool or len(call.body) > _LARGEST:
            raise ApiError(413, f"The body is larger than {_LARGEST} bytes")
        form = FORMS[call.path]
        try:
            opinion = form.model_validate_json(call.body)
        except ValidationError as error:
            raise invalid_body(error.errors(), list(form.model_fields)) from None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in call.headers}
        receipt: FeedbackReceipt | SurveyReceipt
        if isinstance(opinion, Feedback):
            receipt, rater = await self._desk.take(opinion, headers, sender.address)
        else:
            receipt, rater = await self._desk.take_survey(opinion, headers, sender.address)
        cookies = [(b"set-cookie", rater.set_cookie(secure=sender.secure).encode())] if rater.cookie else []
        call.downstream.whole(200, receipt.model_dump_json().encode(), [*JSON, *cookies])

    def remember(self, call: Call, pieces: list[str]) -> None:
        """Keep what a call asks, and ``pieces`` of its answer, which come; only where text is kept."""
        if self._recent is not None:
            self._recent.add(call.id, _question(call.body), pieces)


def _question(body: bytes) -> AskedQuestion:
    try:
        asked = _read_asked(body)
    except UNREADABLE:
        return AskedQuestion("")
    if asked.messages:
        return AskedQuestion.of([(message.role, said_in(message.content)) for message in asked.messages])
    return AskedQuestion(asked.prompt if isinstance(asked.prompt, str) else "")
