"""The card in a few sentences, for a reader who has ten seconds: what was asked, how it went, what nobody knows yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from shosei.card import facts
from shosei.card.clauses import amount, listed
from shosei.card.held_out import held_out_rows
from shosei.card.remark import few_units
from shosei.card.scorecard import Scorecard
from shosei.card.words import as_words
from shosei.metrics.metric import Figure, Metric, Row, Text, Words, text
from shosei.quantity import shown

_FEW = {"term.time_batches": "headline.few_time", "accuracy.clusters": "headline.few_questions"}
# What was waited for: where median and p95 are known, where only the median is, where only the mean is.
_WAITS = {
    "first_word": ("headline.first_word", "headline.first_word_median", "headline.answer_mean"),
    "answer": ("headline.answer", "headline.answer_median", "headline.answer_mean"),
    "task": ("headline.task", "headline.task_median", "headline.task_mean"),
}
# Of requests and of tasks, where some failed and where none did.
_FAILURES = {
    False: ("headline.failed_requests", "headline.no_failed_requests"),
    True: ("headline.failed_tasks", "headline.no_failed_tasks"),
}
_FEW_CLUSTERS = 30  # of a suite, as of a cell


class Headline(msgspec.Struct, frozen=True):
    """Whole sentences. A number that rests on too little says so in its own sentence."""

    said: Words
    missing: Words = ""  # what nobody has measured, in one sentence; empty where nothing is missing


def headline(card: Scorecard) -> Headline:
    """Of inference where any of it was measured, else of training. A pure function."""
    served = facts.is_recorded(card, "inference")
    parts = _OF_INFERENCE if served else _OF_TRAINING
    sentences = [sentence for part in parts for sentence in part(card)] or [text("headline.nothing")]
    missing = _missing_of_inference(card) if served else [text("headline.not_served")]
    unknown = text("headline.missing", what=listed(missing, "semicolon")) if missing else ""
    return Headline(listed(sentences, "sentence"), unknown)


def _sentence(said: Text, metric: Metric) -> Text:
    """With its full stop, or with why it is not to be relied on."""
    if metric.status == "invalid":
        return text("headline.invalid", said=said, why=metric.reason)
    return _supported(said, (few_units(metric) or "term.runs") if metric.status == "insufficient" else "")


def _supported(said: Text, few: str = "") -> Text:
    """``few``: the units of which there are too few."""
    if not few:
        return text("headline.sure", said=said)
    return text("headline.unsure", said=said, why=text(_FEW.get(few, "headline.few")))


def _right(card: Scorecard) -> Sequence[Text]:
    """Which share of what was asked was right; of free text alone, how much of the right answers was said."""
    metric, overlap = card.cell("pass_at_1", "inference"), card.cell("f1", "inference")
    if metric.status == "not_measured" and overlap.value is not None:
        said = text("headline.overlap", share=amount(overlap.value, ""), count=overlap.n)
        return [_sentence(said, overlap)]
    if metric.value is None:
        return _why_invalid(metric)
    share, suites = amount(metric.value, ""), _suites(metric)
    if card.system:
        return [_sentence(text("headline.solved", share=share, count=metric.n, system=card.system), metric)]
    if len(suites) > 1:
        said = text("headline.right", share=share, count=metric.n, suites=len(suites))
    elif suites:
        said = text("headline.right_of_one", share=share, count=metric.n, suite=str(suites[0][0]))
    else:
        said = text("headline.right_of_all", share=share, count=metric.n)
    return [_sentence(said, metric)]


def _weakest(card: Scorecard) -> Sequence[Text]:
    """The suite with the lowest share, where they differ."""
    metric = card.cell("pass_at_1", "inference")
    suites = _suites(metric)
    if metric.status == "invalid" or len({suite[1] for suite in suites}) < 2:
        return []
    name, share, _, _, count, clusters, *_ = min(suites, key=lambda suite: float(str(suite[1])))
    said = text("headline.weakest", suite=str(name), share=amount(float(str(share)), ""), count=as_words(count))
    return [_supported(said, "accuracy.clusters" if int(str(clusters)) < _FEW_CLUSTERS else "")]


def _suites(metric: Metric) -> list[Row]:
    """Rows of its table of suites: name, share, two ends of the interval, count, independent units."""
    return [row for table in metric.breakdown if table.key == "accuracy.suites" for row in table.rows]


def _first_word(card: Scorecard) -> Sequence[Text]:
    """How long people waited for the first word or, where nothing was streamed, for the whole answer."""
    metric = card.cell("response_time", "inference")
    if metric.value is None:
        return _why_invalid(metric)
    streamed = next((kind for kind in ("ttfat", "ttft") if _figure(metric, f"{kind}_p50").value is not None), "")
    both, middle, average = _WAITS["first_word" if streamed else "task" if card.system else "answer"]
    median, slow = (_figure(metric, f"{streamed}_{percent}".lstrip("_")) for percent in ("p50", "p95"))
    if median.value is None:
        said = text(average, mean=amount(metric.value, metric.unit))
    elif slow.value is None:
        said = text(middle, median=amount(median.value, median.unit))
    else:
        said = text(both, median=amount(median.value, median.unit), slow=amount(slow.value, slow.unit))
    too_few_told = median.value is not None and slow.value is None and metric.status == "insufficient"
    return [_supported(said) if too_few_told else _sentence(said, metric)]


def _rate(card: Scorecard) -> Sequence[Text]:
    """How many requests a second were answered, of how many that were sent."""
    metric = card.cell("inference_speed", "inference")
    if metric.value is None:
        return []
    rate, offered = shown(metric.value, metric.unit).value, _figure(metric, "offered").value
    if metric.unit == "tasks/s":
        said = text("headline.task_rate", rate=rate)
    elif offered is None:
        said = text("headline.rate", rate=rate)
    elif _keeps_up(metric):
        said = text("headline.rate_of_all", rate=rate)
    else:
        said = text("headline.rate_of", rate=rate, offered=shown(offered, metric.unit).value)
    return [_sentence(said, metric)]


def _keeps_up(metric: Metric) -> bool:
    achieved, saturated = _figure(metric, "achieved_over_offered").value, _figure(metric, "saturated").value
    return achieved is not None and achieved >= 0.95 and saturated == 0


def _failures(card: Scorecard) -> Sequence[Text]:
    """Failed requests or tasks, and restarts that nobody wanted."""
    metric, restarts = card.cell("error_rate", "inference"), card.cell("restart_count", "inference")
    sentences: list[Text] = []
    if metric.value is not None:
        some, none = _FAILURES[bool(card.system)]
        if metric.value:
            said = text(some, share=amount(metric.value, ""), count=as_words(metric.n))
        else:
            said = text(none, count=as_words(metric.n))
        sentences.append(_sentence(said, metric))
    if restarts.value:
        sentences.append(_supported(text("headline.restarts", count=int(restarts.value))))
    return sentences


def _trained(card: Scorecard) -> Sequence[Text]:
    """How long an epoch took, and at which rate."""
    metric = card.cell("training_speed", "training")
    if metric.value is None:
        return []
    took, rate = amount(metric.value, metric.unit), _figure(metric, "tokens_per_s").value
    if rate is None:
        return [_sentence(text("headline.epoch", took=took), metric)]
    return [_sentence(text("headline.epoch_at", took=took, rate=shown(rate, "tokens/s").value), metric)]


def _learnt(card: Scorecard) -> Sequence[Text]:
    """What the model made of its validation questions and of held-out text."""
    metric = card.cell("pass_at_1", "training")
    sentences = []
    if metric.value is not None:
        said = text("headline.validated", share=amount(metric.value, ""), count=metric.n)
        sentences.append(_sentence(said, metric))
    sentences += [
        _supported(text("headline.held_out", value=amount(row.value, row.unit)))
        for row in held_out_rows(card)[-1:]
        if row.value is not None
    ]
    return sentences


def _unstable(card: Scorecard) -> Sequence[Text]:
    """Restarts of the training, and steps that came to nothing."""
    restarts, steps = card.cell("restart_count", "training"), card.cell("error_rate", "training")
    told = [text("headline.restarts", count=int(restarts.value))] if restarts.value else []
    told += [text("headline.bad_steps", share=amount(steps.value, ""))] if steps.value else []
    return [*map(_supported, told)]


def _missing_of_inference(card: Scorecard) -> list[Words]:
    """What a user would ask and no cell can tell."""
    status = {metric.id: metric.status for metric in card.metrics if metric.phase == "inference"}
    speed = card.cell("inference_speed", "inference")
    drilled = any(lane.kind == "fault" for lane in card.timeline.lanes)
    is_missing = {
        "headline.no_questions": status["pass_at_1"] == status["f1"] == "not_measured",
        "headline.no_load": status["inference_speed"] == status["response_time"] == "not_measured",
        "headline.no_rating": status["satisfaction"] == "not_measured",
        "headline.unwatched": status["crash_rate"] == status["memory"] == "not_measured",
        "headline.no_crash": status["crash_rate"] not in ("not_measured", "na") and not drilled,
        "headline.no_limit": _keeps_up(speed) and "max_rate" not in speed.figures,
    }
    return [text(key) for key, missing in is_missing.items() if missing]


def _why_invalid(metric: Metric) -> Sequence[Text]:
    """That a cell without a value is an invalid one; of one that nobody measured the missing are told elsewhere."""
    if metric.status != "invalid":
        return []
    return [text("headline.no_value", metric=text(f"{metric.id}.name"), why=metric.reason)]


def _figure(metric: Metric, name: str) -> Figure:
    return metric.figures.get(name) or Figure(None, "", "higher")


_OF_INFERENCE: Sequence[Callable[[Scorecard], Sequence[Text]]] = (_right, _weakest, _first_word, _rate, _failures)
_OF_TRAINING: Sequence[Callable[[Scorecard], Sequence[Text]]] = (_trained, _learnt, _unstable)
