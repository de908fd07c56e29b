"""What became of tasks and their answers: raw, and what programs, judges and people made of them."""

from __future__ import annotations

from shosei.log.event import Event, Int64


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
    grader: str = ""  # this and the next seven only with ``baseline``
    truth: str = ""
    answer: str = ""
    references: list[str] = []
    choices: list[str] = []
    outcome: str = ""  # of the command that judged it
    lang: str = ""
    question: str = ""


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


class Rating(Event, tag="rating"):
    """What a rater thought of one answer."""

    rater: str  # salted hash
    rater_kind: str  # person | model
    scale: str  # stars | thumbs; empty where it is a withdrawal
    value: Int64 | None  # stars 1-5; thumbs 0 or 1; None: was asked and did not answer, or takes a rating back
    request: str
    turn: Int64 = 0
    rated_wall_ns: Int64 | None = None  # Unix time of the rating, where an imported file tells; None: as it was written
    # written down as it was given; not so where it is from a file, and in logs from before 2026-11-29
    live: bool = False
    withdrawn: bool = False  # what this rater gave before counts no more
    tags: list[str] = []
    comment: str = ""  # this and the next four only where the operator keeps rated text
    question: str = ""
    answer: str = ""
    context: str = ""  # hash of what was said before the question; empty where nothing was
    context_messages: Int64 = 0  # of user and model before the question
    text_removed_wall_ns: Int64 | None = None  # Unix time at which its texts were removed from the log


class Survey(Event, tag="survey"):
    """What a rater said after some answers of a run, on the whole."""

    rater: str  # salted hash
    request: str  # the newest answer that the rater had seen
    csat: Int64  # stars 1-5
    stars: dict[str, Int64] = {}  # 1-5, by the id of the operator's question
    words: dict[str, str] = {}  # likewise, only where the operator keeps rated text
    text_removed_wall_ns: Int64 | None = None  # Unix time at which its words were removed from the log
