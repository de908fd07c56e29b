"""A model from its shape to an answer: ``python bench/models.py [PRESET …] [--text PATH] [--steps 20] [--out FOLDER]``.

Without PRESET: ja-small, internlm-tiny, ja-large, and internlm-large at an eighth of its width. For each, the public
verbs as processes, each printed: data (generated, or ``--text``), a tokenizer with as many entries as the model has
rows, training under the supervisor, the reload bit by bit, an export in bfloat16, serving, answers through the
``openai`` client, the card. Then a row of docs/models.md and the same as JSON.

What is known of the run is read from its log and card: losses, steps and rates as the trainer wrote them, the peaks of
memory as the supervisor saw them. Only decoding is timed here, with a text that the model goes on with for long, beside
the time that reading the weights takes. Of models with a large vocabulary, the peak of
a bare step is measured as ``bench/plan.py`` does, with the logits in chunks and whole.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plan
import torch
from model_rows import Decoded, Row, row
from openai import AsyncOpenAI, OpenAI
from safetensors import safe_open

from shosei.log import Run, open_run
from shosei.model import folder
from shosei.spec import ModelSpec, preset
from shosei.spec.generation import decode_seconds
from shosei.spec.training import TrainingStep
from shosei.train.checkpoint import WEIGHTS, checkpoints
from shosei.verbs import VerbFailed, Verbs, command
from shosei.wire.endpoint import listen

READY_S = 600.0
QUESTION = [{"role": "user", "content": "3 + 4 等于多少？"}]
STREAMS, TOKENS = (1, 8), 128
LARGE_VOCABULARY = 100_000
BARE_STEP = TrainingStep(2, 512, "adamw")
# So little trained, a model ends most answers at once or never: which, depends on what it is given.
BEGINNINGS = [
    first + second
    for second in ("", "の", " the", "1", "\n")
    for first in ("def", "一", "あ", "a b", "1 2", "今日", "x")
]
EIGHTH = Path(__file__).parents[1] / "examples" / "internlm-large-eighth.toml"


@dataclass(frozen=True)
class Choice:
    """Conversations of a step, or rows of 512 tokens of text; the peak learning rates of matrices and tables."""

    conversations: int
    rows: int
    matrix_lr: float
    table_lr: float


# AdamW throughout: at so few tokens a step Muon's orthogonalisation takes longer than all the rest (`shosei plan`), and
# what its smaller state saves is needed for none of these within 24 GB. Rows and tokens: what two cores do in half a
# minute a step. The rates fall with the width; those of the recipe are for nano's 192.
CHOICES = {
    "ja-small": Choice(16, 4, 3e-4, 1e-3),
    "internlm-tiny": Choice(16, 2, 3e-4, 1e-3),
    "ja-large": Choice(8, 1, 1e-4, 5e-4),
    "internlm-large-eighth": Choice(16, 2, 3e-4, 1e-3),
}
CAUTIOUS = Choice(4, 1, 1e-4, 5e-4)
SEQUENCE = 512


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("presets", nargs="*", default=["ja-small", "internlm-tiny", "ja-large", str(EIGHTH)])
    options.add_argument("--text", help="Train on these files instead of generated conversations.")
    options.add_argument("--steps", type=int, default=20)
    options.add_argument("--out", type=Path, help="Keep the run folders there.")
    given = options.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in given.presets:
            spec = preset(name)
            try:
                rows.append(measured(name, spec, (given.out or Path(scratch)) / spec.name, given.text, given.steps))
            except VerbFailed as failure:
                sys.exit(f"exit code {failure.code}: {failure.command}")
            print(json.dumps(rows[-1].values(), ensure_ascii=False), flush=True)
    print("\n".join(["", *Row.header(), *(one.line() for one in rows)]))


def measured(name: str, spec: ModelSpec, out: Path, text: str | None, steps: int) -> Row:
    run = open_run(out, must_exist=False)
    seconds: dict[str, float] = {}
    with run.recording("bench", new_attempt=True) as record:
        verbs = Verbs(record.writer.attempt)
        made = ["--text", text] if text else ["--set", "data.validation_tasks=1"]
        seconds["data"] = verbs.run("data", "data", "--run", str(out), *made)
        rows = ("--vocab-size", str(spec.vocab_size))
        seconds["tokenizer"] = verbs.run("tokenizer", "tokenizer", "--run", str(out), *rows)
        train = command("train", "--run", str(out), "--preset", name, *settings(spec, bool(text), steps))
        supervise = ("--run", str(out), "--name", "train", "--max-restarts", "0")
        seconds["train"] = verbs.run("train", "supervise", *supervise, "--", *train)
        params = reloaded(run, spec)
        served = out / "bf16"
        seconds["export"] = verbs.run("export", "export", str(out), str(served), "--type", "bf16")
        with listen("127.0.0.1", 0) as free:
            port = free.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        serve = ("serve", str(served), "--run", str(out), "--port", str(port), "--slots", str(max(STREAMS)))
        bandwidths = [read_bandwidth(name)]
        with verbs.serving(url, READY_S, *serve) as seconds["serve"]:
            answered(url, spec.name)
            prompt = beginning(url, spec.name)
            answers = {streams: asyncio.run(decode(url, spec.name, prompt, streams)) for streams in STREAMS}
        bandwidths.append(read_bandwidth(name))
    seconds["card"] = verbs.run("card", "card", str(out))
    decoded = []
    for streams, (rate, context) in answers.items():
        least = decode_seconds(spec, context, max(bandwidths), streams)
        decoded.append(Decoded(streams, rate, streams / least))
    return row(run, spec, params, served, decoded, logits(spec), seconds)


def settings(spec: ModelSpec, text: bool, steps: int) -> list[str]:
    choice = CHOICES.get(spec.name, CAUTIOUS)
    values: dict[str, object] = {
        "max_steps": steps,
        "batch_size": choice.rows if text else choice.conversations,
        "optimizer": "adamw",
        "matrix_lr": choice.matrix_lr,
        "table_lr": choice.table_lr,
    }
    if text:
        values["sequence"] = SEQUENCE
    return [word for key, value in values.items() for word in ("--set", f"train.{key}={json.dumps(value)}")]


def reloaded(run: Run, spec: ModelSpec) -> int:
    """Parameters in the exported folder, which must be the last checkpoint's, in the file and loaded, bit by bit."""
    model, _ = folder.load(run.model, dtype=None)
    state = model.state_dict()
    files = {"checkpoint": [checkpoints(run.checkpoints)[-1] / WEIGHTS], "folder": folder.weight_files(run.model)}
    for what, parts in files.items():
        params = 0
        for part in parts:
            with safe_open(part, "pt") as tensors:
                for name in tensors.keys():  # noqa: SIM118  (a handle, no dictionary)
                    tensor, loaded = tensors.get_tensor(name), state[name.removeprefix("model.")]
                    if not torch.equal(tensor.view(torch.uint8), loaded.view(torch.uint8)):
                        sys.exit(f"{spec.name}: {name} in the {what} is not what was loaded")
                    params += tensor.numel()
        if params != spec.params:
            sys.exit(f"{spec.name}: {params:,} parameters in the {what}, {spec.params:,} on paper")
    print(f"reloaded: {params:,} parameters, in checkpoint, folder and memory bit by bit the same", flush=True)
    return params


def logits(spec: ModelSpec) -> list[int]:
    """Peak bytes of a step with the logits in chunks, and with all of them at once; nothing where they are few."""
    if spec.vocab_size < LARGE_VOCABULARY:
        return []
    os.environ[plan.GIVES_BACK] = str(1 << 20)
    peaks = [plan.measured(work, spec, BARE_STEP)[0] for work in (plan.train, plan.train_with_all_logits)]
    del os.environ[plan.GIVES_BACK]
    return peaks


def read_bandwidth(name: str) -> float:
    """Bytes a second that this machine reads now, as the plan measures it."""
    done = subprocess.run(command("plan", name, "--json"), check=True, capture_output=True)
    return float(json.loads(done.stdout)["plans"][0]["device"]["bandwidth"])


def answered(url: str, model: str) -> None:
    """Ask once for a whole answer and once for a streamed one: they must be the same."""
    ask: dict[str, Any] = {"model": model, "messages": QUESTION, "max_tokens": 16, "temperature": 0}
    with OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        whole = client.chat.completions.create(**ask).choices[0].message.content
        chunks = list(client.chat.completions.create(**ask, stream=True))
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    if whole != streamed:
        sys.exit(f"{model}: answered {whole!r}, and streamed {streamed!r}")
    print(f"answered, whole and in {len(chunks)} chunks: {whole!r}", flush=True)


def beginning(url: str, model: str) -> str:
    """The text that ``model`` goes on with for TOKENS tokens, or else for longest."""
    longest = (0, "")
    with OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        for prompt in BEGINNINGS:
            answer = client.completions.create(model=model, prompt=prompt, max_tokens=TOKENS, temperature=0)
            longest = max(longest, (answer.usage.completion_tokens, prompt))
            if longest[0] == TOKENS:
                break
    return longest[1]


async def decode(url: str, model: str, prompt: str, streams: int) -> tuple[float, int]:
    """Tokens a second of ``streams`` answers at once after their first token, and the tokens each had seen half-way."""
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:

        async def timed(tokens: int) -> tuple[float, Any]:
            """Seconds until all streams had so many tokens, and what one of them used."""
            begin = time.monotonic()
            asked = [
                client.completions.create(model=model, prompt=prompt, max_tokens=tokens, temperature=0)
                for _ in range(streams)
            ]
            answers = await asyncio.gather(*asked)
            return time.monotonic() - begin, answers[0].usage

        await timed(TOKENS)  # the first connects
        first, _ = await timed(1)
        seconds, used = await timed(TOKENS)
    rate = streams * (used.completion_tokens - 1) / (seconds - first)
    return rate, used.prompt_tokens + used.completion_tokens // 2


if __name__ == "__main__":
    main()
