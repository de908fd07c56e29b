"""In the terminal: the agents of a system and the tasks that it got wrong, before the 30 cells."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text as Styled

from shosei.card.agents import Agent, Agents
from shosei.card.excerpt import one_line
from shosei.card.scorecard import Scorecard
from shosei.card.words import Translator, Wrapped
from shosei.card.wrong import LONGEST, Wrong, WrongTask
from shosei.card.wrong_answers import ALL_WRONG
from shosei.metrics.metric import text
from shosei.quantity import Shown

FEW = 5  # wrong tasks before a table of 15 rows
SHORT = 60  # characters of each of their texts


def at_a_glance(card: Scorecard, translator: Translator) -> list[RenderableType]:
    """The agents, and the first few wrong tasks; nothing on other cards."""
    parts: list[RenderableType] = []
    if card.agents:
        parts += ["", Styled(translator.term("glance.title"), style="bold"), _agents(card.agents, translator)]
    if card.wrong:
        parts += ["", wrong_tasks(card.wrong, translator, FEW, SHORT)]
    return parts


def agent_columns(agents: Agents) -> list[str]:
    """Keys of the columns."""
    return [agents.NAME, *agents.columns]


def agent_rows(agents: Agents, translator: Translator) -> list[list[str]]:
    """Each agent's line below ``agent_columns``, in words."""

    def said(agent: Agent, field: str) -> str:
        value = agents.value(agent, field)
        return translator.number(value) or "–" if isinstance(value, Shown) else translator.of(value)

    return [
        [translator.of(agent.name), *(said(agent, field) for field in agents.columns.values())] for agent in agents.rows
    ]


def steps(task: WrongTask, translator: Translator) -> str:
    """The agents that worked on a task, in turn."""
    return " → ".join(map(translator.of, task.turns))


def wrong_tasks(
    wrong: Wrong, translator: Translator, most: int | None = None, longest: int = LONGEST
) -> RenderableType:
    """The wrong tasks, at most so many of them, with the command that prints all; texts of so many characters."""
    of = translator.of
    count = of(text("wrong.of", count=wrong.count, of=wrong.of))
    title = Styled.assemble((translator.term("wrong.title"), "bold"), f" {count}")
    blocks = [_wrong_task(task, longest if wrong.answers else 0, translator) for task in wrong.rows[:most]]
    parts: list[RenderableType] = [title, *blocks]
    if not wrong.count:
        parts.append(Wrapped(Styled(f"  {of(text('wrong.none', graded=wrong.graded))}")))
    if more := wrong.count - len(blocks):
        rest = f"{of(text('wrong.more', count=more))}{translator.term('colon')}{ALL_WRONG}"
        parts.append(Styled(f"  {rest}", style="dim"))
    return Group(*parts)


def _agents(agents: Agents, translator: Translator) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    columns = agent_columns(agents)
    for place, _ in enumerate(columns):
        table.add_column(justify="right" if place else "left", overflow="fold")
    table.add_row(*(Styled(translator.term(key), style="dim") for key in columns))
    for row in agent_rows(agents, translator):
        table.add_row(*map(Styled, row))
    more = Styled(f"  {translator.of(text('glance.more', count=agents.more))}", style="dim")
    return Group(Padding(table, (0, 0, 0, 2)), *([more] if agents.more else []))


def _wrong_task(task: WrongTask, longest: int, translator: Translator) -> RenderableType:
    """One task: why it is wrong and who worked on it; what was asked, expected and answered, in so many characters."""
    colon = translator.term("colon")
    lines = [Styled.assemble((f"✗ {task.task} ", "bold red"), colon.join(map(translator.of, task.why)))]
    if longest:
        pairs = (("wrong.expected", task.expected), ("wrong.answer", task.answer))
        sides = " · ".join(f"{translator.term(key)}{colon}{one_line(said, longest) or '–'}" for key, said in pairs)
        lines += [Styled(one_line(task.question, longest) or "–"), Styled(sides)]
    if task.steps:
        lines.append(Styled(steps(task, translator), style="dim"))
    return Padding(Group(*_wrapped(lines)), (0, 0, 0, 2))


def _wrapped(lines: Iterable[Styled]) -> list[RenderableType]:
    return [Wrapped(line) for line in lines]
