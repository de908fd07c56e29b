"""Starts, watches, meters and restarts commands from outside, ours or anybody's.

In: commands (``Child``). Out: ``proc.start``, ``proc.exit``, ``restart`` and ``sample`` events, and an exit code. What
it runs ends with it; should it be killed with SIGKILL, all but what has opened a session of its own. It computes no
metric and never imports the build wing or the card.
"""

from shosei.supervise.process import Child
from shosei.supervise.supervisor import Supervisor

__all__ = ["Child", "Supervisor"]
