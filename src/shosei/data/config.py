"""How much is generated, how it and a user's text are split, and how large a vocabulary is learnt from them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shosei.config import Config

TooLong = Literal["cut", "split", "drop"]  # what becomes of dialogues that are longer than the model reads


class DataConfig(Config):
    """Section ``[data]``. A family that has fewer distinct questions than asked for gives all that it has."""

    seed: int = Field(
        0, ge=0, lt=1 << 63, description="Draws operands, phrasings and order. The split does not depend on it."
    )
    held_out: float = Field(0.25, gt=0, lt=0.5, description="Share of operands kept for the suites.")
    validation: float = Field(0.05, gt=0, lt=0.5, description="Share of operands kept for scores during training.")
    held_out_phrasings: float = Field(0.3, gt=0, lt=0.5, description="Share of phrasings kept for the intent suite.")
    numerals: int = Field(4200, ge=1, description="Training rows of the numerals family.")
    kana: int = Field(4000, ge=1, description="Training rows of the kana family.")
    width: int = Field(4400, ge=1, description="Training rows of the width family.")
    sums: int = Field(11000, ge=1, description="Training rows of the sums family.")
    facts: int = Field(500, ge=1, description="Training rows of the facts family.")
    intent: int = Field(1500, ge=1, description="Training rows of the intent family.")
    functions: int = Field(500, ge=1, description="Training rows of the functions family.")
    products: int = Field(1000, ge=1, description="Training conversations of the products family, with tools.")
    dates: int = Field(900, ge=1, description="Training conversations of the dates family, with tools.")
    mixed: int = Field(1200, ge=1, description="Training conversations of the mixed family, with tools.")
    described: int = Field(3, ge=1, description="One in so many of these conversations describes its tools.")
    routes: int = Field(250, ge=1, description="Training rows of the router, a family that needs tools.")
    suite_tasks: int = Field(240, ge=1, description="Held-out tasks a suite, functions apart.")
    function_tasks: int = Field(40, ge=1, description="Held-out tasks of the functions suite.")
    agent_tasks: int = Field(40, ge=1, description="Held-out tasks a family that needs tools.")
    validation_tasks: int = Field(30, ge=1, description="Validation tasks a suite; functions have none.")


class TextConfig(Config):
    """Section ``[text]``: what ``shosei data --text`` takes."""

    held_out: float = Field(0.01, ge=0, lt=0.5, description="Share of documents kept for the held-out loss.")


class TokenizerConfig(Config):
    """Section ``[tokenizer]``: what is learnt from the run's training rows and text."""

    vocab_size: int = Field(2048, description="Entries, specials included; the embedding has as many rows.")
