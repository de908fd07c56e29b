"""Puts a run's answers to a judge, and writes down what it says."""

from __future__ import annotations

import hashlib
import time
from collections import Counter, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec

from shosei.exam.counts import Counts, SuiteCount
from shosei.exam.exam import Answer, drain
from shosei.exam.judging.config import JudgeConfig
from shosei.exam.judging.framing import FRAMING_VERSION, framed
from shosei.exam.judging.rubric import Rubric
from shosei.exam.served_model import ServedModel
from shosei.log import Log, Score, Verdict, Writer
from shosei.log.secret import RunSecret
from shosei.metrics.grading.grade import JUDGE
from shosei.metrics.grading.verdict import digest_of
from shosei.progress import progress
from shosei.wire.client import Client
from shosei.wire.suite import Task

_NONCE_CHARACTERS = 16
Vote = tuple[str, str, int, str, int]  # suite, task, sample, digest of the answer, number of the vote


async def check(config: JudgeConfig, url: str) -> JudgeConfig:
    """The configuration with the judge's name. Raises InputError: no server at ``url``, or no model in it."""
    async with Client(url, timeout_s=config.timeout_s, headers=config.headers) as client:
        return config.model_copy(update={"model": await client.model(config.model, "--model NAME")})


@dataclass(frozen=True, slots=True)
class Judging:
    """A judge: a model as it is asked, and a rubric. ``secret`` makes what separates answers from what is asked."""

    config: JudgeConfig
    rubric: Rubric
    secret: RunSecret

    @property
    def identity(self) -> str:
        """SHA-256 of all that decides on a verdict beside the answer."""
        decides = [self.config.model, self.rubric.hash, FRAMING_VERSION, self.config.decoding]
        return hashlib.sha256(msgspec.json.encode(decides, order="sorted")).hexdigest()

    def cast(self, log: Log) -> set[Vote]:
        """The votes that this judge has cast already."""
        return {
            (verdict.suite, verdict.item, verdict.sample, verdict.answer, verdict.vote)
            for verdict in log.of(Verdict)
            if verdict.by == "model" and verdict.identity == self.identity and not verdict.error
        }

    def messages(self, score: Score) -> list[dict[str, str]]:
        """How it is asked about an answer. The same answer is always asked about in the same words."""
        name = f"{score.suite}/{score.item}/{score.sample} {digest_of(score)}"
        return framed(self.rubric, score, self.secret.sign("judge", name, _NONCE_CHARACTERS))

    async def judge(self, url: str, answers: Sequence[Score], writer: Writer, cast: Collection[Vote]) -> Counts:
        """Ask for each vote on each answer that is not ``cast``; return counts by suite.

        Each becomes a ``verdict`` event, in the log before the next is asked; a request that failed does too, and is
        sent again by the next judging.
        """
        votes = [(score, vote) for vote in range(self.config.votes) for score in answers]
        counts = {suite: SuiteCount(number) for suite, number in Counter(score.suite for score, _ in votes).items()}
        pending: deque[tuple[Score, int]] = deque()
        for score, vote in votes:
            if (score.suite, score.item, score.sample, digest_of(score), vote) in cast:
                counts[score.suite].end("")
                counts[score.suite].kept += 1
            else:
                pending.append((score, vote))
        headers = {"x-shosei-purpose": "judge", **self.config.headers}
        async with Client(url, timeout_s=self.config.timeout_s, headers=headers) as client:
            models = [ServedModel(client, self.config.of_vote(vote)) for vote in range(self.config.votes)]

            async def ask(asked: tuple[Score, int]) -> None:
                score, vote = asked
                answer = await models[vote].answer(self._task(score), score.sample, time.monotonic_ns())
                writer.emit(self._verdict(score, vote, answer))
                writer.flush()
                counts[score.suite].end(answer.event.error, answer.message)
                work.advance()
                work.note = f"{sum(count.failed for count in counts.values())} failed"

            with progress("judging", len(votes), "verdicts", done=len(votes) - len(pending)) as work:
                await drain(pending, self.config.concurrency, ask)
        return counts

    def _task(self, score: Score) -> Task:
        """What is asked, as a task of its own."""
        return Task(
            id=score.item,
            suite=score.suite,
            lang=score.lang,
            cluster=score.cluster,
            messages=self.messages(score),
            grader=JUDGE,
            truth="",
            max_tokens=self.config.max_tokens,
        )

    def _verdict(self, score: Score, vote: int, answer: Answer) -> Verdict:
        return Verdict(
            suite=score.suite,
            item=score.item,
            sample=score.sample,
            by="model",
            answer=digest_of(score),
            said=answer.text,
            vote=vote,
            judge=self.config.model,
            rubric=self.rubric.name,
            rubric_version=self.rubric.version,
            rubric_hash=self.rubric.hash,
            least=self.rubric.least,
            identity=self.identity,
            error=answer.event.error,
            tokens_in=answer.event.tokens_in,
            tokens_out=answer.event.tokens_out,
        )
