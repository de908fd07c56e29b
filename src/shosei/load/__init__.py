"""Open-loop load on any OpenAI-compatible server: requests go out on a schedule that was drawn before the first one.

In: a URL, a rate, prompts. Out: ``request`` and ``window`` events, the client's own ``sample`` and ``note``. Latency
runs from the scheduled time, so a stalled server cannot hide. Never imports the build wing, the card or torch.
"""

from shosei.load.config import LoadConfig
from shosei.load.generator import check, run_load
from shosei.load.tally import Tally

__all__ = ["LoadConfig", "Tally", "check", "run_load"]
