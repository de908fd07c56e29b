"""The answers that changed, in the terminal and in Markdown: short, lost ones first. The page has more of them."""

from __future__ import annotations

import html
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text as Styled

from shosei.card.excerpt import code_span, one_line
from shosei.card.words import Translator, Wrapped, escaped
from shosei.card.wrong import LONGEST
from shosei.compare.answers import CHANGE_MARKS, Change, ChangedAnswer, SideAnswer, SuiteChanges
from shosei.compare.comparison import Comparison
from shosei.metrics.metric import text

_IN_TERMINAL, _IN_MARKDOWN = 5, 20  # answers; a comment on a pull request holds 65,536 characters
_SHORT, _LONGEST_NAME = 60, 40
_STYLES: dict[Change, str] = {"lost": "bold red", "won": "green", "other": "dim"}


def answers_in_terminal(comparison: Comparison, translator: Translator) -> list[RenderableType]:
    """How many were lost and won, and the first few of them; nothing where no task is common."""
    if not comparison.answers:
        return []
    first = comparison.answers.first(_IN_TERMINAL)
    blocks = [_block(suite, answer, comparison, translator) for suite, answers in first for answer in answers]
    parts: list[RenderableType] = [Wrapped(Styled(translator.of(comparison.answers.told), style="bold")), *blocks]
    if more := _more(comparison, len(blocks), translator):
        parts.append(Wrapped(Styled(f"  {more}", style="dim")))
    return [*parts, ""]


def answers_in_markdown(comparison: Comparison, translator: Translator) -> list[str]:
    """Folded away, a fold a suite. Foreign texts are code: nothing in them is markup, a link or somebody's name."""
    if not comparison.answers:
        return []
    lines: list[str] = []
    first = comparison.answers.first(_IN_MARKDOWN)
    for suite, answers in first:
        name = f"<code>{html.escape(one_line(suite.name, _LONGEST_NAME))}</code>"
        told = f"{translator.term(f'phase.{suite.phase}')}{translator.term('colon')}{translator.of(count_of(suite))}"
        lines += ["<details>", f"<summary>{name} · {html.escape(told)}</summary>", ""]
        lines += [line for answer in answers for line in _item(suite, answer, comparison, translator)]
        lines += ["", "</details>", ""]
    more = _more(comparison, sum(len(answers) for _, answers in first), translator)
    return [*lines, *([escaped(more), ""] if more else [])]


def count_of(suite: SuiteChanges) -> object:
    """How many of a suite's tasks were lost and won."""
    return text("changed.of_suite", lost=suite.lost, won=suite.won, paired=suite.paired)


def _more(comparison: Comparison, shown: int, translator: Translator) -> str:
    suites = comparison.answers.suites if comparison.answers else []
    count = sum(suite.lost + suite.won for suite in suites) - shown
    return translator.of(text("changed.more", count=count)) if count else ""


def _sides(
    suite: SuiteChanges, answer: ChangedAnswer, comparison: Comparison
) -> Iterable[tuple[str, SideAnswer, object]]:
    """Each side's name, its answer, and how many of its samples are right where there are several."""
    for name, side in ((comparison.a, answer.a), (comparison.b, answer.b)):
        samples = text("changed.samples", right=side.right, of=side.of) if suite.several_samples else ""
        yield one_line(name, _LONGEST_NAME), side, samples


def _block(
    suite: SuiteChanges, answer: ChangedAnswer, comparison: Comparison, translator: Translator
) -> RenderableType:
    colon, of = translator.term("colon"), translator.of
    name = one_line(f"{suite.name}/{answer.item}", LONGEST)
    title = f"{CHANGE_MARKS[answer.change]} {translator.term(f'changed.{answer.change}')}{colon}{name}"
    expected = one_line(" / ".join(answer.truths), _SHORT) or "–"
    lines = [
        Styled(title, _STYLES[answer.change]),
        *([Styled(question)] if (question := one_line(answer.question, LONGEST)) else []),
        Styled(f"{translator.term('answers.expected')}{colon}{expected}"),
    ]
    for side_name, side, samples in _sides(suite, answer, comparison):
        told = one_line(side.answer, _SHORT) or of(side.reason) or "–"
        lines.append(Styled(f"{side_name}{colon}{told}" + f" ({of(samples)})" * bool(samples)))
    return Padding(Group(*map(Wrapped, lines)), (0, 0, 0, 2))


def _item(suite: SuiteChanges, answer: ChangedAnswer, comparison: Comparison, translator: Translator) -> list[str]:
    colon, of = translator.term("colon"), translator.of
    change = f"{CHANGE_MARKS[answer.change]} {translator.term(f'changed.{answer.change}')}"
    question = f" {code_span(answer.question, LONGEST)}" if answer.question.strip() else ""
    lines = [
        f"- {change}{colon}{code_span(answer.item, _LONGEST_NAME)}{question}",
        f"  - {translator.term('answers.expected')}{colon}{code_span(' / '.join(answer.truths), LONGEST)}",
    ]
    for name, side, samples in _sides(suite, answer, comparison):
        told = code_span(side.answer, LONGEST) if side.answer.strip() else escaped(of(side.reason)) or "–"
        lines.append(f"  - {escaped(name)}{colon}{told}" + f" ({of(samples)})" * bool(samples))
    return lines
