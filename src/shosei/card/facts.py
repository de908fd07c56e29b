"""What every view says about a scorecard besides its metrics, as pairs of a word's key and what stands for it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Any

from shosei.card.judge import Compliance, Judgement, exit_code_of_judgements
from shosei.card.scorecard import DOUBTFUL, Command, PublishedCount, Scorecard
from shosei.card.words import as_words, named
from shosei.errors import EXIT_INCONCLUSIVE, EXIT_INVALID, EXIT_OK, EXIT_REGRESSION
from shosei.metrics.metric import PHASES, Metric, Phase, Text, Words, text
from shosei.quantity import Shown, number, shown, shown_limit

Fact = tuple[str, Sequence[Words]]  # the parts are set one after the other, with a dot between

_STARTED_BY_SERVE = ("engine", "http")
VERDICTS = {  # the word of each exit code
    EXIT_OK: "passed",
    EXIT_REGRESSION: "missed",
    EXIT_INCONCLUSIVE: "inconclusive",
    EXIT_INVALID: "invalid",
}
WORST_FIRST: list[Compliance] = ["missed", "invalid", "inconclusive", "insufficient", "not_measured", "na", "pass"]
_SHAPE = {"d_model", "n_layers", "intermediate_size", "n_heads", "n_kv_heads", "head_dim", "vocab_size"}
_RULES = ("accuracy.mean_over_items_cmrc2018", "accuracy.by_cmrc2018")
_RECORDS: dict[Phase, str] = {
    "training": "shosei train --run RUN",
    "inference": "shosei quickstart --url URL",
}
_UNKNOWN: Sequence[Words] = [text("unknown")]


def title(card: Scorecard) -> Words:
    """The run's name; the model's, where the run has none; both of a server's run, whose name alone says little."""
    model = str(card.model.get("name") or "")
    served = model if "params" not in card.model else ""
    return " · ".join(filter(None, (served, card.run))) or model or text("unknown")


def header(card: Scorecard) -> list[Fact]:
    """What, when and where, in a few words each."""
    attempt = text("nth_attempt", number=card.attempt)
    facts: list[Fact] = [("attempt", [attempt]), ("started", _date(card.started))]
    if card.turn:
        facts.insert(1, ("target", [card.target, text("of_turn", turn=card.turn)]))
    facts[:0] = _model(card.model)
    if card.system:
        facts.insert(0, ("system", [card.system]))
    machines: list[Sequence[Words]] = [parts for parts in map(_machine, card.hardware.values()) if parts]
    facts += [("machine", parts) for parts in machines or [_UNKNOWN]]
    return [*facts, ("kernels", _kernels(card.kernels))] if card.kernels else facts


def conditions(card: Scorecard) -> list[Fact]:
    """How it was measured. What no verb declared is unknown, not blank."""
    meter: list[Words] = []
    if card.meter:
        meter.append(text("meter_cpu", seconds=card.meter.cpu_seconds))
        if card.meter.share is not None:
            meter.append(text("meter_share", percent=100 * card.meter.share))
    facts: list[Fact] = _shape(card.model)
    facts += [("profile", [card.profile])] if card.profile else []  # chosen or not: nothing to be unknown
    facts += [("arrival", [named("arrival", card.arrival)]), ("sandbox", [card.sandbox])]
    facts += [("meter", meter), ("log_digest", [card.log_digest])]
    return [(key, parts if any(parts) else _UNKNOWN) for key, parts in facts]


def verdict(card: Scorecard) -> tuple[str, Text] | None:
    """Whether the profile's limits are kept: a word for it, and the sentence; None where no profile judged."""
    if not card.judgements:
        return None
    outcomes = Counter(judgement.outcome for judgement in card.judgements if counts(judgement))
    word = verdict_word(card.judgements)
    passed, missed = outcomes["pass"], outcomes["missed"]
    rest = outcomes.total() - passed - missed
    return word, text(f"verdict.{word}", passed=passed, missed=missed, open=rest, of=outcomes.total())


def verdict_word(judgements: list[Judgement]) -> str:
    """What the exit code of these judgements means."""
    return VERDICTS[exit_code_of_judgements(judgements)]


def counts(judgement: Judgement) -> bool:
    """Whether it has a part in the verdict: what is not required has one only where it is missed."""
    return judgement.required or judgement.outcome == "missed"


def doubts(card: Scorecard) -> list[Words]:
    """Warnings that cast doubt on numbers of the card: every view shows them before the first number."""
    return [warning for warning in card.warnings if isinstance(warning, Text) and warning.key in DOUBTFUL]


def rule(metric: Metric) -> Words:
    """The benchmark's own rule by which a cell was graded, where it was: it stands beside the number."""
    told = [words for words in (metric.detail, *metric.notes) if isinstance(words, Text)]
    return next((words for words in told if words.key in _RULES), "")


def judgements_of(card: Scorecard, id: str, phase: Phase) -> list[Judgement]:
    """What the profile asks of one cell."""
    return [judgement for judgement in card.judgements if (judgement.id, judgement.phase) == (id, phase)]


def of_figures(judgements: list[Judgement]) -> tuple[Compliance, Text] | None:
    """The worst outcome of what a profile asks of a cell's figures, and how many are kept; None where it asks none."""
    outcomes = [judgement.outcome for judgement in judgements if judgement.figure]
    if not outcomes:
        return None
    return min(outcomes, key=WORST_FIRST.index), text("verdict.kept", kept=outcomes.count("pass"), of=len(outcomes))


def limits(judgement: Judgement) -> Sequence[Words]:
    """The limits of a requirement, or that it only has to be measured. A figure that is not there has no unit."""
    parts: list[Words] = []
    unknown = judgement.figure and judgement.value is None and not judgement.unit
    for key, limit in (("verdict.at_least", judgement.limit_min), ("verdict.at_most", judgement.limit_max)):
        if limit is not None:
            number = Shown(f"{limit:,.10g}") if unknown else shown_limit(limit, judgement.unit)
            parts.append(text(key, limit=number.value, unit=named("unit", number.unit)))
    return parts or [text("verdict.no_limit")]


def outcome(judgement: Judgement) -> Text:
    """How a requirement was kept, and whether it decides."""
    word = text(f"outcome.{judgement.outcome}")
    return word if judgement.required else text("in_brackets", name=word, within=text("verdict.optional"))


def judged_value(judgement: Judgement) -> Shown:
    """The value that was judged, in the unit that suits it."""
    return shown(judgement.value, judgement.unit)


def is_recorded(card: Scorecard, phase: Phase) -> bool:
    """Whether any cell of the phase has a value, be it a poor one."""
    return any(metric.phase == phase and metric.status not in ("not_measured", "na") for metric in card.metrics)


def phases_in_sight(card: Scorecard) -> Sequence[Phase]:
    """The phases whose cells every view shows: those that were recorded; of a run without any, inference."""
    return [phase for phase in PHASES if is_recorded(card, phase)] or PHASES[1:]


def cells_in(card: Scorecard, phases: Sequence[Phase]) -> list[Metric]:
    """The cells of these phases."""
    return [metric for metric in card.metrics if metric.phase in phases]


def phases_unrecorded(card: Scorecard) -> list[tuple[Phase, Text, str]]:
    """The others, each with what stands in place of its 15 cells: sentences, and the command that they end in."""
    sight, how = phases_in_sight(card), text("strip.how")
    return [
        (phase, text("clause.sentence", before=text(f"strip.{phase}"), item=how), _RECORDS[phase])
        for phase in PHASES
        if phase not in sight
    ]


def hardware(card: Scorecard) -> list[tuple[Words, Words]]:
    """Host by host, every recorded fact as (name, text)."""
    several = len(card.hardware) > 1
    return [
        (_fact_name(name.removesuffix("_bytes"), host if several else ""), _plain(name, value))
        for host, facts in card.hardware.items()
        for name, value in facts.items()
    ]


def seeds(card: Scorecard) -> list[tuple[str, str]]:
    """Seeds as they are typed, without separators."""
    return [(name, str(seed)) for name, seed in card.seeds.items()]


def commands(card: Scorecard) -> list[tuple[Command, int]]:
    """The commands that a person typed, each once as it last ran, and how often it ran.

    The processes that ``shosei serve`` starts for itself are left out.
    """
    typed = [command for command in card.commands if command.verb not in _STARTED_BY_SERVE]
    last = {command_line(command): command for command in typed}
    return [(last[line], times) for line, times in Counter(map(command_line, typed)).items()]


def command_line(command: Command) -> str:
    """The command as it can be typed into a shell."""
    return shlex.join(command.argv)


def exit_text(command: Command, times: int) -> Sequence[Words]:
    """The exit code, or that no end was recorded; how often it ran, where not once."""
    code: Words = text("no_end") if command.exit_code is None else str(command.exit_code)
    return [code, text("times", count=times)] if times > 1 else [code]


def difference(count: PublishedCount) -> str:
    """The relative difference of a computed parameter count, in percent."""
    return "0" if count.published == count.computed else f"{100 * count.difference:+.4g} %"


def _model(model: dict[str, Any]) -> list[Fact]:
    """Its name and parameters, as far as a verb said them."""
    facts: list[Fact] = [("model", [str(model["name"])])] if model.get("name") else []
    if "params" in model:
        facts.append(("parameters", [as_words(model["params"])]))
    return facts


def _kernels(kernels: dict[str, str]) -> list[Words]:
    """What computed the model, without the reason: once, where all of its parts had the same."""
    named = {part: kernel.partition(":")[0] for part, kernel in kernels.items()}
    if len({*named.values()}) == 1:
        return [named.popitem()[1]]
    return [text(f"kernels_of.{part}", kernel=kernel) for part, kernel in named.items()]


def _shape(model: dict[str, Any]) -> list[Fact]:
    """How its parameters are divided, and its dimensions."""
    facts: list[Fact] = []
    if embedding := model.get("embedding_params"):
        facts.append(("parameters", [text("parts", embedding=embedding, rest=model["params"] - embedding)]))
    if model.keys() >= _SHAPE:
        shape = text(
            "dimensions",
            d_model=model["d_model"],
            layers=model["n_layers"],
            feed_forward=model["intermediate_size"],
            heads=model["n_heads"],
            kv_heads=model["n_kv_heads"],
            head_size=model["head_dim"],
            rows=model["vocab_size"],
        )
        facts.append(("shape", [shape]))
    return facts


def _date(started: str) -> Sequence[Words]:
    return [started.replace("T", " ").replace("Z", " UTC")] if started else _UNKNOWN


def _fact_name(name: str, host: str) -> Words:
    words = named("fact", name)
    return text("fact.of_host", host=host, name=words) if host else words


def _machine(facts: dict[str, Any]) -> list[Words]:
    """Only what was recorded: a machine whose GPUs nobody listed is not one without a GPU."""
    parts: list[Words] = [str(facts["cpu"])] if facts.get("cpu") else []
    if "cores" in facts:
        parts.append(text("cores", count=facts["cores"]))
    if "memory_bytes" in facts:
        parts.append(_gigabytes(facts["memory_bytes"]))
    if "gpus" in facts:
        parts.append(", ".join(map(str, facts["gpus"])) or text("no_gpu"))
    return parts


def _plain(name: str, value: object) -> Words:
    return _gigabytes(value) if name.endswith("_bytes") else as_words(value)


def _gigabytes(value: object) -> str:
    return f"{number(value / 1e9, 1)} GB" if isinstance(value, int | float) else str(value)
