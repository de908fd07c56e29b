"""Texts that cannot fit are told by their bytes alone, and none that fits is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Library
from tokenizers import models, normalizers, pre_tokenizers

from shosei.text import Tokenizer
from shosei.text.foreign import most_shrinkage
from shosei.text.tokenizer import TooManyTokens

OURS = Tokenizer.train(["今天天气怎么样？ the the        x", "東京の天気は？"] * 2, 330)
# Each of the first is 7 bytes that NFC makes 2; Hangul's are 9 that it makes 3.
TEXTS = st.text(max_size=60) | st.lists(st.sampled_from(["\u1fbe\u0308\u0301", "\u1112\u1161\u11ab", "Å", "the "])).map(
    "".join
)


def with_normalizer(normalizer: Any) -> Tokenizer:
    value = json.loads("".join(text for name, text in OURS.files().items() if name == "tokenizer.json"))
    return Tokenizer(json.dumps(value | {"normalizer": normalizer}))


@settings(deadline=None)
@given(TEXTS, st.booleans())
def test_what_fits_is_never_refused(text: str, normalised: bool) -> None:
    tokenizer = with_normalizer({"type": "NFC"}) if normalised else OURS
    tokenizer.check_room([text], len(tokenizer.encode(text)))


def test_what_cannot_fit_is_refused() -> None:
    with pytest.raises(TooManyTokens) as refused:
        OURS.check_room(["的" * 100_000, "x"], 1000)
    assert 1000 < refused.value.least <= len(OURS.encode("的" * 100_000)) + 1
    OURS.check_room(["的" * 100_000], None)


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": {"type": "NFKC"}},
        {"normalizer": {"type": "Replace", "pattern": {"Regex": " +"}, "content": " "}},
        {"pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "Removed", "invert": False}},
        {"added_tokens": [{"id": 0, "content": "x", "rstrip": True}]},
        {"truncation": {"max_length": 4}},
        {"model": {"type": "Unigram"}},
    ],
)
def test_where_bytes_may_vanish_nothing_is_said(change: dict[str, Any]) -> None:
    library = Library(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel()
    library.normalizer = normalizers.NFC()
    value = json.loads(library.to_str())
    assert most_shrinkage(value) == 4
    assert most_shrinkage(value | change) == 0


def test_long_texts_have_the_ids_of_their_parts() -> None:
    line = "今天天气怎么样？ the x\n"
    assert OURS.encode(line * 1000) == OURS.encode(line) * 1000
