"""One decoder-only transformer on paper, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass

from shosei.spec.rope import RopeScaling


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Shape of a pre-norm decoder: RMSNorm, RoPE, SwiGLU, grouped KV heads, explicit head size.

    ``intermediate_size`` is the width of one of the two feed-forward branches (gate, up); the published tables print
    the fused width, twice this. The presets have no biases and no norm of queries and keys; imported models may:
    ``qkv_bias`` (Qwen2), ``bias`` on the attention's output and the feed-forward matrices (InternLM3), ``qk_norm``,
    one RMSNorm of head size each (Qwen3), ``rope_scaling``.
    """

    name: str
    vocab_size: int
    d_model: int
    n_layers: int
    intermediate_size: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    tied: bool
    rope_theta: float
    context_length: int
    norm_eps: float = 1e-5
    qkv_bias: bool = False
    bias: bool = False
    qk_norm: bool = False
    rope_scaling: RopeScaling | None = None

    @property
    def embedding_params(self) -> int:
        """Input table, and the output head where it is a table of its own."""
        return self.vocab_size * self.d_model * (1 if self.tied else 2)

    @property
    def attention_params(self) -> int:
        """Query and output projections over all heads, key and value projections over the KV heads; all layers."""
        matrices = 2 * self.d_model * self.head_dim * (self.n_heads + self.n_kv_heads)
        qkv_bias = self.qkv_bias * self.head_dim * (self.n_heads + 2 * self.n_kv_heads)
        return self.n_layers * (matrices + qkv_bias + self.bias * self.d_model)

    @property
    def feed_forward_params(self) -> int:
        """Gate, up and down matrices; all layers."""
        biases = self.bias * (2 * self.intermediate_size + self.d_model)
        return self.n_layers * (3 * self.d_model * self.intermediate_size + biases)

    @property
    def norm_params(self) -> int:
        """Two norms a layer, those of queries and keys where there are any, and the final one."""
        return (2 * self.n_layers + 1) * self.d_model + self.qk_norm * 2 * self.n_layers * self.head_dim

    @property
    def non_embedding_params(self) -> int:
        return self.attention_params + self.feed_forward_params + self.norm_params

    @property
    def params(self) -> int:
        return self.embedding_params + self.non_embedding_params

    @property
    def layer_matrix_params(self) -> int:
        """The matrices of the layers: what Muon optimises."""
        return self.attention_params + self.feed_forward_params

    @property
    def matmul_params(self) -> int:
        """Parameters that multiply every token, with the few biases: the head counts, the input look-up and the norms
        do not."""
        return self.layer_matrix_params + self.vocab_size * self.d_model

    def train_flops_per_token(self, sequence: int) -> int:
        """Forward and backward FLOPs a token at ``sequence`` tokens (Chowdhery et al. 2022, arXiv 2204.02311, B).

        Attention is causal, so half of that formula's; its width is ``n_heads * head_dim``, not ``d_model``.
        """
        return 6 * self.matmul_params + 6 * self.n_layers * self.n_heads * self.head_dim * sequence

    def decode_flops_per_token(self, context: int) -> int:
        """FLOPs of the next token after ``context`` tokens: each is attended to by every head, once for its key and
        once for its value."""
        return 2 * self.matmul_params + 4 * self.n_layers * self.n_heads * self.head_dim * context

    def kv_bytes_per_token(self, bytes_per_value: int = 2) -> int:
        """Key and value cache of one token over all layers; bf16 unless told otherwise."""
        return 2 * bytes_per_value * self.n_layers * self.n_kv_heads * self.head_dim
