"""A row of docs/models.md: what ``bench/models.py`` found of one model, as Markdown and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from shosei.log import Run, RunBegin, Step, read_log
from shosei.model import folder
from shosei.quantity import shown_bytes
from shosei.spec import ModelSpec

ENDS = 3  # steps at each end of training whose losses are averaged


@dataclass(frozen=True)
class Decoded:
    """Tokens a second of so many streams at once, and the bound that the memory's bandwidth sets."""

    streams: int
    tokens_per_second: float
    bound: float


@dataclass(frozen=True)
class Row:
    """``gemm_share``: of the rate of square products that the trainer measured when it began.

    ``logits_peak_bytes``: of a bare step, with logits in chunks and whole; empty where it was not measured.
    """

    model: str
    params: int
    steps: int
    rows_per_step: float
    tokens_per_step: float
    first_loss: float
    last_loss: float
    train_tokens_per_second: float
    gemm_share: float
    train_peak_bytes: int
    logits_peak_bytes: list[int]
    file_bytes: int
    serve_peak_bytes: int
    decoded: list[Decoded]
    seconds: dict[str, float]

    def values(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def header() -> list[str]:
        columns = [
            "",
            "parameters",
            "steps: rows × tokens",
            "loss, first → last",
            "training",
            "peak memory, training",
            "a step's: logits in chunks, whole",
            "file, bf16",
            "peak memory, serving",
            "decoding: 1 stream, 8 (of the bound)",
            "seconds",
        ]
        return [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]

    def line(self) -> str:
        decoded = [f"{one.tokens_per_second:.1f} ({one.tokens_per_second / one.bound:.0%})" for one in self.decoded]
        cells = [
            self.model,
            f"{self.params:,}",
            f"{self.steps}: {self.rows_per_step:.3g} × {self.tokens_per_step / self.rows_per_step:.0f}",
            f"{self.first_loss:.2f} → {self.last_loss:.2f}",
            f"{self.train_tokens_per_second:,.0f} tokens/s, {self.gemm_share:.0%} of the GEMM peak",
            shown_bytes(self.train_peak_bytes),
            ", ".join(map(shown_bytes, self.logits_peak_bytes)) or "–",
            shown_bytes(self.file_bytes),
            shown_bytes(self.serve_peak_bytes),
            f"{', '.join(decoded)} tokens/s",
            ", ".join(f"{verb} {value:.0f}" for verb, value in self.seconds.items()),
        ]
        return f"| {' | '.join(cells)} |"


def row(
    run: Run,
    spec: ModelSpec,
    params: int,
    served: Path,
    decoded: list[Decoded],
    logits: list[int],
    seconds: dict[str, float],
) -> Row:
    """From the run's log and card. Ends the program if a step was skipped or the loss did not fall."""
    log = read_log(run.log)
    steps = log.of(Step)
    losses = [step.loss for step in steps if step.loss is not None]
    first, last = mean(losses[:ENDS]), mean(losses[-ENDS:])
    if len(losses) < len(steps) or not last < first:
        raise SystemExit(f"{spec.name}: no training: {len(steps)} steps, losses {losses}")
    lasted = sum(step.duration_ns for step in steps) / 1e9
    flops = sum(step.flops or 0 for step in steps) / lasted
    gemm = next(begin.gemm_flops for begin in log.of(RunBegin) if begin.gemm_flops)
    return Row(
        model=spec.name,
        params=params,
        steps=len(steps),
        rows_per_step=mean(step.samples or 0 for step in steps),
        tokens_per_step=mean(step.tokens or 0 for step in steps),
        first_loss=first,
        last_loss=last,
        train_tokens_per_second=sum(step.tokens or 0 for step in steps) / lasted,
        gemm_share=flops / gemm,
        train_peak_bytes=peak(run, "training"),
        logits_peak_bytes=logits,
        file_bytes=sum(file.stat().st_size for file in folder.weight_files(served)),
        serve_peak_bytes=peak(run, "inference"),
        decoded=decoded,
        seconds=seconds,
    )


def peak(run: Run, phase: str) -> int:
    """The processes' high-water marks as the supervisor read them, from the run's card. The card's own value may be the
    control group's peak, which counts the file cache of a checkpoint being written too."""
    metrics = json.loads((run.folder / "card.json").read_text())["metrics"]
    memory = next(cell for cell in metrics if (cell["id"], cell["phase"]) == ("memory", phase))
    return int(memory["figures"]["high_water"]["value"])
