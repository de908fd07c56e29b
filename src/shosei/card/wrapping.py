"""Lines of text in a terminal: Chinese and Japanese break between their characters, and not only at spaces."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

_WIDE = "\u2e80-\u9fff\uf900-\ufaff\uff01-\uff60\U00020000-\U0003ffff"
_BEGIN_NO_LINE = "、。，．：；！？）」』】〉》〕］｝％・ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ"
_END_NO_LINE = "（「『【〈《〔［｛"
_PIECE = re.compile(rf"\s*[{_END_NO_LINE}]*(?:[{_WIDE}]|[^\s{_WIDE}]+)[{_BEGIN_NO_LINE}]*\s*")


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A text in as many lines as it needs. rich itself would move all that has no space in it to a line of its own."""

    text: Text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self.text.split(allow_blank=True):
            for part in line.divide(breaks(line.plain, options.max_width)):
                part.rstrip()
                yield part


def breaks(line: str, width: int) -> list[int]:
    """Where to break ``line`` so that no part is wider than ``width`` cells, of which a wide character takes two."""
    offsets: list[int] = []
    used = 0
    for piece in _PIECE.finditer(line):
        start, words = piece.start(), piece[0].rstrip()
        if used and used + cell_len(words) > width:
            offsets.append(start)
            used = 0
        *full, _ = parts = chop_cells(words, width)
        for part in full:
            start += len(part)
            offsets.append(start)
            used = 0
        used += cell_len(parts[-1]) + len(piece[0]) - len(words)
    return offsets
