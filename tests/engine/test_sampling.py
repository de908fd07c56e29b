"""What a request changes in the logits, against transformers' own processors; log-probabilities against log_softmax."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import (
    LlamaForCausalLM,
    LogitsProcessorList,
    MinPLogitsWarper,
    SequenceBiasLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from model_samples import as_llama, peaked_model
from shosei.engine.engine import Engine
from shosei.engine.protocol import Failed, LogitRules, PromptScores, Submit, Token, TokenScore
from shosei.engine.sampling import Adjuster, most_probable, sample
from shosei.model.transformer import Transformer
from shosei.spec import preset

SPEC = replace(
    preset("nano"),
    vocab_size=200,
    d_model=48,
    n_layers=2,
    intermediate_size=64,
    n_heads=3,
    n_kv_heads=1,
    head_dim=16,
    tied=False,
    context_length=600,
)
PROMPT = [3, 14, 15, 92, 65, 35, 89, 79]


@pytest.fixture(scope="module")
def model() -> Transformer:
    return peaked_model(SPEC, seed=2)


@pytest.fixture(scope="module")
def llama(model: Transformer) -> LlamaForCausalLM:
    return as_llama(model, SPEC)


def run(model: Transformer, *requests: Submit) -> dict[int, list[Any]]:
    engine = Engine(model, SPEC, slots=4)
    for request in requests:
        engine.submit(request)
    events: dict[int, list[Any]] = {request.id: [] for request in requests}
    while engine.busy:
        for event in engine.step():
            events[event.id].append(event)
    return events


def ids(events: Sequence[Any]) -> list[int]:
    return [event.token for event in events if isinstance(event, Token)]


def answer(model: Transformer, rules: LogitRules | None = None, **options: Any) -> list[int]:
    return ids(run(model, Submit(0, PROMPT, options.pop("max_tokens", 24), rules=rules, **options))[0])


@pytest.mark.parametrize(
    ("rules", "theirs"),
    [
        (LogitRules(repetition_penalty=1.4), {"repetition_penalty": 1.4}),
        (LogitRules(repetition_penalty=0.7), {"repetition_penalty": 0.7}),
        (LogitRules(logit_bias={7: 4.0, 146: -100.0}), {"sequence_bias": {(7,): 4.0, (146,): -100.0}}),
        (
            LogitRules(repetition_penalty=3.0, logit_bias={7: 4.0}),
            {"repetition_penalty": 3.0, "sequence_bias": {(7,): 4.0}},
        ),
    ],
)
def test_greedy_answers_under_rules_equal_those_of_transformers(
    model: Transformer, llama: LlamaForCausalLM, rules: LogitRules, theirs: dict[str, Any]
) -> None:
    with torch.no_grad():
        made = llama.generate(
            torch.tensor([PROMPT]), max_new_tokens=24, do_sample=False, eos_token_id=None, pad_token_id=0, **theirs
        )
    assert answer(model, rules) == made[0, len(PROMPT) :].tolist()
    assert answer(model, rules) != answer(model)


def test_penalties_follow_openais_formula(model: Transformer, llama: LlamaForCausalLM) -> None:
    """logit - count * frequency - [count > 0] * presence, over the answer's tokens alone."""
    presence, frequency = 0.9, 0.6
    expected: list[int] = []
    for _ in range(24):
        with torch.no_grad():
            logits = llama(torch.tensor([[*PROMPT, *expected]])).logits[0, -1]
        for token in set(expected):
            logits[token] -= expected.count(token) * frequency + presence
        expected.append(int(logits.argmax()))
    assert answer(model, LogitRules(presence_penalty=presence, frequency_penalty=frequency)) == expected
    assert expected != answer(model)


def test_penalties_are_not_lost_in_the_rounding_of_bfloat16() -> None:
    """Logits of about 20 are an eighth apart there: of two that are equal, the one that came before is to lose."""
    spec = replace(SPEC, n_layers=1)
    model = peaked_model(spec, seed=2).bfloat16()
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.weight[[5, 9]] = model.norm.weight / model.norm.weight.square().sum() * 20
        model.layers[0].self_attn.o_proj.weight.zero_()
        model.layers[0].mlp.down_proj.weight.zero_()
        model.embed_tokens.weight.fill_(1.0)
    engine = Engine(model, spec, slots=1)
    engine.submit(Submit(0, PROMPT, 4, rules=LogitRules(presence_penalty=0.01, frequency_penalty=0.01), alternatives=2))
    events: list[Any] = []
    while engine.busy:
        events += engine.step()
    ((_, first), (_, second)) = events[0].score.best
    assert first == second
    assert ids(events) == [5, 9, 5, 9]


def test_no_stop_id_comes_among_the_first_tokens(model: Transformer) -> None:
    free = answer(model)
    stop = free[2]
    assert len(answer(model, stop_ids=[stop])) == free.index(stop) + 1
    later = answer(model, LogitRules(min_tokens=10), stop_ids=[stop, 9999])
    assert stop not in later[:10]
    assert len(later) > 10


def test_where_every_token_is_a_stop_id_one_comes(model: Transformer) -> None:
    (only,) = answer(model, LogitRules(min_tokens=3), stop_ids=range(model.embed_tokens.num_embeddings))
    assert only == answer(model)[0]


def test_rules_of_one_request_leave_its_neighbours_alone(model: Transformer) -> None:
    ruled = Submit(1, PROMPT, 24, rules=LogitRules(repetition_penalty=2.0, frequency_penalty=2.0))
    events = run(model, Submit(0, PROMPT, 24), ruled, Submit(2, PROMPT[:3], 24, alternatives=2))
    assert ids(events[0]) == answer(model)
    assert ids(events[2]) == ids(run(model, Submit(2, PROMPT[:3], 24))[2])


@pytest.mark.parametrize("alternatives", [0, 5])
def test_scores_are_log_softmax_of_what_the_model_says(
    model: Transformer, llama: LlamaForCausalLM, alternatives: int
) -> None:
    """Under temperature and rules too: scores are those of the model itself. Prompt longer than one piece of scores."""
    prompt = [(7 * place) % SPEC.vocab_size for place in range(300)]
    rules = LogitRules(repetition_penalty=1.5, logit_bias={5: 3.0})
    request = Submit(0, prompt, 12, 1.0, seed=4, rules=rules, alternatives=alternatives, score_prompt=True)
    first, *tokens = run(model, request)[0]
    assert isinstance(first, PromptScores)
    whole = [*prompt, *ids(tokens)]
    with torch.no_grad():
        logprobs = torch.log_softmax(llama(torch.tensor([whole])).logits[0].double(), -1)
    found: list[TokenScore] = [*first.scores, *(token.score for token in tokens)]
    assert len(found) == len(whole) - 1
    for row, (token, score) in enumerate(zip(whole[1:], found, strict=True)):
        assert score.logprob == pytest.approx(float(logprobs[row, token]), abs=1e-4)
        best, places = logprobs[row].topk(alternatives)
        assert [place for place, _ in score.best] == places.tolist()
        assert [value for _, value in score.best] == pytest.approx(best.tolist(), abs=1e-4)


def test_nothing_is_scored_unasked(model: Transformer) -> None:
    assert all(event.score is None for event in run(model, Submit(0, PROMPT, 5))[0])


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 1.0), (1.0, 0.6), (2.0, 0.95)])
def test_sampling_follows_the_distribution(temperature: float, top_p: float) -> None:
    """Against the definition, over an even grid of uniforms; a vocabulary larger than the first guess of top-k."""
    torch.manual_seed(0)
    logits = torch.randn(700)
    probabilities, order = torch.softmax(logits.double() / temperature, 0).sort(descending=True)
    kept = probabilities[: int((probabilities.cumsum(0) < top_p).sum()) + 1]
    expected = torch.zeros(700, dtype=torch.float64)
    expected[order[: len(kept)]] = kept / kept.sum()
    n = 4000
    drawn = torch.tensor([sample(logits, temperature, top_p, (i + 0.5) / n) for i in range(n)])
    counts = torch.bincount(drawn, minlength=700).double()
    assert (counts / n - expected).abs().max() < 1.5 / n


def test_a_tiny_temperature_is_greedy() -> None:
    logits = torch.tensor([0.1, 3.0, 2.9])
    assert {sample(logits, 1e-300, 1.0, u) for u in (0.0, 0.5, 0.999999)} == {1}


@pytest.mark.parametrize(("top_k", "top_p", "min_p"), [(5, 1.0, 0.0), (0, 1.0, 0.2), (40, 0.7, 0.1), (900, 0.9, 0.0)])
def test_sampling_keeps_what_transformers_keeps(top_k: int, top_p: float, min_p: float) -> None:
    torch.manual_seed(0)
    logits, temperature, n = torch.randn(700), 0.8, 4000
    warpers: list[Any] = [TemperatureLogitsWarper(temperature), *([TopKLogitsWarper(top_k)] if top_k else [])]
    warpers += [TopPLogitsWarper(top_p), MinPLogitsWarper(min_p)] if min_p else [TopPLogitsWarper(top_p)]
    left = LogitsProcessorList(warpers)(torch.tensor([[0]]), logits.double()[None])
    expected = torch.softmax(left[0], 0)
    drawn = torch.tensor([sample(logits, temperature, top_p, (i + 0.5) / n, top_k, min_p) for i in range(n)])
    counts = torch.bincount(drawn, minlength=700).double()
    assert (counts / n - expected).abs().max() < 1.5 / n


def test_a_bias_is_the_one_of_transformers() -> None:
    logits, bias = torch.randn(SPEC.vocab_size), {3: 1.5, 100: -7.0}
    expected = SequenceBiasLogitsProcessor({(token,): value for token, value in bias.items()})(
        torch.tensor([PROMPT]), logits[None].clone()
    )[0]
    Adjuster(Submit(0, PROMPT, 1, rules=LogitRules(logit_bias=bias)), SPEC.vocab_size, logits.device).adjust(logits)
    assert torch.allclose(logits, expected)


@pytest.mark.parametrize(
    "request_",
    [
        Submit(9, [1], 1, top_k=-1),
        Submit(9, [1], 1, min_p=1.5),
        Submit(9, [1], 1, alternatives=-1),
        Submit(9, [1], 1, rules=LogitRules(repetition_penalty=0.0)),
        Submit(9, [1], 1, rules=LogitRules(frequency_penalty=float("nan"))),
        Submit(9, [1], 1, rules=LogitRules(logit_bias={SPEC.vocab_size: 1.0})),
    ],
)
def test_a_request_that_cannot_be_followed_fails_alone(model: Transformer, request_: Submit) -> None:
    events = run(model, Submit(0, PROMPT, 6), request_)
    assert [event.kind for event in events[9] if isinstance(event, Failed)] == ["invalid_request"]
    assert ids(events[0]) == answer(model, max_tokens=6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_most_probable_token_is_the_first_of_the_largest(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    logits = torch.randn(6, 1000).to(dtype)
    logits[1, [40, 700]] = 9.0
    logits[2] = -torch.inf
    logits[3, [5, 6]] = torch.inf
    logits[4, 7] = torch.nan
    logits[5] = 0.0
    found = most_probable(logits)
    expected = [max(range(1000), key=row.__getitem__) for row in logits.tolist()]
    assert [token for _, token in found[:4]] == expected[:4]
    assert [value for value, _ in found[:4]] == logits.amax(-1).tolist()[:4]
    assert math.isnan(found[4][0])
    assert found[5] == (0.0, 0)
    assert most_probable(logits[:0]) == []


def test_a_seed_and_its_negative_are_two(model: Transformer) -> None:
    assert answer(model, seed=-1, temperature=100.0) != answer(model, seed=1, temperature=100.0)
    assert answer(model, seed=-1, temperature=100.0) == answer(model, seed=-1, temperature=100.0)
