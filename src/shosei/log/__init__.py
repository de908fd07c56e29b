"""The event log: typed events, a crash-safe writer, a tolerant reader, and the run folder they live in.

In: events as they happen. Out: events by kind. The only corridor between rooms; imports no room.
"""

from shosei.log.answer_events import Exec, Rating, Score, Survey, Verdict, Workflow
from shosei.log.columns import Columns
from shosei.log.event import Event
from shosei.log.events import (
    EVENTS,
    ClientLimit,
    Fault,
    Heartbeat,
    Note,
    PassedOn,
    ProcExit,
    ProcStart,
    Request,
    Restart,
    RunBegin,
    RunEnd,
    Sample,
    ToolCall,
    ToolResult,
    Window,
)
from shosei.log.log import Log
from shosei.log.reader import attempts, read_log
from shosei.log.run import Run, VerbRecord, open_run, recording_if_asked
from shosei.log.training_events import Comm, Epoch, HeldOut, Section, Step
from shosei.log.tuning_events import TuneBegin, TuneFinalist, TuneTrial, TuneTrialBegin, TuneVerdict
from shosei.log.writer import Writer

__all__ = [
    "EVENTS",
    "ClientLimit",
    "Columns",
    "Comm",
    "Epoch",
    "Event",
    "Exec",
    "Fault",
    "Heartbeat",
    "HeldOut",
    "Log",
    "Note",
    "PassedOn",
    "ProcExit",
    "ProcStart",
    "Rating",
    "Request",
    "Restart",
    "Run",
    "RunBegin",
    "RunEnd",
    "Sample",
    "Score",
    "Section",
    "Step",
    "Survey",
    "ToolCall",
    "ToolResult",
    "TuneBegin",
    "TuneFinalist",
    "TuneTrial",
    "TuneTrialBegin",
    "TuneVerdict",
    "VerbRecord",
    "Verdict",
    "Window",
    "Workflow",
    "Writer",
    "attempts",
    "open_run",
    "read_log",
    "recording_if_asked",
]
