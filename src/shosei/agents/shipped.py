"""The systems that come with Shosei, by the name that the command line knows them by."""

from __future__ import annotations

SHIPPED = {
    "single": "one agent, no tools",
    "router": "a router, then a specialist of language and skill, with tools",
    "checker": "a solver with tools and a checker, up to three tries",
    "planner": "a planner, workers with tools at the same time, a writer",
    "debate": "three debaters, two rounds, a vote",
}


def location(name: str) -> str:
    """Where the shipped system ``name`` is, as ``module:function``."""
    return f"shosei.agents.{name}:system"
