"""The 15 metrics on paper: what each means, by which formula, from which source, and what makes such numbers wrong.

The words stand in the language files, where the card reads them too; the units and event kinds come from the cells.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from shosei.card.words import Translator, named, translated
from shosei.metrics.cell import Cell
from shosei.metrics.cells import cells, task_cells
from shosei.metrics.metric import METRIC_IDS, PHASES, Phase, Text, text
from shosei.metrics.service_level import ServiceLevel


@dataclass(frozen=True, slots=True)
class InPhase:
    """A metric in training or in inference. ``unit`` is "" for a share; ``reads`` are the event kinds it is made of."""

    definition: Text
    formula: Text
    unit: str
    direction: str
    reads: list[str]
    command: str


@dataclass(frozen=True, slots=True)
class Reference:
    """One of the 15 metrics. ``tasks``: in inference, where an agent system's tasks measure it otherwise."""

    id: str
    group: str
    name: Text
    phases: dict[Phase, InPhase]
    tasks: InPhase | None
    source: Text
    traps: Text

    def about(self, phase: Phase, *, of_tasks: bool) -> InPhase:
        """What the metric means in a phase; ``of_tasks``: on the card of an agent system."""
        return self.tasks if self.tasks and of_tasks and phase == "inference" else self.phases[phase]


def references() -> list[Reference]:
    """All 15, in the card's order."""
    by_cell = {(cell.id, cell.phase): cell for cell in cells(ServiceLevel())}
    of_tasks = {cell.id: cell for cell in task_cells(ServiceLevel())}
    return [
        Reference(
            id,
            group,
            text(f"{id}.name"),
            {phase: _in(phase, by_cell[id, phase]) for phase in PHASES},
            tasks=_in("tasks", of_tasks[id]) if id in of_tasks else None,
            source=text(f"{id}.source"),
            traps=text(f"{id}.traps"),
        )
        for group, ids in METRIC_IDS.items()
        for id in ids
    ]


def _in(where: str, cell: Cell) -> InPhase:
    return InPhase(
        definition=text(f"{cell.id}.{where}"),
        formula=text(f"{cell.id}.{where}_formula"),
        unit=cell.unit,
        direction=cell.direction,
        reads=[str(event.__struct_config__.tag) for event in (*cell.needs, *cell.may_read)],
        command=cell.command,
    )


def as_markdown(entries: Sequence[Reference], language: str = "en") -> str:
    """The reference as a page to read."""
    translator = Translator(language)
    term, of = translator.term, translator.of
    lines = [f"# {term('reference.title')}", "", term("reference.introduction"), "", term("reference.gateway_alone")]
    group, colon = "", term("colon")
    for entry in entries:
        if entry.group != group:
            group = entry.group
            lines += ["", f"## {term(f'group.{group}')}"]
        lines += ["", f"### {of(entry.name)} (`{entry.id}`)"]
        for phase, cell in _everywhere(entry):
            unit = of(named("unit", cell.unit)) if cell.unit else term("reference.share")
            lines += ["", f"**{term(phase)}** · {unit} · {term(cell.direction)}", "", of(cell.definition)]
            lines += ["", f"> {of(cell.formula)}", ""]
            lines += [f"- {term('reads')}{colon}{', '.join(f'`{kind}`' for kind in cell.reads)}"] if cell.reads else []
            lines += [f"- {term('measures_it')}{colon}`{cell.command}`"] if cell.command else []
        lines += ["", f"*{term('source')}.* {of(entry.source)}", "", f"*{term('traps')}.* {of(entry.traps)}"]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def as_dicts(entries: Sequence[Reference]) -> list[dict[str, object]]:
    """The reference as plain values, for JSON: always in English."""
    return [
        {
            "id": entry.id,
            "group": entry.group,
            "name": translated(entry.name),
            "source": translated(entry.source),
            "traps": translated(entry.traps),
        }
        | {
            phase: {
                "definition": translated(cell.definition),
                "formula": translated(cell.formula),
                "unit": cell.unit,
                "direction": cell.direction,
                "reads": cell.reads,
                "command": cell.command,
            }
            for phase, cell in _everywhere(entry)
        }
        for entry in entries
    ]


def _everywhere(entry: Reference) -> list[tuple[str, InPhase]]:
    return [*entry.phases.items(), *([("tasks", entry.tasks)] if entry.tasks else [])]
