"""The pool's accounts, kept beside it in the plainest way, after any sequence of takings and givings back."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from shosei.engine.blocks import BlockPool, extend_names
from shosei.spec.generation import BLOCK_TOKENS

COUNT = 12
# A sequence is named by a few letters; those that begin alike share what they have in common.
ACTIONS = st.lists(
    st.tuples(st.sampled_from(["open", "take", "give back"]), st.text("ab", min_size=1, max_size=5), st.integers(0, 3)),
    max_size=60,
)


def names_of(text: str) -> list[bytes]:
    return [text[: end + 1].encode() for end in range(len(text))]


@given(ACTIONS)
def test_no_block_is_lost_or_given_away_while_somebody_has_it(actions: list[tuple[str, str, int]]) -> None:
    pool = BlockPool(COUNT)
    held: list[list[int]] = []
    holds: dict[int, bytes] = {}  # what was written into a block since it was last taken
    for action, text, number in actions:
        before = pool.free
        if action == "open":
            names = names_of(text)
            found = pool.find(names)
            assert [holds[block] for block in found] == names[: len(found)]
            blocks = pool.open(found, len(names), spare=number)
            if blocks is None:
                assert pool.free == before
                continue
            assert blocks[: len(found)] == found
            assert pool.free >= number
            for block, name in zip(blocks[len(found) :], names[len(found) :], strict=True):
                holds[block] = name
            for block, name in zip(blocks, names, strict=True):
                pool.name(block, name)
            held.append(blocks)
        elif action == "take":
            blocks = pool.take(number)
            assert (blocks is None) == (number > before)
            if blocks:
                for block in blocks:
                    holds.pop(block, None)
                held.append(blocks)
        elif held:
            pool.give_back(held.pop(number % len(held)))
        references = Counter(block for blocks in held for block in blocks)
        assert pool.free == COUNT - len(references)
        # A block has several owners only if all of them asked for what it holds.
        assert all(count == 1 or block in holds for block, count in references.items())
    for blocks in held:
        pool.give_back(blocks)
    assert sorted(pool.take(COUNT) or []) == list(range(COUNT))


def test_those_of_least_use_are_taken_first() -> None:
    pool = BlockPool(6)
    names = names_of("abc")
    first = pool.open([], 3)
    assert first
    for block, name in zip(first, names, strict=True):
        pool.name(block, name)
    pool.give_back(first)
    assert pool.take(3) == [3, 4, 5]  # which never held anything
    assert pool.find(names) == first
    assert pool.take(1) == first[-1:]  # the end of a sequence is of use to the fewest
    assert pool.find(names) == first[:-1]


def test_a_block_that_nobody_has_wanted_for_longest_is_taken_first() -> None:
    pool = BlockPool(2)
    for name in (b"a", b"b"):
        pool.name((blocks := pool.open([], 1) or [])[0], name)
        pool.give_back(blocks)
    pool.give_back(pool.open(pool.find([b"a"]), 1) or [])
    pool.take(1)
    assert pool.find([b"a"])
    assert not pool.find([b"b"])


@given(st.lists(st.integers(0, 2**31), min_size=1, max_size=4 * BLOCK_TOKENS), st.data())
def test_a_name_stands_for_all_tokens_up_to_the_end_of_its_block(tokens: list[int], data: st.DataObject) -> None:
    tokens = tokens * (4 * BLOCK_TOKENS // len(tokens) + 1)
    count = len(tokens) // BLOCK_TOKENS
    names: list[bytes] = []
    extend_names(names, tokens, 1)
    extend_names(names, tokens, count)
    assert len(set(names)) == count
    changed = data.draw(st.integers(0, count * BLOCK_TOKENS - 1))
    others: list[bytes] = []
    extend_names(others, [*tokens[:changed], tokens[changed] + 1, *tokens[changed + 1 :]], count)
    same = [name == other for name, other in zip(names, others, strict=True)]
    assert same == [place < changed // BLOCK_TOKENS for place in range(count)]


def test_what_is_forgotten_is_not_found_and_taken_first() -> None:
    pool = BlockPool(4)
    names = names_of("ab")
    blocks = pool.open([], 2) or []
    for block, name in zip(blocks, names, strict=True):
        pool.name(block, name)
    pool.forget(blocks[:1])
    assert pool.find(names) == []
    assert pool.find(names[1:]) == blocks[1:]
    pool.give_back(blocks)
    assert pool.take(1) == blocks[:1]
    assert sorted(pool.take(3) or []) == sorted({0, 1, 2, 3} - {blocks[0]})
