"""Whole steps in C: the Transformer's logits, the same bits alone and in any batch, whatever lies in the cache."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_samples import random_model, reduced, save_tokenizer
from native_samples import PagedMemory, Part, step
from shosei.model import folder
from shosei.model.linear import Linear
from shosei.model.native import decoder, reference
from shosei.model.native.library import Library
from shosei.model.native.packed_matrix import Format
from shosei.model.transformer import Transformer
from shosei.spec import PRESETS, ModelSpec
from shosei.spec.generation import WeightFormat
from shosei.spec.rope import Llama3Scaling, YarnScaling

SMALL = ModelSpec(
    name="small",
    vocab_size=301,  # no whole number of units
    d_model=96,
    n_layers=2,
    intermediate_size=160,
    n_heads=6,
    n_kv_heads=2,
    head_dim=32,
    tied=False,
    rope_theta=1e4,
    context_length=512,
)
SHAPES = {
    **{name: reduced(name) for name in ("ja-small", "ja-large", "internlm-tiny", "internlm-large")},
    "one head for all": replace(SMALL, n_kv_heads=1, tied=True),
    "a head each": replace(SMALL, n_kv_heads=6, head_dim=64),
    "qwen2": replace(SMALL, qkv_bias=True),
    "internlm3": replace(SMALL, bias=True, qkv_bias=True),
    "qwen3": replace(SMALL, qk_norm=True, head_dim=128, norm_eps=1e-6),
    "llama3": replace(SMALL, rope_scaling=Llama3Scaling(8.0, 1.0, 4.0, 64)),
    "yarn": replace(SMALL, rope_scaling=YarnScaling(4.0, 64)),
    "one layer": replace(SMALL, n_layers=1),
}
TOKENS = [(7 * i * i + 3 * i) % 300 for i in range(150)]


def rounded(spec: ModelSpec, packed: Format = Format.BF16) -> Transformer:
    """In float32, with weights that are what packing makes of them."""
    model = random_model(spec)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Embedding | Linear):
                module.weight.copy_(module.weight.bfloat16())
        for module in model.modules() if packed is not Format.BF16 else []:
            if isinstance(module, Linear) and not (module is model.lm_head and spec.tied):
                module.weight.copy_(reference.weights(module.weight, packed))
    return model


def expected_logits(model: Transformer, tokens: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return model.logits(model(torch.tensor([tokens])))[0]


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


@pytest.fixture(scope="session")
def small(library: Library) -> decoder.NativeModel:
    return decoder.of_transformer(rounded(SMALL), library, WeightFormat.STORED)


@pytest.mark.parametrize("name", SHAPES)
def test_logits_are_the_transformers(library: Library, name: str) -> None:
    spec = SHAPES[name]
    model = rounded(spec)
    native = decoder.of_transformer(model, library, WeightFormat.STORED)
    found = step(native, PagedMemory.of(spec, 6), Part(TOKENS, 0, [4, 1, 3, 0, 5]))
    assert found.shape == (len(TOKENS), spec.vocab_size)
    assert distance(found, expected_logits(model, TOKENS)) < 0.02  # activations in bfloat16


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    """Of any shape that the C functions take."""
    kv_heads, qkv_bias = draw(st.integers(1, 3)), draw(st.booleans())
    return replace(
        SMALL,
        vocab_size=draw(st.integers(2, 70)),
        d_model=32 * draw(st.integers(1, 5)),
        n_layers=draw(st.integers(1, 3)),
        intermediate_size=32 * draw(st.integers(1, 6)),
        n_heads=kv_heads * draw(st.integers(1, 13)),
        n_kv_heads=kv_heads,
        head_dim=32 * draw(st.integers(1, 4)),
        tied=draw(st.booleans()),
        qkv_bias=qkv_bias,
        bias=qkv_bias and draw(st.booleans()),
        qk_norm=draw(st.booleans()),
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(spec=specs(), count=st.integers(1, 120))
def test_steps_of_any_shape_and_length_are_the_transformers(library: Library, spec: ModelSpec, count: int) -> None:
    model, tokens = rounded(spec), [token % spec.vocab_size for token in TOKENS[:count]]
    native = decoder.of_transformer(model, library, WeightFormat.STORED)
    found = step(native, PagedMemory.of(spec, 4), Part(tokens, 0, [2, 0, 3, 1]))
    assert distance(found, expected_logits(model, tokens)) < 0.02  # activations in bfloat16


@pytest.mark.parametrize("weights", [WeightFormat.INT8, WeightFormat.INT4])
def test_quantised_logits_are_those_of_the_weights_that_the_codes_stand_for(
    library: Library, weights: WeightFormat
) -> None:
    model = rounded(SMALL, Format.of(weights))
    native = decoder.of_transformer(random_model(SMALL), library, weights)
    found = step(native, PagedMemory.of(SMALL, 6), Part(TOKENS, 0, [4, 1, 3, 0, 5]))
    assert distance(found, expected_logits(model, TOKENS)) < 0.04  # rows in 8 bits


def test_the_head_may_have_a_format_of_its_own(library: Library) -> None:
    model = random_model(SMALL)
    parts = Part(TOKENS[:40], 0, [0, 1])
    formats = (WeightFormat.INT4, WeightFormat.INT4_HEAD8)
    four, mixed = (decoder.of_transformer(model, library, weights) for weights in formats)
    assert mixed.kernels == {"layers": f"{library.name} int4", "head": f"{library.name} int8"}
    exact = rounded(SMALL, Format.INT4)
    with torch.no_grad():
        exact.lm_head.weight.copy_(model.lm_head.weight.bfloat16())
    found = [step(native, PagedMemory.of(SMALL, 2), parts) for native in (four, mixed)]
    errors = [distance(logits, expected_logits(exact, TOKENS[:40])) for logits in found]
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize("weights", list(WeightFormat))
def test_a_sequence_is_the_same_bits_in_chunks_of_any_size_and_token_by_token(
    library: Library, weights: WeightFormat
) -> None:
    native = decoder.of_transformer(random_model(SMALL), library, weights)
    whole = step(native, PagedMemory.of(SMALL, 5), Part(TOKENS, 0, [0, 1, 2, 3, 4]))
    for sizes in ([1] * 150, [31, 1, 32, 64, 22], [100, 50], [149, 1]):
        memory, made, position = PagedMemory.of(SMALL, 5), [], 0
        for size in sizes:
            made.append(step(native, memory, Part(TOKENS[position : position + size], position, [4, 2, 0, 3, 1])))
            position += size
        assert torch.equal(torch.cat(made), whole)


@pytest.mark.parametrize("weights", list(WeightFormat))
def test_sequences_of_a_batch_do_not_know_each_other(library: Library, weights: WeightFormat) -> None:
    native = decoder.of_transformer(random_model(SMALL), library, weights)
    prompts = [[(seed * 31 + 7 * i) % 300 for i in range(3 + 17 * seed)] for seed in range(1, 9)]
    tables = [list(range(5 * number, 5 * number + 5)) for number in range(len(prompts))]
    alone = [step(native, PagedMemory.of(SMALL, 5), Part(prompt, 0, [0, 1, 2, 3, 4], wanted=2)) for prompt in prompts]
    memory = PagedMemory.of(SMALL, 40)
    half = [len(prompt) // 2 for prompt in prompts]
    parts = zip(prompts, half, tables, strict=True)
    step(native, memory, *(Part(prompt[:n], 0, table, wanted=0) for prompt, n, table in parts))
    parts = zip(prompts, half, tables, strict=True)
    together = step(native, memory, *(Part(prompt[n:], n, table, wanted=2) for prompt, n, table in parts))
    assert torch.equal(together, torch.cat(alone))


def test_threads_change_nothing(small: decoder.NativeModel) -> None:
    before = torch.get_num_threads()
    part = Part(TOKENS, 0, [0, 1, 2, 3, 4])
    expected = step(small, PagedMemory.of(SMALL, 5), part)
    try:
        torch.set_num_threads(3)
        assert torch.equal(step(small, PagedMemory.of(SMALL, 5), part), expected)
        assert torch.equal(step(small, PagedMemory.of(SMALL, 5), Part(TOKENS[:1], 0, [0])), expected[:1])
    finally:
        torch.set_num_threads(before)


def test_only_the_wanted_rows_are_answered_and_the_rest_is_stored_all_the_same(small: decoder.NativeModel) -> None:
    memory, blocks = PagedMemory.of(SMALL, 5), [3, 0, 4, 1, 2]
    whole = step(small, PagedMemory.of(SMALL, 5), Part(TOKENS, 0, blocks))
    assert len(step(small, memory, Part(TOKENS[:100], 0, blocks, wanted=0))) == 0
    assert torch.equal(step(small, memory, Part(TOKENS[100:], 100, blocks, wanted=3)), whole[-3:])


def test_what_a_sequence_may_not_see_does_not_matter(small: decoder.NativeModel) -> None:
    clean, filled = PagedMemory.of(SMALL, 6), PagedMemory.of(SMALL, 6, torch.nan)
    part = Part(TOKENS[:70], 0, [5, 2, 0])
    assert torch.equal(step(small, filled, part), step(small, clean, part))
    assert filled.k[:, [1, 3, 4]].isnan().all()
    assert filled.k[:, 0, :, 70 - 64 :].isnan().all()


def test_two_sequences_may_share_the_blocks_of_their_prefix(small: decoder.NativeModel) -> None:
    memory = PagedMemory.of(SMALL, 5)
    expected = step(small, PagedMemory.of(SMALL, 5), Part(TOKENS[:70], 0, [0, 1, 2]))
    step(small, memory, Part(TOKENS[:64], 0, [4, 1], wanted=0))
    after = [Part(TOKENS[64:70], 64, [4, 1, last]) for last in (0, 3)]
    assert torch.equal(step(small, memory, *after), torch.cat((expected[64:], expected[64:])))


def test_a_sequence_that_is_not_finite_spoils_no_other(library: Library) -> None:
    model = random_model(SMALL)
    with torch.no_grad():
        model.embed_tokens.weight[9] = torch.nan
    native = decoder.of_transformer(model, library, WeightFormat.INT8)
    good, bad = Part(TOKENS[:5], 0, [0]), Part([1, 9, 2], 0, [1])
    assert 9 not in good.tokens
    found = step(native, PagedMemory.of(SMALL, 2), good, bad)
    assert torch.equal(found[:5], step(native, PagedMemory.of(SMALL, 2), good))
    assert not found[6:].isfinite().any()


@pytest.mark.parametrize("weights", list(WeightFormat))
def test_a_folder_is_packed_as_a_model_in_memory_is(library: Library, weights: WeightFormat, tmp_path: Path) -> None:
    spec = replace(reduced("ja-large"), d_model=64, intermediate_size=96)
    model = rounded(spec).bfloat16()
    folder.export(model, spec, save_tokenizer(tmp_path / "tokenizer"), tmp_path / "model")
    part = Part(TOKENS[:40], 0, [0, 1])
    loaded = decoder.load(tmp_path / "model", library, weights)
    taken = decoder.of_transformer(model, library, weights)
    found, expected = (step(native, PagedMemory.of(spec, 2), part) for native in (loaded, taken))
    assert torch.equal(found, expected)


def test_weights_that_change_are_taken_again(library: Library) -> None:
    model = random_model(SMALL)
    native, part = decoder.of_transformer(model, library, WeightFormat.STORED), Part(TOKENS[:4], 0, [0])
    before = step(native, PagedMemory.of(SMALL, 1), part)
    with torch.no_grad():
        model.layers[1].mlp.up_proj.weight.mul_(2)
    native.take("layers.1.mlp.up_proj.weight", model.layers[1].mlp.up_proj.weight)
    after = step(native, PagedMemory.of(SMALL, 1), part)
    assert not torch.equal(before, after)
    fresh = decoder.of_transformer(model, library, WeightFormat.STORED)
    assert torch.equal(step(fresh, PagedMemory.of(SMALL, 1), part), after)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"d_model": 100}, "width of 100"), ({"intermediate_size": 50}, "of 50"), ({"head_dim": 48}, "head size of 48")],
)
def test_a_shape_that_is_not_computed_has_its_reason(change: dict[str, int], words: str) -> None:
    told = decoder.obstacle(replace(SMALL, **change))
    assert told is not None
    assert words in told


def test_the_presets_are_computed() -> None:
    assert not any(decoder.obstacle(spec) for spec in PRESETS.values())
