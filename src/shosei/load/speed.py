"""How fast something answers with nothing else to do: prompts alone, then tokens of 1, 8 and 32 answers at once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol, TypeVar

from shosei.errors import InputError
from shosei.load.prompts import generate
from shosei.progress import progress
from shosei.quantity import NS_PER_S
from shosei.wire.client import Client, Reply
from shosei.wire.endpoint import KEY_VARIABLE, read_key
from shosei.wire.timed_stream import TimedStream, decode_rate, prefill_rate

T = TypeVar("T")

PREFILL_TOKENS = 512
PROMPT_TOKENS, NEW_TOKENS = 64, 64  # of each answer whose decoding is timed
STREAMS = (1, 8, 32)
_TRIAL_TOKENS = (400, 64)  # the second where a small context refuses the first
_SHORTEST = 16  # tokens of a context
_LONGEST_S = 900.0  # a small machine that answers 32 requests one after another is slow, not broken
_LONGEST_TRIAL_S = 300.0  # of one short answer, before which a server may still have to load its model
_MODEL_OPTION = "--model NAME"
_REFUSED, _NO_KEY = (400, 422), (401, 403)


class NotMeasured(Exception):
    """Whoever answers did not do what was to be timed; the words say why."""


class TimedAnswers(Protocol):
    """What answers: an engine, or a server behind HTTP. ``context``: tokens of a prompt with its answer, if known."""

    context: int | None

    def answers(self, streams: int, prompt_tokens: int, new_tokens: int) -> Sequence[TimedStream]:
        """So many answers, asked for at once, to prompts of about so many tokens that were never asked before.

        Raises NotMeasured.
        """


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens a second, the median over the turns; None with the ``reason`` where it was not measured."""

    streams: int
    prompt_tokens: int
    new_tokens: int
    tokens_per_second: float | None
    reason: str = ""

    @property
    def is_prefill(self) -> bool:
        return self.new_tokens == 1


def measured_speeds(timed: TimedAnswers, turns: int) -> list[Speed]:
    """Prefill, then decoding by streams; each is warmed up once and then measured in ``turns`` rounds of all.

    Raises InputError for a context in which there is no room for both.
    """
    context = timed.context or PREFILL_TOKENS + 1
    if context < _SHORTEST:
        raise InputError(f"a context of {context} tokens is too short to be measured: it takes {_SHORTEST}")
    prompt = min(PROMPT_TOKENS, context // 2)
    new = min(NEW_TOKENS, context - prompt)
    work = [(1, min(PREFILL_TOKENS, context - 1), 1), *((streams, prompt, new) for streams in STREAMS)]
    rates: list[list[float]] = [[] for _ in work]
    reasons = [""] * len(work)
    with progress("measuring", (turns + 1) * len(work)) as shown:
        for _, (place, job) in shown.over(itertools.product(range(turns + 1), enumerate(work))):
            try:
                if not reasons[place]:
                    rates[place].append(measured_rate(timed, *job))
            except NotMeasured as failure:
                reasons[place] = str(failure)
    return [
        Speed(*job, None if reason else median(of_job[1:]), reason)
        for job, of_job, reason in zip(work, rates, reasons, strict=True)
    ]


def measured_rate(timed: TimedAnswers, streams: int, prompt_tokens: int, new_tokens: int) -> float:
    """Tokens/s of one measurement: of the prompt, if one new token is all, else of decoding. Raises NotMeasured."""
    answers = timed.answers(streams, prompt_tokens, new_tokens)
    if not all(stream.times for stream in answers):
        raise NotMeasured("an answer had no text")
    rate = prefill_rate(answers[0]) if new_tokens == 1 else decode_rate(answers)
    if rate is None and new_tokens == 1:
        raise NotMeasured("the server does not say how many tokens a prompt has")
    if rate is None:
        shortest = min(stream.tokens_out or len(stream.times) for stream in answers)
        raise NotMeasured(
            f"the answers ended early (the shortest after {shortest} tokens), or fewer than {streams} came at once"
        )
    return rate


class TimedServer:
    """An OpenAI-compatible server, asked for streamed chat answers."""

    def __init__(self, url: str, model: str = "", characters: float | None = None) -> None:
        """One short answer shows what it takes and, unless that is given, how many ``characters`` a token of a prompt
        has there. Raises InputError where it gives none."""
        self._url, self._numbers = url, itertools.count()
        self._fields: dict[str, Any] = {}
        self._characters = characters or 1.0
        self._longest_s = _LONGEST_TRIAL_S
        self.model, self.context = asyncio.run(self._with_client(lambda client: self._find(client, model)))
        try:
            with progress(f"asking {url} for a short answer"):
                ratio = self._try_out()
        except NotMeasured as failure:
            raise InputError(f"{url} gave no streamed answer: {failure}") from None
        self._longest_s = _LONGEST_S
        if not characters:
            self._characters *= ratio

    def answers(self, streams: int, prompt_tokens: int, new_tokens: int) -> list[TimedStream]:
        """As ``TimedAnswers`` has it; a prompt's characters are as many as its tokens had in the answers before."""
        characters = max(16, round(prompt_tokens * self._characters))
        questions = generate(characters, next(self._numbers))[:streams]
        return asyncio.run(
            self._with_client(
                lambda client: _gathered(self._answer(client, question, new_tokens) for question in questions)
            )
        )

    def _try_out(self) -> float:
        """How many times too few tokens its prompt had, as the server counts them; 1 where it counts none."""
        refusal = NotMeasured()
        for tokens, fields in itertools.product(_TRIAL_TOKENS, ({"ignore_eos": True}, {})):
            self._fields = fields  # ignore_eos: of vLLM, SGLang and ours; answers go on to their limit
            try:
                (trial,) = self.answers(1, tokens, 2)
            except _Refused as failure:
                refusal = failure
            else:
                return tokens / trial.tokens_in if trial.tokens_in else 1.0
        raise refusal

    async def _find(self, client: Client, model: str) -> tuple[str, int | None]:
        name = await client.model(model, _MODEL_OPTION)
        try:
            return name, (await client.models()).get(name)
        except InputError:  # a server need not list what it serves where --model names it
            return name, None

    async def _with_client(self, work: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        async with Client(self._url, timeout_s=self._longest_s) as client:
            return await work(client)

    async def _answer(self, client: Client, messages: list[dict[str, Any]], new_tokens: int) -> TimedStream:
        times: list[float] = []
        body = {
            "model": self.model,
            "messages": messages,
            "max_tokens": new_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        reply = await client.ask(
            "/v1/chat/completions", body | self._fields, on_piece=lambda now_ns: times.append(now_ns / NS_PER_S)
        )
        if reply.error:
            failure = _Refused if reply.status in _REFUSED else NotMeasured
            raise failure(self._fault(reply))
        if reply.text and not times:
            raise NotMeasured("the answer came whole, though a streamed one was asked for")
        computed = None if reply.tokens_in is None else reply.tokens_in - (reply.tokens_cached or 0)
        return TimedStream((reply.sent_ns or 0) / NS_PER_S, computed, reply.tokens_out, times)

    def _fault(self, reply: Reply) -> str:
        """What went wrong with a request."""
        if reply.error == "timeout":
            return f"no whole answer within {self._longest_s:g} s"
        if reply.status in _NO_KEY and not read_key():
            return f"the server wants a key: set {KEY_VARIABLE} ({reply.status})"
        status = "" if reply.status is None else f", status {reply.status}"
        return f"{reply.error}{status}: {reply.message}".removesuffix(": ")


class _Refused(NotMeasured):
    """The server does not take the request as it is."""


async def _gathered(work: Any) -> list[Any]:
    return list(await asyncio.gather(*work))
