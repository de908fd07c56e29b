"""Texts that a model proposes for the settings of an agent system, shown what the system does wrong with its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from shosei.card.excerpt import one_line
from shosei.card.words import translated
from shosei.card.wrong import LONGEST, wrong
from shosei.errors import InputError, MeasurementInvalid
from shosei.files import remove, write_atomic
from shosei.log import Rating, Run, open_run, read_log
from shosei.progress import progress
from shosei.tune.agent import AgentSubject
from shosei.tune.setting import Setting, default_of, has_others
from shosei.tune.target import Target
from shosei.wire.client import Client, Reply
from shosei.wire.refusal import tokens_left

_LONGEST_TEXT = 8000  # characters of a proposal: a longer one is no prompt, but a model that does not end
_MAX_TOKENS, _LEAST_TOKENS = 2048, 128  # of an answer
_TRIES = 8  # of a request that does not fit into the model's context
_SECONDS = 600.0
_SHOWN = 12  # wrong tasks, and ratings: a small model's context is short
_BAD = {"stars": 2, "thumbs": 0}
_ASK = """\
A system of agents answers tasks. One of its settings is a text that its agents are told, "{name}":
<text>
{text}
</text>
This is what went wrong with it:
{evidence}
Write a better text in its place, in the same language, for all such tasks and not only for these.
Answer with the new text alone."""


class Variants(msgspec.Struct):
    """New texts of each setting, and a line for each answer that was none."""

    texts: dict[str, list[str]] = {}
    refused: list[str] = []

    def take(self, name: str, setting: Setting, answer: str) -> None:
        """Take a model's answer as a text for the setting, if it is a new one."""
        text = _unfenced(answer)
        if not text:
            self.refused.append(f"{name}: an empty answer")
        elif len(text) > _LONGEST_TEXT:
            self.refused.append(f"{name}: a text of {len(text):,} characters, more than {_LONGEST_TEXT:,}")
        elif text in [*(str(choice).strip() for choice in setting.choices), *self.texts.get(name, [])]:
            self.refused.append(f"{name}: a text that is a choice already")
        else:
            self.texts.setdefault(name, []).append(text)


def widened(
    target: Target, subject: AgentSubject, out: Path, url: str, count: int, seed: int
) -> tuple[Target, list[str]]:
    """``target`` with up to ``count`` more choices of each text, by the model at ``url``; why some are missing.

    The system is first given the tasks that it is tuned on, with its own settings. Nobody is shown one that confirms.
    What was proposed is kept in the folder ``out``: a search that goes on asks no more.

    Raises InputError: no texts among the settings, no such server, or nothing to choose from in the end; and
    MeasurementInvalid: no task came to an answer.
    """
    texts = {name: setting for name, setting in target.space.items() if setting.type == "text"}
    if not texts:
        raise InputError("--propose: the target has no setting of the type text or file")
    file = out / "variants.json"
    if file.exists():
        variants = msgspec.json.decode(file.read_bytes(), type=Variants)
    else:
        evidence = [*_wrong_tasks(target, subject, out / "as_it_is", seed), *_complaints(subject.ratings)]
        variants = asyncio.run(_asked(url, texts, evidence, count))
    space = {
        name: setting.model_copy(update={"choices": [*setting.choices, *variants.texts.get(name, [])]})
        for name, setting in target.space.items()
    }
    if not has_others(space):
        raise InputError(f"--propose: the model at {url} proposed nothing new ({'; '.join(variants.refused[:1])})")
    write_atomic(file, msgspec.json.format(msgspec.json.encode(variants), indent=1))
    return target.model_copy(update={"space": space}), variants.refused


async def _asked(url: str, texts: dict[str, Setting], shown: Sequence[str], count: int) -> Variants:
    variants = Variants()
    async with Client(url, timeout_s=_SECONDS) as client:
        model = await client.model("", "a model in its list")
        with progress("asking for texts", count * len(texts), "texts") as work:
            for number, (name, setting) in work.over([(n, each) for n in range(count) for each in texts.items()]):
                reply = await _answer(client, model, name, setting, shown, number)
                if reply.error:
                    variants.refused.append(f"{name}: {reply.error} {one_line(reply.message, LONGEST)}".strip())
                else:
                    variants.take(name, setting, reply.text)
    return variants


async def _answer(client: Client, model: str, name: str, setting: Setting, shown: Sequence[str], seed: int) -> Reply:
    """What the model answers, shown as much as its context holds."""
    tokens = _MAX_TOKENS
    for _ in range(_TRIES):
        content = _ASK.format(name=name, text=setting.default, evidence="\n".join(shown) or "(nothing)")
        body = {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": tokens}
        reply = await client.ask("/v1/chat/completions", body | {"temperature": 1.0, "seed": seed})
        if reply.error != "context limit":
            break
        left = tokens_left(reply.message, tokens) or 0
        if left >= _LEAST_TOKENS:
            tokens = left
        else:
            shown = shown[: len(shown) // 2]
    return reply


def _wrong_tasks(target: Target, subject: AgentSubject, folder: Path, seed: int) -> Iterable[str]:
    """What the system got wrong as it is: the task, the verdict, and which agents worked on it in turn."""
    tasks = [task for group in subject.split.tune for task in group]
    remove(folder)  # of a search that was killed here
    result = subject.give(default_of(target.space), tasks, folder, seed)
    if result.value is None:
        raise MeasurementInvalid(translated(result.reason))
    told = wrong(read_log(Run(folder).log), _SHOWN)
    for row in told.rows if told else ():
        why, turns = (", ".join(map(translated, words)) for words in (row.why, row.turns))
        yield f"- Task: {row.question} | expected: {row.expected} | answered: {row.answer} | {why} | agents: {turns}"


def _complaints(ratings: Iterable[Path]) -> Iterable[str]:
    """What people said of answers that they did not like, where the run kept it."""
    bad = [
        rating
        for path in ratings
        for rating in read_log(open_run(path).log).of(Rating)
        if rating.value is not None and rating.value <= _BAD[rating.scale] and (rating.comment or rating.answer)
    ]
    for rating in bad[-_SHOWN:]:
        question, answer, comment = (
            one_line(words, LONGEST) for words in (rating.question, rating.answer, rating.comment)
        )
        tags = ", ".join(rating.tags)
        yield f"- A person disliked an answer. Asked: {question} | answered: {answer} | said: {comment} {tags}"


def _unfenced(answer: str) -> str:
    """The text of an answer, without the fence or the tags that models put around texts."""
    text = answer.strip()
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        text = text[text.index("\n") : -3]
    return text.removeprefix("<text>").removesuffix("</text>").strip()
