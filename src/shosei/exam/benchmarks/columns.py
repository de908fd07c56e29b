"""Which column of a table is what: question, answer, label, id, passage; and which columns nobody reads."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from shosei.errors import InputError
from shosei.exam.benchmarks.choice_columns import choice_columns
from shosei.exam.benchmarks.entries import Entry

QUESTION = (
    "question",
    "Question",
    "text",
    "sentence",
    "sent",
    "review",
    "query",
    "utterance",
    "input",
    "problem",
    "content",
    "問題",
    "質問",
    "问题",
    "题目",
    "題目",
)
# A column of a label's words goes before that of its code.
LABEL = (
    "label_desc",
    "label_des",
    "label_text",
    "label",
    "intent",
    "category",
    "class",
    "sentiment",
    "ラベル",
    "分類",
    "标签",
    "分类",
    "類別",
)
ANSWER = (
    "answer",
    "Answer",
    "answerKey",
    "target",
    "output",
    "solution",
    "答え",
    "回答",
    "解答",
    "正解",
    "答案",
    *LABEL,
)
ID = ("id", "task_id", "qid", "q_id")
PASSAGE = ("context", "passage", "paragraph", "article", "document", "本文", "文章", "段落", "短文")
CHOICES = ("choices", "options")
HEADINGS = {*QUESTION, *ANSWER}
_LIKE_A_CHOICE = re.compile(
    r"(?:option|choice|opt|ending|distractor|incorrect|wrong|选项|選択肢|選項).*|[a-z]|[ア-オ]|[1-9]", re.IGNORECASE
)
_ROWS_READ = 200


def passage_of(entry: Entry) -> str:
    """The text that the question is about; empty if there is none beside it."""
    passage = entry.get("context", PASSAGE)
    return passage.strip() if isinstance(passage, str) else ""


def with_plain_question(entry: Entry) -> Entry:
    """ARC as it is published has the choices within the question, which then is its stem. Raises InputError."""
    question = entry.get("question", QUESTION)
    match question:
        case {"stem": str(stem), "choices": list(choices)}:
            return Entry(entry.where, {**entry.columns, "question": stem, "choices": choices}, entry.typed)
        case dict() | list():
            raise InputError(
                f"{entry.where}: the question is not a text: name another column with --map question=COLUMN"
            )
    return entry


def unused(entries: Sequence[Entry], mapped: Mapping[str, str]) -> list[str]:
    """The columns that are filled and not read, in the order in which they come."""
    names: dict[str, None] = {}
    for entry in entries[:_ROWS_READ]:
        read = {*_read(entry), *mapped, *mapped.values()}
        names |= dict.fromkeys(
            name for name, value in entry.columns.items() if name not in read and value not in (None, "")
        )
    return [name for name in names if name.strip()]


def refuse_unused_choices(entries: Sequence[Entry], mapped: Mapping[str, str]) -> None:
    """Raises InputError: columns that look like choices are not read, so that the question would be another one."""
    looking = [name for name in unused(entries, mapped) if _LIKE_A_CHOICE.fullmatch(name.strip())]
    if len(looking) > 1:
        raise InputError(
            f"{entries[0].where}: the columns {', '.join(looking)} look like choices and are not understood: "
            "name them A, B, C …, or say with --grader text that they are none"
        )


def _read(entry: Entry) -> Collection[str]:
    columns = entry.columns
    asides = [ID] if passage_of(entry) == "" else [ID, ("context", *PASSAGE)]
    groups = [("question", *QUESTION), ("answer", *ANSWER), ("choices", *CHOICES), *asides]
    return {*(_first(columns, group) for group in groups), *choice_columns(columns).names, *ID}


def _first(columns: Mapping[str, Any], names: Sequence[str]) -> str:
    return next((name for name in names if columns.get(name) not in (None, "")), "")
