"""Gives an agent system its tasks, with the gateway between it and the model, and writes down what became of each.

In: a system (a function's place or a command), tasks, an endpoint. Out: ``workflow`` and ``score`` events. The system
runs in processes of its own. Never imports the build wing, nor ``agents``.
"""

from shosei.harness.baseline import relay, token_budget
from shosei.harness.config import AgentsConfig
from shosei.harness.harness import Counts, Progress, check, run_agents
from shosei.harness.resume import unfinished
from shosei.harness.system import System

__all__ = [
    "AgentsConfig",
    "Counts",
    "Progress",
    "System",
    "check",
    "relay",
    "run_agents",
    "token_budget",
    "unfinished",
]
