"""What ``shosei exam`` says at its end: each suite's score, what went wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shosei.exam import Counts
    from shosei.log import Log


def results_of(counts: Counts, log: Log, samples: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, Any]]:
    """What came of each suite, with its score as the card has it, None where it has none."""
    from shosei.metrics.accuracy.pass_at_1 import by_suite

    scores = by_suite(log)
    results: dict[str, dict[str, Any]] = {}
    for suite, count in counts.items():
        value, interval, tasks = scores.get(suite, (None, (None, None), 0))
        results[suite] = {
            "answered": count.answered,
            "failed": count.failed,
            "executed": count.executed,
            "kept": count.kept,
            "cut": count.cut,
            "score": value,
            "interval": list(interval),
            "n": tasks,
            "sample": samples.get(suite),
            "errors": dict(count.errors),
            "first_error": count.first_error,
        }
    return results


def missing_packages(log: Log) -> tuple[dict[str, int], list[str]]:
    """How many programs failed for want of which module, for programs; and a line that says what to do, for people."""
    from shosei.log import Exec
    from shosei.metrics.accuracy.pass_at_1 import needed
    from shosei.sandbox.packages import distribution_of

    modules = needed(log.of(Exec))
    if not modules:
        return {}, []
    ways = {module: f"--package {name}" if (name := distribution_of(module)) else "not installed" for module in modules}
    lacks = ", ".join(f"{module} ({modules[module]}: {ways[module]})" for module in sorted(modules))
    return dict(modules), [f"programs failed because they need a package: {lacks}"]


def results_table(suites: Mapping[str, Mapping[str, Any]]) -> list[str]:
    from shosei.metrics.observed.answers import CUT_LIMIT
    from shosei.wire.refusal import settings_wanted

    numbers = f"{'n':>6}{'answered':>10}{'cut':>6}{'failed':>8}{'executed':>10}"
    lines = [f"{'suite':24}{'score':>7}  {'95 % interval':16}{numbers}"]
    for name, suite in suites.items():
        graded = suite["score"] is not None
        score = f"{suite['score']:7.3f}" if graded else f"{'-':>7}"
        interval = f"{suite['interval'][0]:.3f} to {suite['interval'][1]:.3f}" if graded else "-"
        numbers = f"{suite['n']:6}{suite['answered']:10}{suite['cut']:6}{suite['failed']:8}{suite['executed']:10}"
        lines.append(f"{name:24}{score}  {interval:16}{numbers}")
        if sample := suite["sample"]:
            lines.append(f"  a sample of {sample['asked']} of {sample['held']}, seed {sample['seed']}")
        if suite["first_error"]:
            errors = ", ".join(f"{count} {error}" for error, count in suite["errors"].items())
            remedy = settings_wanted(suite["first_error"], "exam")
            lines.append(f"  {errors}; the first failure: {suite['first_error']}{remedy}")
        if suite["cut"] > CUT_LIMIT * suite["answered"]:
            lines.append(f"  {suite['cut']} answers were cut at the limit of tokens: raise it with --max-tokens")
    return lines


def held_truth_lines(log: Log) -> list[str]:
    """Of each suite that has many of them: the wrong answers that hold their truth, and the first one."""
    from shosei.exam.prompting import shortened
    from shosei.metrics.accuracy.held_truths import held_truths

    lines = []
    for name, suite in held_truths(log).items():
        if suite.are_many:
            first = suite.holding[0]
            shown = f"'{shortened(first.answer, 60)}' for '{shortened(first.truth, 30)}'"
            lines.append(f"{name}: {len(suite.holding)} of {suite.wrong} wrong answers contain the truth: {shown}")
    return lines
