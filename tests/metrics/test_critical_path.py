"""The critical path of a task and the parallelism of its calls, against brute force."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from agent_samples import MS, START, call, task
from shosei.metrics.experience.critical_path import CallTime, call_times, covered_ns, critical_path

CALL_TIMES = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 30), st.integers(1, 20)).map(
        lambda it: CallTime(it[0], it[1], it[1] + it[2])
    ),
    min_size=1,
    max_size=8,
)


def length(path: list[CallTime]) -> int:
    return sum(call.length_ns for call in path)


@given(CALL_TIMES)
def test_it_is_the_longest_chain_of_calls_that_do_not_overlap(found: list[CallTime]) -> None:
    path = critical_path(found)
    chains = (
        sorted(some, key=lambda call: call.begin_ns)
        for size in range(1, len(found) + 1)
        for some in itertools.combinations(found, size)
    )
    longest = max(
        length(chain) for chain in chains if all(a.end_ns <= b.begin_ns for a, b in itertools.pairwise(chain))
    )
    assert length(path) == longest
    assert all(a.end_ns <= b.begin_ns for a, b in itertools.pairwise(path))


@given(CALL_TIMES)
def test_it_is_bounded_by_its_longest_call_and_by_the_task(found: list[CallTime]) -> None:
    lasted = max(call.end_ns for call in found) - min(call.begin_ns for call in found)
    assert max(call.length_ns for call in found) <= length(critical_path(found)) <= covered_ns(found) <= lasted


@given(CALL_TIMES)
def test_covered_time_is_counted_once(found: list[CallTime]) -> None:
    assert covered_ns(found) == len({moment for call in found for moment in range(call.begin_ns, call.end_ns)})
    assert length(found) / covered_ns(found) >= 1


def test_calls_are_cut_to_their_task() -> None:
    """A call that a stopped task left behind goes on without it; one that never ended has no time."""
    left = call(0, "a", 400, 300)
    never = call(0, "b", 10, 20, done_ns=None)
    after = call(0, "c", 600, 20)
    assert call_times(task(0), [left, never, after]) == [CallTime("a", START + 400 * MS, START + 500 * MS)]
    assert critical_path([]) == []
    assert covered_ns([]) == 0
