"""``shosei engine``: the engine process. Hidden: ``shosei serve`` starts it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shosei.cli.serve import ContextOption, WeightsOption
from shosei.spec.generation import WeightFormat


def engine(
    model: Annotated[Path, typer.Option(help="Model folder (Hugging Face, Llama).")],
    socket: Annotated[Path, typer.Option(help="Unix socket to listen on.")],
    slots: Annotated[int, typer.Option(min=1, help="Requests that run at the same time.")] = 32,
    weights: WeightsOption = WeightFormat.STORED,
    context: ContextOption = 0,
) -> None:
    """Load a model and answer token requests on a Unix socket until told to stop."""
    from shosei.engine.server import serve_engine

    serve_engine(model, socket, slots, weights, context)
