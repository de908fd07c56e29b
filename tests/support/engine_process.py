"""A small model of random weights, and the engine process on it behind a socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from model_samples import peaked_model
from shosei.engine.client import EngineClient
from shosei.engine.protocol import Hello
from shosei.model import folder
from shosei.spec import ModelSpec

SPEC = ModelSpec(
    name="small",
    vocab_size=300,
    d_model=48,
    n_layers=2,
    intermediate_size=96,
    n_heads=4,
    n_kv_heads=1,
    head_dim=16,
    tied=True,
    rope_theta=1e4,
    context_length=4000,
)


def make_engine_model(root: Path) -> Path:
    """A model folder whose tokenizer is no more than an end."""
    (root / "tokenizer").mkdir()
    tokenizer = {"added_tokens": [{"id": 1, "content": "<|im_end|>"}], "model": {"vocab": {}}}
    (root / "tokenizer/tokenizer.json").write_text(json.dumps(tokenizer))
    (root / "tokenizer/tokenizer_config.json").write_text("{}")
    folder.export(peaked_model(SPEC, seed=2), SPEC, root / "tokenizer", root / "model")
    return root / "model"


@contextlib.contextmanager
def engine_process(model_folder: Path, socket: Path, slots: int = 4, **env: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "shosei", "engine", "--model", model_folder, "--socket", socket, "--slots", str(slots)],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | env,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def engine_at_work(model_folder: Path) -> Iterator[Path]:
    """The socket of an engine that is ready. Its path is short: a Unix socket's may not be long, and pytest's are."""
    with tempfile.TemporaryDirectory() as short:
        path = Path(short) / "engine.sock"
        with engine_process(model_folder, path):
            asyncio.run(greeting(path))
            yield path


async def greeting(path: Path) -> Hello:
    client = await EngineClient.connect(path, 60)
    await client.close()
    return client.hello
