"""Ratings of answers: of this run's answers, by raters told apart, and on the disk before the client is told so."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import cookie_parser
from starlette.responses import Response

from shosei.log import Rating, Writer
from shosei.log.raters import Raters
from shosei.log.secret import AnswerIds, RunSecret
from shosei.wire.api_error import ApiError
from shosei.wire.api_keys import ApiKeys, RateLimit, bearer
from shosei.wire.feedback import Feedback, FeedbackReceipt

_REMEMBERED = 1_000  # answers
_LONGEST_TEXT = 10_000  # characters of a question or an answer that are kept
_RATERS_A_NETWORK = 4  # may rate as often as they can side by side
COOKIE = "shosei_rater"
_COOKIE_DAYS = 180
_COOKIE_PURPOSE = "cookie"  # of its signature
_TOKEN_CHARACTERS = _SIGNATURE_CHARACTERS = 32  # of a cookie
_IPV6_HOUSE = 64  # bits that one house has in common
_UNKNOWN_KEY = (
    "This server does not know the key in 'Authorization': send one of 'shosei serve --api-keys FILE' or "
    "'--feedback-keys FILE', or none"
)
_USER_NEEDS_KEY = (
    "Only the holder of a key may name a user: send 'Authorization: Bearer KEY', of 'shosei serve --api-keys FILE' or "
    "'--feedback-keys FILE'; without 'user' a cookie tells browsers apart"
)


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


@dataclass(frozen=True, slots=True)
class FeedbackRules:
    """What the operator decides: whose keys may name users, who is one rater, how often a rater rates, what is kept."""

    keys: ApiKeys = ApiKeys()  # noqa: RUF009 - an empty one never changes
    by_address: bool = False
    per_minute: int = 30
    keep_text: bool = False


DEFAULT_RULES = FeedbackRules()


@dataclass(frozen=True, slots=True)
class Rater:
    """One rater. ``network`` is where the request came from; ``cookie`` is to be set, where it is not empty."""

    hash: str
    network: str
    has_key: bool = False
    cookie: str = ""


class RaterIdentity:
    """Tells who sent a rating. ``by_address``: without a key, a network is one rater, and no cookie is set."""

    def __init__(self, secret: RunSecret, keys: ApiKeys, by_address: bool) -> None:
        self._secret, self._raters = secret, Raters(secret)
        self._keys, self._by_address = keys, by_address

    def of(self, feedback: Feedback, headers: Mapping[str, str], address: str) -> Rater:
        """The rater of ``feedback``. Raises ApiError (401) for an unknown key, or a user named without one."""
        network = _network(address)
        if key := bearer(headers.get("authorization", "")):
            if not self._keys.find(key):
                raise ApiError(401, _UNKNOWN_KEY, code="invalid_api_key")
            return Rater(self._raters.of_key(key, feedback.user or ""), network, has_key=True)
        if feedback.user:
            raise ApiError(401, _USER_NEEDS_KEY, param="user", code="key_required")
        if self._by_address:
            return Rater(self._raters.address(network), network)
        return self._browser(feedback.request, headers.get("cookie", ""), network)

    def _browser(self, answer: str, cookies: str, network: str) -> Rater:
        """The browser of the cookie. One that has none, or a forged one, gets it by the first answer that it rates.

        So whoever throws its cookies away is not a new rater each time: every one costs an answer of its own.
        """
        value = cookie_parser(cookies).get(COOKIE, "")
        token, signature = value[:_TOKEN_CHARACTERS], value[_TOKEN_CHARACTERS:]
        if len(signature) == _SIGNATURE_CHARACTERS and self._secret.has_signed(signature, _COOKIE_PURPOSE, token):
            return Rater(self._raters.browser(token), network)
        token = self._secret.sign("first", answer, _TOKEN_CHARACTERS)
        signature = self._secret.sign(_COOKIE_PURPOSE, token, _SIGNATURE_CHARACTERS)
        return Rater(self._raters.browser(token), network, cookie=token + signature)


class Ratings:
    """Takes ratings of answers whose ids ``secret`` signed into the run's log; text only where ``recent`` has it."""

    def __init__(
        self,
        writer: Writer | None,
        secret: RunSecret,
        rules: FeedbackRules,
        recent: RecentAnswers | None = None,
    ) -> None:
        self._writer, self._recent = writer, recent
        self._ids = AnswerIds(secret)
        self._identity = RaterIdentity(secret, rules.keys, rules.by_address)
        self._of_rater = RateLimit(rules.per_minute)
        self._of_network = RateLimit(rules.per_minute * _RATERS_A_NETWORK)

    async def take(self, feedback: Feedback, headers: Mapping[str, str], address: str) -> tuple[FeedbackReceipt, Rater]:
        """Write ``feedback`` down; when this returns, the disk has it. ``headers`` are the request's, in lower case.

        Raises ApiError.
        """
        _check(feedback)
        if self._writer is None:
            raise ApiError(
                503,
                "This server records nothing: to collect ratings, start it with 'shosei serve MODEL --run RUN'",
                code="not_recording",
            )
        rater = self._identity.of(feedback, headers, address)
        self._admit(feedback, rater)
        rating = self._rating(feedback, rater)
        # In a thread: waiting for the disk must not hold up the answers of others.
        if not await asyncio.to_thread(self._writer.record, [rating]):
            raise ApiError(
                503,
                "The rating could not be written: the server's disk may be full; send it again later",
                code="not_recorded",
                retry_after_s=60,
            )
        text_kept = bool(rating.comment or rating.question or rating.answer)
        return FeedbackReceipt(request=feedback.request, turn=feedback.turn, text_kept=text_kept), rater

    def _admit(self, feedback: Feedback, rater: Rater) -> None:
        """Raise ApiError for an answer that this run did not give, and for more ratings than one gives in earnest.

        Networks are limited before anything else is looked at, so that nobody can try out ids. The holder of a key
        sends the ratings of many from one network, and those of judges as they come.
        """
        if not rater.has_key:
            _take_turn(self._of_network, rater.network)
        if not self._ids.is_own(feedback.request):
            raise ApiError(
                404,
                f"This run gave no answer '{feedback.request}': send the 'id' of an answer as it came",
                param="request",
                code="unknown_answer",
            )
        if not (rater.has_key and feedback.rater_kind == "model"):
            _take_turn(self._of_rater, rater.hash)

    def _rating(self, feedback: Feedback, rater: Rater) -> Rating:
        question, answer = self._recent.texts(feedback.request) if self._recent else ("", "")
        return Rating(
            rater=rater.hash,
            rater_kind=feedback.rater_kind,
            scale="stars" if feedback.stars else "thumbs",
            value=feedback.stars or int(feedback.thumbs == "up"),
            request=feedback.request,
            turn=feedback.turn,
            live=True,
            tags=feedback.tags,
            comment=feedback.comment if self._recent else "",
            question=question,
            answer=answer,
            phase="inference",
        )


def _take_turn(limit: RateLimit, name: str) -> None:
    if wait_s := limit.wait_s(name):
        raise ApiError(429, f"Too many ratings at once: try again in {wait_s} s", retry_after_s=wait_s)


def _check(feedback: Feedback) -> None:
    """Raise ApiError for what the fields' own types cannot say."""
    if (feedback.thumbs is None) == (feedback.stars is None):
        raise ApiError(400, "Give either thumbs ('up' or 'down') or stars (1 to 5)", param="thumbs")


def set_cookie(response: Response, value: str, *, secure: bool) -> None:
    """Have the browser keep its cookie: scripts cannot read it, and no other site's pages send it."""
    response.set_cookie(COOKIE, value, max_age=_COOKIE_DAYS * 86_400, secure=secure, httponly=True, samesite="lax")


def _network(address: str) -> str:
    """An IPv4 address, or the network of a house in IPv6."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if known.version == 4:
        return str(known)
    if mapped := known.ipv4_mapped:
        return str(mapped)
    return str(ipaddress.ip_network((known, _IPV6_HOUSE), strict=False))
