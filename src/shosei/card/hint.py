"""What a shipped profile would make of a run for which nobody asked for one."""

from __future__ import annotations

import msgspec

from shosei.card import facts
from shosei.card.clauses import listed, requirement
from shosei.card.judge import Judgement, against_limits, under_other_load
from shosei.log import Log, Workflow
from shosei.metrics.cells import cells_of
from shosei.metrics.metric import Metric, Text, Words, text
from shosei.metrics.observed.tasks import behind_gateway_alone
from shosei.profile.profile import Profile, read_profile

_FOR = {"chatbot": "hint.for_answers", "multi-agent": "hint.for_agents", "pretrain": "hint.for_training"}
_MOST_NAMES = 3
_BY_SERVICE_LEVEL = ("inference_speed", "inference")  # its goodput is counted by the profile's own limits of a request


class Hint(msgspec.Struct, frozen=True):
    """A view, not a verdict: it has no exit code and is not in the card's JSON.

    ``other_load``: how the load differs under which speeds and times were measured; the limits are held against them
    all the same.
    """

    profile: str
    judgements: list[Judgement]
    other_load: Text | None = None

    @property
    def word(self) -> str:
        """What the exit code would mean."""
        return facts.verdict_word(self.judgements)


def nearest_profile(metrics: list[Metric], log: Log) -> Hint | None:
    """Of a run of agents ``multi-agent``, of another that served answers ``chatbot``, of a training ``pretrain``.

    None where nothing was measured. A pure function.
    """
    measured = {metric.phase for metric in metrics if metric.value is not None}
    if not measured:
        return None
    of_agents = bool(log.of(Workflow)) or behind_gateway_alone(log)
    profile = read_profile(("multi-agent" if of_agents else "chatbot") if "inference" in measured else "pretrain")
    judgements = against_limits(_by_service_level(metrics, profile, log), profile)
    return Hint(profile.name, judgements, under_other_load(profile, log))


def told(hint: Hint) -> tuple[Words, Words]:
    """What the profile would make of the run; why this one was taken, and what to keep in mind."""
    counting = [judgement for judgement in hint.judgements if facts.counts(judgement)]
    unkept = [judgement for judgement in counting if judgement.outcome != "pass"]
    named = [judgement for judgement in unkept if hint.word in ("inconclusive", judgement.outcome)]
    key = "open" if hint.word == "inconclusive" and len(named) == len(counting) else hint.word
    view = text(f"hint.{key}", profile=hint.profile, count=len(named), of=len(counting), names=_names(named))
    why: list[Words] = [text("hint.why", what=text(_FOR[hint.profile]))]
    why += [text("hint.other_load", why=hint.other_load)] if hint.other_load else []
    return view, listed(why, "sentence")


def command(hint: Hint) -> str:
    """What makes a verdict of it."""
    return f"shosei card RUN --profile {hint.profile}"


def _names(judgements: list[Judgement]) -> Words:
    """The first few; each requirement of a cell is one."""
    names = listed([*map(requirement, judgements[:_MOST_NAMES])])
    more = len(judgements) - _MOST_NAMES
    return text("clause.more", names=names, count=more) if more > 0 else names


def _by_service_level(metrics: list[Metric], profile: Profile, log: Log) -> list[Metric]:
    """The metrics as ``--profile`` would have them."""
    if not profile.service_level.is_set:
        return metrics
    cell = next(cell for cell in cells_of(log, profile.service_level) if (cell.id, cell.phase) == _BY_SERVICE_LEVEL)
    counted = cell.compute(log)
    return [counted if (metric.id, metric.phase) == _BY_SERVICE_LEVEL else metric for metric in metrics]
