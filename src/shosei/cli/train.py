"""``shosei train``: from a run's data and tokenizer to its model folder."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shosei.cli.common import JsonOption, RunOption, load_torch, result, say
from shosei.errors import EXIT_OK
from shosei.progress import shown_on
from shosei.wrong_path import MODEL, wrong_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shosei.data.dialogues import Dialogue
    from shosei.log import Run
    from shosei.train import TrainConfig


def train(
    context: typer.Context,
    run_folder: RunOption = None,
    dialogues: Annotated[
        Path | None,
        typer.Option(
            help="Conversations, put into the run as its training data: JSON Lines, a JSON array or Parquet, also .gz, "
            "in OpenAI's, ShareGPT's or Alpaca's form, or of prompt and completion.",
            show_default=False,
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            "--ranks",
            min=1,
            help="Processes of this host, a device each, that share every batch (torchrun).",
            show_default=False,
        ),
    ] = None,
    nodes: Annotated[int, typer.Option(min=1, help="Hosts with --ranks each; start it on all.")] = 1,
    rendezvous: Annotated[
        str | None,
        typer.Option("--rdzv", metavar="HOST:PORT", help="Where the hosts meet: a port of one.", show_default=False),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Tell of FLOP/s beside the GEMM peak, too.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Train a preset on the run's data; write checkpoints, and the model as a Hugging Face folder.

    On several devices, or several hosts that share the run's folder: --ranks.

    Begins a new run where --init names a model and --dialogues what it is to learn; it takes the model's tokenizer.

    A training that was ended goes on from its newest checkpoint under 'shosei supervise', or with SHOSEI_ATTEMPT=N;
    else it starts from the beginning.
    """
    from dataclasses import asdict

    load_torch()
    from shosei.cli import torchrun
    from shosei.config import save
    from shosei.engine.engine import answer_greedily
    from shosei.model.licence import licence_files
    from shosei.train import TrainConfig, ranks
    from shosei.train.memory import keep_freed_memory
    from shosei.train.preparation import prepare
    from shosei.train.trainer import train as run_training

    config: TrainConfig = context.obj.load(TrainConfig)
    run = _open(run_folder, dialogues, config.init)
    torchrun.check_ranks(count, nodes, rendezvous)
    if count:
        arguments = ["--run", str(run.folder), *context.obj.words()]
        arguments += [flag for flag, given in (("--verbose", verbose), ("--json", as_json)) if given]
        arguments += ["--dialogues", str(dialogues)] if dialogues else []
        return torchrun.launch(["train", *arguments], count, nodes, rendezvous, run.name)
    with ranks.joined(), contextlib.ExitStack() as held:
        if ranks.rank():
            held.enter_context(shown_on(None))  # rank 0 speaks for all
            ranks.wait()  # until rank 0 has the data in place and has begun the attempt that all ranks record into
        else:
            held.enter_context(run.alone("train"))  # or it would remove the other's checkpoints
            if dialogues:
                _take(run, dialogues, config)
        again = False if ranks.rank() or ranks.started_again() else None
        prepared = prepare(config, run)
        licence = (
            licence_files(Path(config.init)) if config.init else {}
        )  # before the model, if it is the run's, is replaced
        with run.recording("train", "training", new_attempt=again, rank=ranks.rank(), **prepared.manifest()) as record:
            tuned = keep_freed_memory()
            if ranks.rank():
                trained = run_training(prepared, record.writer, answer_greedily)
            else:
                save(run.toml, "train", config)
                ranks.wait()
                if tuned:
                    say("malloc keeps what a step frees; set MALLOC_TRIM_THRESHOLD_ or the like to decide yourself")
                trained = run_training(prepared, record.writer, answer_greedily, say, verbose=verbose)
                for name, content in licence.items():
                    (run.model / name).write_bytes(content)
            record.hashes["model.safetensors"] = trained.sha256
        if ranks.rank():
            return EXIT_OK

    lines = [f"{trained.model}: {trained.steps} steps, {trained.skipped} skipped, sha256 {trained.sha256[:12]}"]
    if rates := trained.rates:
        lines.append(f"{rates['seconds_in_steps']:.0f} s in steps, {rates['tokens_per_second']:,.0f} tokens/s")
        if verbose:
            lines.append(f"{rates['gflops']:.0f} GFLOP/s of {rates['gemm_peak_gflops']:.0f} at the GEMM peak")
    if trained.held_out:
        lines.append("held-out text: {bits_per_character:.3f} bits per character".format_map(trained.held_out))
    result(asdict(trained), lines, as_json=as_json)
    return EXIT_OK


def _open(folder: Path | None, dialogues: Path | None, init: str) -> Run:
    """The run; a model to go on from and dialogues are all that a new one needs."""
    from shosei.log import open_run

    if not (dialogues and init):
        return open_run(folder)
    if not MODEL.is_at(Path(init)):
        raise wrong_path(Path(init), MODEL)
    return open_run(folder, must_exist=False)


@contextlib.contextmanager
def _tokenizer(run: Run, init: str) -> Iterator[Path]:
    """The folder of the run's tokenizer. A run without one gets the model ``init``'s if the block ends well."""
    from shosei.files import atomic_path, write_atomic
    from shosei.text.foreign import tokenizer_files

    if run.tokenizer.is_dir() or not init:
        yield run.tokenizer
        return
    files = tokenizer_files(Path(init))
    with atomic_path(run.tokenizer) as folder:
        for name, text in files.items():
            write_atomic(folder / name, text)
        yield folder


def _take(run: Run, file: Path, config: TrainConfig) -> None:
    """Make the dialogues in ``file`` the run's, if the model can learn from them."""
    from shosei.data.door import take_dialogues
    from shosei.data.examples import check_learnable
    from shosei.text import load_chat
    from shosei.train.preparation import shape_of

    with _tokenizer(run, config.init) as tokenizer:
        chat = load_chat(tokenizer)
        context = shape_of(config, chat.tokenizer.vocab_size).context_length

        def check(dialogues: Sequence[Dialogue]) -> None:
            check_learnable(dialogues, chat, context, config.too_long, config.strict)

        intake = take_dialogues(run, file, config.strict, check)
    for line in intake.lines():
        say(line)
