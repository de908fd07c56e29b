"""Dialogues as a model learns from them: token ids, and where loss is taken; counted before the first step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from shosei.data.config import TooLong
from shosei.data.dialogues import Dialogue
from shosei.data.door import Faults, read_dialogues
from shosei.errors import InputError
from shosei.log import Run
from shosei.progress import progress
from shosei.text import ChatFormat

Example = tuple[list[int], list[bool]]  # a dialogue's token ids, and where in it loss is taken


@dataclass(slots=True)
class ExampleCounts:
    """What became of dialogues: those that the chat format refuses, that teach nothing, that are longer than the model
    reads, that another repeats; answers, those that are cut before their end, those that are cut away whole, and those
    that the chat format gives no end."""

    dialogues: int = 0
    examples: int = 0
    refused: Faults = field(default_factory=Faults)
    nothing_learnt: int = 0
    too_long: int = 0
    longest: int = 0  # tokens of a dialogue, before any is cut
    cut_answers: int = 0
    lost_answers: int = 0
    answers: int = 0
    without_end: int = 0
    duplicates: int = 0

    def lines(self, context: int, too_long: TooLong) -> list[str]:
        """For a person: what is not as it may seem, nothing if all is. ``context``: tokens that the model reads."""
        of_rows = f"of {self.dialogues:,} rows"
        became = {"cut": "cut there", "split": "split between questions", "drop": "left out"}[too_long]
        endless = f", {self.cut_answers:,} answers before their end" if self.cut_answers else ""
        lost = f", {self.lost_answers:,} answers are lost whole" if self.lost_answers else ""
        told = [f"  {fault}" for fault in self.refused.first]
        if self.refused.count:
            told.insert(0, f"{self.refused.count:,} {of_rows} do not fit the model's chat format: left out")
        if self.nothing_learnt:
            told.append(f"{self.nothing_learnt:,} {of_rows} teach nothing, as no answer of theirs has loss: left out")
        if self.too_long:
            told.append(
                f"{self.too_long:,} {of_rows} are longer than the {context:,} tokens that the model reads, the longest "
                f"{self.longest:,}: {became}{endless}{lost} (--too-long cut, split or drop)"
            )
        if self.without_end:
            told.append(
                f"{self.without_end:,} of {self.answers:,} answers have no loss on their end: the chat format writes "
                "no token there that ends an answer, and the model does not learn to stop"
            )
        if self.duplicates:
            told.append(f"{self.duplicates:,} {of_rows} are exact duplicates of others: kept, each counts")
        return told


def encode(
    dialogues: Sequence[Dialogue], chat: ChatFormat, context: int, too_long: TooLong = "cut", place: str = "row"
) -> tuple[list[Example], ExampleCounts]:
    """Examples of at most ``context`` predictions, in the dialogues' order, and what became of the dialogues.

    A longer one is cut there, dropped, or split between questions: each part begins with the system's messages, and a
    part that is too long by itself is cut. ``place`` and a dialogue's number name one that the chat format refuses.
    """
    counts = ExampleCounts(len(dialogues))
    with progress("encoding dialogues", len(dialogues), "rows") as work:
        examples = _encode(work.over(dialogues), counts, chat, context, too_long, place)
    counts.examples = len(examples)
    return examples, counts


def _encode(
    dialogues: Iterable[Dialogue],
    counts: ExampleCounts,
    chat: ChatFormat,
    context: int,
    too_long: TooLong,
    place: str = "row",
) -> list[Example]:
    examples: list[Example] = []
    seen: set[int] = set()
    for number, dialogue in enumerate(dialogues, 1):
        try:
            whole = _example(dialogue, chat)
            fitted = list(_fitted(dialogue, whole, chat, context, too_long))
        except InputError as error:
            counts.refused.add(f"{place} {number}", error)
            continue
        learnt = [example for example in fitted if any(example[1])]
        _count(counts, whole, chat, context)
        if not _fits(whole, context):
            counts.cut_answers += sum(ids[-1] not in chat.tokenizer.end_ids for ids, _ in learnt)
            kept = sum(len(_ends(mask)) for _, mask in learnt)
            counts.lost_answers += len(_ends(whole[1])) - kept if too_long != "drop" else 0
        counts.nothing_learnt += not learnt and (too_long != "drop" or _fits(whole, context))
        if (digest := hash((tuple(whole[0]), tuple(whole[1])))) in seen:
            counts.duplicates += bool(learnt)
        seen.add(digest)
        examples += learnt
    return examples


def check_learnable(
    dialogues: Sequence[Dialogue], chat: ChatFormat, context: int, too_long: TooLong, strict: bool = False
) -> None:
    """Raise InputError if a model that reads ``context`` tokens would learn nothing from any of ``dialogues``; where
    ``strict``, if the chat format refuses one."""
    if strict or not any(_encode([dialogue], ExampleCounts(), chat, context, too_long) for dialogue in dialogues):
        _check(*encode(dialogues, chat, context, too_long), context, too_long, strict)


def load_examples(
    run: Run,
    chat: ChatFormat,
    context: int,
    too_long: TooLong = "cut",
    strict: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> list[Example]:
    """The examples of the run's dialogues; ``say`` is told what became of these.

    Raises InputError as ``read_dialogues`` does, and where ``strict`` for a row that the chat format refuses.
    """
    examples, counts = encode(read_dialogues(run), chat, context, too_long, f"{run.data / 'train.jsonl'}, row")
    _check(examples, counts, context, too_long, strict)
    for line in counts.lines(context, too_long):
        say(line)
    return examples


def _check(examples: list[Example], counts: ExampleCounts, context: int, too_long: TooLong, strict: bool) -> None:
    if strict and counts.refused.count:
        raise InputError(f"{counts.refused.first[0]}; mend the row, or leave --strict out")
    if not examples:
        raise InputError(f"there is nothing to learn: {'; '.join(counts.lines(context, too_long)) or 'no rows'}")


def _example(dialogue: Dialogue, chat: ChatFormat) -> Example:
    return chat.training_example(dialogue.messages, dialogue.tools)


def _fits(example: Example, context: int) -> bool:
    return len(example[0]) - 1 <= context  # the last token is only ever a target


def _fitted(dialogue: Dialogue, whole: Example, chat: ChatFormat, context: int, too_long: TooLong) -> list[Example]:
    if _fits(whole, context):
        return [whole]
    if too_long == "drop":
        return []
    parts = [_example(part, chat) for part in _parts(dialogue, chat, context)] if too_long == "split" else [whole]
    return [_cut(part, context) for part in parts]


def _cut(example: Example, context: int) -> Example:
    """What the model can read of it, up to the last token with loss."""
    ids, mask = example
    end = next((place for place in range(min(len(ids), context + 1), 0, -1) if mask[place - 1]), 0)
    return ids[:end], mask[:end]


def _parts(dialogue: Dialogue, chat: ChatFormat, context: int) -> Iterator[Dialogue]:
    """As many exchanges at a time, each a question with all that follows it, as fit behind the system's messages."""
    messages = dialogue.messages
    system = list(takewhile(lambda message: message["role"] == "system", messages))
    starts = [place for place in range(len(system), len(messages)) if messages[place]["role"] == "user"]
    part: list[dict[str, object]] = []
    for start, end in zip([len(system), *starts[1:]], [*starts[1:], len(messages)], strict=True):
        longer = Dialogue([*system, *part, *messages[start:end]], tools=dialogue.tools)
        if part and not _fits(_example(longer, chat), context):
            yield Dialogue([*system, *part], tools=dialogue.tools)
            part = []
        part += messages[start:end]
    yield Dialogue([*system, *part], tools=dialogue.tools)


def _count(counts: ExampleCounts, whole: Example, chat: ChatFormat, context: int) -> None:
    ids, mask = whole
    ends = _ends(mask)
    counts.answers += len(ends)
    counts.without_end += sum(ids[place] not in chat.tokenizer.end_ids for place in ends)
    counts.too_long += not _fits(whole, context)
    counts.longest = max(counts.longest, len(ids))


def _ends(mask: Sequence[bool]) -> list[int]:
    """Where each answer ends: the last place of each stretch with loss."""
    return [place for place, loss in enumerate(mask) if loss and not any(mask[place + 1 : place + 2])]
