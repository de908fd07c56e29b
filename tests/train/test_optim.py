"""The schedule, the optimisers' shares, and where loss is taken."""

from __future__ import annotations

import pytest
import torch

from shosei.model.transformer import Transformer
from shosei.train.loss import answer_loss
from shosei.train.optim import Optimizers, learning_rate_factor, split_parameters
from shosei.train.throughput import step_flops
from train_samples import FAST, tiny_spec


def test_the_schedule_warms_up_holds_and_decays_linearly() -> None:
    config = FAST.model_copy(update={"warmup": 0.2, "decay": 0.5, "final_lr": 0.0})
    factors = [learning_rate_factor(step, 10, config) for step in range(10)]
    assert factors == pytest.approx([0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])
    config = config.model_copy(update={"warmup": 0.0, "decay": 1.0, "final_lr": 0.5})
    assert [learning_rate_factor(step, 4, config) for step in range(4)] == pytest.approx([1, 0.875, 0.75, 0.625])
    config = config.model_copy(update={"decay": 0.0})
    assert [learning_rate_factor(step, 3, config) for step in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("tied", [True, False])
def test_each_parameter_is_optimised_exactly_once(tied: bool) -> None:
    spec = tiny_spec(tied=tied)
    model = Transformer(spec)
    optimizers = Optimizers(model, FAST)
    groups = optimizers.matrices.param_groups + optimizers.tables.param_groups
    optimised = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(optimised) == sorted(id(parameter) for parameter in model.parameters())
    matrices, tables = split_parameters(model)
    assert sum(weight.numel() for weight in matrices) == spec.attention_params + spec.feed_forward_params
    assert sum(weight.numel() for weight in tables) == spec.embedding_params + spec.norm_params


def test_the_factor_scales_both_learning_rates() -> None:
    model = Transformer(tiny_spec())
    optimizers = Optimizers(model, FAST)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizers.step(0.0)
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    optimizers.step(0.5)
    assert optimizers.matrices.param_groups[0]["lr"] == FAST.matrix_lr / 2
    assert optimizers.tables.param_groups[0]["lr"] == FAST.table_lr / 2
    assert not any(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


def test_loss_and_gradients_are_those_of_the_answers_alone() -> None:
    torch.manual_seed(0)
    model = Transformer(tiny_spec())
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    ids = torch.tensor([[5, 6, 7, 8, 9], [5, 9, 8, 0, 0]])
    targets = torch.tensor([[-100, -100, 8, 9, 1], [-100, 8, 1, -100, -100]])

    # By hand: every position's log-probabilities, of which five are looked up.
    log_probabilities = model.logits(model(ids)).log_softmax(-1)
    looked_up = [(0, 2, 8), (0, 3, 9), (0, 4, 1), (1, 1, 8), (1, 2, 1)]
    by_hand = -sum(log_probabilities[place] for place in looked_up) / len(looked_up)
    expected = torch.autograd.grad(by_hand, list(model.parameters()))

    hidden: list[torch.Tensor] = []
    model.norm.register_forward_hook(lambda module, inputs, output: (output.retain_grad(), hidden.append(output))[-1])
    loss = answer_loss(model, ids, targets, torch.float32)
    loss.backward()
    torch.testing.assert_close(loss, by_hand)
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    # The five with loss, and what fills them up to a size of products that comes often.
    assert (hidden[0].grad.abs().sum(-1) > 0).tolist() == [True] * 5 + [False] * 5


def test_flops_with_loss_everywhere_are_the_closed_form() -> None:
    spec = tiny_spec()
    assert step_flops(spec, 640, 640, 20) == 640 * spec.train_flops_per_token(20)
    head = 6 * spec.vocab_size * spec.d_model
    network = 6 * 3 * spec.d_model * spec.intermediate_size  # the last layer's, which nothing else looks at
    assert step_flops(spec, 640, 100, 20) == 640 * spec.train_flops_per_token(20) - 540 * (head + network)


def test_flops_beside_adapters_are_those_of_two_passes_through_what_is_frozen() -> None:
    """By hand: one layer of width 2, one head of 2, feed-forward 3, 4 rows; rank 1, 5 tokens with loss on 2 of them."""
    spec = tiny_spec(
        d_model=2, n_layers=1, n_heads=1, n_kv_heads=1, head_dim=2, intermediate_size=3, vocab_size=4, tied=True
    )
    attention = 4 * 4 * 4 + 6 * 4 * (2 + 2) + 6 * 2 * 5  # four matrices, their adapters, the scores and what they weigh
    network = 4 * 3 * 6 + 6 * 3 * (2 + 3)
    assert step_flops(spec, 5, 2, 5, lora_rank=1) == 5 * attention + 2 * network + 2 * 4 * 4 * 2
