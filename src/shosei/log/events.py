"""Every kind of event, one struct each. A field ending in ``_ns`` is nanoseconds of the monotonic clock.

Counters are raw and cumulative, never rates; sizes are bytes; ``None`` means "not known". A field may be added with
a default; a changed meaning takes a new schema version, and readers keep every old one.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from shosei.log.process import ProcessKey

SCHEMA_VERSION = 1
UNATTRIBUTED = "unattributed"  # a gateway's name for an agent that it does not know
LOOPBACK = "lo"  # the network interface that leads nowhere else

# What clocks and counters reach: 146 years of nanoseconds. The difference of two still fits into an array's 64 bits.
Int64 = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]


class Event(msgspec.Struct, tag_field="kind", kw_only=True, omit_defaults=True):
    """The envelope. The writer fills it; emitters set ``phase``, ``rank``, ``task`` or ``agent`` where they apply."""

    v: Int64 = 0
    run: str = ""
    attempt: Int64 = 0
    host: str = ""
    boot: str = ""  # boot id: monotonic times compare only within one
    pid: Int64 = 0
    start_ticks: Int64 = 0  # with pid, names a process for good: pids are reused
    seq: Int64 = -1
    rank: Int64 = 0
    phase: str = ""  # training | inference; "" belongs to no phase and feeds no cell
    mono_ns: Int64 = 0
    wall_ns: Int64 = 0  # Unix time; only to join hosts and to print dates
    span: str = ""  # of a gateway: the name that it gave a call, where the id of its answer is the upstream's
    parent_span: str = ""
    task: str = ""
    agent: str = ""

    @property
    def process(self) -> ProcessKey:
        """The process that wrote it."""
        return ProcessKey(self.host, self.boot, self.pid, self.start_ticks)


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


class Epoch(Event, tag="epoch"):
    """One pass over the training data: first batch request to the end of the last optimiser step.

    What was seen so far may be told at every checkpoint, and by every start of the process: its last word counts.
    """

    index: Int64  # as the trainer counts: ours from 1
    begin_ns: Int64
    end_ns: Int64
    steps: Int64
    samples: Int64 | None
    tokens: Int64 | None
    fraction: float = 1.0  # share of the epoch that was seen


class Step(Event, tag="step"):
    """An optimiser step, attempted, as this rank saw it, or several in a row: what is counted is the sum over them."""

    step: Int64  # from 1; of several the last one
    epoch: Int64  # as the trainer counts; 0 where it does not say
    samples: Int64 | None  # of this rank
    tokens: Int64 | None  # of this rank, without padding
    duration_ns: Int64  # data wait included
    data_wait_ns: Int64 | None
    loss: float | None  # None: not finite or, where ``finite``, not known
    finite: bool
    comm_wait_ns: Int64 | None = 0
    grad_norm: float | None = None
    lr: float | None = None
    skipped: bool = False
    flops: Int64 | None = None  # forward and backward, by the model's closed form; what is recomputed does not count
    count: Int64 = 1  # how many steps; more where a foreign trainer does not tell of each
    untimed: Int64 = 0  # steps right before these that a foreign trainer told of, nobody knows how long they took


class Section(Event, tag="section"):
    """A stretch of a training run that is not a step: load | compile | checkpoint | evaluation."""

    name: str
    begin_ns: Int64
    end_ns: Int64
    epoch: Int64 = 0  # the epoch it happened in; 0: outside every epoch


class HeldOut(Event, tag="held_out"):
    """Cross-entropy on held-out text, at an epoch's end. Per character, it does not depend on the tokenizer."""

    epoch: Int64  # 0: before training
    step: Int64  # optimiser steps so far
    nats: float | None  # summed over the predictions; None: not finite
    tokens: Int64  # predicted, each document's end among them
    characters: Int64  # code points of the text


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


class Workflow(Event, tag="workflow"):
    """One task given to an agent system, from submission to final answer. ``task`` is in the envelope.

    Its answer is graded from the ``score`` event of the same item and sample; a ``baseline`` has none, since its
    record is a run folder of its own, and carries what it takes to grade it.
    """

    system: str
    suite: str
    item: str
    sample: Int64
    cluster: str
    scheduled_ns: Int64  # when it should have been submitted; the latency clock starts here
    begin_ns: Int64
    end_ns: Int64
    # "" | raised | timeout | crashed | no answer | flood | budget | unused endpoint (it made no call)
    error: str = ""
    message: str = ""  # the first line of what went wrong; of a budget, what was spent: calls | tokens
    calls: Int64 | None = None  # to the model, as the gateway counted
    tokens_in: Int64 | None = None
    tokens_out: Int64 | None = None
    baseline: bool = False
    grader: str = ""  # this and the next five only with ``baseline``
    truth: str = ""
    answer: str = ""
    references: list[str] = []
    choices: list[str] = []
    outcome: str = ""  # of the command that judged it


class Score(Event, tag="score"):
    """A raw answer beside its truth. Extraction and grading happen when the metrics are computed."""

    suite: str
    item: str
    cluster: str  # the unit of independence
    grader: str  # exact | label | number | choice | python | text | span | cmrc2018 | command | judge
    truth: str
    answer: str
    sample: Int64 = 0
    lang: str = ""
    epoch: Int64 = 0  # training: the checkpoint; inference: 0
    request: str = ""
    error: str = ""  # the request failed: no answer to grade
    question: str = ""  # what the user said last; what the naive-Bayes floor reads
    references: list[str] = []  # further right answers beside ``truth``
    choices: list[str] = []  # of a choice: what there is to choose from, in the order of its letters
    identity: str = ""  # SHA-256 of the suite's tasks and of decoding: equal ones can be compared task by task
    finish_reason: str = ""  # as the server said: stop | length (cut at the limit) | ...; "" where it is not known
    reasoning: str = ""  # what a thinking model thought, where the server keeps it apart: it is never graded


class Exec(Event, tag="exec"):
    """One candidate program was run against its tests, or a command judged what a task of an agent system left."""

    suite: str
    item: str
    sample: Int64
    backend: str
    level: str  # isolation that was asked for and proven
    oracle: str  # outside | in_process | command (the program is then the command, and judges)
    # pass | wrong | exception | cpu timeout | wall timeout | out of memory | killed by signal | sandbox violation
    # | no code | infra; of a command: pass | wrong | why it gave no verdict
    outcome: str
    cpu_ns: Int64 | None = None
    needs: str = ""  # the module that the program or its tests could not import: no allowed package has it
    program: str = ""  # what was run; "" where the answer held none, and in logs that did not keep it


class Verdict(Event, tag="verdict"):
    """What a judge said of one answer: a model with a rubric, or a person who labelled it. Never a grade.

    ``said`` is raw; it is read when the metrics are computed.
    """

    suite: str
    item: str
    sample: Int64
    by: str  # model | person
    answer: str  # SHA-256 of what was judged: a verdict on another answer to the same task says nothing
    said: str  # by a person: pass | fail
    vote: Int64 = 0  # a judge may be asked several times
    judge: str = ""  # this and all that follows only of a model; its name
    rubric: str = ""
    rubric_version: str = ""
    rubric_hash: str = ""  # SHA-256 of what the rubric says
    least: Int64 | None = None  # of 1 to 5 points, that pass; None: the rubric asks for pass or fail
    identity: str = ""  # SHA-256 of model, rubric, framing and decoding: equal ones judge by the same rule
    error: str = ""  # the request failed
    tokens_in: Int64 | None = None
    tokens_out: Int64 | None = None


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


class Comm(Event, tag="comm"):
    """One collective operation of distributed training, as this rank saw it."""

    op: str  # all_reduce | all_gather | reduce_scatter
    bytes: Int64  # payload a rank: the whole tensor, before it is scattered or after it is gathered
    world: Int64
    duration_ns: Int64
    call: Int64  # the same number on every rank
    inter_node: bool


class Fault(Event, tag="fault"):
    """Something was broken, on purpose (``injected``) or from outside, and perhaps mended."""

    name: str
    begin_ns: Int64
    end_ns: Int64 | None = None
    injected: bool = True
    child: str = ""


class Rating(Event, tag="rating"):
    """What a rater thought of one answer."""

    rater: str  # salted hash
    rater_kind: str  # person | model
    scale: str  # stars | thumbs
    value: Int64 | None  # stars 1-5; thumbs 0 or 1; None: was asked and did not answer
    request: str
    turn: Int64 = 0
    rated_wall_ns: Int64 | None = None  # Unix time of the rating, where an imported file tells; None: as it was written
    live: bool = (
        False  # written down as it was given; not so where it is from a file, and in logs from before 2026-11-29
    )
    tags: list[str] = []
    comment: str = ""  # this and the next two only where the operator keeps rated text
    question: str = ""
    answer: str = ""


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
        Fault,
        Note,
        PassedOn,
    )
}

# Flushed and fsynced at once; the others are buffered for at most a second.
CRITICAL: frozenset[type[Event]] = frozenset({RunBegin, RunEnd, ProcStart, ProcExit, Restart, Rating})
