"""Weights in 8 bits: what they stand for, what a product of them is, and what answers become of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model_samples import random_model, reduced, save_tokenizer
from shosei.engine.engine import answer_greedily
from shosei.model import folder, int8
from shosei.model.int8 import Int8Weight, dequantize, quantize
from shosei.spec.generation import WeightFormat

SHAPES = [(64, 64), (17, 96), (336, 30)]


def weight(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)).bfloat16()


@given(seed=st.integers(0, 10_000), spread=st.sampled_from([1e-20, 1e-3, 1.0, 1e4]), outlier=st.sampled_from([1, 100]))
def test_a_weight_is_off_by_half_a_step_of_its_output_at_most(seed: int, spread: float, outlier: int) -> None:
    values = weight(6, 64, seed).float() * spread
    values[0, 3] *= outlier
    codes, scales = quantize(values)
    assert codes.abs().max() == 127
    error = (values - dequantize(codes, scales)).abs()
    assert (error <= 0.5001 * scales[:, None]).all()
    torch.testing.assert_close(scales * 127, values.abs().amax(1))


def test_an_output_of_zeros_stays_zero() -> None:
    assert not dequantize(*quantize(torch.zeros(4, 32))).any()


@pytest.mark.parametrize("operator", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_product_is_that_of_the_weights_that_the_codes_stand_for(
    shape: tuple[int, int], operator: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "_operator_exists", lambda: operator)
    values, x = weight(*shape), weight(5, shape[1], 1)
    expected = x.double() @ dequantize(*quantize(values)).double().T
    product = Int8Weight(values).multiply(x[None], torch.ones(shape[0], dtype=torch.bfloat16))[0]
    assert (product.double() - 1 - expected).norm() < 0.008 * expected.norm()  # bfloat16 has 8 bits, scales too
    assert product.shape == expected.shape


def test_a_row_of_a_batch_does_not_know_the_others() -> None:
    product = Int8Weight(weight(64, 64)).multiply
    x = weight(33, 64, 2)
    x[1:] *= 1000
    together, alone = product(x)[0].float(), product(x[:1])[0].float()
    assert (together - alone).norm() <= 0.004 * alone.norm()


@torch.inference_mode()
def test_a_folder_in_8_bits_answers_as_its_whole_weights_do(tmp_path: Path) -> None:
    spec = reduced("ja-small")
    folder.export(random_model(spec), spec, save_tokenizer(tmp_path / "tokenizer"), tmp_path / "model")
    whole, _ = folder.load(tmp_path / "model", torch.bfloat16)
    model, _ = folder.load(tmp_path / "model", torch.bfloat16, WeightFormat.INT8)
    ids = torch.arange(24).view(2, 12)
    expected = whole.logits(whole(ids)).float()
    assert (model.logits(model(ids)).float() - expected).norm() < 0.03 * expected.norm()
    prompts = [[7 * number % 300 + 1, 5, number + 9] for number in range(6)]
    answers = [answer_greedily(model, spec, prompts, [8] * 6, [], slots=slots) for slots in (1, 6)]
    assert answers[0] == answers[1]
