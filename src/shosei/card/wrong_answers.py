"""The first wrong answers in the terminal and in Markdown, short: the page has them whole."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text as Styled

from shosei.card.answers import Answer, Answers, SuiteAnswers
from shosei.card.excerpt import code_span, one_line
from shosei.card.words import Translator, Wrapped, escaped
from shosei.card.wrong import LONGEST
from shosei.metrics.metric import Words, text

ALL_WRONG = "shosei card RUN --wrong"  # the command that prints all of them
IN_MARKDOWN = 10
_SHORT_NAME = 60


def in_terminal(
    answers: Answers, translator: Translator, most: int | None = None, longest: int = LONGEST
) -> RenderableType:
    """At most so many wrong answers, from as many suites as can be, their texts in so many cells."""
    first = answers.first_wrong(most)
    title = Styled.assemble((translator.term("answers.wrong_title"), "bold"), f" {_count(answers, translator)}")
    parts: list[RenderableType] = [Wrapped(title), *(_block(*each, translator, longest) for each in first)]
    if more := answers.count("wrong") - len(first):
        rest = f"{translator.of(text('wrong.more', count=more))}{translator.term('colon')}{ALL_WRONG}"
        parts.append(Styled(f"  {rest}", style="dim"))
    return Group(*parts)


def in_markdown(answers: Answers, translator: Translator) -> list[str]:
    """A section of a report. Foreign texts are code: nothing in them is markup, a link or somebody's name."""
    colon, first = translator.term("colon"), answers.first_wrong(IN_MARKDOWN)
    title = f"## {translator.term('answers.wrong_title')}{colon}{escaped(_count(answers, translator))}"
    lines = ["", title, "", *(line for each in first for line in _item(*each, translator))]
    if more := answers.count("wrong") - len(first):
        lines += ["", f"{escaped(translator.of(text('wrong.more', count=more)))}{colon}`{ALL_WRONG}`"]
    return lines


def name_of(suite: SuiteAnswers, answer: Answer) -> str:
    """The suite's name and the task's, with the sample's number where there is one."""
    return one_line(f"{suite.name}/{answer.item}" + f"#{answer.sample}" * bool(answer.sample), _SHORT_NAME)


def _count(answers: Answers, translator: Translator) -> str:
    return translator.of(text("wrong.of", count=answers.count("wrong"), of=answers.total))


def _why(answer: Answer, translator: Translator) -> str:
    words: Sequence[Words] = [answer.reason, *answer.judged] if answer.reason else answer.judged
    return " · ".join(map(translator.of, words))


def _block(suite: SuiteAnswers, answer: Answer, translator: Translator, longest: int) -> RenderableType:
    """What was asked, what was expected, and what was answered."""
    colon = translator.term("colon")
    pairs = (("answers.expected", " / ".join(answer.truths)), ("answers.answer", answer.answer))
    sides = " · ".join(f"{translator.term(key)}{colon}{one_line(said, longest) or '–'}" for key, said in pairs)
    lines = [
        Styled.assemble((f"✗ {name_of(suite, answer)} ", "bold red"), _why(answer, translator)),
        *([Styled(question)] if (question := one_line(answer.question, longest)) else []),
        Styled(sides),
    ]
    return Padding(Group(*map(Wrapped, lines)), (0, 0, 0, 2))


def _item(suite: SuiteAnswers, answer: Answer, translator: Translator) -> list[str]:
    """One item of a list, with what was expected and answered below the question."""
    colon, why = translator.term("colon"), escaped(_why(answer, translator))
    expected, said = translator.term("answers.expected"), translator.term("answers.answer")
    question = f"{colon}{code_span(answer.question, LONGEST)}" if answer.question.strip() else ""
    return [
        f"- {code_span(name_of(suite, answer), LONGEST)}{question}",
        f"  - {expected}{colon}{code_span(' / '.join(answer.truths), LONGEST)}",
        f"  - {said}{colon}{code_span(answer.answer, LONGEST)}{f' ({why})' if why else ''}",
    ]
