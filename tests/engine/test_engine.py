"""The engine in this process: the same answers as transformers, whoever else is running."""

from __future__ import annotations

import math
import random

import pytest
import torch
from transformers import LlamaForCausalLM

from model_samples import as_llama, peaked_model
from shosei.engine.engine import Engine, Event, answer_greedily
from shosei.engine.protocol import Failed, PromptScores, Submit, Token
from shosei.errors import InputError
from shosei.model.transformer import Transformer
from shosei.spec import ModelSpec

SPEC = ModelSpec(
    name="small",
    vocab_size=300,
    d_model=48,
    n_layers=3,
    intermediate_size=96,
    n_heads=6,
    n_kv_heads=2,
    head_dim=16,
    tied=False,
    rope_theta=1e4,
    context_length=64,
)


@pytest.fixture(scope="module")
def model() -> Transformer:
    return peaked_model(SPEC, seed=1)


@pytest.fixture(scope="module")
def llama(model: Transformer) -> LlamaForCausalLM:
    return as_llama(model, SPEC)


def prompts(count: int, longest: int = 30) -> list[list[int]]:
    rng = random.Random(7)
    return [[rng.randrange(SPEC.vocab_size) for _ in range(rng.randint(1, longest))] for _ in range(count)]


def run(engine: Engine) -> dict[int, list[Event]]:
    events: dict[int, list[Event]] = {}
    while engine.busy:
        for event in engine.step():
            events.setdefault(event.id, []).append(event)
    return events


def test_greedy_answers_equal_those_of_transformers(model: Transformer, llama: LlamaForCausalLM) -> None:
    asked = prompts(12)
    answers = answer_greedily(model, SPEC, asked, [16] * 12, stop_ids=[], slots=5)
    for prompt, answer in zip(asked, answers, strict=True):
        with torch.no_grad():
            theirs = llama.generate(torch.tensor([prompt]), max_new_tokens=16, do_sample=False, eos_token_id=None)
        assert answer == theirs[0, len(prompt) :].tolist()


@pytest.mark.parametrize("slots", [1, 2, 7, 40])
def test_an_answer_does_not_depend_on_its_neighbours(model: Transformer, slots: int) -> None:
    asked = prompts(40)
    limits = [1 + i % 20 for i in range(40)]
    alone = [answer_greedily(model, SPEC, [p], [n], [5, 6])[0] for p, n in zip(asked, limits, strict=True)]
    assert answer_greedily(model, SPEC, asked, limits, [5, 6], slots=slots) == alone


def test_a_prompt_whose_scores_fit_no_message_is_refused_alone(model: Transformer) -> None:
    engine = Engine(model, SPEC, slots=2, max_length=4_000)
    engine.submit(Submit(0, [1] * 3_900, 1, alternatives=SPEC.vocab_size, score_prompt=True))
    engine.submit(Submit(1, [1] * 3_900, 1, alternatives=5, score_prompt=True))
    events = run(engine)
    (refused,) = events[0]
    assert isinstance(refused, Failed)
    assert refused.kind == "invalid_request"
    assert "a smaller logprobs" in refused.message
    scores, token = events[1]
    assert isinstance(scores, PromptScores)
    assert len(scores.scores) == 3_899
    assert isinstance(token, Token)


def test_a_stop_id_ends_the_answer_and_is_not_part_of_it(model: Transformer) -> None:
    prompt = prompts(1)[0]
    free = answer_greedily(model, SPEC, [prompt], [10], [])[0]
    stop = next(token for token in free if free.index(token) > 2)
    engine = Engine(model, SPEC, slots=1)
    engine.submit(Submit(3, prompt, 10, stop_ids=[stop]))
    events = run(engine)[3]
    assert [event.token for event in events] == free[: free.index(stop) + 1]
    assert [event.finish for event in events] == [""] * free.index(stop) + ["stop"]
    assert answer_greedily(model, SPEC, [prompt], [10], [stop])[0] == free[: free.index(stop)]


class Counted(int):
    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return int(self) == other

    __hash__ = int.__hash__


def test_stop_ids_are_not_looked_through_for_each_token(model: Transformer) -> None:
    """A request may have as many as fit its message, and all others would wait."""
    engine = Engine(model, SPEC, slots=1)
    engine.submit(Submit(0, [1, 2], 20, stop_ids=[Counted(1000 + number) for number in range(1000)]))
    assert len(run(engine)[0]) == 20
    assert Counted.compared < 1000


def test_an_answer_ends_where_the_context_does(model: Transformer) -> None:
    engine = Engine(model, SPEC, slots=2)
    engine.submit(Submit(0, [1] * 60, max_tokens=50))
    engine.submit(Submit(1, [1] * 63, max_tokens=50))
    events = run(engine)
    assert [len(events[0]), len(events[1])] == [4, 1]
    assert events[0][-1].finish == events[1][-1].finish == "length"


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (Submit(9, [1] * 64, 1), "context_length_exceeded"),
        (Submit(9, [], 1), "invalid_request"),
        (Submit(9, [SPEC.vocab_size], 1), "invalid_request"),
        (Submit(9, [-1], 1), "invalid_request"),
        (Submit(9, [2**70], 1), "invalid_request"),
        (Submit(9, [1], 0), "invalid_request"),
        (Submit(9, [1], 5, temperature=math.nan), "invalid_request"),
        (Submit(9, [1], 5, temperature=-0.1), "invalid_request"),
        (Submit(9, [1], 5, temperature=1.0, top_p=0.0), "invalid_request"),
    ],
)
def test_a_poisoned_request_fails_alone(model: Transformer, request_: Submit, kind: str) -> None:
    prompt = prompts(1)[0]
    engine = Engine(model, SPEC, slots=2)
    engine.submit(Submit(1, prompt, 8))
    engine.submit(request_)
    events = run(engine)
    assert [event.kind for event in events[9]] == [kind]
    assert [event.token for event in events[1]] == answer_greedily(model, SPEC, [prompt], [8], [])[0]


def test_weights_that_are_not_finite_fail_the_request() -> None:
    broken = Transformer(SPEC)
    torch.nn.init.constant_(broken.norm.weight, math.nan)
    engine = Engine(broken, SPEC, slots=2)
    engine.submit(Submit(0, [1, 2], 5))
    assert [event.kind for event in run(engine)[0]] == ["engine_error"]


def test_validation_says_which_prompt_does_not_fit(model: Transformer) -> None:
    with pytest.raises(InputError, match="prompt 1: the prompt has 64 tokens"):
        answer_greedily(model, SPEC, [[1], [1] * 64], [4, 4], [])
    assert answer_greedily(model, SPEC, [], [], []) == []


def test_a_cancelled_request_frees_its_slot_at_once(model: Transformer) -> None:
    engine = Engine(model, SPEC, slots=2)
    for number in range(4):
        engine.submit(Submit(number, [number + 1, 8], 20))
    assert {event.id for event in engine.step()} == {0, 1}
    engine.cancel(0)
    engine.cancel(3)  # still waiting
    engine.cancel(77)  # never seen
    next_step = engine.step()
    assert {event.id for event in next_step} == {1, 2}
    events = run(engine)
    assert set(events) == {1, 2}
    expected = answer_greedily(model, SPEC, [[2, 8], [3, 8]], [20, 20], [])
    told = {n: [e.token for e in next_step if e.id == n] + [e.token for e in events[n]] for n in (1, 2)}
    assert told == {1: expected[0][1:], 2: expected[1]}


def test_the_same_seed_gives_the_same_answer_beside_anybody(model: Transformer) -> None:
    def answers(neighbours: int, seed: int | None) -> list[int]:
        engine = Engine(model, SPEC, slots=8)
        for number in range(neighbours):
            engine.submit(Submit(100 + number, [number + 1], 30, temperature=1.0))
        engine.submit(Submit(1, [4, 5, 6], 20, temperature=1.3, top_p=0.9, seed=seed))
        return [event.token for event in run(engine)[1]]

    assert answers(0, 11) == answers(5, 11)
    assert answers(0, 11) != answers(0, 12)
    assert answers(0, None) != answers(0, None)
