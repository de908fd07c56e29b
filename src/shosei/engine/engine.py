"""The scheduler: which requests run, in which slots, what the next step computes, and which tokens it draws."""

from __future__ import annotations

import itertools
import math
import random
from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor

from shosei.engine.cache import SlotCache
from shosei.engine.grammar import Constraint, Grammars
from shosei.engine.protocol import (
    MAX_FRAME_BYTES,
    OUT_OF_MEMORY,
    Cancel,
    Failed,
    LogitRules,
    PromptScores,
    Submit,
    Token,
    TokenScore,
    most_score_bytes,
)
from shosei.engine.sampling import Adjuster, sample, score, scores
from shosei.errors import InputError
from shosei.model.transformer import Transformer
from shosei.spec import ModelSpec
from shosei.spec.generation import PREFILL_TOKENS

Event = Token | PromptScores | Failed
_NO_MEMORY = "there is no memory left for this request beside the others; try again later"
_SCORED_AT_ONCE = 256  # tokens of a prompt: each takes the logits of a whole vocabulary


class TokenStream:
    """A request on its way: its prompt, what was generated so far, and what may come next.

    ``turn`` numbers the requests in the order in which they came.
    """

    def __init__(self, request: Submit, constraint: Constraint | None, adjuster: Adjuster | None, turn: int) -> None:
        self.request, self.constraint, self.adjuster, self.turn = request, constraint, adjuster, turn
        self.tokens = list(request.prompt)
        self.random = random.Random(request.seed)

    def finish_after(self, token: int, max_length: int) -> str:
        """Append ``token``; say whether and why the answer ends with it, as in ``protocol.Token``."""
        self.tokens.append(token)
        if self.constraint:
            self.constraint.take(token)
        if self.adjuster:
            self.adjuster.take(token)
        if token in self.request.stop_ids:
            return "stop"
        generated = len(self.tokens) - len(self.request.prompt)
        return "length" if generated >= self.request.max_tokens or len(self.tokens) >= max_length else ""


class Engine:
    """Continuous batching: a request enters whenever a slot is free and leaves the moment it is done.

    ``submit`` and ``cancel`` may be called from another thread than ``step``; they take effect as the next step
    begins. An answer does not depend on the requests that run beside it, up to the rounding of one matrix product.
    """

    def __init__(
        self,
        model: Transformer,
        spec: ModelSpec,
        slots: int,
        max_length: int | None = None,
        grammars: Grammars | None = None,
    ) -> None:
        """``max_length`` tokens, prompt and answer together, fit a slot; the spec's context length unless given.

        Without ``grammars`` a request that has a grammar is refused.
        """
        self.slots, self._grammars = slots, grammars
        self.max_length = max_length or spec.context_length
        self._model, self._spec = model, spec
        self._device = model.norm.weight.device
        self._cache = SlotCache(spec, slots, self.max_length, like=model.norm.weight)
        self._inbox: deque[tuple[Submit, Constraint | InputError | None] | Cancel] = deque()
        self._waiting: deque[TokenStream] = deque()
        self._running: list[TokenStream] = []  # the stream at index i has slot i
        self._turns = itertools.count()

    @property
    def busy(self) -> bool:
        """Whether there is anything for ``step`` to do."""
        return bool(self._inbox or self._waiting or self._running)

    def submit(self, request: Submit) -> None:
        """Queue a request; ids must be unique among the requests that are not finished.

        Its grammar is compiled before this returns, which may take seconds; steps go on meanwhile. Requests that have
        one must come from one thread.
        """
        self._inbox.append((request, self._constraint(request)))

    def cancel(self, number: int) -> None:
        """Forget the request with this id and free its slot; nothing happens if it is finished or unknown."""
        self._inbox.append(Cancel(number))

    @torch.inference_mode()
    def step(self) -> list[Event]:
        """Prefill the waiting requests that fit the free slots, or else decode one token for every running one.

        Returns what became of the requests that took part: a token or a failure each, behind the scores of its prompt.
        Where there is no memory for it, the newest of them fails, and the others take part in the next step.
        """
        events = self._empty_inbox()
        admitted = self._admit()
        try:
            if admitted:
                logits, scored = self._prefill(admitted)
                events += [*scored, *self._advance(admitted, logits)]
            elif self._running:
                events += self._advance(self._running, self._decode())
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            events.append(self._give_up_newest(len(admitted)))
        return events

    def _give_up_newest(self, admitted: int) -> Failed:
        """Free the slot of the request that came last; those ``admitted`` with it, in the last slots, wait again."""
        if admitted:
            newest, again = self._running[-1], self._running[-admitted:-1]
            del self._running[-admitted:]
            self._waiting.extendleft(reversed(again))
        else:
            slot, newest = max(enumerate(self._running), key=lambda running: running[1].turn)
            self._free(slot)
        return Failed(newest.request.id, _NO_MEMORY, OUT_OF_MEMORY)

    def _empty_inbox(self) -> list[Event]:
        refused: list[Event] = []
        while self._inbox:
            message = self._inbox.popleft()
            if isinstance(message, Cancel):
                self._forget(message.id)
                continue
            request, constraint = message
            if failure := _refusal(request, self._spec, self.max_length):
                refused.append(failure)
            elif isinstance(constraint, InputError):
                refused.append(Failed(request.id, str(constraint), "invalid_request"))
            else:
                try:
                    stream = TokenStream(request, constraint, self._adjuster(request), next(self._turns))
                    self._waiting.append(stream)
                except (MemoryError, RuntimeError) as error:
                    if not is_out_of_memory(error):
                        raise
                    refused.append(Failed(request.id, _NO_MEMORY, OUT_OF_MEMORY))
        return refused

    def _constraint(self, request: Submit) -> Constraint | InputError | None:
        """None: the answer is free. An error: it cannot be held to its grammar."""
        if request.grammar is None:
            return None
        if self._grammars is None:
            return InputError("this engine takes no grammars")
        try:
            return self._grammars.constraint(request.grammar)
        except InputError as error:
            return error

    def _adjuster(self, request: Submit) -> Adjuster | None:
        return Adjuster(request, self._spec.vocab_size, self._device) if request.rules else None

    def _forget(self, number: int) -> None:
        self._waiting = deque(stream for stream in self._waiting if stream.request.id != number)
        for slot, stream in enumerate(self._running):
            if stream.request.id == number:
                self._free(slot)
                break

    def _admit(self) -> list[TokenStream]:
        """Move waiting requests, oldest first, into the free slots behind the running ones."""
        admitted: list[TokenStream] = []
        longest = 0
        while self._waiting and len(self._running) < self.slots:
            longest = max(longest, len(self._waiting[0].tokens))
            if admitted and longest * (len(admitted) + 1) > PREFILL_TOKENS:
                break
            admitted.append(self._waiting.popleft())
            self._running.append(admitted[-1])
        return admitted

    def _prefill(self, admitted: list[TokenStream]) -> tuple[Tensor, list[PromptScores]]:
        """Logits (B, V) after the last token of each admitted prompt, and the scores of prompts that ask for them."""
        lengths = [len(stream.tokens) for stream in admitted]
        longest = max(lengths)
        ids = torch.tensor([stream.tokens + [0] * (longest - len(stream.tokens)) for stream in admitted])
        self._cache.begin_prefill(len(self._running) - len(admitted), len(admitted), longest)
        hidden = self._model(ids.to(self._device), self._cache)
        last = hidden[torch.arange(len(admitted)), torch.tensor(lengths) - 1]
        scored = [
            PromptScores(stream.request.id, self._prompt_scores(stream.request, hidden[row]))
            for row, stream in enumerate(admitted)
            if stream.request.score_prompt
        ]
        return self._model.logits(last), scored

    def _prompt_scores(self, request: Submit, hidden: Tensor) -> list[TokenScore]:
        """Scores of the prompt's tokens from the second on, from what the model made of it, (T, D) or longer."""
        prompt, made = request.prompt, list[TokenScore]()
        for begin in range(0, len(prompt) - 1, _SCORED_AT_ONCE):
            following = prompt[begin + 1 : begin + 1 + _SCORED_AT_ONCE]
            logits = self._model.logits(hidden[begin : begin + len(following)])
            made += scores(logits, following, request.alternatives or 0)
        return made

    def _decode(self) -> Tensor:
        """Logits (B, V) after the newest token of each running stream."""
        ids = torch.tensor([stream.tokens[-1:] for stream in self._running], device=self._device)
        self._cache.begin_decode([len(stream.tokens) - 1 for stream in self._running])
        return self._model.logits(self._model(ids, self._cache)[:, -1])

    def _advance(self, streams: list[TokenStream], logits: Tensor) -> list[Token | Failed]:
        """Choose each stream's next token from its row of ``logits``; let the finished ones go.

        No stream moves on before all have their token: a step for which there is no memory is taken again.
        """
        raw = {
            row: logits[row].clone() for row, stream in enumerate(streams) if stream.request.alternatives is not None
        }
        faults = [_restrict(stream, logits[row]) for row, stream in enumerate(streams)]
        best, greedy = logits.max(dim=-1)
        finite, tokens = best.isfinite().tolist(), greedy.tolist()
        scored: dict[int, TokenScore] = {}
        for row, stream in enumerate(streams):
            if faults[row] or not finite[row]:
                continue
            if stream.request.temperature > 0:
                tokens[row] = _draw(stream, logits[row])
            if row in raw:
                scored[row] = score(raw[row], tokens[row], stream.request.alternatives or 0)
        events: list[Token | Failed] = []
        for row, stream in enumerate(streams):
            number, token = stream.request.id, tokens[row]
            if faults[row]:
                events.append(Failed(number, faults[row], "invalid_request"))
            elif not finite[row]:
                events.append(Failed(number, "the model computed no finite logits", "engine_error"))
            else:
                events.append(Token(number, token, stream.finish_after(token, self.max_length), scored.get(row)))
        first = len(self._running) - len(streams)
        # From the last slot down: what moves into a freed slot is then always a stream that goes on.
        for offset, event in reversed(list(enumerate(events))):
            if isinstance(event, Failed) or event.finish:
                self._free(first + offset)
        return events

    def _free(self, slot: int) -> None:
        """Give up a slot; the stream in the last used one takes its place."""
        last = self._running.pop()
        if slot < len(self._running):
            self._cache.move(len(self._running), slot, len(last.tokens))
            self._running[slot] = last


def is_out_of_memory(error: Exception) -> bool:
    """Whether an allocation failed, on whatever device. torch's own for memory of the CPU is no more than its words."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def answer_greedily(
    model: Transformer,
    spec: ModelSpec,
    prompts: list[list[int]],
    max_new_tokens: list[int],
    stop_ids: Sequence[int],
    slots: int = 64,
) -> list[list[int]]:
    """The answer to each prompt, in order, at most ``max_new_tokens[i]`` tokens and without the stop id.

    The weights are read, never changed. Raises InputError for a prompt that the model cannot take.
    """
    if not prompts:
        return []
    longest = max(len(prompt) + limit for prompt, limit in zip(prompts, max_new_tokens, strict=True))
    engine = Engine(model, spec, min(slots, len(prompts)), min(longest, spec.context_length))
    for number, (prompt, limit) in enumerate(zip(prompts, max_new_tokens, strict=True)):
        engine.submit(Submit(number, prompt, limit, stop_ids=list(stop_ids)))
    answers: list[list[int]] = [[] for _ in prompts]
    while engine.busy:
        for event in engine.step():
            if isinstance(event, Failed):
                raise InputError(f"prompt {event.id}: {event.message}")
            if isinstance(event, Token) and event.finish != "stop":
                answers[event.id].append(event.token)
    return answers


def _draw(stream: TokenStream, logits: Tensor) -> int:
    request = stream.request
    uniform = stream.random.random()
    return sample(logits, request.temperature, request.top_p, uniform, request.top_k, request.min_p)


def _restrict(stream: TokenStream, logits: Tensor) -> str:
    """Apply the request's rules to ``logits`` (V,) and leave only allowed tokens in them, in place; say why that is
    impossible, if so."""
    allowed = None
    if stream.constraint:
        try:
            allowed = stream.constraint.allowed()
        except InputError as error:
            return str(error)
    if stream.adjuster:
        stream.adjuster.adjust(logits, allowed)
    if allowed is not None:
        forbidden = torch.from_numpy(~allowed[: len(logits)]).to(logits.device)
        logits.masked_fill_(forbidden, -torch.inf)
    return ""


def _refusal(request: Submit, spec: ModelSpec, max_length: int) -> Failed | None:
    """Why a request cannot run, if so. Whatever passes here cannot disturb the requests beside it."""
    if len(request.prompt) >= max_length:
        message = f"the prompt has {len(request.prompt)} tokens; with one to answer, {max_length} fit the context"
        return Failed(request.id, message, "context_length_exceeded")
    if not request.prompt or not all(0 <= token < spec.vocab_size for token in request.prompt):
        problem = f"the prompt must be one token or more, each from 0 to {spec.vocab_size - 1}"
    elif request.score_prompt and len(request.prompt) * most_score_bytes(request.alternatives or 0) > MAX_FRAME_BYTES:
        problem = "the scores of so long a prompt do not fit a message: send less of it, or a smaller logprobs"
    elif request.max_tokens < 1:
        problem = "max_tokens must be at least 1"
    elif not 0 <= request.temperature < float("inf"):
        problem = "temperature must be 0 (greedy) or a positive number"
    elif not 0 < request.top_p <= 1:
        problem = "top_p must be above 0 and at most 1"
    elif request.top_k < 0 or not 0 <= request.min_p <= 1:
        problem = "top_k must be 0 (all) or a number of tokens, and min_p from 0 to 1"
    elif request.rules and not _are_sound(request.rules, spec.vocab_size):
        problem = (
            f"repetition_penalty must be positive, penalties finite, biased tokens from 0 to {spec.vocab_size - 1}"
        )
    else:
        return None
    return Failed(request.id, problem, "invalid_request")


def _are_sound(rules: LogitRules, vocab_size: int) -> bool:
    numbers = [rules.repetition_penalty, rules.presence_penalty, rules.frequency_penalty, *rules.logit_bias.values()]
    tokens = (0 <= token < vocab_size for token in rules.logit_bias)
    return rules.repetition_penalty > 0 and all(map(math.isfinite, numbers)) and all(tokens)
