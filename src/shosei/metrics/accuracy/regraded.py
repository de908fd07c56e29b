"""What grading by other rules changed: the marks that a run's list of answers was written with, and those of now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from shosei.log import Log, Score
from shosei.metrics.accuracy.items import Item, items
from shosei.metrics.grading.grade import GRADING_VERSION
from shosei.metrics.metric import Text, text

_decode = msgspec.json.Decoder(Item).decode


class Change(msgspec.Struct, frozen=True):
    """An answer whose mark has changed; ``before`` is as it was written down, ``after`` as it is now."""

    before: Item
    after: Item


def changes(written: bytes, log: Log) -> tuple[int, list[Change]]:
    """The grading version of ``written``, a run's ``items.jsonl``, and what of it is graded otherwise now.

    Answers that the log does not have, or has otherwise, are left out: they are of another attempt. Raises
    msgspec.DecodeError: it is not such a list.
    """
    before = {(item.suite, item.item, item.sample): item for item in _items(written)}
    version = min((item.grading_version for item in before.values()), default=GRADING_VERSION)
    if version == GRADING_VERSION:
        return version, []
    raw = {(score.suite, score.item, score.sample): score.answer for score in log.of(Score)}
    after = {(item.suite, item.item, item.sample): item for item in _items(items(log))}
    found = []
    for key in sorted(before.keys() & after.keys()):
        same = before[key].answer in (raw[key], after[key].answer)
        if same and before[key].right != after[key].right:
            found.append(Change(before[key], after[key]))
    return version, found


def read_changes(path: Path, log: Log) -> tuple[int, list[Change], bytes]:
    """``changes`` of the list at ``path``, none where there is none; and their lines, for ``regraded.jsonl``."""
    try:
        version, changed = changes(path.read_bytes(), log)
    except (OSError, msgspec.DecodeError):  # no list of answers, or not one of ours
        return GRADING_VERSION, [], b""
    return version, changed, b"".join(msgspec.json.encode(change) + b"\n" for change in changed)


def warning(version: int, changed: Sequence[Change]) -> list[Text]:
    """For the card: how many marks changed, and which way; nothing where every answer kept its mark."""
    if not changed:
        return []
    worse = sum(change.before.right is True for change in changed)
    better = sum(change.after.right is True for change in changed)
    other = len(changed) - worse - better
    return [text("warning.regraded", before=version, now=GRADING_VERSION, worse=worse, better=better, other=other)]


def _items(written: bytes) -> list[Item]:
    return [_decode(line) for line in written.splitlines() if line.strip()]
