"""The tasks that an agent system was given, and the calls that it made to the model for them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from shosei.log import Columns, Log, Request, Window, Workflow
from shosei.log.events import UNATTRIBUTED
from shosei.log.guessed_agent import GUESSED
from shosei.metrics.metric import Text, Words, text
from shosei.metrics.observed import guessed
from shosei.metrics.observed.requests import Drill, of_purpose, outermost


def submitted(log: Log) -> list[Workflow]:
    """The tasks given to the system that is measured; a baseline's are not among them."""
    return [task for task in log.of(Workflow) if not task.baseline]


def ended_badly(tasks: Iterable[Workflow]) -> set[str]:
    """The ids of those that ended without an answer."""
    return {task.task for task in tasks if task.error}


def given_to_baseline(log: Log) -> list[Workflow]:
    """The same tasks, given to a single agent with the same token budget."""
    return [task for task in log.of(Workflow) if task.baseline]


def calls(log: Log) -> tuple[Text, list[Request]]:
    """The calls of agents in the order in which they were made, as the outermost vantage saw them, and its name.

    Those that a task made before it was submitted are of an earlier try that an interruption broke off: none.
    """
    vantage, seen = outermost(of_purpose(log, "agents"))
    since_ns = {(task.boot, task.task): task.scheduled_ns for task in submitted(log)}
    made = [call for call in seen if call.scheduled_ns >= since_ns.get((call.boot, call.task), call.scheduled_ns)]
    return vantage, guessed.settled(sorted(made, key=lambda call: call.scheduled_ns))


def by_task(made: list[Request]) -> dict[str, list[Request]]:
    """Calls by the task that they were made for, each task's in their order; one that names none stands alone."""
    tasks: dict[str, list[Request]] = {}
    for call in made:
        tasks.setdefault(call.task or call.id, []).append(call)
    return tasks


def behind_gateway_alone(log: Log) -> bool:
    """Whether a gateway saw calls of agents that nobody gave a task through this run."""
    made = of_purpose(log, "agents")
    return not submitted(log) and bool(made.where("seen_by", "gateway").any())


def by_named_task(made: list[Request]) -> dict[str, list[Request]]:
    """Calls by the task that they name; those that name none are of no task that is known."""
    return by_task([call for call in made if call.task])


def in_stretches(made: list[Request]) -> dict[str, list[Request]]:
    """Calls by the task that they name; all that name none are one stretch, named ""."""
    unnamed = [call for call in made if not call.task]
    return by_named_task(made) | ({"": unnamed} if unnamed else {})


def as_seen(tasks: Mapping[str, Sequence[Request]]) -> list[Workflow]:
    """Tasks of which only the calls are known: each from its first call to its last answer.

    What the system did before and after, and whether it came to an answer, nobody knows.
    """
    return [
        Workflow(
            task=name,
            system="",
            suite="",
            item=name,
            sample=0,
            cluster=name,
            scheduled_ns=min(call.scheduled_ns for call in of_task),
            begin_ns=min(call.scheduled_ns for call in of_task),
            end_ns=max(call.done_ns or call.scheduled_ns for call in of_task),
        )
        for name, of_task in tasks.items()
    ]


def sessions(tasks: list[Workflow]) -> list[tuple[int, int]]:
    """From the first submission to the last end, ``(begin_ns, end_ns)``, of each process that gave tasks, in turn.

    A measurement that was interrupted and went on is several.
    """
    by_process: dict[tuple[int, int], list[Workflow]] = {}
    for task in tasks:
        by_process.setdefault((task.pid, task.start_ticks), []).append(task)
    return sorted(
        (min(task.scheduled_ns for task in own), max(task.end_ns for task in own)) for own in by_process.values()
    )


def pauses(tasks: list[Workflow]) -> Drill:
    """The time between sessions, to be cut out as a drill is."""
    return Drill([(end + 1, begin) for (_, end), (begin, _) in itertools.pairwise(sessions(tasks))])


def window_of(tasks: list[Workflow]) -> Window:
    """The first submission to the last end, which lies within: an agent system's steady window."""
    known = sessions(tasks)
    return Window(name="steady", begin_ns=known[0][0], end_ns=known[-1][1] + 1)


def as_requests(tasks: Iterable[Workflow]) -> Columns:
    """Tasks as requests to the system, so that they are counted and timed as requests are."""
    requests = [
        Request(
            id=task.task,
            purpose="agents",
            seen_by="client",
            scheduled_ns=task.scheduled_ns,
            sent_ns=task.begin_ns,
            done_ns=task.end_ns,
            error=task.error,
            tokens_in=task.tokens_in,
            tokens_out=task.tokens_out,
        )
        for task in tasks
    ]
    return Columns.of(Request, requests)


def names(made: Iterable[Request]) -> dict[str, Words]:
    """How each agent is called on the card."""
    calls = list(made)
    return guessed.names(calls) | {
        call.agent: text("agents.unattributed") if call.agent in ("", UNATTRIBUTED) else call.agent
        for call in calls
        if call.attribution != GUESSED or call.agent == UNATTRIBUTED
    }


def stopped(tasks: Sequence[Workflow]) -> list[Text]:
    """Notes on tasks that ran out of what they were allowed."""
    reasons = Counter(task.message for task in tasks if task.error == "budget")  # calls | tokens
    return [
        text("agents.stopped", count=count, tasks=len(tasks), reason=text(f"agents.{reason}"))
        for reason, count in sorted(reasons.items())
    ]
