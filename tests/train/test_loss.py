"""The chunked loss against torch's own over all logits at once: same loss, same gradients, no larger error."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from shosei.data.dataset import NO_LOSS
from shosei.train import loss as training_loss
from shosei.train.loss import ROWS_ROUNDED_TO, chunk_rows, chunked_cross_entropy

VOCABULARY, WIDTH = 5000, 24  # more rows than a part of the weight's gradient has


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_loss, "LOGITS_IN_A_CHUNK", VOCABULARY * ROWS_ROUNDED_TO)


def sample(positions: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(positions)
    hidden = torch.randn(positions, WIDTH, generator=generator).requires_grad_()
    weight = torch.randn(VOCABULARY, WIDTH, generator=generator).requires_grad_()
    targets = torch.randint(0, VOCABULARY, (positions,), generator=generator)
    targets[::3] = NO_LOSS
    return hidden, weight, targets


@pytest.mark.parametrize("positions", [1 + ROWS_ROUNDED_TO * 3, ROWS_ROUNDED_TO, 5])
def test_loss_and_gradients_are_those_of_all_logits_at_once(positions: int) -> None:
    hidden, weight, targets = sample(positions)
    whole = F.cross_entropy(F.linear(hidden, weight), targets, ignore_index=NO_LOSS)
    expected = torch.autograd.grad(whole * 0.5, (hidden, weight))
    chunked = chunked_cross_entropy(hidden, weight, targets, torch.float32)
    found = torch.autograd.grad(chunked * 0.5, (hidden, weight))
    torch.testing.assert_close(chunked, whole, atol=1e-6, rtol=1e-6)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)
    assert found[0][targets == NO_LOSS].abs().sum() == 0


def test_bfloat16_products_over_many_chunks_err_no_more_than_one_product_does() -> None:
    """Sums of the weight's gradient in bfloat16 would: each would round what the chunks before it had added up."""
    hidden, weight, targets = sample(ROWS_ROUNDED_TO * 16)
    truth = torch.autograd.grad(F.cross_entropy(F.linear(hidden, weight), targets), (hidden, weight))
    with torch.autocast("cpu", torch.bfloat16):
        logits = F.linear(hidden, weight)
    whole = torch.autograd.grad(F.cross_entropy(logits.float(), targets), (hidden, weight))
    chunked = torch.autograd.grad(chunked_cross_entropy(hidden, weight, targets, torch.bfloat16), (hidden, weight))
    for ours, theirs, true in zip(chunked, whole, truth, strict=True):
        assert (ours - true).norm() <= 1.05 * (theirs - true).norm()


def test_no_answer_at_all_is_not_a_number_as_in_torch() -> None:
    hidden, weight, targets = sample(8)
    assert chunked_cross_entropy(hidden, weight, targets.fill_(NO_LOSS), torch.float32).isnan()


def test_a_parameter_takes_its_gradient_over_without_a_copy() -> None:
    hidden, weight, targets = sample(8)
    loss = chunked_cross_entropy(hidden, weight, targets, torch.float32)
    [_, made] = loss.grad_fn.gradients  # type: ignore[union-attr]
    address = made.data_ptr()
    del made
    loss.backward()
    assert weight.grad is not None
    assert weight.grad.data_ptr() == address


def test_logits_in_memory_do_not_grow_with_the_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for vocabulary in (2048, 32_000, 128_064):
        assert chunk_rows(vocabulary) % ROWS_ROUNDED_TO == 0
        assert chunk_rows(vocabulary) * vocabulary <= 1 << 25
