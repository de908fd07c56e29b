"""The Prometheus page: vLLM's names for what vLLM counts too, and ours. Nothing on the card is computed from it."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from shosei.log import Request

# Seconds, as in vLLM's vllm/v1/metrics/loggers.py.
_FIRST_TOKEN_S = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
_NEXT_TOKEN_S = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)
_REQUEST_S = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0),
    *(120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)
_NEXT_TOKEN = "vllm:inter_token_latency_seconds"
_FINISHED = ("stop", "length", "abort")
_LONGEST_WAIT_S = 60


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """Requests that have a slot, requests that wait for one, and the share of the cache that holds tokens."""

    running: int
    waiting: int
    cache_share: float


class Counters:
    """What is counted of the requests to the model ``name``."""

    def __init__(self, name: str) -> None:
        self._registry = registry = CollectorRegistry()
        self.in_flight = 0
        self._load: Callable[[], EngineLoad] = lambda: EngineLoad(0, 0, 0.0)
        self._ends_s: deque[float] = deque(maxlen=64)  # when the last answers ended
        Gauge("shosei_requests_in_flight", "Requests being answered", registry=registry).set_function(
            lambda: self.in_flight
        )
        self._requests = Counter("shosei_requests", "Requests answered", ["status"], registry=registry)
        self._errors = Counter("shosei_errors", "Requests failed, by type", ["type"], registry=registry)
        self._rejections = Counter("shosei_rejections", "Requests refused, by reason", ["reason"], registry=registry)
        self.engine_restarts = Counter("shosei_engine_restarts", "Engines that came after the first", registry=registry)
        model = ["model_name"]

        def gauge(metric: str, text: str, read: Callable[[EngineLoad], float]) -> None:
            value = Gauge(f"vllm:{metric}", text, model, registry=registry).labels(name)
            value.set_function(lambda: read(self._load()))

        gauge("num_requests_running", "Requests that have a slot", lambda load: load.running)
        gauge("num_requests_waiting", "Requests that wait for a slot", lambda load: load.waiting)
        for metric in ("kv_cache_usage_perc", "gpu_cache_usage_perc"):  # the second is its older name
            gauge(metric, "Share of the cache that holds tokens, 0 to 1", lambda load: load.cache_share)

        def counter(metric: str, text: str) -> Counter:
            return Counter(f"vllm:{metric}", text, model, registry=registry).labels(name)

        def histogram(metric: str, text: str, buckets: Iterable[float]) -> Histogram:
            return Histogram(metric, text, model, buckets=tuple(buckets), registry=registry).labels(name)

        self._prompt = counter("prompt_tokens", "Tokens in prompts")
        self._looked_up = counter("prefix_cache_queries", "Tokens of prompts that the engine has read")
        self._reused = counter(
            "prefix_cache_hits", "Of these, tokens that were in the cache, since another prompt had them"
        )
        self._preemptions = counter("num_preemptions", "Times that a running request gave its memory to an older one")
        self._generation = counter("generation_tokens", "Tokens generated")
        success = Counter("vllm:request_success", "Answers", [*model, "finished_reason"], registry=registry)
        self._success = {reason: success.labels(name, reason) for reason in _FINISHED}
        self._first_token = histogram("vllm:time_to_first_token_seconds", "From request to first token", _FIRST_TOKEN_S)
        self._next_token = histogram(_NEXT_TOKEN, "Between tokens", _NEXT_TOKEN_S)
        self._whole = histogram("vllm:e2e_request_latency_seconds", "From request to its end", _REQUEST_S)
        registry.register(_OlderName(registry))

    def watch(self, load: Callable[[], EngineLoad]) -> None:
        """Have the page tell of the engine's load."""
        self._load = load

    def token(self, after_s: float | None, preempted: int = 0) -> None:
        """A token came, so many seconds after the one before, while its request was ``preempted`` so many times."""
        self._preemptions.inc(preempted)
        if after_s is not None:
            self._next_token.observe(after_s)

    def prompt_read(self, tokens: int, reused: int) -> None:
        """The engine has read a prompt, ``reused`` of whose tokens it did not compute again."""
        self._looked_up.inc(tokens)
        self._reused.inc(reused)

    def finished(self, reason: str) -> None:
        """One answer has ended: stop, length, tool_calls, or "" where it was broken off."""
        self._success["stop" if reason == "tool_calls" else reason or "abort"].inc()

    def refused(self, reason: str) -> None:
        """A request was refused, for a reason in a word."""
        self._rejections.labels(reason).inc()

    def count(self, event: Request, refusal: str) -> None:
        """A request is over; ``refusal`` is why it was refused, in a word, if it was."""
        self._requests.labels(str(event.status or "none")).inc()
        if event.error:
            self._errors.labels(event.error).inc()
        if refusal:
            self.refused(refusal)
        self._prompt.inc(event.tokens_in or 0)
        self._generation.inc(event.tokens_out or 0)
        if event.status == 200 and event.sent_ns is not None and event.done_ns is not None:
            self._ends_s.append(time.monotonic())
            self._whole.observe((event.done_ns - event.sent_ns) / 1e9)
            if event.first_token_ns is not None:
                self._first_token.observe((event.first_token_ns - event.sent_ns) / 1e9)

    def wait_s(self, waiting: int) -> int:
        """In how many seconds ``waiting`` requests will have been answered, at the rate of the last 64 answers.

        From 1 to 60; 1 where nothing has been answered yet.
        """
        if not self._ends_s:
            return 1
        per_answer_s = (time.monotonic() - self._ends_s[0]) / len(self._ends_s)
        return min(max(1, math.ceil(waiting * per_answer_s)), _LONGEST_WAIT_S)

    def page(self) -> bytes:
        return generate_latest(self._registry)


class _OlderName(Collector):
    """The time between tokens once more, by the name that vLLM had for it before."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        older = Metric("vllm:time_per_output_token_seconds", "Between tokens", "histogram")
        parts = [f"{_NEXT_TOKEN}_{part}" for part in ("bucket", "count", "sum")]
        for metric in self._registry.restricted_registry(parts).collect():
            for sample in metric.samples:
                older.samples.append(sample._replace(name=sample.name.replace(_NEXT_TOKEN, older.name)))
        yield older
