"""What tokens cost: the price table of a profile, by which calls to a model cost money."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shosei.config import Config
from shosei.log import Request

_PER = 1_000_000  # tokens

Amount = Annotated[float, Field(ge=0)]


class Price(Config):
    """Of one model, per million tokens."""

    tokens_in: Amount = Field(alias="in", description="What a million tokens of prompts cost.")
    tokens_out: Amount = Field(alias="out", description="What a million tokens of answers cost.")
    tokens_cached: Amount | None = Field(
        default=None, alias="cached", description="What a million cached tokens of prompts cost; by default, as 'in'."
    )

    def of(self, call: Request) -> float | None:
        """What a call cost; None where nobody counted its tokens."""
        if call.tokens_in is None or call.tokens_out is None:
            return None
        cached = min(call.tokens_cached or 0, call.tokens_in)
        for_cached = self.tokens_in if self.tokens_cached is None else self.tokens_cached
        amount = (call.tokens_in - cached) * self.tokens_in + cached * for_cached + call.tokens_out * self.tokens_out
        return amount / _PER


class Prices(Config):
    """A price for every model that has none of its own, and prices of models by the names that calls ask for."""

    currency: str = Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code, such as USD, CNY or JPY.")
    default: Price | None = Field(default=None, description="Of every model that is not named below.")
    models: dict[str, Price] = Field(default={}, description="Prices by the model's name, as calls ask for it.")

    def of(self, model: str) -> Price | None:
        """The price of a model; None where the table has none."""
        return self.models.get(model, self.default)
