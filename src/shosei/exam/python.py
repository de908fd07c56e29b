"""Runs a program in the exam's sandbox for whoever may not import it: ``python -m shosei.exam.python < program``.

Prints what the program printed; exit code 1, with the reason on standard error, if it came to no end of its own. The
sandbox is the strongest that works here; only an exam attacks it first.
"""

from __future__ import annotations

import asyncio
import sys

from shosei.exam.config import ExamConfig
from shosei.exam.runner import Runner
from shosei.exam.sandbox import WALLS, SandboxError, available
from shosei.wire.suite import Task
