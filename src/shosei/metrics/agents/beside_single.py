"""The system beside a single agent that was given the same tasks and as many tokens."""

from __future__ import annotations

from collections.abc import Sequence

from shosei.metrics import stats
from shosei.metrics.accuracy import resampling
from shosei.metrics.agents.attempts import COSTS, Attempt, cost_per_solved, mean_cost, units
from shosei.metrics.comparison import paired
from shosei.metrics.comparison.difference import Difference
from shosei.metrics.comparison.verdict import SHARE_MARGIN, Verdict, decide
from shosei.metrics.metric import POINTS, Figure, Row, Table
from shosei.metrics.stats import MIN_CLUSTERS
from shosei.metrics.text import Words, text
from shosei.metrics.units import Units, by_cluster


def beside_single(
    system: Sequence[Attempt], single: Sequence[Attempt]
) -> tuple[dict[str, Figure], list[Table], list[Words]]:
    """Figures, tables and a note of the comparison; nothing where they have no task in common."""
    both = [units(single), units(system)]
    common = {unit.key for unit in both[0].units} & {unit.key for unit in both[1].units}
    if not common:
        return {}, [], []
    found = paired.tasks(*both)
    clusters = len(by_cluster(unit for unit in both[1].units if unit.key in common))
    verdict = _verdict(found, clusters)
    ratio = _ratio(system, single)
    low, high = found.ci
    rows: list[Row] = [
        [text("agents.difference"), found.value],
        [text("term.low_95"), low],
        [text("term.high_95"), high],
        [text("agents.tasks_of_both"), found.n],
        [text("agents.p"), found.p],
        [text("compare.verdict"), text(f"compare.{verdict}")],
        [text("agents.token_ratio"), ratio],
    ]
    note = text(
        "agents.beside_note", difference=_points(found.value), low=_points(low), high=_points(high), n=found.n,
        verdict=text(f"compare.{verdict}"), method=found.method,
    )  # fmt: skip
    figures = {
        "over_single": Figure(100 * found.value, POINTS, "higher", (_percent(low), _percent(high)), clusters),
        "tokens_per_solved_over_single": Figure(ratio, "×", "lower", n=clusters),
    }
    columns = [text("term.quantity"), text("term.value")]
    return figures, [_sides(system, single, both), Table(text("agents.verdict"), columns, rows)], [note]


def _sides(system: Sequence[Attempt], single: Sequence[Attempt], both: Sequence[Units]) -> Table:
    rows: list[Row] = []
    for attempts, own in ((system, both[1]), (single, both[0])):
        clusters = [[unit.adds["top"] for unit in cluster] for cluster in by_cluster(own.units)]
        costs = [mean_cost(attempts, cost) for cost in COSTS.values()]
        value, interval = resampling.value(own), stats.wilson_clustered(clusters)
        rows.append([attempts[0].task.system, value, *interval, len(own.units), *costs])
    columns = [
        text("agents.system"), text("agents.solved"), text("term.low_95"), text("term.high_95"), text("agents.tasks"),
        *(text("agents.cost_a_task", cost=text(f"agents.{name}")) for name in COSTS),
    ]  # fmt: skip
    return Table(text("agents.beside"), columns, rows)


def _verdict(found: Difference, clusters: int) -> Verdict:
    """One comparison, planned by whoever ran the baseline: its p value needs no correction."""
    return decide(found, found.p, SHARE_MARGIN, "higher") if clusters >= MIN_CLUSTERS else "inconclusive"


def _ratio(system: Sequence[Attempt], single: Sequence[Attempt]) -> float | None:
    """Tokens that the system needs for a solved task, over those that the single agent needs."""
    own, other = (cost_per_solved(attempts, COSTS["tokens"]).value for attempts in (system, single))
    return None if own is None or not other else own / other


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _points(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:+.1f}".replace("-", "−")
