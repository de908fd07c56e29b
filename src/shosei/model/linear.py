"""The seam that every matrix product of the model goes through."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shosei.model.int4 import Int4Weight
from shosei.model.int8 import Int8Weight
from shosei.spec.generation import WeightFormat, fits_int4

_PRODUCTS_A_STEP = 8  # of different shapes in one step of a model, and a few to spare
_PRODUCTS_BESIDE = 64  # of prompts
_WIDENED_ROWS, _WIDENED_VALUES = 8, 1 << 19  # 2 MB of float32, which stay in a cache


class Linear(nn.Module):
    """``y = x @ weight.T + bias``; ``weight`` is (outputs, inputs), the Hugging Face layout. Most have no bias.

    Trains with plain weights. ``pack`` and ``quantize`` change it for inference, for good: how the product is then
    computed is this class's own business, and nothing else in the model has to know.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = False) -> None:
        super().__init__()
        self.weight: Tensor = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self._product: Callable[[Tensor, Tensor | None], Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(…, inputs) to (…, outputs)."""
        if self._product is None:
            return F.linear(x, self.weight, self.bias)
        return self._product(x, self.bias)

    def pack(self) -> None:
        """Lay the weight out once in the order oneDNN's product wants; the plain weight is let go.

        Where oneDNN has no products of bfloat16, they are computed by ``widened_product``. Does nothing on another
        device, in another type, in a build without oneDNN; or after ``quantize``.
        """
        if self._product is not None or self.weight.device.type != "cpu":
            return
        if _onednn_takes(self.weight):
            self._product = _onednn_product(self.weight.detach())
        elif self.weight.dtype == torch.bfloat16:
            self._product = widened_product(self.weight.detach())
        else:
            return
        del self.weight

    @classmethod
    @torch.no_grad()
    def joined(cls, *parts: Linear) -> Linear | None:
        """One product of an input that ``parts`` share, with their outputs behind each other; None if one of them no
        longer has its weight."""
        if any(part._product for part in parts):
            return None
        with torch.device("meta"):
            whole = cls(parts[0].weight.shape[1], 0, bias=parts[0].bias is not None)
        whole.weight = nn.Parameter(torch.cat([part.weight for part in parts]), requires_grad=False)
        if whole.bias is not None:
            biases = torch.cat([part.bias for part in parts if part.bias is not None])
            whole.bias = nn.Parameter(biases, requires_grad=False)
        return whole

    def quantize(self, weight: Tensor, weights: WeightFormat = WeightFormat.INT4) -> None:
        """Take ``weight`` (outputs, inputs) in 8 or 4 bits, INT8 or INT4; as it is, if 4 bits want its inputs to be a
        whole number of groups and they are not.

        From then on it takes bfloat16.
        """
        if weights is WeightFormat.INT4 and not fits_int4(weight.shape[1]):
            self.weight = nn.Parameter(weight, requires_grad=False)
            return
        quantised = Int8Weight(weight) if weights is WeightFormat.INT8 else Int4Weight(weight)
        self._product = quantised.multiply
        del self.weight


def bound_products(rows: int) -> None:
    """Have oneDNN keep few of the products that it has prepared; those of up to ``rows`` rows, which recur, all fit.

    It prepares one for each shape, and so for each length of a prompt, and keeps 1,024; torch's own layer as many more.
    In a server that costs hundreds of megabytes over hours. Takes effect before the first product, and where the
    operator has not set the variables.
    """
    for variable in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(variable, str(_PRODUCTS_A_STEP * rows + _PRODUCTS_BESIDE))


def _onednn_takes(weight: Tensor) -> bool:
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return weight.dtype == torch.float32 or bool(
        weight.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def _onednn_product(weight: Tensor) -> Callable[[Tensor, Tensor | None], Tensor]:
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, 1)

    def product(x: Tensor, bias: Tensor | None) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")  # type: ignore[no-any-return]

    return product


def widened_product(weight: Tensor) -> Callable[[Tensor, Tensor | None], Tensor]:
    """With a bfloat16 ``weight`` (outputs, inputs), for processors without AVX-512, where torch computes its own
    product of several rows value by value. A stripe of outputs at a time becomes float32, in which eight rows and more
    take half of the time and less; memory never holds more than one stripe."""
    outputs = max(1, _WIDENED_VALUES // weight.shape[1])

    def product(x: Tensor, bias: Tensor | None) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        if len(rows) < _WIDENED_ROWS:
            return F.linear(x, weight, bias)
        # Outputs times rows: the other way round, as F.linear has it, few rows take up to twice as long.
        wide, out = rows.float().t(), x.new_empty(len(rows), len(weight))
        for begin in range(0, len(weight), outputs):
            stripe = slice(begin, begin + outputs)
            product = weight[stripe].float() @ wide
            out[:, stripe] = product.t() if bias is None else product.t() + bias[stripe]
        return out.view(*x.shape[:-1], len(weight))

    return product
