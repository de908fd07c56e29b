"""Foreign texts as views show them: cut to a length, without what would steer a terminal, a page or a comment."""

from __future__ import annotations

import re
from typing import NamedTuple

from rich.cells import cell_len, chop_cells

from shosei.text_files import printable

LONGEST = 4000  # characters of a text on a page
_IN_SIGHT = 240  # cells that need no fold, of which a wide character takes two
_LINES_IN_SIGHT = 5
_BREAK = re.compile(r"\r\n?|\n")


class Excerpt(NamedTuple):
    """A text with its lines, or its beginning and its end, and how many characters between them are left out."""

    begin: str
    left_out: int = 0
    end: str = ""

    @property
    def is_long(self) -> bool:
        """Whether it is folded on a page."""
        return cell_len(self.begin) > _IN_SIGHT or self.begin.count("\n") >= _LINES_IN_SIGHT


def excerpt(words: str, longest: int = LONGEST) -> Excerpt:
    """The text whole, or cut in the middle: an answer's end counts."""
    if len(words) <= longest:
        return Excerpt(_shown(words))
    end = longest // 4
    return Excerpt(_shown(words[: longest - end]), len(words) - longest, _shown(words[-end:]))


def one_line(words: str, longest: int) -> str:
    """On one line of so many cells at most, of which a wide character takes two, cut in the middle: an end counts."""
    line, most = printable(" ".join(words.split())), 4 * longest  # of a line of a megabyte not all need be measured
    if len(line) <= most and cell_len(line) <= longest:
        return line
    end = longest // 2
    begin, last = chop_cells(line[:most], longest - end - 3)[0], chop_cells(line[-most:][::-1], end)[0]
    return f"{begin} … {last[::-1]}"


def code_span(words: str, longest: int) -> str:
    """One line as code in Markdown: nothing in it is markup, a link, or a name that somebody is told of."""
    line = one_line(words, longest)
    if not line:
        return "–"
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    padding = " " if "`" in (line[0], line[-1]) else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def _shown(words: str) -> str:
    """Lines and tabs are kept; other control characters become U+FFFD."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in _BREAK.split(words))
