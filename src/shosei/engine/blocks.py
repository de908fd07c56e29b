"""Which blocks of the cache are whose, and which may be found again by what they hold."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from itertools import takewhile

from shosei.spec.generation import BLOCK_TOKENS

_DIGEST_BYTES = 16


class BlockPool:
    """Blocks from 0 on. Each is referred to by any number of sequences; one that nobody refers to is free.

    A block that was named keeps what it holds while it is free, and is found again by its name, until it is taken:
    those without a name are taken first, then those that were given back first.
    """

    def __init__(self, count: int) -> None:
        self._references = [0] * count
        self._free = OrderedDict.fromkeys(range(count))  # in the order in which they are taken
        self._names: dict[int, bytes] = {}
        self._named: dict[bytes, int] = {}

    @property
    def free(self) -> int:
        """How many may be taken."""
        return len(self._free)

    def take(self, count: int) -> list[int] | None:
        """So many free blocks, which then lose their names; None, and none taken, where there are fewer."""
        if count > len(self._free):
            return None
        blocks = [self._free.popitem(last=False)[0] for _ in range(count)]
        for block in blocks:
            self._references[block] = 1
        self.forget(blocks)
        return blocks

    def find(self, names: Sequence[bytes]) -> list[int]:
        """The blocks that have the first of ``names``, up to one that none has. They are not taken."""
        return [self._named[name] for name in takewhile(self._named.__contains__, names)]

    def open(self, found: Sequence[int], count: int, spare: int = 0) -> list[int] | None:
        """``count`` blocks for a sequence, of which the first were ``found``. None, and none taken, where that would
        leave fewer than ``spare`` free."""
        missing = count - len(found)
        if missing + spare > len(self._free) - sum(block in self._free for block in found):
            return None
        for block in found:
            self._references[block] += 1
            self._free.pop(block, None)
        return [*found, *(self.take(missing) or [])]

    def give_back(self, blocks: Sequence[int]) -> None:
        """A sequence no longer refers to its ``blocks``: its last ones, of use to the fewest, are taken first."""
        for block in reversed(blocks):
            self._references[block] -= 1
            if not self._references[block]:
                self._free[block] = None
                if block not in self._names:
                    self._free.move_to_end(block, last=False)

    def forget(self, blocks: Sequence[int]) -> None:
        """Nobody finds what ``blocks`` hold from now on."""
        for block in blocks:
            if name := self._names.pop(block, None):
                del self._named[name]

    def name(self, block: int, name: bytes) -> None:
        """``block`` is full; it is found by ``name`` from now on, unless another one is already."""
        if name not in self._named and block not in self._names:
            self._named[name], self._names[block] = block, name


def extend_names(names: list[bytes], tokens: Sequence[int], count: int) -> None:
    """Append to ``names`` those of a sequence's next full blocks, up to ``count`` in all.

    A name is the hash of the block's tokens and of the name before it, so that it stands for all tokens up to there.
    It is a cryptographic one: whoever could make two of them meet would be answered from somebody else's prompt.
    """
    while len(names) < count:
        begin = len(names) * BLOCK_TOKENS
        held = array("q", tokens[begin : begin + BLOCK_TOKENS]).tobytes()
        names.append(blake2b(held, digest_size=_DIGEST_BYTES, key=names[-1] if names else b"").digest())
