"""Starts, watches, meters and restarts commands from outside, ours or anybody's.

In: commands (``Child``). Out: ``proc.start``, ``proc.exit``, ``restart``, ``heartbeat``, ``fault`` and ``sample``
events, ``step`` and ``epoch`` where a trainer's output tells of them, and an exit code. What it runs ends with it.
Should it be killed with SIGKILL, so does all of ours and, where a control group can be made, all of a foreign command;
otherwise what has opened a session of its own lives on, and the next supervisor of the same run lists it. It computes
no metric and never imports the build wing or the card.
"""

from shosei.supervise.faults import Injection
from shosei.supervise.heartbeat import HeartbeatConfig
from shosei.supervise.process import Child
from shosei.supervise.supervisor import Supervisor

__all__ = ["Child", "HeartbeatConfig", "Injection", "Supervisor"]
