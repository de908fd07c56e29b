"""The training loop."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn

from shosei.data import Batch, Batches, load_examples
from shosei.data.dataset import NO_LOSS
from shosei.errors import InputError
from shosei.files import sha256
from shosei.log import Epoch, Run, Section, Step, Writer
from shosei.model import folder
from shosei.model.transformer import Transformer
from shosei.spec import ModelSpec, preset
from shosei.text import Tokenizer
from shosei.train import checkpoint
from shosei.train.checkpoint import Position
from shosei.train.config import TrainConfig
from shosei.train.loss import answer_loss, compute_dtype
from shosei.train.optim import Optimizers, learning_rate_factor
from shosei.train.progress import Progress
from shosei.train.validation import Answer, validate
from shosei.wire.suite import read_suite

# The preset that has no tokenizer of its own: its table has as many rows as the run's tokenizer has entries.
_FOLLOWS_TOKENIZER = "nano"


@dataclass(frozen=True, slots=True)
class Trained:
    """What a finished training leaves: where the model is, its weights' SHA-256, steps, and operational rates."""

    model: str
    sha256: str
    steps: int
    skipped: int
    rates: dict[str, float]


def manifest(config: TrainConfig, run: Run) -> dict[str, Any]:
    """What ``run.begin`` should say of this training. Raises InputError if data, tokenizer or preset do not serve."""
    needed = {
        run.data / "train.jsonl": "data",
        run.data / "validation.jsonl": "data",
        run.tokenizer / "tokenizer.json": "tokenizer",
    }
    for path, verb in needed.items():
        if not path.is_file():
            raise InputError(f"{path} is missing; 'shosei {verb} --run {run.folder}' makes it")
    spec = _fit(preset(config.preset), Tokenizer.load(run.tokenizer).vocab_size)
    counts = {"params": spec.params, "embedding_params": spec.embedding_params, "matmul_params": spec.matmul_params}
    return {
        "config": config.model_dump(mode="json"),
        "hashes": _hashes(run),
        "seeds": {"train": config.seed},
        "model": asdict(spec) | counts | {"compute_dtype": str(compute_dtype(config.dtype)).removeprefix("torch.")},
    }


def train(
    config: TrainConfig, run: Run, writer: Writer, answer: Answer, say: Callable[[str], None] = lambda line: None
) -> Trained:
    """Train ``config.preset`` on the run's data and export it to ``run.model``.

    Emits ``step``, ``epoch``, ``section`` and, at each epoch's end, ``score`` events. The same configuration and data
    give the same weights on the same machine. Raises InputError as ``manifest`` does.
    """
    return _Trainer(config, run, writer, answer, say).run()


class _Trainer:
    """One training run: what it was given, and the model and optimisers that change under it."""

    def __init__(
        self, config: TrainConfig, run: Run, writer: Writer, answer: Answer, say: Callable[[str], None]
    ) -> None:
        self.config, self.writer, self._run, self._answer = config, writer, run, answer
        if config.threads:
            torch.set_num_threads(config.threads)
        with self._section("load"):
            self.hashes = _hashes(run)
            self.tokenizer = Tokenizer.load(run.tokenizer)
            self.spec = _fit(preset(config.preset), self.tokenizer.vocab_size)
            self.tasks = read_suite(run.data / "validation.jsonl")
            examples = load_examples(run, self.tokenizer)
            self.batches = Batches(examples, config.batch_size, config.seed)
            torch.manual_seed(config.seed)
            self.model = Transformer(self.spec)
            self.optimizers = Optimizers(self.model, config)
            checkpoint.clear(run.checkpoints)
        self.dtype = compute_dtype(config.dtype)
        self.steps = config.epochs * self.batches.steps_per_epoch
        self.progress = Progress(self.spec, self.steps, self.dtype, say)
        self.step = self.skipped = 0

    def run(self) -> Trained:
        for epoch in range(1, self.config.epochs + 1):
            self._train_epoch(epoch)
            self._checkpoint(Position(self.step, epoch, self.batches.steps_per_epoch))
            with self._section("evaluation"):
                validate(self.model, self.spec, self.tokenizer, self.tasks, self._answer, self.writer, epoch)
        with self._section("checkpoint"):
            folder.export(self.model, self.spec, self._run.tokenizer, self._run.model)
        return Trained(
            model=str(self._run.model),
            sha256=sha256(self._run.model / folder.WEIGHTS),
            steps=self.steps,
            skipped=self.skipped,
            rates=self.progress.summary(),
        )

    def _train_epoch(self, epoch: int) -> None:
        begin = asked = time.monotonic_ns()
        samples = tokens = 0
        for number, batch in enumerate(self.batches.epoch(epoch), 1):
            self._take_step(batch, epoch, asked)
            samples, tokens = samples + batch.samples, tokens + batch.tokens
            end = asked = time.monotonic_ns()
            if self.step % self.config.checkpoint_steps == 0 and number < self.batches.steps_per_epoch:
                self._checkpoint(Position(self.step, epoch, number), epoch)
                asked = time.monotonic_ns()
        self.writer.emit(Epoch(index=epoch, begin_ns=begin, end_ns=end, steps=number, samples=samples, tokens=tokens))

    def _take_step(self, batch: Batch, epoch: int, asked_ns: int) -> None:
        """One optimiser step on ``batch``, requested at ``asked_ns``. Where loss or gradient is not finite, the
        weights stay as they are."""
        got_ns = time.monotonic_ns()
        factor = learning_rate_factor(self.step, self.steps, self.config)
        ids, targets = torch.from_numpy(batch.ids), torch.from_numpy(batch.targets)
        loss = answer_loss(self.model, ids, targets, self.dtype)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm)
        finite = bool(torch.isfinite(loss) & torch.isfinite(norm))
        if finite:
            self.optimizers.step(factor)
        else:
            self.skipped += 1
        self.optimizers.zero_grad()
        self.step += 1
        end_ns = time.monotonic_ns()
        self.writer.emit(
            Step(
                step=self.step,
                epoch=epoch,
                samples=batch.samples,
                tokens=batch.tokens,
                duration_ns=end_ns - asked_ns,
                data_wait_ns=got_ns - asked_ns,
                loss=loss.item() if finite else None,
                finite=finite,
                skipped=not finite,
                grad_norm=norm.item() if finite else None,
                lr=factor * self.config.matrix_lr,
            )
        )
        answers = int((batch.targets != NO_LOSS).sum())
        self.progress.add(loss.item(), (end_ns - asked_ns) / 1e9, batch.tokens, answers, batch.ids.shape[1])

    def _checkpoint(self, position: Position, epoch: int = 0) -> None:
        with self._section("checkpoint", epoch):
            where = self._run.checkpoints
            checkpoint.save(where, self.model, self.optimizers, position, self.config, self.spec, self.hashes)
            checkpoint.prune(where, self.config.keep_checkpoints)

    @contextlib.contextmanager
    def _section(self, name: str, epoch: int = 0) -> Iterator[None]:
        begin = time.monotonic_ns()
        yield
        self.writer.emit(Section(name=name, begin_ns=begin, end_ns=time.monotonic_ns(), epoch=epoch))


def _fit(spec: ModelSpec, vocab_size: int) -> ModelSpec:
    """``spec`` for a tokenizer of ``vocab_size`` entries: they must be as many as its rows, but nano takes any."""
    if vocab_size == spec.vocab_size:
        return spec
    if spec.name == _FOLLOWS_TOKENIZER:
        return replace(spec, vocab_size=vocab_size)
    raise InputError(
        f"preset '{spec.name}' has {spec.vocab_size} rows and the run's tokenizer {vocab_size} entries; "
        f"make one with 'shosei tokenizer --vocab-size {spec.vocab_size}'"
    )


def _hashes(run: Run) -> dict[str, str]:
    return {
        "data": sha256(run.data / "train.jsonl"),
        "validation": sha256(run.data / "validation.jsonl"),
        "tokenizer": sha256(run.tokenizer / "tokenizer.json"),
    }
