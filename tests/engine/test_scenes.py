"""Random scenes of all that a request may ask and all that may go wrong beside it, by an oracle without an engine: one
pass of the model over a whole prompt and answer says of each token whether it had to come."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from model_samples import ROWS, peaked_model, reduced
from shosei.engine import engine as engines
from shosei.engine.engine import Engine
from shosei.engine.grammar import Grammars
from shosei.engine.protocol import (
    OUT_OF_MEMORY,
    Failed,
    Grammar,
    LogitRules,
    PromptScores,
    Submit,
    Token,
    TokenScore,
    is_last,
)
from shosei.engine.sampling import sample
from shosei.model.transformer import Transformer
from shosei.spec import PRESETS, ModelSpec
from shosei.spec.generation import BLOCK_TOKENS

CONTEXT = 160
BAD = 319  # a token whose row is not finite, in models that have a head of their own
NEAR = 1e-3  # of two logits; those of these models are tens apart
EDGES = [1, 2, 31, 32, 33, 63, 64, 65, 96, CONTEXT - 2, CONTEXT - 1]


class Rhythm:
    """A constraint: each token is, by 3, one more than the one before, from the trigger on where there is one."""

    def __init__(self, trigger: int | None) -> None:
        self._trigger, self._last = trigger, None if trigger is not None else 0

    def allowed(self) -> NDArray[np.bool_] | None:
        if self._last is None:
            return None
        return np.arange(ROWS) % 3 == (self._last + 1) % 3

    def take(self, token: int) -> None:
        if self._last is not None or token == self._trigger:
            self._last = token


class Rhythms:
    def constraint(self, grammar: Grammar) -> Rhythm:
        return Rhythm(grammar.trigger)


class Scarcity:
    """Says, now and then, that there is no memory: to a pass of the model, to a draw, before or after its work."""

    def __init__(self, rng: random.Random, share: float) -> None:
        self._rng, self._share = rng, share
        self.times = 0

    def strike(self) -> None:
        if self._rng.random() < self._share:
            self.times += 1
            raise torch.OutOfMemoryError("no memory")

    def wrapped(self, function: Any) -> Any:
        def scarce(*arguments: Any) -> Any:
            self.strike()
            result = function(*arguments)
            self.strike()
            return result

        return scarce


class ScarceModel(torch.nn.Module):
    def __init__(self, model: Transformer, scarcity: Scarcity) -> None:
        super().__init__()
        self.model, self.norm, self.logits, self._scarcity = model, model.norm, model.logits, scarcity

    def forward(self, *arguments: Any) -> Tensor:
        return cast(Tensor, self._scarcity.wrapped(self.model)(*arguments))


@contextmanager
def scarce_draws(scarcity: Scarcity) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("draw", "scores"):
            patch.setattr(engines, name, scarcity.wrapped(getattr(engines, name)))
        yield


def request(rng: random.Random, number: int, common: list[list[int]]) -> Submit:
    """Lengths at the edges of blocks and of the context, the blocks of others in any order, whatever may be asked."""
    length = rng.choice([rng.choice(EDGES), rng.randint(1, CONTEXT - 1), rng.randint(1, 2 * BLOCK_TOKENS)])
    blocks = rng.choices(common, k=rng.choice([0, 1, 2, 3, 4]))
    shared = [token for block in blocks for token in block][: length - 1 - rng.choice([0, 0, 5])]
    period = rng.choice([3, 7, 1000])  # what repeats itself is guessed
    own = [rng.randrange(BAD) for _ in range(min(period, length - len(shared)))]
    prompt = (shared + own * length)[:length]
    if rng.random() < 0.05:
        prompt[rng.randrange(length)] = BAD
    rules = LogitRules(
        repetition_penalty=rng.choice([1.0, 1.3, 0.8]),
        presence_penalty=rng.choice([0.0, 1.5]),
        frequency_penalty=rng.choice([0.0, 0.7]),
        logit_bias=rng.choice([{}, {rng.randrange(ROWS): 30.0, rng.randrange(ROWS): -30.0}]),
        min_tokens=rng.choice([0, 3, 20]),
    )
    stops = rng.choice([[], [], [7], rng.sample(range(ROWS), 20)])
    trigger = rng.choice([None, rng.randrange(ROWS)])
    return Submit(
        number,
        prompt,
        rng.choice([1, 2, 15, 200, 200, 200]),
        temperature=rng.choice([0.0, 0.0, 0.7]),
        top_p=rng.choice([1.0, 0.9]),
        seed=rng.randrange(-5, 5),
        stop_ids=[*stops, -1, ROWS],
        grammar=Grammar("", trigger) if rng.random() < 0.2 else None,
        top_k=rng.choice([0, 20]),
        min_p=rng.choice([0.0, 0.01]),
        rules=rules if rng.random() < 0.4 else None,
        alternatives=rng.choice([None, None, 0, 3]),
        score_prompt=rng.random() < 0.2,
    )


@dataclass
class Told:
    """What an engine says of one request."""

    tokens: list[Token] = field(default_factory=list)
    prompt_scores: list[list[TokenScore]] = field(default_factory=list)
    failures: list[Failed] = field(default_factory=list)
    over: bool = False

    def take(self, event: Token | PromptScores | Failed) -> None:
        assert not self.over
        if isinstance(event, Failed):
            self.failures.append(event)
        elif isinstance(event, PromptScores):
            assert not self.tokens
            self.prompt_scores.append(event.scores)
        else:
            self.tokens.append(event)
        self.over = is_last(event)


class Oracle:
    def __init__(self, model: Transformer) -> None:
        self._model = model

    def check(self, asked: Submit, told: Told) -> None:
        """Every token had to come, and none had to come after the last."""
        answer = [event.token for event in told.tokens]
        logits = self._logits([*asked.prompt, *answer])
        own = logits[len(asked.prompt) - 1 :]
        self._check_scores(asked, told, torch.log_softmax(logits.double(), -1))
        constraint = Rhythm(asked.grammar.trigger) if asked.grammar else None
        uniforms = random.Random((asked.seed or 0) % 2**64)
        for place, event in enumerate(told.tokens):
            self._check_token(asked, answer[:place], event.token, own[place], constraint, uniforms.random())
            assert event.finish == self._finish(asked, answer[: place + 1])
            if constraint:
                constraint.take(event.token)
        if any(failure.kind == "engine_error" for failure in told.failures):
            assert not own[len(answer)].isfinite().all()
        else:
            assert own[: len(answer)].isfinite().all()

    def _check_token(
        self,
        asked: Submit,
        before: list[int],
        token: int,
        logits: Tensor,
        constraint: Rhythm | None,
        uniform: float,
    ) -> None:
        allowed = constraint.allowed() if constraint else None
        logits = self._ruled(asked, before, logits, allowed)
        if allowed is not None:
            assert allowed[token]
            logits[torch.from_numpy(~allowed)] = -torch.inf
        if asked.temperature == 0:
            assert logits[token] >= logits.max() - NEAR
            return
        drawn = {
            sample(
                logits, asked.temperature, asked.top_p, min(max(uniform + by, 0.0), 1 - 1e-9), asked.top_k, asked.min_p
            )
            for by in (0.0, -1e-4, 1e-4)
        }
        assert token in drawn

    @staticmethod
    def _ruled(asked: Submit, before: list[int], logits: Tensor, allowed: NDArray[np.bool_] | None) -> Tensor:
        """A token at a time, as the protocol says it."""
        if asked.rules is None:
            return logits.clone()
        rules, values = asked.rules, logits.tolist()
        for token, bias in rules.logit_bias.items():
            values[token] += bias
        for token in {*asked.prompt, *before}:
            penalty = rules.repetition_penalty
            values[token] = values[token] * penalty if values[token] < 0 else values[token] / penalty
        for token in {*before}:
            values[token] -= rules.presence_penalty + before.count(token) * rules.frequency_penalty
        stops = [token for token in asked.stop_ids if 0 <= token < ROWS]
        others = [token for token in range(ROWS) if token not in stops and (allowed is None or allowed[token])]
        if len(before) < rules.min_tokens and others:
            for token in stops:
                values[token] = -float("inf")
        return torch.tensor(values)

    @staticmethod
    def _finish(asked: Submit, answer: list[int]) -> str:
        if answer[-1] in asked.stop_ids:
            return "stop"
        full = len(asked.prompt) + len(answer) >= CONTEXT
        return "length" if full or len(answer) >= asked.max_tokens else ""

    @staticmethod
    def _check_scores(asked: Submit, told: Told, logprobs: Tensor) -> None:
        assert len(told.prompt_scores) == bool(asked.score_prompt and told.tokens)
        scored: list[TokenScore] = [score for scores in told.prompt_scores for score in scores]
        following = asked.prompt[1:] if scored else []
        rows = [*range(len(following))]
        if asked.alternatives is None:
            assert all(event.score is None for event in told.tokens)
        else:
            scored += [event.score for event in told.tokens if event.score]
            following = [*following, *(event.token for event in told.tokens)]
            rows += range(len(asked.prompt) - 1, len(asked.prompt) - 1 + len(told.tokens))
        assert len(scored) == len(following)
        for row, token, score in zip(rows, following, scored, strict=True):
            assert score.logprob == pytest.approx(float(logprobs[row, token]), abs=1e-3)
            best = logprobs[row].topk(asked.alternatives or 0).values.tolist()
            assert [value for _, value in score.best] == pytest.approx(best, abs=1e-3)

    @torch.inference_mode()
    def _logits(self, tokens: list[int]) -> Tensor:
        """Rows before a bad token know nothing of it, which a pass over all would not promise."""
        first = tokens.index(BAD) if BAD in tokens else len(tokens)
        logits = torch.full((len(tokens), ROWS), torch.nan)
        if first:
            logits[:first] = self._model.logits(self._model(torch.tensor([tokens[:first]]))[0])
        return logits


def play(model: Transformer, spec: ModelSpec, seed: int) -> None:
    rng = random.Random(seed)
    scarcity = Scarcity(rng, rng.choice([0.0, 0.0, 0.003, 0.02]))
    reuse = rng.random() < 0.7
    engine = Engine(
        cast(Transformer, ScarceModel(model, scarcity)),
        spec,
        slots=rng.choice([1, 2, 3, 5]),
        max_length=CONTEXT,
        grammars=cast(Grammars, Rhythms()),
        blocks=rng.choice([5, 6, 7, 8, 9, 12, 40]),
        reuse=reuse,
        speculate=rng.random() < 0.7,
        rows_beside=rng.choice([1, 3, 16, 300]),
    )
    common = [[rng.randrange(BAD) for _ in range(BLOCK_TOKENS)] for _ in range(2)]
    asked: dict[int, Submit] = {}
    told: dict[int, Told] = {}
    cancelled: set[int] = set()
    waiting = [request(rng, number, common) for number in range(rng.randint(1, 9))]
    steps, haste = 0, rng.choice([0.1, 0.5, 1.0])
    with scarce_draws(scarcity):
        while waiting or engine.busy:
            while waiting and (rng.random() < haste or not engine.busy):
                new = waiting.pop()
                asked[new.id], told[new.id] = new, Told()
                engine.submit(new)
            if asked and rng.random() < 0.03:
                cancelled.add(rng.choice([*asked]))
                engine.cancel([*cancelled][-1])
            for event in engine.step():
                told[event.id].take(event)
            steps += 1
            assert steps < 20_000, "it never ends"
    assert engine.free_tokens == engine.cache_tokens
    oracle = Oracle(model)
    for number, it in told.items():
        oracle.check(asked[number], it)
        assert it.over or number in cancelled
        kinds = {failure.kind for failure in it.failures}
        assert kinds <= {OUT_OF_MEMORY, "engine_error"}
        assert OUT_OF_MEMORY not in kinds or scarcity.times
        reused = [event.reused for event in it.tokens]
        assert not any(reused[1:])
        assert all(count % BLOCK_TOKENS == 0 and count < len(asked[number].prompt) for count in reused)
        assert reuse or not any(reused)
    assert sum(failure.kind == OUT_OF_MEMORY for it in told.values() for failure in it.failures) <= scarcity.times


def scenes(name: str, seeds: range) -> None:
    spec = replace(reduced(name), context_length=CONTEXT, tied=False)
    model = peaked_model(spec, seed=1)
    with torch.no_grad():
        model.embed_tokens.weight[BAD] = torch.nan
    for seed in seeds:
        try:
            play(model, spec, seed)
        except BaseException as error:
            error.add_note(f"scene {seed} of {name}")
            raise


@pytest.mark.parametrize("name", PRESETS)
def test_every_token_had_to_come(name: str) -> None:
    scenes(name, range(2))


@pytest.mark.long
@pytest.mark.parametrize("name", PRESETS)
def test_every_token_had_to_come_in_more_scenes(name: str) -> None:
    scenes(name, range(2, 8))
