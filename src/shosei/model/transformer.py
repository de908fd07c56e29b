"""The decoder: pre-norm RMSNorm, RoPE, grouped-query attention, SwiGLU. The Llama architecture, with Llama's names;
Qwen2's biases and Qwen3's norms of queries and keys where the spec has them."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shosei.model.linear import Linear
from shosei.model.rotation import Rotation, RotationTable, rotate
from shosei.spec import ModelSpec

# torch's fused CPU attention works in blocks far larger than a short question, and its plain form searches the scores
# for rows that see nothing: up to this length the products themselves are two to eight times faster.
_SHORT = 256
# Standard deviation of the tables, and how large a token's own logit may be at first.
_TABLE_STD, _OWN_LOGIT = 0.02, 4.0


class Cache(Protocol):
    """Keys and values of earlier tokens, kept by the caller, for N new tokens of any sequences."""

    positions: Tensor  # (N,) int64: where each new token stands in its sequence
    length: int  # which all positions are below

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Store the new ``k`` and ``v`` (N, KV, head_dim); then have each of the queries ``q`` (N, H, head_dim) attend
        to its sequence, up to its own position. Returns (N, H, head_dim)."""


class Transformer(nn.Module):
    """A ``ModelSpec`` made real. The names of its parameters are Llama's without the ``model.`` prefix."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.embed_tokens = _table(spec)
        self.layers = nn.ModuleList(Block(spec, layer) for layer in range(spec.n_layers))
        self.norm = RMSNorm(spec.d_model, spec.norm_eps)
        self.lm_head = Linear(spec.d_model, spec.vocab_size)
        self.tie()
        self._rotations = RotationTable(spec)
        if not self.embed_tokens.weight.is_meta:
            self._initialise()

    def forward(self, ids: Tensor, cache: Cache | None = None, kept: Tensor | None = None) -> Tensor:
        """Token ids (B, T) to hidden states (B, T, d_model) after the final norm.

        Without a cache, attention is causal within each row; padding must stand at the right. With one, B is 1.
        ``kept`` (N,) names the positions of the flattened (B * T) whose states are wanted, (N, d_model): the last
        block's feed-forward network, which looks at each position alone, is computed for no others.
        """
        x = self.embed_tokens(ids)
        length = ids.shape[1] if cache is None else cache.length
        rotation = self._rotations.first(length, _product_type(x), x.device)
        if cache is not None:
            cos, sin = rotation
            rotation = cos.index_select(0, cache.positions), sin.index_select(0, cache.positions)
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
        """Prepare every matrix product for inference: fewer and larger ones. There is no way back to training."""
        for module in [*self.modules()]:
            if isinstance(module, Attention | FeedForward):
                module.join()
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

    def forward(self, x: Tensor, rotation: Rotation, cache: Cache | None, kept: Tensor | None = None) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), rotation, cache)
        if kept is not None:
            x = x.flatten(0, 1).index_select(0, kept)
        return x + self.mlp(self.post_attention_layernorm(x))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Causal attention of ``n_heads`` queries over ``n_kv_heads`` keys and values."""

    def __init__(self, spec: ModelSpec, layer: int) -> None:
        super().__init__()
        self.layer, self.head_dim = layer, spec.head_dim
        self.heads = [spec.n_heads, spec.n_kv_heads, spec.n_kv_heads]
        self.q_proj = Linear(spec.d_model, spec.n_heads * spec.head_dim, spec.qkv_bias)
        self.k_proj = Linear(spec.d_model, spec.n_kv_heads * spec.head_dim, spec.qkv_bias)
        self.v_proj = Linear(spec.d_model, spec.n_kv_heads * spec.head_dim, spec.qkv_bias)
        self.qkv_proj: Linear | None = None  # in place of the three
        self.o_proj = Linear(spec.n_heads * spec.head_dim, spec.d_model, spec.bias)
        self.q_norm = RMSNorm(spec.head_dim, spec.norm_eps) if spec.qk_norm else nn.Identity()
        self.k_norm = RMSNorm(spec.head_dim, spec.norm_eps) if spec.qk_norm else nn.Identity()

    def forward(self, x: Tensor, rotation: Rotation, cache: Cache | None) -> Tensor:
        q, k, v = self._project(x, rotation)
        if cache is None:
            attended = _attend(*(heads.transpose(1, 2) for heads in (q, k, v))).transpose(1, 2)
        else:
            attended = cache.attend(self.layer, q[0], k[0], v[0])[None]
        return self.o_proj(attended.flatten(2))  # type: ignore[no-any-return]

    def join(self) -> None:
        """Compute the three projections as one product, where their weights are there to be joined."""
        self.qkv_proj = Linear.joined(self.q_proj, self.k_proj, self.v_proj)
        if self.qkv_proj:
            del self.q_proj, self.k_proj, self.v_proj

    def _project(self, x: Tensor, rotation: Rotation) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, T, heads, head_dim), those that are to be rotated rotated."""
        if self.qkv_proj and isinstance(self.q_norm, nn.Identity):  # queries and keys rotate together
            heads = self.qkv_proj(x).unflatten(-1, (-1, self.head_dim))
            rotated = rotate(heads[:, :, : -self.heads[2]], rotation)
            return rotated[:, :, : self.heads[0]], rotated[:, :, self.heads[0] :], heads[:, :, -self.heads[2] :]
        if self.qkv_proj:
            q, k, v = self.qkv_proj(x).unflatten(-1, (-1, self.head_dim)).split(self.heads, dim=2)
        else:
            q, k, v = (part(x).unflatten(-1, (-1, self.head_dim)) for part in (self.q_proj, self.k_proj, self.v_proj))
        return rotate(self.q_norm(q), rotation), rotate(self.k_norm(k), rotation), v


class FeedForward(nn.Module):
    """SwiGLU: ``down(silu(gate(x)) * up(x))``."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.gate_proj = Linear(spec.d_model, spec.intermediate_size, spec.bias)
        self.up_proj = Linear(spec.d_model, spec.intermediate_size, spec.bias)
        self.gate_up_proj: Linear | None = None  # in place of the two
        self.down_proj = Linear(spec.intermediate_size, spec.d_model, spec.bias)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up_proj(x).chunk(2, dim=-1) if self.gate_up_proj else (self.gate_proj(x), self.up_proj(x))
        return self.down_proj(F.silu(gate) * up)  # type: ignore[no-any-return]

    def join(self) -> None:
        """Compute the two branches as one product, where their weights are there to be joined."""
        self.gate_up_proj = Linear.joined(self.gate_proj, self.up_proj)
        if self.gate_up_proj:
            del self.gate_proj, self.up_proj


class RMSNorm(nn.Module):
    """``x / sqrt(mean(x²) + eps) * weight`` over the last dimension (Zhang and Sennrich 2019)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        # Products would each convert it for themselves.
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps).to(_product_type(x))


def _table(spec: ModelSpec) -> nn.Embedding:
    """The input table. On torch's meta device nothing is drawn: torch would first load its compiler for that, 815
    modules and 60 MB."""
    rows = torch.empty(spec.vocab_size, spec.d_model, device=torch.get_default_device())
    if rows.is_meta:
        return nn.Embedding.from_pretrained(rows, freeze=False)  # type: ignore[no-untyped-call, no-any-return]
    return nn.Embedding(spec.vocab_size, spec.d_model)


def _product_type(x: Tensor) -> torch.dtype:
    """The type that a product of ``x`` is computed in: autocast's, within it."""
    autocast = torch.is_autocast_enabled(x.device.type)
    return torch.get_autocast_dtype(x.device.type) if autocast else x.dtype


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention of queries (B, H, T, head_dim) over keys and values (B, KV, T, head_dim)."""
    if q.shape[2] <= _SHORT and q.device.type == "cpu":
        return _attend_short(q, k, v)
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)


def _attend_short(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention by plain products, for few positions."""
    length, groups = q.shape[2], k.shape[1]
    folded = (q * q.shape[3] ** -0.5).reshape(q.shape[0], groups, -1, q.shape[3])
    hidden = torch.full((length, length), -torch.inf, dtype=q.dtype, device=q.device).triu(1)
    scores = (folded @ k.mT).unflatten(2, (-1, length)) + hidden
    # A bfloat16 row that does not fill the vector registers would be done value by value.
    shares = scores.softmax(-1, torch.float32 if length % 32 else None).to(q.dtype)
    return (shares.flatten(2, 3) @ v).view(q.shape)  # type: ignore[no-any-return]
