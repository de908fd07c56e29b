"""Which token comes next in one answer, by the logits of the model and what its request asks."""

from __future__ import annotations

import torch
from torch import Tensor

from shosei.engine.protocol import TokenScore
from shosei.engine.sampling import most_probable, sample, score
from shosei.engine.stream import TokenStream
from shosei.errors import InputError


class Undrawable(Exception):
    """No token can come next; ``kind`` as in ``protocol.Failed``."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


def draw(stream: TokenStream, logits: Tensor, greedy: tuple[float, int]) -> tuple[int, TokenScore | None]:
    """The next token of ``stream`` and its score, if that is asked for. ``greedy`` is the largest of ``logits`` (V,),
    which may be changed, and its token. Raises Undrawable."""
    request = stream.request
    asked = request.alternatives is not None
    raw = logits.clone() if asked else logits
    if stream.constraint or stream.adjuster:
        logits = logits.float()  # in bfloat16 a small penalty would be rounded away
        _restrict(stream, logits)
        (greedy,) = most_probable(logits[None])
    largest, token = greedy
    if not -float("inf") < largest < float("inf"):
        raise Undrawable("the model computed no finite logits", "engine_error")
    if request.temperature > 0:
        token = sample(logits, request.temperature, request.top_p, stream.uniform, request.top_k, request.min_p)
    return token, score(raw, token, request.alternatives or 0) if asked else None


def _restrict(stream: TokenStream, logits: Tensor) -> None:
    """Apply the request's rules to ``logits`` (V,) and leave only allowed tokens in them, in place."""
    allowed = None
    if stream.constraint:
        try:
            allowed = stream.constraint.allowed()
        except InputError as error:
            raise Undrawable(str(error), "invalid_request") from None
    if stream.adjuster:
        stream.adjuster.adjust(logits, allowed)
    if allowed is not None:
        forbidden = torch.from_numpy(~allowed[: len(logits)]).to(logits.device)
        logits.masked_fill_(forbidden, -torch.inf)
