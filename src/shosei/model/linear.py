"""The seam that every matrix product of the model goes through."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Linear(nn.Module):
    """``y = x @ weight.T + bias``; ``weight`` is (outputs, inputs), the Hugging Face layout. Most have no bias.

    Trains with plain weights. ``pack`` changes it for inference, for good: how the product is then computed is this
    class's own business, and nothing else in the model has to know.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = False) -> None:
        super().__init__()
        self.weight: Tensor = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self._packed: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(…, inputs) to (…, outputs)."""
        if self._packed is None:
            return F.linear(x, self.weight, self.bias)
        product = torch.ops.mkldnn._linear_pointwise
        return product(x, self._packed, self.bias, "none", [], "")  # type: ignore[no-any-return]

    def pack(self) -> None:
        """Lay the weight out once in the order oneDNN's product wants; the plain weight is let go.

        Does nothing where oneDNN cannot: another device, another type, a build without it.
        """
        weight = self.weight.detach()
        if weight.device.type == "cpu" and weight.dtype == torch.bfloat16 and _onednn_has_bf16():
            self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, 1)
            del self.weight


def _onednn_has_bf16() -> bool:
    built = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return bool(built and torch.ops.mkldnn._is_mkldnn_bf16_supported())
