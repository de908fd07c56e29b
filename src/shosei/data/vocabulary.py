"""What the tokenizer of generated data learns from."""

from __future__ import annotations

import re
from collections.abc import Iterator

from shosei.data.dataset import read_rows
from shosei.log import Run

# What operands are made of: kana, CJK punctuation, full-width forms, numerals, capitals, signs.
_OPERAND_CHARACTER = re.compile("([\u3000-\u30ff\uff01-\uff5e零一二三四五六七八九十百千万A-Z#%&*/@-])")


def tokenizer_texts(run: Run) -> Iterator[str]:
    """The training rows' messages, cut so that characters of operands stand alone.

    BPE then learns one token for each of them and never a pair: a random kana word or a numeral has as many tokens
    as characters, and what was learned of a character holds wherever it stands. Words of the phrasings still merge.
    """
    for row in read_rows(run):
        for message in row.messages:
            for piece in _OPERAND_CHARACTER.split(f"{message['role']}\n{message['content']}"):
                if piece:
                    yield piece
