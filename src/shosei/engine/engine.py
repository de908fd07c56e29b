"""Requests in, tokens out: what waits, what a step computes by the schedule, and which tokens it draws."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor

from shosei.engine.batch import Batch
from shosei.engine.drawing import Undrawable, draw
from shosei.engine.grammar import Constraint, Grammars
from shosei.engine.lookup import PromptLookup
from shosei.engine.protocol import OUT_OF_MEMORY, Cancel, Failed, PromptScores, Submit, Token
from shosei.engine.refusal import refusal
from shosei.engine.runner import StepModel, runner_of
from shosei.engine.sampling import Adjuster, most_probable, scores
from shosei.engine.schedule import Schedule, Work, rows_beside_on
from shosei.engine.stream import TokenStream
from shosei.errors import InputError
from shosei.model.transformer import Transformer
from shosei.spec import ModelSpec
from shosei.spec.generation import BLOCK_TOKENS, PREFILL_TOKENS, blocks_of

Event = Token | PromptScores | Failed
_NO_MEMORY = "there is no memory left for this request beside the others; try again later"


class Engine:
    """Continuous batching: a request enters whenever a slot is free and leaves the moment it is done.

    ``submit`` and ``cancel`` may be called from another thread than ``step``; they take effect as the next step
    begins. An answer does not depend on the requests that run beside it, up to the rounding of one matrix product.
    """

    def __init__(
        self,
        model: Transformer | StepModel,
        spec: ModelSpec,
        slots: int,
        max_length: int | None = None,
        grammars: Grammars | None = None,
        *,
        blocks: int | None = None,
        reuse: bool = True,
        speculate: bool = False,
        rows_beside: int | None = None,
    ) -> None:
        """At most ``slots`` requests run at a time, each of at most ``max_length`` tokens, prompt and answer together;
        the spec's context length unless given. The cache has ``blocks``, enough for one request at least; unless given,
        as many as all slots could ever need.

        Without ``grammars`` a request that has a grammar is refused. ``reuse``: a prompt that begins as another one
        did is not computed again. ``speculate``: tokens are guessed from what was said before, and several checked at
        once. Neither changes an answer. ``rows_beside``: how many rows of prompts a step may have beside those of
        answers; unless given, as many as do not hold these up for long on the model's device.
        """
        self.slots, self._grammars = slots, grammars
        self.max_length = max_length or spec.context_length
        self._spec, self._speculate = spec, speculate
        blocks = blocks or slots * blocks_of(self.max_length)
        self.cache_tokens = blocks * BLOCK_TOKENS
        self._runner = runner_of(model, spec, blocks)
        self._device = self._runner.cache.k.device
        self._schedule = Schedule(
            slots, blocks, self.max_length, rows_beside or rows_beside_on(self._device.type), reuse
        )
        self._inbox: deque[tuple[Submit, Constraint | InputError | None] | Failed | Cancel] = deque()
        self._turns = itertools.count()

    @property
    def busy(self) -> bool:
        """Whether there is anything for ``step`` to do."""
        return bool(self._inbox or self._schedule.waiting or self._schedule.running)

    @property
    def free_tokens(self) -> int:
        """How many of ``cache_tokens`` no request has, although they may hold what others are answered from."""
        return self._schedule.pool.free * BLOCK_TOKENS

    def submit(self, request: Submit) -> None:
        """Queue a request; ids must be unique among the requests that are not finished.

        All of it is looked at, and its grammar compiled, before this returns, which may take seconds; steps go on
        meanwhile. Requests that have a grammar must come from one thread.
        """
        self._inbox.append(refusal(request, self._spec, self.max_length) or (request, self._constraint(request)))

    def cancel(self, number: int) -> None:
        """Forget the request with this id and free its slot; nothing happens if it is finished or unknown."""
        self._inbox.append(Cancel(number))

    @torch.inference_mode()
    def step(self) -> list[Event]:
        """Compute the next token of every running answer, and a part of the prompts that are still to be read.

        Returns what became of the requests that took part: the scores of its prompt, tokens, or a failure. Where there
        is no memory for the step, the newest request fails, and the others take part in the next one.
        """
        events = self._empty_inbox()
        try:
            if work := self._schedule.plan():
                logits = self._runner.logits(Batch.of([item.rows for item in work]))
                self._advance(work, logits, events)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            newest = self._schedule.newest
            self._schedule.remove(newest)
            events.append(Failed(newest.request.id, _NO_MEMORY, OUT_OF_MEMORY))
        return events

    def _empty_inbox(self) -> list[Event]:
        refused: list[Event] = []
        while self._inbox:
            message = self._inbox.popleft()
            if isinstance(message, Cancel):
                if stream := self._schedule.find(message.id):
                    self._schedule.remove(stream)
                continue
            if isinstance(message, Failed):
                refused.append(message)
                continue
            request, constraint = message
            if isinstance(constraint, InputError):
                refused.append(Failed(request.id, str(constraint), "invalid_request"))
            else:
                try:
                    self._schedule.add(self._stream(request, constraint))
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

    def _stream(self, request: Submit, constraint: Constraint | None) -> TokenStream:
        adjuster = Adjuster(request, self._spec.vocab_size, self._device) if request.rules else None
        lookup = PromptLookup() if self._speculate else None
        return TokenStream(request, next(self._turns), constraint, adjuster, lookup)

    def _advance(self, work: list[Work], logits: Tensor, events: list[Event]) -> None:
        """Draw the next tokens of each stream from its rows of ``logits``, and let the finished ones go.

        A stream moves on once its token is drawn: where there is no memory for that, its part of the step is taken
        again.
        """
        greedy, begin = most_probable(logits), 0
        for item in work:
            end = begin + item.wanted
            if item.stream.scoring:
                self._score_prompt(item, logits[begin:end])
            if item.answers:
                first = end - 1 - len(item.draft)
                self._answer(item, logits[first:end], greedy[first:end], events)
            else:
                self._schedule.store(item.stream, item.count)
            begin = end

    def _score_prompt(self, item: Work, logits: Tensor) -> None:
        stream, first = item.stream, item.first_wanted + 1
        following = stream.request.prompt[first : item.end + 1]
        stream.scores += scores(logits[: len(following)], following, stream.request.alternatives or 0)

    def _answer(self, item: Work, logits: Tensor, greedy: list[tuple[float, int]], events: list[Event]) -> None:
        """Draw a token from each row of ``logits`` (1 + draft, V), as long as the draft foretold the one before."""
        stream, number = item.stream, item.stream.request.id
        for place, foretold in enumerate([*item.draft, None]):
            try:
                token, its_score = draw(stream, logits[place], greedy[place])
            except Undrawable as error:
                if error.kind == "engine_error":  # what is not finite is in its blocks, and may be in those before it
                    self._schedule.pool.forget(stream.blocks)
                self._schedule.remove(stream)
                events.append(Failed(number, str(error), error.kind))
                return
            reused, preempted = 0 if stream.answered else stream.reused, stream.preempted
            if stream.request.score_prompt and not stream.answered:
                events.append(PromptScores(number, stream.scores))
            self._schedule.store(stream, 1 if place else item.count)
            finish = stream.take(token, self.max_length)
            events.append(Token(number, token, finish, its_score, reused, preempted))
            if finish:
                self._schedule.remove(stream)
            if finish or token != foretold:
                return


def is_out_of_memory(error: Exception) -> bool:
    """Whether an allocation failed, on whatever device. torch's own for memory of the CPU is no more than its words."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def answer_greedily(
    model: Transformer | StepModel,
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
    slots, longest = min(slots, len(prompts)), min(longest, spec.context_length)
    engine = Engine(model, spec, slots, longest, rows_beside=PREFILL_TOKENS)  # nobody waits for the next token
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
