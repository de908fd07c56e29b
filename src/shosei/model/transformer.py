"""The decoder: pre-norm RMSNorm, RoPE, grouped-query attention, SwiGLU. The Llama architecture, with Llama's names;
Qwen2's biases and Qwen3's norms of queries and keys where the spec has them."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shosei.model.frequencies import frequencies
from shosei.model.linear import Linear
from shosei.spec import ModelSpec

# torch's fused CPU attention works in blocks far larger than a short question, and its plain form searches the scores
# for rows that see nothing: up to this length the products themselves are two to eight times faster.
_SHORT = 256


_TABLE_STD, _OWN_LOGIT = 0.02, 4.0


class Cache(Protocol):
    """Keys and values of earlier tokens, kept by the caller; B sequences get T new tokens each."""

    positions: Tensor  # (B, T) int64: where the new tokens stand in their sequences

    def update(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Store new ``k`` and ``v`` (B, KV, T, head_dim); return all that may be attended to, (B, KV, S, head_dim),
        and the additive mask (B, 1, T, S), or None for plain causal attention (then S = T)."""


class Transformer(nn.Module):
    """A ``ModelSpec`` made real. The names of its parameters are Llama's without the ``model.`` prefix."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.embed_tokens = nn.Embedding(spec.vocab_size, spec.d_model)
        self.layers = nn.ModuleList(Block(spec, layer) for layer in range(spec.n_layers))
        self.norm = RMSNorm(spec.d_model, spec.norm_eps)
        self.lm_head = Linear(spec.d_model, spec.vocab_size)
        self.tie()
        if not self.embed_tokens.weight.is_meta:  # there torch would first load its compiler, for nothing
            self._initialise()

    def forward(self, ids: Tensor, cache: Cache | None = None, kept: Tensor | None = None) -> Tensor:
        """Token ids (B, T) to hidden states (B, T, d_model) after the final norm.

        Without a cache, attention is causal within each row; padding must stand at the right. ``kept`` (N,) names the
        positions of the flattened (B * T) whose states are wanted, (N, d_model): the last block's feed-forward network,
        which looks at each position alone, is computed for no others.
        """
        positions = torch.arange(ids.shape[1], device=ids.device)[None] if cache is None else cache.positions
        x = self.embed_tokens(ids)
        rotation = _rotation(positions, self.spec, _product_type(x))
        last = len(self.layers) - 1
        for number, block in enumerate(self.layers):
            x = block(x, rotation, cache, kept if number == last else None)
        return self.norm(x)  # type: ignore[no-any-return]

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (…, d_model) to logits (…, vocab_size)."""
        return self.lm_head(hidden)  # type: ignore[no-any-return]

    def tie(self) -> None:
        """Make the head the input table again, where the spec says so; after weights were assigned again."""
        if self.spec.tied:
            self.lm_head.weight = self.embed_tokens.weight

    def pack(self) -> None:
        """Prepare every matrix product for inference. There is no way back to training."""
        for module in self.modules():
            if isinstance(module, Linear):
                module.pack()

    def _initialise(self) -> None:
        """Normal weights scaled by fan-in; projections into the residual stream start at zero (each block as the
        identity).

        So a tied head sees each token's own row at first, and the logit of the token after itself is the width times
        the table's standard deviation: it is kept at ``_OWN_LOGIT``, so that every token is about equally likely
        whatever the width (after G. Yang et al. 2022, arXiv 2203.03466: an output layer's scale falls with the width).
        """
        of_logits = min(_TABLE_STD, _OWN_LOGIT / self.spec.d_model)
        for name, parameter in self.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.zeros_(parameter)
            elif name == "embed_tokens.weight":
                nn.init.normal_(parameter, std=of_logits if self.spec.tied else _TABLE_STD)
            elif name == "lm_head.weight":
                nn.init.normal_(parameter, std=of_logits)
            elif parameter.ndim == 2:
                nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)


class Block(nn.Module):
    """Attention, then the feed-forward network, each on the normed stream and added back to it."""

    def __init__(self, spec: ModelSpec, layer: int) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(spec.d_model, spec.norm_eps)
        self.self_attn = Attention(spec, layer)
        self.post_attention_layernorm = RMSNorm(spec.d_model, spec.norm_eps)
        self.mlp = FeedForward(spec)

    def forward(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], cache: Cache | None, kept: Tensor | None = None
    ) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), rotation, cache)
        if kept is not None:
            x = x.flatten(0, 1).index_select(0, kept)
        return x + self.mlp(self.post_attention_layernorm(x))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Causal attention of ``n_heads`` queries over ``n_kv_heads`` keys and values."""

    def __init__(self, spec: ModelSpec, layer: int) -> None:
        super().__init__()
        self.layer, self.head_dim = layer, spec.head_dim
        self.q_proj = Linear(spec.d_model, spec.n_heads * spec.head_dim, spec.qkv_bias)
        self.k_proj = Linear(spec.d_model, spec.n_kv_heads * spec.head_dim, spec.qkv_bias)
        self.v_proj = Linear(spec.d_model, spec.n_kv_heads * spec.head_dim, spec.qkv_bias)
        self.o_proj = Linear(spec.n_heads * spec.head_dim, spec.d_model, spec.bias)
        self.q_norm = RMSNorm(spec.head_dim, spec.norm_eps) if spec.qk_norm else nn.Identity()
        self.k_norm = RMSNorm(spec.head_dim, spec.norm_eps) if spec.qk_norm else nn.Identity()

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], cache: Cache | None) -> Tensor:
        q, k, v = (
            project(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = _rotate(self.q_norm(q), rotation), _rotate(self.k_norm(k), rotation)
        mask = None
        if cache is not None:
            k, v, mask = cache.update(self.layer, k, v)
        return self.o_proj(_attend(q, k, v, mask).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """SwiGLU: ``down(silu(gate(x)) * up(x))``."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.gate_proj = Linear(spec.d_model, spec.intermediate_size, spec.bias)
        self.up_proj = Linear(spec.d_model, spec.intermediate_size, spec.bias)
        self.down_proj = Linear(spec.intermediate_size, spec.d_model, spec.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))  # type: ignore[no-any-return]


class RMSNorm(nn.Module):
    """``x / sqrt(mean(x²) + eps) * weight`` over the last dimension (Zhang and Sennrich 2019)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        # Products would each convert it for themselves.
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps).to(_product_type(x))


def _product_type(x: Tensor) -> torch.dtype:
    """The type that a product of ``x`` is computed in: autocast's, within it."""
    autocast = torch.is_autocast_enabled(x.device.type)
    return torch.get_autocast_dtype(x.device.type) if autocast else x.dtype


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Queries (B, H, T, head_dim) over keys and values (B, KV, S, head_dim); returns (B, H, T, head_dim)."""
    if mask is None and q.shape[2] <= _SHORT and q.device.type == "cpu":
        return _attend_short(q, k, v)
    if mask is None:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    # The queries that share a KV head become rows of one query: the cache is read once and never expanded.
    folded = q.reshape(q.shape[0], k.shape[1], -1, q.shape[3])
    group = q.shape[1] // k.shape[1]
    return F.scaled_dot_product_attention(folded, k, v, mask.repeat(1, 1, group, 1)).view_as(q)


def _attend_short(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention by plain products, for few positions."""
    length, groups = q.shape[2], k.shape[1]
    folded = (q * q.shape[3] ** -0.5).reshape(q.shape[0], groups, -1, q.shape[3])
    hidden = torch.full((length, length), -torch.inf, dtype=q.dtype, device=q.device).triu(1)
    scores = (folded @ k.mT).unflatten(2, (-1, length)) + hidden
    # A bfloat16 row that does not fill the vector registers would be done value by value.
    shares = scores.softmax(-1, torch.float32 if length % 32 else None).to(q.dtype)
    return (shares.flatten(2, 3) @ v).view(q.shape)  # type: ignore[no-any-return]


def _rotation(positions: Tensor, spec: ModelSpec, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """RoPE's angles at ``positions`` (B, T) (Su et al. 2021): cosines, and sines signed for ``_rotate``; each
    (B, 1, T, head_dim)."""
    rates, magnitude = frequencies(spec, positions.device)
    angles = positions[:, None, :, None] * rates
    cos, sin = (angles.cos() * magnitude).to(dtype), (angles.sin() * magnitude).to(dtype)
    return torch.cat((cos, cos), dim=-1), torch.cat((-sin, sin), dim=-1)


def _rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate (B, heads, T, head_dim): value i pairs with value i + head_dim / 2, the half-split form."""
    cos, sin = rotation
    return x * cos + x.roll(x.shape[-1] // 2, dims=-1) * sin
