"""An answer before it is graded: what of it was thought and what said, and the form in which it is compared."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

# Why an answer has nothing to grade.
NONE = "none"
AMBIGUOUS = "ambiguous"
CUT_IN_THOUGHT = "cut in thought"

_SENTENCE_MARKS = "。．.｡!！?？"
# A mark that opens a thought begins a line, or its end follows in that line; one that closes it may stand anywhere. One
# that closes none, in quotes, is what the answer is about.
_NAMES = "(?:think|thinking|thought|reasoning|seed:think)"
_OPEN, _CLOSE = rf"(?:<{_NAMES}>|\[think\]|◁think▷)", rf"(?:</{_NAMES}>|\[/think\]|◁/think▷)"
_THOUGHT_MARK = re.compile(
    rf"^[ \t]*(?P<open>{_OPEN})|(?P<within>(?<=\s){_OPEN}(?=[^\n<\[◁]*{_CLOSE}(?!['\"`])))|"
    rf"(?P<quoted>(?<=['\"`])(?={_CLOSE}['\"`]))?{_CLOSE}",
    re.MULTILINE | re.IGNORECASE,
)
# Harmony, the format of gpt-oss: messages in channels, of which the one called "final" is the answer.
_CHANNEL = re.compile(
    r"<\|channel\|>\s*(\w+)[^<]*<\|message\|>(.*?)(?:<\|(?:end|return|call)\|>|(?=<\|channel\|>)|\Z)", re.DOTALL
)


class SplitAnswer(NamedTuple):
    """``text`` is what is graded. ``cut``: the answer ended within a thought, so that nothing was said after it."""

    text: str
    thought: str
    cut: bool


def split_thought(answer: str) -> SplitAnswer:
    """What an answer says apart from what it thinks, between ``<think>`` and ``</think>``.

    A thought that nothing opens was opened by the chat template: it begins with the answer. One that nothing closes was
    cut off.
    """
    if answer.lstrip().startswith(("<|channel|>", "<|start|>")):
        return _of_channels(answer)
    said: list[str] = []
    thought: list[str] = []
    thinking, end = False, 0
    for mark in _THOUGHT_MARK.finditer(answer):
        if mark["quoted"] is not None and not thinking:
            continue
        between, end = answer[end : mark.start()], mark.end()
        (thought if thinking else said).append(between)
        if mark["open"] or mark["within"]:
            thinking = True
        elif thinking:
            thinking = False
        else:
            thought += said
            said = []
    (thought if thinking else said).append(answer[end:])
    return SplitAnswer("".join(said), "".join(thought), thinking)


def _of_channels(answer: str) -> SplitAnswer:
    """An answer in Harmony's channels. Without a final one it was cut in its thought."""
    messages = _CHANNEL.findall(answer)
    final = [text for channel, text in messages if channel == "final"]
    thoughts = [text for channel, text in messages if channel != "final"]
    return SplitAnswer("".join(final), "".join(thoughts), not final)


def normalise(text: str) -> str:
    """The form in which answers are compared: NFC, no surrounding white space, at most one final sentence mark less.

    NFC joins only what Unicode holds to be the same text (か + ゙ = が). NFKC would fold full and half width, and whole
    tasks ask for nothing but the width. A text that is only a sentence mark stays as it is.
    """
    text = unicodedata.normalize("NFC", text).strip()
    if len(text) > 1 and text[-1] in _SENTENCE_MARKS:
        return text[:-1].rstrip()
    return text
