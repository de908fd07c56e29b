"""A measuring proxy for OpenAI's API: who called, how long it took, how many tokens, what failed.

In: HTTP requests of any client. Out: the upstream's answers, and ``request`` events. Never imports the build wing.
"""

from shosei.gateway.budget import Spent, TaskBudget
from shosei.gateway.config import Faults, GatewayConfig
from shosei.gateway.gateway import Gateway

__all__ = ["Faults", "Gateway", "GatewayConfig", "Spent", "TaskBudget"]
