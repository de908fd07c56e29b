"""How often somebody may do something, in bounded memory."""

from __future__ import annotations

import math
import time
from collections import OrderedDict

_MOST = 10_000  # names that are remembered, about 2 MB
_WINDOW_S = 60.0


class RateLimit:
    """Lets each name pass ``per_minute`` times at once, and again as they come back, evenly over a minute.

    The generic cell rate algorithm (ITU-T I.371), which is a token bucket that needs one number a name: when its bucket
    will be full again. A full bucket is forgotten; of more than 10,000 others, the one that was used longest ago.
    """

    def __init__(self, per_minute: int) -> None:
        self._interval = _WINDOW_S / per_minute
        self._full_at: OrderedDict[str, float] = OrderedDict()  # in order of their last use

    def wait_s(self, name: str) -> int:
        """Take one of ``name``'s turns: 0; where it has none left, the whole seconds until it has one."""
        now = time.monotonic()
        full_at = max(now, self._full_at.get(name, now)) + self._interval
        if (excess := full_at - now - _WINDOW_S) > 1e-6:
            return math.ceil(excess)
        self._full_at[name] = full_at
        self._full_at.move_to_end(name)
        while len(self._full_at) > _MOST or next(iter(self._full_at.values())) <= now:
            self._full_at.popitem(last=False)
        return 0
