"""When requests are due."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def poisson(rate: float, seconds: float, seed: int) -> npt.NDArray[np.float64]:
    """Arrival times of a Poisson process in ``[0, seconds)``, ascending, in seconds.

    Given their number, the arrivals are distributed as so many sorted uniform draws (Ross, Introduction to
    Probability Models, "Conditional distribution of the arrival times").
    """
    random = np.random.default_rng(seed)
    return np.sort(random.uniform(0.0, seconds, random.poisson(rate * seconds)))
