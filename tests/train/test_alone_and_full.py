"""What a training shares with others: its run folder, of which it must be the only trainer, and the disk."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from progress_display import but_progress
from shosei.files import sha256
from shosei.log import Run, Step, attempts, read_log
from shosei.spec.shape import write_shape
from shosei.train.checkpoint import checkpoints, read_manifest
from supervised import eventually
from train_samples import TINY, make_run

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = make_run(tmp_path / "run")
    made.log.mkdir()
    write_shape(TINY, tmp_path / "tiny.toml")
    return made


def settings(run: Run, *words: str) -> list[str]:
    named = [f"train.preset={run.folder.with_name('tiny.toml')}", "train.threads=1", "train.dtype=float32", *words]
    return ["--run", str(run.folder), *(word for setting in named for word in ("--set", setting))]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a training, or another verb; end what still runs after the test."""
    started = []

    def begin(*arguments: str, before: str = "", verb: str = "train") -> subprocess.Popen[str]:
        program = f"{before}\nimport sys\nfrom shosei.cli.main import main\nmain(sys.argv[1:])"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOSEI_")}
        command = [sys.executable, "-c", program, verb, *arguments]
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def steps(run: Run) -> int:
    return len(read_log(run.log).of(Step)) if attempts(run.log) else 0


def test_a_second_trainer_is_refused_before_it_touches_anything(run: Run, start: Start) -> None:
    for_ever = settings(run, "train.epochs=100000", "train.checkpoint_steps=5")
    first = start(*for_ever)
    assert eventually(lambda: len(checkpoints(run.checkpoints)) > 1)
    before, data = attempts(run.log), sha256(run.data / "train.jsonl")
    dialogues = run.folder.with_name("mine.jsonl")
    dialogues.write_text("{}\n")
    for more in ([], ["--dialogues", str(dialogues)]):
        second = start(*for_ever, *more)
        _, said = second.communicate(timeout=120)
        assert second.returncode == 2
        [line] = but_progress(said)
        assert line == f"shosei: another 'shosei train' is at work in {run.folder}: let it end, or name another folder"
    ranks = start(*for_ever, "--ranks", "2")
    _, said = ranks.communicate(timeout=120)
    assert (ranks.returncode, said.count("another 'shosei train' is at work")) == (2, 1), said
    for verb in ("data", "tokenizer"):  # they would change what it learns from
        _, said = start("--run", str(run.folder), verb=verb).communicate(timeout=120)
        assert said.splitlines()[-1].startswith(f"shosei: 'shosei train' is at work in {run.folder}: let it end"), said
    assert (attempts(run.log), sha256(run.data / "train.jsonl")) == (before, data)
    assert first.poll() is None
    assert checkpoints(run.checkpoints)

    first.kill()
    first.wait()
    third = start(*settings(run, "train.max_steps=2"))
    third.communicate(timeout=120)
    assert third.returncode == 0, "a killed trainer's lock is nobody's"


@pytest.mark.skipif(sys.platform == "darwin", reason="limits of files end a process there")
def test_a_full_disk_ends_it_in_one_line_and_leaves_the_last_checkpoint_whole(run: Run, start: Start) -> None:
    """A limit on the size of files stands for the disk: the third checkpoint finds no place."""
    no_more = """
import resource
from shosei.train import trainer
save = trainer.checkpoint.save
def save_or_fail(*arguments):
    if arguments[3].step == 6:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
    return save(*arguments)
trainer.checkpoint.save = save_or_fail
"""
    training = start(*settings(run, "train.max_steps=8", "train.checkpoint_steps=2"), before=no_more)
    _, said = training.communicate(timeout=120)
    assert training.returncode == 2, said
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("shosei: ")
    assert str(run.checkpoints / "step-000006") in said
    assert [path.name for path in checkpoints(run.checkpoints)] == ["step-000002", "step-000004"]
    newest = checkpoints(run.checkpoints)[-1]
    for name, digest in read_manifest(newest).files.items():
        assert sha256(newest / name) == digest
    assert not [path for path in run.folder.rglob(".*") if path.suffix in (".tmp", ".old")]
    again = {"SHOSEI_ATTEMPT": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "shosei", "train", *settings(run, "train.max_steps=8", "train.checkpoint_steps=2")],
        capture_output=True,
        text=True,
        env=os.environ | again,
    )
    assert done.returncode == 0, done.stderr
    assert "going on from step 4" in done.stderr
