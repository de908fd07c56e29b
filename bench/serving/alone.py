"""Our engine by itself: shared prefixes, answers that copy, its start, its memory, a long prompt that comes between."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from statistics import median

from serving.formats import Format, verdict
from serving.models import Model
from shosei.cli.timed_engine import TimedEngine, engine_of
from shosei.engine.protocol import Grammar
from shosei.proc import numbers
from shosei.quantity import shown_bytes
from shosei.spec.generation import WeightFormat, generation_memory

USERS, SHARED, OWN = 32, 256, 64
COPIED, COPIES_NEW = 128, 128
CONTEXT = 640
STREAMS, STREAM_TOKENS = 7, 192
_SPARE_BYTES, _SPARE_SHARE = 250_000_000, 1.15


def prefix(model: Model, form: Format, rounds: int) -> Iterator[str]:
    """Time to first token of users whose prompts begin alike, as none did before, and of those whose do not."""
    with engine_of(model.folder, "--slots", str(USERS), "--context", str(CONTEXT), "--weights", form.weights) as engine:
        _first_token_s(engine, engine.prompts(USERS, OWN))
        shared, unshared = [], []
        for _ in range(rounds):
            (beginning,) = engine.prompts(1, SHARED)
            shared.append(_first_token_s(engine, [beginning + own for own in engine.prompts(USERS, OWN)]))
            unshared.append(_first_token_s(engine, engine.prompts(USERS, SHARED + OWN)))
    ratio = median(shared) / median(unshared)
    yield (
        f"{form.name}: {USERS} users, {SHARED} shared tokens and {OWN} own: first token after {median(shared):.3f} s, "
        f"{median(unshared):.3f} s where nothing is shared: {ratio:.2f} times (goal ≤ 0.35: {verdict(ratio <= 0.35)})"
    )


def _first_token_s(engine: TimedEngine, prompts: Sequence[Sequence[int]]) -> float:
    return median(stream.first_token_s for stream in engine.client.answers(prompts, 1))


def copying(model: Model, form: Format, rounds: int) -> Iterator[str]:
    """One stream whose answer repeats what was there before, with speculation and without."""
    options = ("--slots", "1", "--context", str(CONTEXT), "--weights", form.weights)
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    with engine_of(model.folder, *options) as fast, engine_of(model.folder, *options, "--no-speculate") as plain:
        prompts = [2 * passage for passage in fast.prompts(rounds + 1, COPIED)]
        same, repeated = 0, list[float]()
        for prompt in prompts:
            (speculated,), (drawn,) = (engine.client.answers([prompt], COPIES_NEW) for engine in (fast, plain))
            same += speculated.tokens == drawn.tokens
            repeated.append(_repeated(prompt, drawn.tokens))
            seconds["with"].append(speculated.times[-1] - speculated.times[0])
            seconds["without"].append(drawn.times[-1] - drawn.times[0])
        passages = fast.prompts(rounds + 1, COPIED)
        copies = [[_copy_s(engine, passage) for engine in (fast, plain)] for passage in passages]
    ratio = median(seconds["without"][1:]) / median(seconds["with"][1:])
    yield (
        f"{form.name}: answers of which {median(repeated):.0%} follow as tokens did before: {ratio:.2f} times as fast "
        f"by speculation (goal for copy-heavy ones ≥ 1.8: {verdict(ratio >= 1.8)}), output identical in {same} of "
        f"{len(prompts)}"
    )
    with_s, without_s = (median(column) for column in zip(*copies[1:], strict=True))
    yield (
        f"{form.name}: answers that a grammar makes copies of {COPIED} tokens of their prompts: "
        f"{without_s / with_s:.2f} times as fast by speculation (goal ≥ 1.8: {verdict(without_s / with_s >= 1.8)})"
    )


def _copy_s(engine: TimedEngine, passage: Sequence[int]) -> float:
    """How long it takes to say ``passage`` again, after the first token."""
    grammar = Grammar("start: " + " ".join(f"<[{token}]>" for token in passage))
    stream = engine.client.submit(passage, len(passage), grammar)
    engine.client.read_until(lambda: bool(stream.finish))
    assert stream.tokens == passage, "the grammar allows nothing else"
    return stream.times[-1] - stream.times[0]


def _repeated(prompt: Sequence[int], answer: Sequence[int]) -> float:
    """The share of an answer's tokens that followed the same two tokens before."""
    tokens, seen, again = [*prompt, *answer], set[tuple[int, ...]](), 0
    for place in range(2, len(tokens)):
        following = tuple(tokens[place - 2 : place + 1])
        again += place >= len(prompt) and following in seen
        seen.add(following)
    return again / len(answer)


def start(model: Model, form: Format, rounds: int) -> Iterator[str]:
    """From the start of the engine's process to its first token, the files being in the page cache."""
    seconds = []
    for _ in range(rounds + 1):
        begin = time.monotonic()
        with engine_of(model.folder, "--context", str(CONTEXT), "--weights", form.weights) as engine:
            (stream,) = engine.client.answers(engine.prompts(1, 8), 1)
            seconds.append(stream.times[0] - begin)
    begin = time.monotonic()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    took = median(seconds[1:])
    yield (
        f"{form.name}: start to first token {took:.2f} s (goal ≤ 2.5: {verdict(took <= 2.5)}), `import torch` in a "
        f"process of its own {time.monotonic() - begin:.2f} s"
    )


def memory(model: Model, form: Format, _rounds: int) -> Iterator[str]:
    """What one stream of a full context leaves in the engine's proportional set."""
    with engine_of(model.folder, "--slots", "1", "--context", str(CONTEXT), "--weights", form.weights) as engine:
        engine.client.answers(engine.prompts(1, CONTEXT - 64), 64)
        pss = numbers(f"/proc/{engine.pid}/smaps_rollup")["Pss"]
    weights = generation_memory(model.spec, 1, CONTEXT, WeightFormat(form.weights)).weights
    most = weights * _SPARE_SHARE + _SPARE_BYTES
    yield (
        f"{form.name}: one stream, PSS {shown_bytes(pss)}; weights {shown_bytes(weights)}, goal ≤ {shown_bytes(most)}: "
        f"{verdict(pss <= most)}"
    )


def stall(model: Model, form: Format, rounds: int) -> Iterator[str]:
    """The 99th percentile of the time between tokens while the longest prompt comes in, and before it came."""
    context = model.spec.context_length
    with engine_of(
        model.folder, "--slots", str(STREAMS + 1), "--context", str(context), "--weights", form.weights
    ) as engine:
        before, during = list[float](), list[float]()
        for _ in range(rounds):
            calm, disturbed = _gaps(engine, context)
            before += calm
            during += disturbed
    ratio = _p99(during) / _p99(before)
    yield (
        f"{form.name}: {STREAMS} streams, p99 between tokens {_p99(before) * 1e3:.1f} ms, {_p99(during) * 1e3:.1f} ms "
        f"while a prompt of {context - 1:,} tokens comes in: {ratio:.1f} times (goal ≤ 2: {verdict(ratio <= 2)})"
    )


def _gaps(engine: TimedEngine, context: int) -> tuple[list[float], list[float]]:
    """Seconds between tokens before the long prompt was sent, and from then until it had its token."""
    client = engine.client
    streams = [client.submit(prompt, STREAM_TOKENS) for prompt in engine.prompts(STREAMS, 64)]
    client.read_until(lambda: all(len(stream.times) > STREAM_TOKENS // 3 for stream in streams))
    (prompt,) = engine.prompts(1, context - 1)
    long = client.submit(prompt, 1)
    client.read_until(lambda: bool(long.finish) and all(stream.finish for stream in streams))
    all_began = max(stream.times[0] for stream in streams)  # until then their own prompts come in
    calm, disturbed = list[float](), list[float]()
    for stream in streams:
        for end, gap in zip(stream.times[1:], stream.gaps_s, strict=True):
            if end <= long.sent and end - gap >= all_began:
                calm.append(gap)
            elif long.sent < end and end - gap <= long.times[0]:
                disturbed.append(gap)
    return calm, disturbed


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]
