"""InternLM2's names and packed weights as Llama's."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from shosei.model.weights import Weights
from shosei.spec import ModelSpec

_NAMES = {
    "embed_tokens": "tok_embeddings",
    "lm_head": "output",
    "self_attn.o_proj": "attention.wo",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.up_proj": "feed_forward.w3",
    "mlp.down_proj": "feed_forward.w2",
}
_PACKED = ("q_proj", "k_proj", "v_proj")


class InternLM2Weights:
    """Reads as ``Weights`` does, by Llama's names.

    ``wqkv`` holds one KV head after the other: the rows of its queries, then its key's, then its value's, (KV heads,
    queries + 2, head_dim) in all.
    """

    def __init__(self, stored: Weights, spec: ModelSpec) -> None:
        self._stored, self._spec = stored, spec

    def read(self, name: str, shape: Sequence[int]) -> Tensor:
        """The tensor that a Llama calls ``name``. Raises InputError as ``Weights.read`` does."""
        part = _part(name)
        if part not in _PACKED:
            return self._stored.read(self.stored_name(name), shape)
        spec, queries = self._spec, self._spec.n_heads // self._spec.n_kv_heads
        rows = {"q_proj": slice(queries), "k_proj": slice(queries, queries + 1), "v_proj": slice(queries + 1, None)}
        packed = (spec.n_kv_heads * (queries + 2) * spec.head_dim, spec.d_model)
        tensor = self._stored.read(self.stored_name(name), packed)
        heads = tensor.view(spec.n_kv_heads, queries + 2, spec.head_dim, spec.d_model)
        return heads[:, rows[part]].reshape(tuple(shape))

    @staticmethod
    def stored_name(name: str) -> str:
        """What InternLM2 calls the tensor in which Llama's ``name`` is stored."""
        if _part(name) in _PACKED:
            return name.removesuffix(f"self_attn.{_part(name)}.weight") + "attention.wqkv.weight"
        for ours, theirs in _NAMES.items():
            name = name.replace(ours, theirs)
        return name


def _part(name: str) -> str:
    return name.removesuffix(".weight").rpartition(".")[2]
