"""The critical path of a task and the parallelism of its calls, against brute force."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from agent_samples import MS, START, call, task
from shosei.metrics.observed.critical_path import Span, covered_ns, critical_path, spans

SPANS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 30), st.integers(1, 20)).map(
        lambda it: Span(it[0], it[1], it[1] + it[2])
    ),
    min_size=1,
    max_size=8,
)


def length(path: list[Span]) -> int:
    return sum(span.length_ns for span in path)


@given(SPANS)
def test_it_is_the_longest_chain_of_calls_that_do_not_overlap(found: list[Span]) -> None:
    path = critical_path(found)
    chains = (
        sorted(some, key=lambda span: span.begin_ns)
        for size in range(1, len(found) + 1)
        for some in itertools.combinations(found, size)
    )
    longest = max(
        length(chain) for chain in chains if all(a.end_ns <= b.begin_ns for a, b in itertools.pairwise(chain))
    )
    assert length(path) == longest
    assert all(a.end_ns <= b.begin_ns for a, b in itertools.pairwise(path))


@given(SPANS)
def test_it_is_bounded_by_its_longest_call_and_by_the_task(found: list[Span]) -> None:
    lasted = max(span.end_ns for span in found) - min(span.begin_ns for span in found)
    assert max(span.length_ns for span in found) <= length(critical_path(found)) <= covered_ns(found) <= lasted


@given(SPANS)
def test_covered_time_is_counted_once(found: list[Span]) -> None:
    assert covered_ns(found) == len({moment for span in found for moment in range(span.begin_ns, span.end_ns)})
    assert length(found) / covered_ns(found) >= 1


def test_calls_are_cut_to_their_task() -> None:
    """A call that a stopped task left behind goes on without it; one that never ended has no time."""
    left = call(0, "a", 400, 300)
    never = call(0, "b", 10, 20, done_ns=None)
    after = call(0, "c", 600, 20)
    assert spans(task(0), [left, never, after]) == [Span("a", START + 400 * MS, START + 500 * MS)]
    assert critical_path([]) == []
    assert covered_ns([]) == 0
