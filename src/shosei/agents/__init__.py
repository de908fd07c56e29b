"""Reference agent systems; ``wire.system`` has the contract that any other system meets.

In: a task and a base URL. Out: an answer. Systems are subjects, in neither wing: they see only HTTP, and this package
imports no room but the floor.
"""

# By the name that the command line knows them by; their functions are imported only where they run.
SHIPPED = {
    "single": "one agent, no tools",
    "router": "a router, then a specialist of language and skill, with tools",
    "checker": "a solver with tools and a checker, up to three tries",
    "planner": "a planner, workers with tools at the same time, a writer",
    "debate": "three debaters, two rounds, a vote",
}


def location(name: str) -> str:
    """Where the shipped system ``name`` is, as ``module:function``."""
    return f"shosei.agents.systems:{name}"
