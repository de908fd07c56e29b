"""Shosei carries a small language model from its parameter table to its scorecard.

The package is a house: a floor (``spec``, ``log``, ``wire`` and the small modules beside this file), a build
wing (``text`` to ``serve``), a measure wing (``supervise`` to ``compare``) and a roof (``cli``).
docs/architecture.md has the map.
"""

__version__ = "0.1.0"
