"""Who is trained on and who is asked about: decided by a hash, before anything is phrased."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Literal

from shosei.errors import MeasurementInvalid

Split = Literal["train", "validation", "held_out"]
SPLITS: tuple[Split, ...] = ("train", "validation", "held_out")


def split_of(family: str, cluster: str, held_out: float, validation: float) -> Split:
    """The side on which all questions about ``cluster`` stand, in every language, direction and phrasing.

    It depends on nothing else, so that models trained on differently seeded data can be compared.
    """
    place = int.from_bytes(_digest(f"{family}:{cluster}")[:8]) / 2**64
    if place < held_out:
        return "held_out"
    return "validation" if place < held_out + validation else "train"


def split_phrasings(phrasings: Sequence[str], held_out: float) -> dict[Split, list[str]]:
    """Split one group of phrasings by the order of their hashes: the given share held out, one for validation.

    By order rather than by threshold, because a group is small and each split needs one at least.
    """
    ordered = sorted(phrasings, key=_digest)
    first = max(1, round(held_out * len(ordered)))
    return {"held_out": ordered[:first], "validation": ordered[first : first + 1], "train": ordered[first + 1 :]}


def check_disjoint(what: str, parts: Iterable[set[str]]) -> None:
    """Raise MeasurementInvalid if two of ``parts`` share a member."""
    seen: set[str] = set()
    for part in parts:
        if common := sorted(part & seen):
            raise MeasurementInvalid(f"{len(common)} {what} are on two sides of the split, such as {common[0]!r}")
        seen |= part


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
