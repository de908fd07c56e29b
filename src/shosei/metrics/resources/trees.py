"""The process trees that were metered."""

from __future__ import annotations

from shosei.log import Log, Sample
from shosei.metrics.cell import Unmeasurable
from shosei.metrics.series import by_child
from shosei.metrics.text import text


def process_trees(log: Log) -> dict[str, list[Sample]]:
    """Samples of each supervised process tree. Raises Unmeasurable where nothing ran under a supervisor."""
    trees = by_child(log.of(Sample))
    if not trees:
        raise Unmeasurable("not_measured", text("resources.unsupervised"))
    return trees
