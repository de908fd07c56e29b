"""What judges said of a run's answers: models with a rubric, and people who labelled them, each apart from the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from shosei.log import Exec, Log, RunBegin, Score, Verdict, Workflow
from shosei.metrics.grading.verdict import Reading, digest_of, judged_text, read_verdict

AnswerKey = tuple[str, str, int]  # suite, task, sample


def key_of(event: Score | Verdict) -> AnswerKey:
    """Names an answer within a run."""
    return event.suite, event.item, event.sample


@dataclass(slots=True)
class Judge:
    """A model with a rubric, and how its verdicts on the run's answers read, vote by vote."""

    verdict: Verdict  # any of its own: they have its names
    votes: dict[AnswerKey, dict[int, Reading]] = field(default_factory=dict)

    @property
    def rubric(self) -> str:
        """Name and version, for people."""
        return f"{self.verdict.rubric} {self.verdict.rubric_version}".strip()

    def passes(self, key: AnswerKey) -> bool | None:
        """What most votes say of an answer; None where none can be read, or as many say the opposite."""
        said = [reading.passes for reading in self.votes.get(key, {}).values()]
        balance = said.count(True) - said.count(False)
        return balance > 0 if balance else None

    def reason(self, key: AnswerKey) -> str:
        """Why, in the words of the first vote that says what counts."""
        readings = self.votes.get(key, {}).values()
        return next((reading.reason for reading in readings if reading.passes == self.passes(key)), "")

    def is_split(self, key: AnswerKey) -> bool:
        """Whether its votes on an answer differ."""
        return len({reading.passes for reading in self.votes.get(key, {}).values()}) > 1

    def median_characters(self, scores: Iterable[Score], passes: bool) -> float | None:
        """Of the answers that it lets pass, or that it does not."""
        lengths = [len(judged_text(score)) for score in scores if self.passes(key_of(score)) is passes]
        return float(median(lengths)) if lengths else None


def judged_part(log: Log) -> Log:
    """What judging is about: the events of the phase whose answers are judged, inference where it has any."""
    phase = "inference" if log.part(Score, "inference") else "training"
    part = Log(log.attempt, {kind: log.part(kind, phase) for kind in (Score, Workflow, Exec, Verdict)})
    part.events[RunBegin] = log.of(RunBegin)
    return part


def judges(log: Log, scores: Iterable[Score]) -> list[Judge]:
    """The models that judged these answers, each with its rubric, in the order in which they first did."""
    by_identity: dict[str, Judge] = {}
    for verdict in _of_answers(log, scores, "model"):
        judge = by_identity.setdefault(verdict.identity, Judge(verdict))
        judge.votes.setdefault(key_of(verdict), {})[verdict.vote] = read_verdict(verdict)
    return list(by_identity.values())


def labels(log: Log, scores: Iterable[Score]) -> dict[AnswerKey, bool]:
    """Whether people let these answers pass; of an answer that was labelled again the last label counts."""
    read = {key_of(verdict): read_verdict(verdict).passes for verdict in _of_answers(log, scores, "person")}
    return {key: passes for key, passes in read.items() if passes is not None}


def judges_itself(log: Log, judge: str) -> bool:
    """Whether a model of the same name gave the answers: models prefer their own."""
    answering = (begin.config.get("model") for begin in log.of(RunBegin) if begin.verb in ("exam", "agents"))
    return judge.lower() in {str(name).lower() for name in answering if name}


def _of_answers(log: Log, scores: Iterable[Score], by: str) -> list[Verdict]:
    """The verdicts on these answers, and not on others that the same tasks once had."""
    verdicts = [verdict for verdict in log.of(Verdict) if verdict.by == by and not verdict.error]
    keys = set(map(key_of, verdicts))
    digests = {key_of(score): digest_of(score) for score in scores if key_of(score) in keys}
    return [verdict for verdict in verdicts if digests.get(key_of(verdict)) == verdict.answer]
