"""The training loop."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from shosei.data.batches import open_batches
from shosei.data.dataset import Batch
from shosei.errors import InputError
from shosei.files import sha256
from shosei.log import Epoch, Section, Step, Writer
from shosei.model import device, folder, lora
from shosei.model.transformer import Transformer
from shosei.progress import progress
from shosei.quantity import NS_PER_S
from shosei.train import checkpoint, ranks
from shosei.train.checkpoint import Position
from shosei.train.evaluation import Decode, held_out_loss, rates, validate
from shosei.train.loss import answer_loss
from shosei.train.memory import recompute_blocks
from shosei.train.optim import Optimizers, learning_rate_factor
from shosei.train.preparation import Preparation
from shosei.train.sharding import full, place, whole
from shosei.train.throughput import Throughput, step_flops
from shosei.train.workers import Workers, choose_threads
from shosei.wire.suite import read_suite


@dataclass(frozen=True, slots=True)
class Trained:
    """What a finished training leaves: where the model is, its weights' SHA-256, steps, operational rates, and the
    loss on held-out text, if there is any."""

    model: str
    sha256: str
    steps: int
    skipped: int
    rates: dict[str, float]
    held_out: dict[str, float]


def train(
    prepared: Preparation,
    writer: Writer,
    decode: Decode,
    say: Callable[[str], None] = lambda line: None,
    *,
    verbose: bool = False,
) -> Trained:
    """Train ``config.preset``, or the model ``config.init`` further, on the run's data; export it to ``run.model``.

    Emits ``step``, ``epoch``, ``section`` and, at each epoch's end, ``score`` events. The same configuration and data
    give the same weights on the same machine. ``verbose`` progress tells of FLOP/s. Raises InputError for data that
    cannot be used.
    """
    with progress("preparing the training"):
        trainer = _Trainer(prepared, writer, decode, say)
    return trainer.run(verbose)


def learn(
    workers: Workers, optimizers: Optimizers, batch: Batch, factor: float, max_grad_norm: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, bool]:
    """One optimiser step on ``batch`` at ``factor`` of the peak learning rates: the loss, the gradient's norm before
    clipping, and whether both are finite. Where they are not, the weights stay as they are.

    Of several ranks, which are all given the same batch, each computes its share, and each of its workers a share of
    that; what they find is the whole batch's.
    """
    share, model = batch.share(ranks.rank(), ranks.count()), workers.models[0]
    where = next(model.parameters()).device
    counted = torch.tensor(batch.answers, device=where)

    def backward(model: Transformer, worker: int) -> Tensor:
        part = share.share(worker, workers.count)
        ids, targets = torch.from_numpy(part.ids).to(where), torch.from_numpy(part.targets).to(where)
        loss = answer_loss(model, ids, targets, dtype, counted)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    losses = workers.map(backward, workers.models, range(workers.count))
    workers.add_gradients()
    norm = full(nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm))
    loss = ranks.total(torch.stack(losses).sum())
    finite = bool(torch.isfinite(loss) & torch.isfinite(norm))
    if finite:
        optimizers.step(factor)
    optimizers.zero_grad()
    return loss, norm, finite


class _Trainer:
    """One training run: what it was given, and the model and optimisers that change under it."""

    def __init__(self, prepared: Preparation, writer: Writer, decode: Decode, say: Callable[[str], None]) -> None:
        config, run = self.config, self._run = prepared.config, prepared.run
        self.chat, self.spec, self.hashes, self.dtype = prepared.chat, prepared.spec, prepared.hashes, prepared.dtype
        self.writer, self._decode, self._say = writer, decode, say
        with self._section("load"):
            validation = run.data / "validation.jsonl"
            # Empty beside a user's dialogues, whose answers have no truth to be graded by; absent beside text alone.
            self.tasks = read_suite(validation) if "validation" in self.hashes and validation.stat().st_size else []
            self.batches, self.held_out = open_batches(
                run,
                self.chat,
                self.hashes,
                batch_size=config.batch_size,
                batch_tokens=config.batch_tokens,
                sequence=config.sequence,
                seed=config.seed,
                context=self.spec.context_length,
                too_long=config.too_long,
                strict=config.strict,
                say=say,
            )
            torch.manual_seed(config.seed)
            self.device = device.choose()
            self.model = self._model()
            place(self.model, self.device, self.dtype)
            self.optimizers = Optimizers(self.model, config)
            self.threads = choose_threads(self.spec, config.threads or torch.get_num_threads())
            self.start = self._resume()
            self.workers = Workers(self.model, self.threads)
            self.optimizers.side_by_side(self.workers)
        self.steps = config.max_steps or config.epochs * self.batches.steps_per_epoch
        self.step, self.skipped = self.start.step, 0
        self.held_out_rates: dict[str, float] = {}
        self._gemm_flops = prepared.gemm_flops

    def run(self, verbose: bool) -> Trained:
        if self.step == 0 and self.held_out:
            with self._section("evaluation"):
                self._evaluate(0)
        with progress("training", self.steps, "steps", done=self.step) as work:
            self.throughput = Throughput(work, self._gemm_flops, verbose=verbose)
            self._train()
        with self._section("checkpoint"):
            exported = ranks.of_first(self._export())
        return Trained(
            model=str(self._run.model),
            sha256=exported,
            steps=self.steps,
            skipped=self.skipped,
            rates=self.throughput.summary(),
            held_out=self.held_out_rates,
        )

    def _train(self) -> None:
        epochs = math.ceil(self.steps / self.batches.steps_per_epoch)
        for epoch in range(self.start.epoch, epochs + 1):
            taken = self.start.batch if epoch == self.start.epoch else 0
            last = min(self.batches.steps_per_epoch, taken + self.steps - self.step)
            if taken < last:
                self._train_epoch(epoch, taken, last)
                self._checkpoint(Position(self.step, epoch, last))
            with self._section("evaluation"):
                self._evaluate(epoch)

    def _model(self) -> Transformer:
        """The weights to begin with, and what the configuration does to them. They are rank 0's: the others have their
        shapes alone."""
        config = self.config
        if ranks.rank():
            model = self._shapes()
        else:
            model = self._adapted(folder.load(Path(config.init))[0] if config.init else Transformer(self.spec))
        if config.checkpointing:
            recompute_blocks(model)
        return model

    def _shapes(self) -> Transformer:
        with torch.device("meta"):
            return self._adapted(Transformer(self.spec))

    def _adapted(self, model: Transformer) -> Transformer:
        if self.config.lora_rank:
            lora.adapt(model, self.config.lora_rank, self.config.lora_alpha)
        return model

    def _resume(self) -> Position:
        """Go on from this attempt's newest whole checkpoint, if it has one: the supervisor started us again. Any other
        start is a new one, and removes the checkpoints of earlier attempts."""
        position = self._load_newest()
        if ranks.of_first(position) != position:
            raise InputError("rank 0 sees other checkpoints; put the run into a file system that all ranks share")
        ranks.wait()  # until nobody reads what may be removed
        if position is None and not ranks.rank():
            self._say_what_is_lost()
            checkpoint.clear(self._run.checkpoints)
        return position or Position(step=0, epoch=1, batch=0)

    def _say_what_is_lost(self) -> None:
        for path in reversed(checkpoint.checkpoints(self._run.checkpoints)):
            with contextlib.suppress(InputError):
                attempt = checkpoint.read_manifest(path).attempt
                if attempt != self.writer.attempt:
                    self._say(
                        f"this training starts from scratch: checkpoints of attempt {attempt}, up to {path.name}, are "
                        f"removed (SHOSEI_ATTEMPT={attempt} with the same options would have gone on from there)"
                    )
                    return

    def _load_newest(self) -> Position | None:
        for path in reversed(checkpoint.checkpoints(self._run.checkpoints)):
            try:
                manifest = checkpoint.read_manifest(path)
                ours = (self.writer.attempt, self.config.model_dump(mode="json"), self.hashes)
                if (manifest.attempt, manifest.config, manifest.inputs) == ours:
                    manifest = checkpoint.load(path, self.model, self.optimizers)
                    if ranks.count() == 1 and self.device.type == "cpu":  # where sums depend on them
                        self.threads = manifest.threads or self.threads
                    self._say(f"going on from step {manifest.position.step}: {path}")
                    return manifest.position
            except InputError as damaged:
                self._say(str(damaged))
        return None

    def _train_epoch(self, epoch: int, taken: int, last: int) -> None:
        """The batches of an epoch after the first ``taken``, up to number ``last``."""
        begin = asked = time.monotonic_ns()
        samples = tokens = 0
        for number, batch in enumerate(islice(self.batches.epoch(epoch), taken, last), taken + 1):
            share = self._take_step(batch, epoch, asked)
            samples, tokens = samples + share.samples, tokens + share.tokens
            end = asked = time.monotonic_ns()
            checkpoint_due = self.step % self.config.checkpoint_steps == 0
            if checkpoint_due or number == last:
                steps = number - taken
                self.writer.emit(
                    Epoch(
                        index=epoch,
                        begin_ns=begin,
                        end_ns=end,
                        steps=steps,
                        samples=samples,
                        tokens=tokens,
                        fraction=steps / self.batches.steps_per_epoch,
                    )
                )
            if checkpoint_due and number < last:
                self._checkpoint(Position(self.step, epoch, number), epoch)
                asked = time.monotonic_ns()

    def _take_step(self, batch: Batch, epoch: int, asked_ns: int) -> Batch:
        """One optimiser step on ``batch``, requested at ``asked_ns``, and its event; returns this rank's share."""
        got_ns = time.monotonic_ns()
        factor = learning_rate_factor(self.step, self.steps, self.config)
        loss, norm, finite = learn(self.workers, self.optimizers, batch, factor, self.config.max_grad_norm, self.dtype)
        self.skipped += not finite
        self.step += 1
        end_ns = time.monotonic_ns()
        share = batch.share(ranks.rank(), ranks.count())
        self.writer.emit(
            Step(
                step=self.step,
                epoch=epoch,
                samples=share.samples,
                tokens=share.tokens,
                duration_ns=end_ns - asked_ns,
                data_wait_ns=got_ns - asked_ns,
                loss=loss.item() if finite else None,
                finite=finite,
                skipped=not finite,
                grad_norm=norm.item() if finite else None,
                lr=factor * self.config.matrix_lr,
                comm_wait_ns=0 if ranks.count() == 1 else None,  # what waits for what within a step is not seen
                flops=self._flops(share),
            )
        )
        self.throughput.add(loss.item(), (end_ns - asked_ns) / NS_PER_S, batch.tokens, self._flops(batch))
        return share

    def _flops(self, batch: Batch) -> int:
        return step_flops(self.spec, batch.tokens, batch.answers, batch.ids.shape[1], self.config.lora_rank)

    def _evaluate(self, epoch: int) -> None:
        """By rank 0, which has the whole model for it; the others wait. Before training (0) nothing is asked."""
        model = whole(self.model, self._shapes, self.device) if self.tasks or self.held_out else None
        if model and epoch:
            validate(model, self.spec, self.chat, self.tasks, self._decode, self.writer, epoch)
        if model and self.held_out:
            loss = held_out_loss(
                model, self.held_out, self.config.batch_tokens, self.dtype, epoch=epoch, step=self.step
            )
            self.writer.emit(loss)
            self.held_out_rates = rates(loss)
            shown = [f"{value:.3f} {unit.replace('_', ' ')}" for unit, value in self.held_out_rates.items()]
            self._say(f"epoch {epoch}  held-out text: {', '.join(shown) or 'the loss is not finite'}")
        ranks.wait()

    def _export(self) -> str:
        """Write the model folder; return the weights' SHA-256. Rank 0's work: the others return nothing."""
        model = whole(self.model, self._shapes, torch.device("cpu"))
        if not model:
            return ""
        lora.merge(model)
        folder.export(model, self.spec, self._run.tokenizer, self._run.model)
        return sha256(*folder.weight_files(self._run.model))

    def _checkpoint(self, position: Position, epoch: int = 0) -> None:
        with self._section("checkpoint", epoch):
            self.writer.flush(sync=True)  # the log must hold every step that a resume will not repeat
            where = self._run.checkpoints
            with progress("writing a checkpoint"):
                checkpoint.save(
                    where,
                    self.model,
                    self.optimizers,
                    position,
                    self.writer.attempt,
                    self.config,
                    self.spec,
                    self.hashes,
                    self.threads if ranks.count() == 1 else None,
                )
            if not ranks.rank():
                checkpoint.prune(where, self.config.keep_checkpoints)
            ranks.wait()

    @contextlib.contextmanager
    def _section(self, name: str, epoch: int = 0) -> Iterator[None]:
        begin = time.monotonic_ns()
        yield
        self.writer.emit(Section(name=name, begin_ns=begin, end_ns=time.monotonic_ns(), epoch=epoch))
