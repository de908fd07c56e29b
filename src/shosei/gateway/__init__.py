"""A measuring proxy for OpenAI's API: who called, how long it took, how many tokens, what failed.

In: HTTP requests of any client. Out: the upstream's answers, ``request`` events, and ``passed_on`` of
what is not measured. Never imports the build wing.
"""

from shosei.gateway.budget import Spent, TaskBudget
from shosei.gateway.config import GatewayConfig
from shosei.gateway.faults import FaultRates
from shosei.gateway.gateway import Gateway

__all__ = ["FaultRates", "Gateway", "GatewayConfig", "Spent", "TaskBudget"]
