"""Programs behind a wall: how strong it is, the attacks that prove it, and the oracle outside the candidate.

In: a program and its tests. Out: an ``Execution`` with its outcome, and the proof of the wall. ``inside`` is what runs
within it, with the standard library alone. Imports the floor and nothing else.
"""

from shosei.sandbox.config import SandboxConfig, available
from shosei.sandbox.proof import choose

__all__ = ["SandboxConfig", "available", "choose"]
