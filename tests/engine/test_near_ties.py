"""In bfloat16 and quantised weights, too, a greedy answer is the same alone and in any batch, but for near ties."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from model_samples import peaked_model, random_model, reduced
from native_samples import HAS_COMPILER, HERE
from shosei.engine.engine import Engine
from shosei.engine.protocol import Submit, Token
from shosei.engine.runner import StepModel
from shosei.model.linear import Linear
from shosei.model.native.decoder import of_transformer
from shosei.model.native.library import load
from shosei.model.transformer import Transformer
from shosei.spec.generation import WeightFormat

SPEC = replace(reduced("ja-small"), context_length=256)
NEAR = 1e-4  # nats between the two most probable tokens
TOKENS = 24
CUTS = [  # all at once; few blocks, given up and computed again, small pieces, drafts
    {"slots": 16, "blocks": 128},
    {"slots": 8, "blocks": 10, "speculate": True, "rows_beside": 16},
    {"slots": 16, "blocks": 40, "speculate": True, "rows_beside": 3},
]

Model = Transformer | StepModel


def by_torch(model: Transformer, weights: WeightFormat) -> Model:
    """As ``engine.loading`` has it, where no C function computes."""
    model = model.bfloat16()
    if weights is WeightFormat.STORED:
        model.pack()
        return model
    for module in model.modules():
        if isinstance(module, Linear):
            module.quantize(module.weight.detach(), weights)
    return model


def native(model: Transformer, weights: WeightFormat) -> Model:
    if not (HAS_COMPILER and HERE):
        pytest.skip("no C compiler, or no such processor")
    return of_transformer(model, load(HERE[0]), weights)


def requests() -> list[Submit]:
    """Some share their first blocks, whole or in part; some end where a block does."""
    rng = random.Random(5)

    def some(count: int) -> list[int]:
        return [rng.randrange(SPEC.vocab_size) for _ in range(count)]

    system = some(100)
    prompts = [system[:shared] + some(own) for shared in (0, 64, 100) for own in (1, 28, 31, 32, 33)]
    return [Submit(number, prompt, TOKENS, alternatives=2) for number, prompt in enumerate(prompts)]


def answers(model: Model, asked: list[Submit], **options: int) -> dict[int, list[Token]]:
    """Each request comes a step after the one before it."""
    engine = Engine(model, SPEC, max_length=SPEC.context_length, **options)
    told: dict[int, list[Token]] = {request.id: [] for request in asked}

    def step() -> None:
        for event in engine.step():
            assert isinstance(event, Token)
            told[event.id].append(event)

    for request in asked:
        engine.submit(request)
        step()
    while engine.busy:
        step()
    assert engine.free_tokens == engine.cache_tokens
    return told


def lead(token: Token) -> float:
    """How much more probable the best token was than the second, in nats."""
    assert token.score is not None
    (_, best), (_, second) = token.score.best
    return best - second


@pytest.mark.parametrize("weights", list(WeightFormat))
@pytest.mark.parametrize("computed", [by_torch, native])
@pytest.mark.parametrize("made", [lambda: peaked_model(SPEC, seed=1), lambda: random_model(SPEC)])
def test_answers_part_at_near_ties_alone_and_by_c_never(
    made: Callable[[], Transformer],
    computed: Callable[[Transformer, WeightFormat], Model],
    weights: WeightFormat,
    record_property: Callable[[str, int], None],
) -> None:
    model, asked = computed(made(), weights), requests()
    alone = {request.id: answers(model, [request], slots=1, rows_beside=256)[request.id] for request in asked}
    near = sum(lead(token) < NEAR for answer in alone.values() for token in answer)
    parted = 0
    for cut in CUTS:
        for number, answer in answers(model, asked, **cut).items():
            pairs = zip(alone[number], answer, strict=True)
            if first := next((expected for expected, found in pairs if expected.token != found.token), None):
                parted += 1
                assert lead(first) < NEAR
    record_property("tokens", len(CUTS) * len(asked) * TOKENS)
    record_property("near_ties", len(CUTS) * near)
    record_property("parted", parted)
    if computed is native:
        assert parted == 0
