"""All files of the data step, made in memory: the same configuration gives the same bytes."""

from __future__ import annotations

from random import Random

import msgspec

from shosei.data import conversations
from shosei.data.config import DataConfig
from shosei.data.families import TOOL_FAMILIES
from shosei.data.splitting import check_disjoint
from shosei.data.task_pool import INTENT, SUITES, TaskPool
from shosei.wire.suite import Task

_encode = msgspec.json.Encoder().encode


def generate(config: DataConfig) -> dict[str, bytes]:
    """JSON Lines by path within the run folder.

    ``data/train.jsonl`` holds rows of ``messages``, ``suite``, ``lang`` and ``cluster``; ``data/validation.jsonl``
    (scores during training; functions have none, since they would have to be run) and ``suites/NAME.jsonl`` hold
    tasks. Raises MeasurementInvalid if anything held out is also trained on.
    """
    pool = TaskPool(config)
    train = {suite: pool.draw(suite, "train", getattr(config, suite)) for suite in SUITES}
    validation = {
        suite: _numbered(pool.draw(suite, "validation", config.validation_tasks), "validation")
        for suite in SUITES
        if suite != "functions"
    }
    held_out = {
        suite: _numbered(
            pool.draw(suite, "held_out", config.function_tasks if suite == "functions" else config.suite_tasks),
            "held-out",
        )
        for suite in SUITES
    }
    for suite in SUITES:
        _check_split(suite, train[suite], validation.get(suite, []), held_out[suite])
    rows = [conversations.answering(task) for tasks in train.values() for task in tasks]
    agent_tasks = []
    for name in TOOL_FAMILIES:
        solved = pool.draw_solved(name, "train", getattr(config, name))
        asked = _numbered(pool.draw(name, "held_out", config.agent_tasks), "held-out")
        _check_split(name, [task for task, _ in solved], asked)
        rows += [conversations.routing(task) for task, _ in solved[: config.routes]]
        rows += [
            conversations.solving(task, problem, described=number % config.described == 0)
            for number, (task, problem) in enumerate(solved)
        ]
        agent_tasks += asked
    Random(f"{config.seed} order").shuffle(rows)
    return {
        "data/train.jsonl": _lines(rows),
        "data/validation.jsonl": _lines([task for tasks in validation.values() for task in tasks]),
        "agents/tasks.jsonl": _lines(agent_tasks),
        **{f"suites/{suite}.jsonl": _lines(tasks) for suite, tasks in held_out.items()},
    }


def _numbered(tasks: list[Task], split: str) -> list[Task]:
    return [
        msgspec.structs.replace(task, id=f"{split}-{task.suite}-{number:04}") for number, task in enumerate(tasks, 1)
    ]


def _check_split(suite: str, *parts: list[Task]) -> None:
    unit = "phrasings" if suite == INTENT else "operands"
    check_disjoint(f"{unit} of {suite}", ({task.cluster for task in tasks} for tasks in parts))
    check_disjoint(f"questions of {suite}", ({task.messages[0]["content"] for task in tasks} for tasks in parts))


def _lines(rows: list[Task] | list[dict[str, object]]) -> bytes:
    return b"".join(_encode(row) + b"\n" for row in rows)
