"""The scheduler: which requests run, in which slots, and what the next step computes."""

from __future__ import annotations

import random
from collections import deque

import torch
from torch import Tensor

from shosei.engine.cache import SlotCache
from shosei.engine.grammar import Constraint, Grammars
from shosei.engine.protocol import Cancel, Failed, Submit, Token
from shosei.engine.sampling import sample
from shosei.errors import InputError
from shosei.model.transformer import Transformer
from shosei.spec import ModelSpec

# Padded tokens that one prefill may hold, unless a single prompt is longer: bounds its memory and everybody's wait.
_PREFILL_TOKENS = 4096


class Sequence:
    """A request on its way: its prompt, what was generated so far, and what may come next."""

    def __init__(self, request: Submit, constraint: Constraint | None) -> None:
        self.request, self.constraint = request, constraint
        self.tokens = list(request.prompt)
        self.random = random.Random(request.seed)

    def finish_after(self, token: int, max_length: int) -> str:
        """Append ``token``; say whether and why the answer ends with it, as in ``protocol.Token``."""
        self.tokens.append(token)
        if self.constraint:
            self.constraint.take(token)
        if token in self.request.stop_ids:
            return "stop"
        made = len(self.tokens) - len(self.request.prompt)
        return "length" if made >= self.request.max_tokens or len(self.tokens) >= max_length else ""


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
        self._inbox: deque[Submit | Cancel] = deque()
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []  # the sequence at index i has slot i

    @property
    def busy(self) -> bool:
        """Whether there is anything for ``step`` to do."""
        return bool(self._inbox or self._waiting or self._running)

    def submit(self, request: Submit) -> None:
        """Queue a request; ids must be unique among the requests that are not finished."""
        self._inbox.append(request)

    def cancel(self, number: int) -> None:
        """Forget the request with this id and free its slot; nothing happens if it is finished or unknown."""
        self._inbox.append(Cancel(number))

    @torch.inference_mode()
    def step(self) -> list[Token | Failed]:
        """Prefill the waiting requests that fit the free slots, or else decode one token for every running one.

        Returns what became of the requests that took part: one event each.
        """
        refused = self._empty_inbox()
        if admitted := self._admit():
            return refused + self._advance(admitted, self._prefill(admitted))
        if self._running:
            return refused + self._advance(self._running, self._decode())
        return refused

    def _empty_inbox(self) -> list[Token | Failed]:
        refused: list[Token | Failed] = []
        while self._inbox:
            message = self._inbox.popleft()
            if isinstance(message, Cancel):
                self._forget(message.id)
            elif failure := _refusal(message, self._spec, self.max_length):
                refused.append(failure)
            else:
                try:
                    self._waiting.append(Sequence(message, self._constraint(message)))
                except InputError as error:
                    refused.append(Failed(message.id, str(error), "invalid_request"))
        return refused

    def _constraint(self, request: Submit) -> Constraint | None:
        if request.grammar is None:
            return None
        if self._grammars is None:
            raise InputError("this engine takes no grammars")
        return self._grammars.constraint(request.grammar)

    def _forget(self, number: int) -> None:
        self._waiting = deque(sequence for sequence in self._waiting if sequence.request.id != number)
        for slot, sequence in enumerate(self._running):
            if sequence.request.id == number:
                self._free(slot)
                break

    def _admit(self) -> list[Sequence]:
        """Move waiting requests, oldest first, into the free slots behind the running ones."""
        admitted: list[Sequence] = []
        longest = 0
        while self._waiting and len(self._running) < self.slots:
            longest = max(longest, len(self._waiting[0].tokens))
            if admitted and longest * (len(admitted) + 1) > _PREFILL_TOKENS:
                break
            admitted.append(self._waiting.popleft())
            self._running.append(admitted[-1])
        return admitted

    def _prefill(self, admitted: list[Sequence]) -> Tensor:
        """Logits (B, V) after the last token of each admitted prompt."""
        lengths = [len(sequence.tokens) for sequence in admitted]
        longest = max(lengths)
        ids = torch.tensor([sequence.tokens + [0] * (longest - len(sequence.tokens)) for sequence in admitted])
        self._cache.begin_prefill(len(self._running) - len(admitted), len(admitted), longest)
        hidden = self._model(ids.to(self._device), self._cache)
        last = hidden[torch.arange(len(admitted)), torch.tensor(lengths) - 1]
        return self._model.logits(last)

    def _decode(self) -> Tensor:
        """Logits (B, V) after the newest token of each running sequence."""
        ids = torch.tensor([sequence.tokens[-1:] for sequence in self._running], device=self._device)
        self._cache.begin_decode([len(sequence.tokens) - 1 for sequence in self._running])
        return self._model.logits(self._model(ids, self._cache)[:, -1])

    def _advance(self, sequences: list[Sequence], logits: Tensor) -> list[Token | Failed]:
        """Choose each sequence's next token from its row of ``logits``; let the finished ones go."""
        faults = [_restrict(sequence, logits[row]) for row, sequence in enumerate(sequences)]
        best, greedy = logits.max(dim=-1)
        finite, tokens = best.isfinite().tolist(), greedy.tolist()
        events: list[Token | Failed] = []
        for row, sequence in enumerate(sequences):
            request, token = sequence.request, tokens[row]
            if faults[row]:
                events.append(Failed(request.id, faults[row], "invalid_request"))
                continue
            if not finite[row]:
                events.append(Failed(request.id, "the model computed no finite logits", "engine_error"))
                continue
            if request.temperature > 0:
                token = sample(logits[row], request.temperature, request.top_p, sequence.random.random())
            events.append(Token(request.id, token, sequence.finish_after(token, self.max_length)))
        first = len(self._running) - len(sequences)
        # From the last slot down: what moves into a freed slot is then always a sequence that goes on.
        for offset, event in reversed(list(enumerate(events))):
            if isinstance(event, Failed) or event.finish:
                self._free(first + offset)
        return events

    def _free(self, slot: int) -> None:
        """Give up a slot; the sequence in the last used one takes its place."""
        last = self._running.pop()
        if slot < len(self._running):
            self._cache.move(len(self._running), slot, len(last.tokens))
            self._running[slot] = last


def _restrict(sequence: Sequence, logits: Tensor) -> str:
    """Leave only allowed tokens in ``logits`` (V,), in place; say why that is impossible, if so."""
    if sequence.constraint is None:
        return ""
    try:
        allowed = sequence.constraint.allowed()
    except InputError as error:
        return str(error)
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
    elif request.max_tokens < 1:
        problem = "max_tokens must be at least 1"
    elif not 0 <= request.temperature < float("inf"):
        problem = "temperature must be 0 (greedy) or a positive number"
    elif not 0 < request.top_p <= 1:
        problem = "top_p must be above 0 and at most 1"
    else:
        return None
    return Failed(request.id, problem, "invalid_request")
