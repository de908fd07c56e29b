"""The server of ``bench/soak.py``: a small model, ``shosei serve`` on it, and what is done to them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import psutil
import torch
from scipy.stats import theilslopes

from shosei.model import folder
from shosei.model.transformer import Transformer
from shosei.spec import preset
from shosei.text import Tokenizer
from shosei.wire.api_keys import ApiKey, digest_of, entry_of, new_key

SLOTS, CONTEXT = 8, 1024
VERBS = {"front": "http", "engine": "engine"}
# A process grows for minutes, ever more rarely: by the shapes that oneDNN compiles for, by its largest bursts.
WARM_UP_S = 240.0
_DISK_BYTES = 256 << 20
_BLOCKS = 30  # means of so many stretches: neighbouring samples say the same


def make_model(root: Path) -> Path:
    """A model whose answers are nonsense, but which takes the engine some milliseconds a token."""
    tokenizer = Tokenizer.train(["今天天气怎么样？你好，世界。", "東京の天気は？こんにちは、世界。"] * 2, 320)
    tokenizer.save(root / "tokenizer")
    spec = replace(preset("nano"), vocab_size=tokenizer.vocab_size, context_length=CONTEXT)
    torch.manual_seed(1)
    folder.export(Transformer(spec), spec, root / "tokenizer", root / "model")
    return root / "model"


def make_keys(path: Path, kinds: list[str]) -> dict[str, str]:
    """A key for each kind of client, so that the log tells them apart."""
    keys = {kind: new_key() for kind in kinds}
    path.write_text("".join(entry_of(ApiKey(kind, digest_of(key))) for kind, key in keys.items()))
    return keys


@contextlib.contextmanager
def small_disk(path: Path) -> Iterator[bool]:
    """Whether ``path`` is a file system of its own, which can be filled; it takes root to make one."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "shosei-soak", str(path)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(path)], check=False)


@dataclass
class Server:
    """A running ``shosei serve``; its children change as they are killed."""

    process: psutil.Process
    port: int
    run: Path
    # By child: process, second, bytes that no file and no shared mapping backs. The engine's cache is shared memory of
    # a size that is fixed from the start, and its pages are touched for the first time over minutes.
    own: dict[str, list[tuple[int, float, int]]] = field(default_factory=dict)

    def child(self, name: str) -> psutil.Process:
        """The child that does the work: of two, the second is a spare. Raises psutil.NoSuchProcess."""
        children = [each for each in self.process.children() if VERBS[name] in _command(each)]
        if not children:
            raise psutil.NoSuchProcess(0, name)
        return min(children, key=lambda each: each.create_time())

    def sample(self) -> None:
        for name in VERBS:
            with contextlib.suppress(psutil.Error):
                child = self.child(name)
                memory = child.memory_info()
                sample = (child.pid, time.monotonic(), memory.rss - memory.shared)
                self.own.setdefault(name, []).append(sample)

    def fill_disk(self) -> Path:
        """Fill the run folder's disk; to be removed again is the file that does it."""
        filler = self.run / "filler"
        with filler.open("wb") as file, contextlib.suppress(OSError):
            for size in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while True:
                        os.write(file.fileno(), bytes(size))
        return filler

    def memory(self, name: str, since_s: float) -> Slope | None:
        """How the memory of the process that lived to the end grew since then; None where that is too short to say."""
        chosen = [(at, size) for at, size in self._of_last(name) if at >= since_s]
        return Slope.of(chosen) if len(chosen) >= _BLOCKS else None

    def warm_s(self, name: str) -> float:
        """When the process that lived to the end is past its first minutes."""
        return next((at for at, _ in self._of_last(name)), 0.0) + WARM_UP_S

    def _of_last(self, name: str) -> list[tuple[float, int]]:
        samples = self.own.get(name, [])
        return [(at, size) for pid, at, size in samples if pid == samples[-1][0]]


@dataclass(frozen=True)
class Slope:
    """Bytes a second by Theil and Sen, with a 95 % interval, over ``seconds``."""

    level: float
    median: float
    low: float
    high: float
    seconds: float

    @classmethod
    def of(cls, samples: list[tuple[float, int]]) -> Slope:
        seconds, sizes = np.array(samples, dtype=float).T
        x, y = (np.array([block.mean() for block in np.array_split(values, _BLOCKS)]) for values in (seconds, sizes))
        median, _, low, high = theilslopes(y, x, 0.95)
        return cls(*map(float, (np.median(y), median, low, high, x[-1] - x[0])))

    @property
    def surely_grown(self) -> float:
        """Bytes that it has grown by at the least, over the time looked at."""
        return max(0.0, self.low * self.seconds)

    def __str__(self) -> str:
        per_hour = ", ".join(f"{slope * 3600 / 1e6:+.1f}" for slope in (self.low, self.high))
        return f"{self.level / 1e6:.0f} MB, {self.median * 3600 / 1e6:+.1f} MB an hour [{per_hour}]"


@contextlib.contextmanager
def serving(model: Path, run: Path, keys: Path, errors: Path) -> Iterator[Server]:
    """``shosei serve`` once it is ready; it is ended as an operator would end it."""
    command = [sys.executable, "-m", "shosei", "serve", str(model), "--run", str(run), "--port", "0", "--json"]
    command += ["--slots", str(SLOTS), "--api-keys", str(keys), "--drain-s", "5"]
    with errors.open("wb") as said, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True) as server:
        assert server.stdout
        try:
            url = json.loads(server.stdout.readline())["url"]
            yield Server(psutil.Process(server.pid), int(url.rsplit(":", 1)[1]), run)
        finally:
            server.terminate()
            server.wait()


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
