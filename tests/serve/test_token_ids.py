"""How many token ids a request may name; over a scripted engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serve_front import Front, player


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    return player(tmp_path)


@pytest.mark.parametrize(
    ("ids", "param"),
    [
        ({"stop_token_ids": [9] * 1025}, "stop_token_ids"),
        ({"stop_token_ids": [9] * 900, "logit_bias": {str(token): 1.0 for token in range(126)}}, "stop_token_ids"),
        ({"stop_token_ids": [9] * 1000, "logit_bias": {"5": 1.0}}, None),
    ],
)
@pytest.mark.parametrize("several", [{"n": 128, "prompt": "a"}, {"n": 64, "prompt": ["a", "b"]}])
def test_ids_are_not_many_for_many_answers(
    play: Callable[..., None], several: dict[str, Any], ids: dict[str, Any], param: str | None
) -> None:
    """The engine looks through those of each answer by itself, and everybody waits."""

    async def scene(front: Front) -> None:
        status, body = await front.post({**several, **ids, "max_tokens": 1}, "/v1/completions")
        if param is None:
            assert status == 200
        else:
            assert (status, body["error"]["param"]) == (400, param)
            assert "at most 1024 tokens, for 128 answers" in body["error"]["message"]
            assert not front.engine.submitted

    play(scene)
