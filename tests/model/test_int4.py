"""Weights in 4 bits: what they stand for, what a product of them is, and what they leave alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model_samples import random_model, reduced, save_tokenizer
from shosei.engine.engine import answer_greedily
from shosei.model import folder, int4, int8
from shosei.model.int4 import Int4Weight, dequantize, quantize
from shosei.model.int8 import Int8Weight
from shosei.model.linear import Linear
from shosei.model.transformer import Transformer
from shosei.spec.generation import INT4_GROUP, PREFILL_TOKENS, WeightFormat, product_bytes

SHAPES = [(64, 64), (48, 96), (17, 64), (336, 32)]  # 17: no multiple of what the operator takes


def weight(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)).bfloat16()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    spread=st.sampled_from([1e-20, 1e-3, 1.0, 1e4]),
    shift=st.sampled_from([0.0, 0.1, -7.0]),
    group=st.sampled_from([32, 64, 128]),
    refits=st.integers(0, 4),
)
def test_a_weight_is_off_by_half_a_step_at_most_unless_it_is_clipped(
    seed: int, spread: float, shift: float, group: int, refits: int
) -> None:
    values = (weight(6, 256, seed).float() + shift) * spread
    codes, scale, offset = quantize(values, group, refits)
    assert int(codes.max()) <= 15
    step = scale.float().repeat_interleave(group, 1)
    zero = offset.float().repeat_interleave(group, 1)
    error = (values - dequantize(codes, scale, offset)).abs()
    inside = (values >= zero - 8 * step) & (values <= zero + 7 * step)
    rounding = 1e-6 * values.abs()
    assert (error <= step / 2 + rounding)[inside].all()
    nearest_end = torch.minimum((values - zero + 8 * step).abs(), (values - zero - 7 * step).abs())
    assert (error <= nearest_end + step / 2 + rounding)[~inside].all()


def test_fitting_again_is_nearer_for_every_group() -> None:
    values = weight(64, 256).float()
    errors = [
        (values - dequantize(*quantize(values, refits=refits))).view(-1, INT4_GROUP).square().sum(1)
        for refits in (0, 2)
    ]
    assert (errors[1] <= errors[0] * 1.0001).all()
    assert errors[1].sum() < 0.93 * errors[0].sum()


@pytest.mark.parametrize("constant", [0.0, 0.3, -1e20])
def test_equal_weights_are_kept(constant: float) -> None:
    values = torch.full((16, 64), constant).bfloat16()
    assert torch.equal(dequantize(*quantize(values)).bfloat16(), values)


@pytest.mark.parametrize("operator", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_product_is_that_of_the_weights_that_the_codes_stand_for(
    shape: tuple[int, int], operator: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int4, "_operator_exists", lambda: operator)
    values, x = weight(*shape), weight(5, shape[1], 1)
    expected = x.double() @ dequantize(*quantize(values)).double().T
    product = Int4Weight(values).multiply(x)
    assert (product.double() - expected).norm() < 0.004 * expected.norm()  # bfloat16 has 8 bits
    assert product.shape == expected.shape


@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_of_a_batch_does_not_know_the_others(shape: tuple[int, int]) -> None:
    product = Int4Weight(weight(*shape)).multiply
    x = weight(33, shape[1], 2)
    x[1:] *= 1000  # neighbours with outliers
    together, alone = product(x)[0].float(), product(x[:1])[0].float()
    assert (together - alone).norm() <= 0.004 * alone.norm()


def test_a_linear_layer_adds_its_bias_and_keeps_a_width_of_no_whole_groups() -> None:
    biased = Linear(64, 32, bias=True).bfloat16()
    torch.nn.init.ones_(biased.bias)  # type: ignore[arg-type]
    x = weight(3, 64, 3)[None]
    values = weight(32, 64)
    biased.quantize(values)
    expected = x.float() @ dequantize(*quantize(values)).T + 1
    torch.testing.assert_close(biased(x).float(), expected, rtol=0.02, atol=0.05)
    odd = Linear(48, 32)
    odd.quantize(weight(32, 48))
    assert torch.equal(odd(x[..., :48]), x[..., :48] @ weight(32, 48).T)


@pytest.fixture(scope="module", params=["ja-small", "internlm-large"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tied and an untied one."""
    root = tmp_path_factory.mktemp("int4")
    spec = replace(reduced(request.param), n_heads=2, n_kv_heads=1, intermediate_size=128)
    folder.export(random_model(spec), spec, save_tokenizer(root / "tokenizer"), root / "model")
    return root / "model"


def load(path: Path) -> Transformer:
    return folder.load(path, torch.bfloat16, WeightFormat.INT4)[0]


@torch.inference_mode()
def test_a_folder_is_loaded_with_every_matrix_rounded_and_all_else_as_it_was(exported: Path) -> None:
    model = load(exported)
    whole, _ = folder.load(exported, torch.bfloat16)
    assert set(model.state_dict()) == {name for name in whole.state_dict() if "norm" in name or "embed" in name}
    model.pack()  # as the engine does
    for module in whole.modules():
        if isinstance(module, Linear):
            module.weight = torch.nn.Parameter(dequantize(*quantize(module.weight)).bfloat16())
    ids = torch.arange(24).view(2, 12)
    expected = whole.logits(whole(ids)).float()
    assert (model.logits(model(ids)).float() - expected).norm() < 0.03 * expected.norm()


@torch.inference_mode()
def test_the_head_may_have_8_bits_beside_layers_in_4(exported: Path) -> None:
    model, _ = folder.load(exported, torch.bfloat16, WeightFormat.INT4_HEAD8)
    model.pack()
    ids = torch.arange(24).view(2, 12)
    hidden = model(ids)
    assert torch.equal(hidden, load(exported)(ids))
    head = folder.load(exported, torch.bfloat16)[0].lm_head.weight
    expected = hidden.float() @ int8.dequantize(*int8.quantize(head)).T
    assert (model.logits(hidden).float() - expected).norm() < 0.01 * expected.norm()


def test_answers_do_not_depend_on_how_many_are_asked(exported: Path) -> None:
    model = load(exported)
    prompts = [[7 * number % 300 + 1, 5, number + 9] for number in range(12)]
    answers = [answer_greedily(model, model.spec, prompts, [8] * 12, [], slots=slots) for slots in (1, 3, 12)]
    assert answers[0] == answers[1] == answers[2]


KINDS = {
    WeightFormat.INT8: (Int8Weight, Int8Weight),
    WeightFormat.INT4: (Int4Weight, Int4Weight),
    WeightFormat.INT4_HEAD8: (Int4Weight, Int8Weight),
}


@pytest.mark.parametrize("weights", KINDS)
def test_the_bytes_are_those_on_paper(weights: WeightFormat, exported: Path) -> None:
    spec, (of_layers, of_head) = folder.read_spec(exported), KINDS[weights]
    with torch.device("meta"):
        modules = {name: each for name, each in Transformer(spec).named_modules() if isinstance(each, Linear)}
    kinds = {name: of_head if name == "lm_head" else of_layers for name in modules}
    held = [vars(kinds[name](torch.zeros(module.weight.shape))).values() for name, module in modules.items()]
    real = sum(tensor.nbytes for tensors in held for tensor in tensors if isinstance(tensor, torch.Tensor))
    assert product_bytes(spec, weights) == real


@pytest.mark.parametrize("weights", [WeightFormat.STORED, *KINDS])
def test_a_prompt_longer_than_one_step_takes_is_answered(weights: WeightFormat, exported: Path) -> None:
    """Its first step wants no logits: products behind the last attention have no rows."""
    model, spec = folder.load(exported, torch.bfloat16, weights)
    model.pack()
    prompt = [7 * number % 300 for number in range(PREFILL_TOKENS + 20)]
    assert len(answer_greedily(model, spec, [prompt], [2], [])[0]) == 2
