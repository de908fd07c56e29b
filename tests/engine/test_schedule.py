"""The same answers however the work is cut: chunks, neighbours, prompts found again, blocks given up, drafts."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model_samples import ROWS, as_llama, peaked_model, reduced
from shosei.engine.engine import Engine
from shosei.engine.lookup import PromptLookup
from shosei.engine.protocol import Failed, LogitRules, PromptScores, Submit, Token
from shosei.model.transformer import Transformer
from shosei.spec import PRESETS, ModelSpec
from shosei.spec.generation import BLOCK_TOKENS

SPEC = replace(reduced("nano"), context_length=256)
SYSTEM = [token % ROWS for token in range(5, 105)]  # what many prompts begin with


@pytest.fixture(scope="module")
def model() -> Transformer:
    return peaked_model(SPEC, seed=3)


def prompt(seed: int, length: int, system: int = 0) -> list[int]:
    rng = random.Random(seed)
    return SYSTEM[:system] + [rng.randrange(ROWS) for _ in range(length)]


class Session:
    """An engine, with what it has told of each request."""

    def __init__(self, model: Transformer, spec: ModelSpec = SPEC, slots: int = 4, **options: Any) -> None:
        self.engine = Engine(model, spec, slots, **options)
        self.tokens: dict[int, list[int]] = {}
        self.reused: dict[int, int] = {}
        self.events: list[Token | PromptScores | Failed] = []
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        for event in self.engine.step():
            self.events.append(event)
            if isinstance(event, Token):
                self.tokens.setdefault(event.id, []).append(event.token)
                self.reused.setdefault(event.id, event.reused)

    def finish(self) -> dict[int, list[int]]:
        while self.engine.busy:
            self.step()
        assert self.engine.free_tokens == self.engine.cache_tokens  # nobody is left, nothing is lost
        return self.tokens


def alone(model: Transformer, request: Submit) -> list[int]:
    """What an engine says that has nothing else to do and spares itself nothing."""
    session = Session(model, slots=1, reuse=False, rows_beside=SPEC.context_length)
    session.engine.submit(request)
    return session.finish()[request.id]


REQUESTS = st.builds(
    Submit,
    id=st.just(0),
    prompt=st.builds(prompt, st.integers(0, 5), st.integers(1, 90), st.sampled_from([0, 0, 40, 100])),
    max_tokens=st.integers(1, 40),
    temperature=st.sampled_from([0.0, 0.0, 1.0]),
    seed=st.integers(0, 3),
    stop_ids=st.sampled_from([[], [7]]),
    rules=st.sampled_from([None, None, LogitRules(repetition_penalty=1.3)]),
    alternatives=st.sampled_from([None, None, 2]),
    score_prompt=st.booleans(),
)
ACTIONS = st.lists(st.one_of(REQUESTS, st.integers(0, 9), st.just("step"), st.just("step")), max_size=16)


@settings(max_examples=40, deadline=None)
@given(ACTIONS, st.integers(8, 20), st.booleans(), st.booleans())
def test_whatever_comes_and_goes_each_is_answered_as_alone(
    model: Transformer, actions: list[Submit | int | str], blocks: int, reuse: bool, speculate: bool
) -> None:
    """A number cancels the request that has it; the smallest cache holds one of the longest contexts."""
    session = Session(model, blocks=blocks, reuse=reuse, speculate=speculate, rows_beside=16)
    asked: dict[int, Submit] = {}
    cancelled: set[int] = set()
    for number, action in enumerate(actions):
        if isinstance(action, Submit):
            asked[number] = msgspec.structs.replace(action, id=number)
            session.engine.submit(asked[number])
        elif isinstance(action, int):
            session.engine.cancel(action)
            cancelled.add(action)
        else:
            session.step()
    answers = session.finish()
    for number, request in asked.items():
        answer, expected = answers.get(number, []), alone(model, request)
        assert answer == expected[: len(answer)] if number in cancelled else answer == expected


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_answers_as_transformers_does_however_the_work_is_cut(name: str) -> None:
    spec = reduced(name)
    model = peaked_model(spec, seed=1)
    llama = as_llama(model, spec)
    asked = [prompt(seed, 1 + 17 * seed, system=64 * (seed % 2)) for seed in range(6)]
    expected = {}
    for number, ids in enumerate(asked):
        with torch.no_grad():
            theirs = llama.generate(torch.tensor([ids]), max_new_tokens=40, do_sample=False, eos_token_id=None)
        expected[number] = theirs[0, len(ids) :].tolist()
    session = Session(model, spec, max_length=256, blocks=12, speculate=True, rows_beside=16)
    for number, ids in enumerate(asked):
        session.engine.submit(Submit(number, ids, 40))
        session.step()
    assert session.finish() == expected


def test_what_a_prompt_begins_with_is_computed_once(model: Transformer) -> None:
    session = Session(model)
    for number in range(4):  # all at once: three of them wait for the first one's blocks, and not to compute their own
        session.engine.submit(Submit(number, prompt(number, 20, system=100), 3))
    session.finish()
    whole = 100 // BLOCK_TOKENS * BLOCK_TOKENS
    assert session.reused == {0: 0, 1: whole, 2: whole, 3: whole}


def test_an_answer_can_be_gone_on_from(model: Transformer) -> None:
    session = Session(model)
    question = prompt(1, 30)
    session.engine.submit(Submit(0, question, 40))
    answer = session.finish()[0]
    session.engine.submit(Submit(1, question + answer, 3))
    session.finish()
    assert session.reused[1] == 64  # of 70 tokens, 69 of which the cache holds


def test_without_reuse_nothing_is_found_again(model: Transformer) -> None:
    session = Session(model, reuse=False)
    for number in range(2):
        session.engine.submit(Submit(number, SYSTEM, 2))
        session.finish()
    assert session.reused == {0: 0, 1: 0}


def test_a_prompt_whose_tokens_are_scored_is_computed_whole(model: Transformer) -> None:
    session = Session(model)
    for number in range(2):
        session.engine.submit(Submit(number, SYSTEM, 2, alternatives=1, score_prompt=True))
        session.finish()
    first, second = (event.scores for event in session.events if isinstance(event, PromptScores))
    assert session.reused[1] == 0
    assert [score.logprob for score in first] == pytest.approx([score.logprob for score in second], abs=1e-5)


def test_a_long_prompt_does_not_keep_running_answers_waiting(model: Transformer) -> None:
    session = Session(model, rows_beside=16)
    session.engine.submit(Submit(0, [1, 2, 3], 60))
    session.step()
    session.engine.submit(Submit(1, prompt(2, 200), 3))
    while 1 not in session.tokens:
        session.step()
        assert len(session.tokens[0]) == session.steps  # one token more at each of them
    assert session.steps == 1 + -(-200 // (16 + 1))


def test_of_two_that_do_not_fit_the_newer_is_computed_again(model: Transformer) -> None:
    requests = [Submit(number, prompt(number, 60), 100) for number in range(2)]
    session = Session(model, blocks=8, reuse=False)
    for request in requests:
        session.engine.submit(request)
    answers = session.finish()
    assert answers == {request.id: alone(model, request) for request in requests}
    assert session.steps > 120  # the newer one ended long after the other
    told = [(event.id, event.preempted) for event in session.events if isinstance(event, Token) and event.preempted]
    assert told == [(1, 1)]


@pytest.fixture(scope="module")
def parrot() -> Transformer:
    """A model that looks at nothing but the last token, and therefore soon repeats itself."""
    parrot = peaked_model(SPEC, seed=3)
    for block in parrot.layers:
        torch.nn.init.zeros_(block.self_attn.o_proj.weight)
    return parrot


@pytest.mark.parametrize("temperature", [0.0, 0.05])
def test_what_was_said_before_is_guessed_and_the_answer_stays_the_same(parrot: Transformer, temperature: float) -> None:
    request = Submit(0, prompt(1, 8), 120, temperature=temperature, seed=1)
    session = Session(parrot, speculate=True)
    session.engine.submit(request)
    assert session.finish()[0] == alone(parrot, request)
    assert session.steps < 60  # for 120 tokens


def test_a_guess_is_trusted_no_further_than_it_was_right() -> None:
    lookup = PromptLookup()
    tokens = [1, 2, 3, 4, 5, 6, 7, 1, 2, 3]
    assert lookup.draft(tokens, 8) == []  # 4 is guessed, and nothing made of it yet
    for token, draft in ((4, [5]), (5, [6, 7]), (6, [7, 1, 2]), (9, []), (1, [])):
        lookup.take(token)
        tokens.append(token)
        assert lookup.draft(tokens, 8) == draft


def test_what_repeats_itself_is_guessed_to_go_on() -> None:
    lookup, tokens = PromptLookup(), [5, 6, 5, 6, 5]
    for _ in range(20):
        lookup.draft(tokens, 0)
        tokens.append(11 - tokens[-1])
        lookup.take(tokens[-1])
    assert lookup.draft(tokens, 7) == [6, 5, 6, 5, 6, 5, 6]


@pytest.mark.parametrize("reuse", [False, True])
def test_a_prompt_that_gives_its_memory_away_while_it_is_scored_is_scored_as_alone(
    model: Transformer, reuse: bool
) -> None:
    scored = Submit(2, prompt(2, 128), 3, alternatives=2, score_prompt=True)
    session = Session(model, blocks=9, reuse=reuse, rows_beside=1)  # three tokens of the prompt a step, then two
    for request in (Submit(0, [1], 60), Submit(1, prompt(1, 60), 45)):
        session.engine.submit(request)
    session.step()
    session.engine.submit(scored)
    session.finish()
    (first,) = [event for event in session.events if isinstance(event, Token) and event.id == 2][:1]
    assert (first.preempted, first.reused) == (1, 0)  # what it finds again was not there before it came
    quiet = Session(model, slots=1, reuse=False)
    quiet.engine.submit(scored)
    quiet.finish()
    found, expected = (
        next(event.scores for event in one.events if isinstance(event, PromptScores)) for one in (session, quiet)
    )
    assert len(found) == 127
    assert [score.logprob for score in found] == pytest.approx([score.logprob for score in expected], abs=1e-4)
    assert session.tokens[2] == quiet.tokens[2]


def test_a_request_that_is_not_finite_spoils_none_beside_it_and_none_after_it() -> None:
    spec = replace(SPEC, tied=False)
    model = peaked_model(spec, seed=3)
    bad = 319
    with torch.no_grad():
        model.embed_tokens.weight[bad] = torch.nan
    session = Session(model, spec)
    beside = [Submit(1, prompt(1, 10), 40), Submit(2, prompt(2, 90), 40)]
    after = [Submit(number, prompt(number, 40, system=system), 40) for number, system in ((3, 100), (4, 0), (5, 0))]
    asked = [Submit(0, [*SYSTEM, 7, bad, 8], 3), *beside]
    for request in asked:
        assert bad not in request.prompt or request is asked[0]
        session.engine.submit(request)
    session.finish()
    assert [(event.id, event.kind) for event in session.events if isinstance(event, Failed)] == [(0, "engine_error")]
    for request in after:
        session.engine.submit(request)
    answers = session.finish()
    assert answers == {request.id: alone(model, request) for request in (*beside, *after)}
