"""Stop strings: what reaches the client is the same however the text is cut into tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shosei.text.streaming import StopFilter

ALPHABET = "ab。😀"
texts = st.text(ALPHABET, max_size=20)
stop_lists = st.lists(st.text(ALPHABET, min_size=1, max_size=4), max_size=3)


def expected(text: str, stops: list[str]) -> tuple[str, bool]:
    """Straight from the definition: read on until the text so far ends with a stop."""
    for end in range(1, len(text) + 1):
        matches = [stop for stop in stops if text[:end].endswith(stop)]
        if matches:
            return text[: end - max(map(len, matches))], True
    return text, False


@given(st.lists(texts, max_size=8), stop_lists)
def test_pieces_join_to_the_text_before_the_first_stop(pieces: list[str], stops: list[str]) -> None:
    stop_filter, shown = StopFilter(stops), ""
    before, found = expected("".join(pieces), stops)
    for piece in pieces:
        shown += stop_filter.push(piece)
        assert before.startswith(shown)
        if stop_filter.found:
            break
    else:
        shown += stop_filter.finish()
    assert (shown, stop_filter.found) == (before, found)


def test_text_that_cannot_begin_a_stop_is_not_held_back() -> None:
    stop_filter = StopFilter(["\n問"])
    assert stop_filter.push("答えは四") == "答えは四"
    assert stop_filter.push("\n") == ""
    assert stop_filter.push("次") == "\n次"
