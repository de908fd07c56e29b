"""Our engine and transformers' ``generate`` on the same exported folder, by turns: ``python bench/engine.py [MODEL]``.

Prints, for one thread: tokens a second at several batch sizes (medians of five turns each) with the ratio; how far one
stream is from the time that reading the weights alone takes; and the time from starting the engine to its greeting.
Without MODEL, a random ``nano`` is exported to a temporary folder.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from transformers import LlamaForCausalLM

from shosei.engine.client import EngineClient
from shosei.engine.engine import answer_greedily
from shosei.model import folder
from shosei.model.device import this_machine
from shosei.model.transformer import Transformer
from shosei.spec import preset

TURNS = 5
PROMPT, NEW = 40, 64


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        model_folder = Path(sys.argv[1]) if len(sys.argv) > 1 else random_nano(Path(scratch))
        start = time.perf_counter()
        model, _ = folder.load(model_folder, dtype=None)
        loaded = time.perf_counter() - start
        model.pack()
        theirs = LlamaForCausalLM.from_pretrained(model_folder, dtype=model.norm.weight.dtype).eval()
        theirs.generation_config.eos_token_id = None
        torch.set_num_threads(1)  # as the engine chooses for a small model
        for batch in (1, 8, 32):
            compare(model, theirs, batch)
        limit(model)
        print(f"weights into memory {loaded:.3f} s; process start to greeting {greeting(model_folder, scratch):.2f} s")


def compare(model: Transformer, theirs: LlamaForCausalLM, batch: int) -> None:
    spec = model.spec
    prompts = torch.randint(0, spec.vocab_size, (batch, PROMPT), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(prompts)

    def shosei() -> object:
        return answer_greedily(model, spec, prompts.tolist(), [NEW] * batch, [], slots=batch)

    def transformers() -> object:
        return theirs.generate(prompts, attention_mask=mask, max_new_tokens=NEW, do_sample=False, pad_token_id=0)

    shosei(), transformers()
    speeds: dict[str, list[float]] = {"shosei": [], "transformers": []}
    for _ in range(TURNS):
        for call in (shosei, transformers):
            start = time.perf_counter()
            call()
            speeds[call.__name__].append(batch * NEW / (time.perf_counter() - start))
    ours, other = (statistics.median(values) for values in speeds.values())
    print(
        f"batch {batch:2}: shosei {ours:7,.0f} tokens/s, transformers {other:7,.0f} tokens/s, ratio {ours / other:.2f}"
    )


def limit(model: Transformer) -> None:
    """One stream must read every matrix once a token: the least time for that, beside what a token takes."""
    spec = model.spec
    weight_bytes = spec.matmul_params * next(iter(model.parameters())).element_size()
    times = []
    for _ in range(TURNS):
        start = time.perf_counter()
        answer_greedily(model, spec, [[1] * PROMPT], [NEW], [])
        times.append((time.perf_counter() - start) / NEW)
    bandwidth, token = this_machine().bandwidth, statistics.median(times)
    print(
        f"one stream: {weight_bytes / 1e6:.1f} MB of weights a token at {bandwidth / 1e9:.1f} GB/s is "
        f"{weight_bytes / bandwidth * 1e3:.2f} ms at least; measured {token * 1e3:.2f} ms"
    )


def greeting(model_folder: Path, scratch: str) -> float:
    socket = Path(scratch) / "engine.sock"
    start = time.perf_counter()
    command = [sys.executable, "-m", "shosei", "engine", "--model", str(model_folder), "--socket", str(socket)]
    process = subprocess.Popen(command)

    async def wait() -> None:
        await (await EngineClient.connect(socket, 120)).close()

    try:
        asyncio.run(wait())
        return time.perf_counter() - start
    finally:
        process.terminate()
        process.wait()


def random_nano(scratch: Path) -> Path:
    spec = preset("nano")
    torch.manual_seed(0)
    model = Transformer(spec)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.05)
    tokenizer = scratch / "tokenizer"
    tokenizer.mkdir()
    added = {"added_tokens": [{"id": 1, "content": "<|im_end|>"}], "model": {"vocab": {}}}
    (tokenizer / "tokenizer.json").write_text(json.dumps(added))
    (tokenizer / "tokenizer_config.json").write_text("{}")
    folder.export(model, spec, tokenizer, scratch / "model")
    return scratch / "model"


if __name__ == "__main__":
    main()
