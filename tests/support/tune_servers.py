"""The mock server whose capacity is known, as what is tuned."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import psutil

SERVER = Path(__file__).parents[2] / "bench" / "tune_server.py"
COMMAND = [sys.executable, str(SERVER), "--port", "{port}", "--capacity", "30"]
SLOTS: dict[str, Any] = {"type": "int", "low": 1, "high": 64, "default": 8}
WEIGHTS: dict[str, Any] = {"type": "choice", "choices": ["bf16", "int4"], "default": "bf16"}
LOAD: dict[str, Any] = {"arrival": "constant", "rate": 90, "seconds": 1.5, "warmup_s": 0.3, "drain_s": 3}
LOAD["prompt_characters"] = 20


def nothing_runs(*words: str) -> bool:
    """Whether no process has all the words in its command line or in the run that it records to."""
    return not any(all(word in told for word in words) for told in map(_told, psutil.process_iter()))


def _told(process: psutil.Process) -> str:
    try:
        return " ".join([*process.cmdline(), process.environ().get("SHOSEI_RUN", "")])
    except psutil.Error:  # it has just ended
        return ""
