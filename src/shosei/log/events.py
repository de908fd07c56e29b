"""Every kind of event, one struct each: of verbs, processes, requests, meters; trainings, answers and searches beside.

What all have in common is said in ``event.py``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from shosei.log.answer_events import Exec, Rating, Score, Survey, Verdict, Workflow
from shosei.log.event import Event, Int64
from shosei.log.training_events import Comm, Epoch, HeldOut, Section, Step
from shosei.log.tuning_events import TuneBegin, TuneTrial, TuneTrialBegin, TuneVerdict

UNATTRIBUTED = "unattributed"  # a gateway's name for an agent that it does not know
LOOPBACK = "lo"  # the network interface that leads nowhere else


class RunBegin(Event, tag="run.begin"):
    """A verb started. What it knows of code, data, model and machine; the card merges these over an attempt."""

    verb: str
    argv: list[str]
    config: dict[str, Any] = {}
    hashes: dict[str, str] = {}  # what was hashed -> SHA-256
    seeds: dict[str, int] = {}
    hardware: dict[str, Any] = {}  # cpu, cores, memory_bytes, gpus, nodes
    versions: dict[str, str] = {}
    model: dict[str, Any] = {}  # the ModelSpec's fields and counts, where the verb has a model
    profile: str = ""
    arrival: str = ""  # load: poisson | constant | ramp | trace | closed; rate in config
    sandbox: str = ""  # exam: proven isolation level
    target: str = ""  # alternate: which of the targets measured by turns this attempt is about
    turn: Int64 = 0  # alternate: from 1, over all targets; 0 elsewhere
    gemm_flops: float | None = None  # train: the peak of matrix products that this rank measured, FLOP/s


class RunEnd(Event, tag="run.end"):
    """A verb ended and could still say so."""

    verb: str
    exit_code: Int64
    hashes: dict[str, str] = {}  # of what the verb made; added to those of run.begin
    dropped: Int64 = 0  # events this process could not write


class ClientLimit(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a load's client lacked, so that it measured itself and not the server."""

    lacked: str  # time | connections
    lag_ms: float = 0.0  # time: how late its event loop was, 99th percentile
    cpu: float = 0.0  # time: of a core, what it wanted


class Window(Event, tag="window"):
    """A part of a load run: warmup | steady | drain; or a probe, of the search for the highest rate."""

    name: str
    begin_ns: Int64
    end_ns: Int64
    invalid: str = ""  # why what was measured in it does not count
    client: ClientLimit | None = None  # the same to be worded by a card; older logs have only the words
    rate: float | None = None  # probe: requests offered per second


class ProcStart(Event, tag="proc.start"):
    """The supervisor started a process."""

    child: str  # a stable name: train, engine, http
    child_pid: Int64
    argv: list[str]
    start: Int64  # 1 for the first start of this child, then 2, ...


class ProcExit(Event, tag="proc.exit"):
    """A supervised process ended. Written by the supervisor, never by the process that dies."""

    child: str
    child_pid: Int64
    start: Int64
    planned: bool  # it had finished its work or had been told to stop
    cause: str  # done | stopped | bad input | out of memory | signal | exception | hang | start-up | unknown
    duration_ns: Int64
    code: Int64 | None = None
    signal: Int64 | None = None


class Heartbeat(Event, tag="heartbeat"):
    """A supervised process made progress, as its output or a file of its own shows. At most once a second."""

    child: str
    count: Int64  # beats of this start so far


class Restart(Event, tag="restart"):
    """The supervisor's restart counters for one child so far. Written once at 0 when supervision begins."""

    child: str
    failure: Int64 = 0
    watchdog: Int64 = 0
    membership: Int64 = 0
    planned: Int64 = 0
    manual: Int64 = 0


class ToolCall(msgspec.Struct, omit_defaults=True):
    """A tool that an answer asked for."""

    id: str
    name: str
    error: str = ""  # "" | unknown tool | invalid arguments (no JSON, or not what the tool's schema takes)


class ToolResult(msgspec.Struct, omit_defaults=True):
    """What a tool gave back, as the next request told it to the model. The text itself is not kept."""

    id: str  # of the call; "" where the request does not say which: then of the agent's last calls
    error: bool = False  # by the rule of this version; by rule 1 a text that begins with "Error"
    # rule 2: what decided: flag | json | prefix | exception | phrase; of no error: "", or "undecided"
    form: str = ""
    rule: int = 1  # the version of the rule


class Request(Event, tag="request"):
    """One request to a model server, in its final state. Times are None where the moment never came."""

    id: str
    purpose: str  # load | exam | agents | chat | judge | probe | warm-up
    seen_by: str  # client | gateway | server
    scheduled_ns: Int64  # when it should have been sent; the latency clock starts here
    sent_ns: Int64 | None = None
    first_byte_ns: Int64 | None = None
    first_token_ns: Int64 | None = None  # of thoughts, too
    first_answer_ns: Int64 | None = None  # streamed: of the first piece that is no thought
    last_token_ns: Int64 | None = None  # streamed: of the last piece; what follows it has no token
    done_ns: Int64 | None = None
    status: Int64 | None = None  # HTTP
    # "" | timeout | connect | 4xx | 429 | 5xx | cut stream | empty | invalid tool call | context limit
    # | malformed (the answer cannot be read; 5xx in logs of before)
    # | budget (the gateway did not ask, or broke the answer off: its task has used up what it may)
    # | disconnect (the client left, as the server saw it) | cancelled (by the harness itself)
    # | lost (the process that was answering was killed)
    error: str = ""
    stream: bool = False
    tokens_in: Int64 | None = None
    tokens_out: Int64 | None = None
    tokens_cached: Int64 | None = None
    tokens_reasoning: Int64 | None = None  # of tokens_out: thoughts, shown or not
    thought_pieces: Int64 = 0  # streamed: pieces that had nothing but thoughts
    bytes_sent: Int64 | None = None
    bytes_received: Int64 | None = None
    tries: Int64 = 1
    first_try_error: str = ""
    waited_ns: Int64 = 0  # between the tries, all together
    longest_gap_ns: Int64 | None = None  # streamed: longest wait between two pieces after the first token
    api_key: str = ""  # server, gateway: the name of the key that the client showed; never the key
    model: str = ""  # gateway: that the request asked for
    retry: Int64 | None = None  # gateway: how often the client had sent it before, where it says so
    attribution: str = ""  # gateway: how it knew the agent: path | key | header | metadata | prompt | unattributed
    tool_calls: list[ToolCall] = []  # gateway: in the answer
    tool_results: list[ToolResult] = []  # gateway: new in this request's messages


class PassedOn(Event, tag="passed_on"):
    """A request that a gateway passed on without measuring it, because it is no call to a chat model."""

    path: str  # its first two parts
    status: Int64 | None = None  # HTTP, as its client got it; None: it left before
    tokens: Int64 | None = None  # of prompt and answer, as the answer says


class Sample(Event, tag="sample"):
    """Raw cumulative counters of one scope, read from outside."""

    scope: str  # tree | cgroup | gpu | nic | disk | self (the meter's own cost)
    name: str  # tree: the child's name
    processes: Int64 | None = None
    rss_bytes: Int64 | None = None
    pss_bytes: Int64 | None = None
    peak_bytes: Int64 | None = None  # sum of per-process high-water marks of the living tree
    cpu_ns: Int64 | None = None
    read_bytes: Int64 | None = None  # storage layer
    write_bytes: Int64 | None = None
    cancelled_write_bytes: Int64 | None = None
    read_chars: Int64 | None = None  # through system calls
    write_chars: Int64 | None = None
    received_bytes: Int64 | None = None
    sent_bytes: Int64 | None = None
    kernel_percent: float | None = None  # gpu: share of the meter's last period with a kernel running
    sm_percent: float | None = None  # gpu: streaming multiprocessors active
    used_bytes: Int64 | None = None  # gpu: device memory of our processes; cgroup: in use, page cache included
    reserved_bytes: Int64 | None = None  # gpu: by the framework's allocator
    allocated_bytes: Int64 | None = None


class Fault(Event, tag="fault"):
    """Something was broken, on purpose (``injected``) or from outside, and perhaps mended."""

    name: str
    begin_ns: Int64
    end_ns: Int64 | None = None
    injected: bool = True
    child: str = ""


class Note(Event, tag="note"):
    """Something a reader of the log should know. Feeds no metric."""

    level: str  # info | warning
    text: str


EVENTS: dict[str, type[Event]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (
        RunBegin,
        RunEnd,
        Window,
        ProcStart,
        ProcExit,
        Heartbeat,
        Restart,
        Epoch,
        Step,
        Section,
        HeldOut,
        Request,
        Workflow,
        Score,
        Exec,
        Verdict,
        Sample,
        Comm,
        Rating,
        Survey,
        Fault,
        Note,
        PassedOn,
        TuneBegin,
        TuneTrialBegin,
        TuneTrial,
        TuneVerdict,
    )
}

# Flushed and fsynced at once; the others are buffered for at most a second.
CRITICAL: frozenset[type[Event]] = frozenset(
    {RunBegin, RunEnd, ProcStart, ProcExit, Restart, Rating, Survey, TuneBegin, TuneTrialBegin, TuneTrial, TuneVerdict}
)
