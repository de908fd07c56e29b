"""Dialogues as a model learns from them: token ids, and where loss is taken; counted before the first step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from shosei.data.config import TooLong
from shosei.data.dialogues import Dialogue
from shosei.data.door import Faults, read_dialogues
from shosei.errors import InputError
from shosei.log import Run
from shosei.progress import progress
from shosei.text import ChatFormat
from shosei.text.template import is_learnt

Messages = Sequence[Mapping[str, Any]]
Example = tuple[list[int], list[bool]]  # a dialogue's token ids, and where in it loss is taken


@dataclass(slots=True)
class ExampleCounts:
    """What became of dialogues: those that the chat format refuses, that teach nothing, that are longer than the model
    reads, that another repeats; answers, those that are cut before their end, those that are cut away whole, and those
    that the chat format gives no end, those that it shows otherwise later on and so gives no loss; dialogues with
    thoughts, and with names of messages, that it does not show."""

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
    rewritten: int = 0
    unshown_thoughts: int = 0
    unshown_names: int = 0
    duplicates: int = 0

    def add(self, messages: Messages, example: Example, cut: Example, chat: ChatFormat) -> None:
        """Count an example of ``messages``, of which ``cut`` is learnt, its beginning or all of it."""
        (ids, mask), end = example, len(cut[0])
        ends = _ends(mask)
        self.answers += len(ends)
        self.without_end += sum(ids[place] not in chat.tokenizer.end_ids for place in ends)
        self.cut_answers += end > 0 and any(mask[end : end + 1])
        self.lost_answers += len(ends) - len(_ends(cut[1]))
        self.rewritten += sum(map(is_learnt, messages)) - len(ends)
        thoughts = any(message.get("reasoning_content") for message in messages)
        self.unshown_thoughts += thoughts and not chat.reads("reasoning_content")

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
        if self.rewritten:
            told.append(
                f"{self.rewritten:,} answers have no loss: the chat format shows an answer otherwise once others "
                "follow, as without its thoughts, and so only the last of a dialogue is learnt"
            )
        if self.unshown_thoughts:
            told.append(
                f"{self.unshown_thoughts:,} {of_rows} have thoughts (reasoning_content), which the chat format does "
                "not show: they are not learnt"
            )
        if self.unshown_names:
            told.append(
                f"{self.unshown_names:,} {of_rows} have messages with a name, which the chat format does not show: it "
                "is not used"
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
            whole = chat.training_example(dialogue.messages, dialogue.tools)
            parts = list(_parts(dialogue, whole, chat, context, too_long))
        except InputError as error:
            counts.refused.add(f"{place} {number}", error)
            continue
        learnt = []
        for messages, example in parts:
            cut = _cut(example, context)
            counts.add(messages, example, cut, chat)
            if any(cut[1]):
                learnt.append(cut)
        counts.unshown_names += _hides_names(dialogue, whole, chat)
        counts.too_long += not _fits(whole, context)
        counts.longest = max(counts.longest, len(whole[0]))
        counts.nothing_learnt += bool(parts) and not learnt
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


def _hides_names(dialogue: Dialogue, example: Example, chat: ChatFormat) -> bool:
    """Whether messages have names and ``example``, the whole dialogue, would be the same without them."""
    if not any(message.get("name") for message in dialogue.messages):
        return False
    nameless = [{key: value for key, value in message.items() if key != "name"} for message in dialogue.messages]
    try:
        return chat.training_example(nameless, dialogue.tools) == example
    except InputError:  # a template that asks for names
        return False


def _fits(example: Example, context: int) -> bool:
    return len(example[0]) - 1 <= context  # the last token is only ever a target


def _cut(example: Example, context: int) -> Example:
    """What the model can read of it, up to the last token with loss."""
    ids, mask = example
    end = next((place for place in range(min(len(ids), context + 1), 0, -1) if mask[place - 1]), 0)
    return ids[:end], mask[:end]


def _parts(
    dialogue: Dialogue, whole: Example, chat: ChatFormat, context: int, too_long: TooLong
) -> Iterator[tuple[Messages, Example]]:
    """What is taken of a dialogue: all of it, nothing, or, of one that is too long, one after the other as many
    exchanges as fit behind the system's messages, each a question with all that follows it."""
    if _fits(whole, context) or too_long == "cut":
        yield dialogue.messages, whole
        return
    if too_long == "drop":
        return
    messages = dialogue.messages
    system = list(takewhile(lambda message: message["role"] == "system", messages))
    starts = [place for place in range(len(system), len(messages)) if messages[place]["role"] == "user"]
    part, example = system, None
    for start, end in zip([len(system), *starts[1:]], [*starts[1:], len(messages)], strict=True):
        longer = chat.training_example([*part, *messages[start:end]], dialogue.tools)
        if example and not _fits(longer, context):
            yield part, example
            part = system
            longer = chat.training_example([*part, *messages[start:end]], dialogue.tools)
        part, example = [*part, *messages[start:end]], longer
    if example:
        yield part, example


def _ends(mask: Sequence[bool]) -> list[int]:
    """Where each answer ends: the last place of each stretch with loss."""
    return [place for place, loss in enumerate(mask) if loss and not any(mask[place + 1 : place + 2])]
