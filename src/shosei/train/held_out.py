"""How well a model foretells text that it was not trained on."""

from __future__ import annotations

import math

import torch

from shosei.data import Packed
from shosei.log import HeldOut
from shosei.model.transformer import Transformer
from shosei.train.loss import answer_loss


@torch.no_grad()
def held_out_loss(
    model: Transformer, text: Packed, batch_tokens: int, dtype: torch.dtype, *, epoch: int, step: int
) -> HeldOut:
    """The cross-entropy on ``text``, summed over its predictions, computed as the training loss is."""
    where = next(model.parameters()).device
    nats, tokens = 0.0, 0
    for batch in text.in_order(batch_tokens):
        ids, targets = torch.from_numpy(batch.ids).to(where), torch.from_numpy(batch.targets).to(where)
        mean = answer_loss(model, ids, targets, dtype)
        nats += mean.item() * batch.tokens
        tokens += batch.tokens
    finite = nats if math.isfinite(nats) else None
    return HeldOut(epoch=epoch, step=step, nats=finite, tokens=tokens, characters=text.characters)


def rates(loss: HeldOut) -> dict[str, float]:
    """Nats a token, and bits a character: these alone compare across tokenizers. Empty where the loss is not finite."""
    if loss.nats is None:
        return {}
    return {
        "nats_per_token": loss.nats / loss.tokens,
        "bits_per_character": loss.nats / math.log(2) / loss.characters,
    }
