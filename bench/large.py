"""internlm-large, served in 4 bits: ``python bench/large.py [--divide N] [--turns N] [--out FOLDER] [--keep]``.

Writes a stock folder of its shape with random weights in bfloat16 shards (24.6 GB; one shard is in memory at a time)
unless FOLDER has it, serves it with ``shosei serve --weights int4 --slots 1 --context 1024 --no-speculate``, asks it
through the ``openai`` client, streamed, and removes the folder. Prints how long loading took, the engine's peak memory
beside the plan, tokens a second, and how much of the read bandwidth of that minute that is. ``--divide 8`` takes an
eighth of the widths and heads: a trial.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import openai
import psutil
from random_model import write_random
from serving.formats import verdict
from serving.machine import measured_bandwidth

from shosei.log import RunBegin, Sample, Section, read_log
from shosei.proc import numbers
from shosei.quantity import shown_bytes
from shosei.spec import ModelSpec, preset
from shosei.spec.generation import WeightFormat, decode_seconds, generation_memory

CONTEXT, NEW = 1024, 64
SHARE_GOAL, PEAK_GOAL = 0.9, 10_500_000_000
QUESTION = [{"role": "user", "content": "今天天气怎么样？東京の天気は？"}]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--divide", type=int, default=1, help="Divide widths and heads.")
    options.add_argument("--out", type=Path, help="Folder to work in (default: a temporary one).")
    options.add_argument("--turns", type=int, default=3, help="Answers that are timed (default: 3).")
    options.add_argument("--keep", action="store_true", help="Leave the folder.")
    given = options.parse_args()
    out = given.out or Path(tempfile.mkdtemp(prefix="shosei-large-"))
    try:
        spec = divided(preset("internlm-large"), given.divide)
        if not (out / "model").is_dir():
            begin = time.monotonic()
            write_random(spec, out / "model", QUESTION[0]["content"])
            size = sum(file.stat().st_size for file in (out / "model").glob("*.safetensors"))
            print(f"{shown_bytes(size)} written in {time.monotonic() - begin:.0f} s", flush=True)
        measure(spec, out, given.turns)
    finally:
        if given.keep:
            print(f"kept: {out}")
        else:
            shutil.rmtree(out)


def divided(spec: ModelSpec, by: int) -> ModelSpec:
    return replace(
        spec,
        d_model=spec.d_model // by,
        intermediate_size=spec.intermediate_size // by,
        n_heads=spec.n_heads // by,
        n_kv_heads=spec.n_kv_heads // by,
    )


def measure(spec: ModelSpec, out: Path, turns: int) -> None:
    run = Path(tempfile.mkdtemp(prefix="run-", dir=out))
    command = [sys.executable, "-m", "shosei", "serve", str(out / "model"), "--weights", "int4", "--slots", "1"]
    # Random weights soon repeat themselves, and a guessed token reads none of them.
    command += ["--context", str(CONTEXT), "--no-speculate", "--port", "0", "--run", str(run), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            client = openai.OpenAI(base_url=json.loads(server.stdout.readline())["url"] + "/v1", api_key="none")
            ask(client, 1)
            rates, bandwidths = [], []
            for _ in range(turns):
                bandwidths.append(measured_bandwidth())
                rates.append(NEW / (ask(client, NEW + 1) - ask(client, 1)))
            high_water = peak_resident(server.pid)
        finally:
            server.terminate()
    log = read_log(run / "log")
    (load,) = log.of(Section)
    pss = max(sample.pss_bytes or 0 for sample in log.of(Sample) if sample.name == "engine")
    planned = generation_memory(spec, 1, CONTEXT, WeightFormat.INT4)
    seconds_a_byte = decode_seconds(spec, 0, 1, weights=WeightFormat.INT4)
    share = median(rate * seconds_a_byte / bandwidth for rate, bandwidth in zip(rates, bandwidths, strict=True))
    config = next(begin.config for begin in log.of(RunBegin) if begin.verb == "engine")
    print(
        f"{spec.params:,} parameters, {config['weights']}, {config['slots']} x {config['context']} tokens, "
        f"{config['threads']} threads\n"
        f"loaded in {(load.end_ns - load.begin_ns) / 1e9:.1f} s\n"
        f"engine's peak: {shown_bytes(high_water)} resident, {shown_bytes(pss)} proportional as sampled; planned "
        f"{shown_bytes(planned.peak)}; goal ≤ {shown_bytes(PEAK_GOAL)}: {verdict(pss <= PEAK_GOAL)}\n"
        f"{median(rates):.2f} tokens/s ({', '.join(f'{each:.2f}' for each in rates)}) at a read bandwidth of "
        f"{', '.join(f'{each / 1e9:.1f}' for each in bandwidths)} GB/s: {share:.0%} of it (goal ≥ {SHARE_GOAL:.0%}: "
        f"{verdict(share >= SHARE_GOAL)})"
    )


def ask(client: openai.OpenAI, tokens: int) -> float:
    """Seconds of one streamed answer of so many tokens."""
    begin = time.monotonic()
    stream = client.chat.completions.create(
        model=client.models.list().data[0].id,
        messages=QUESTION,
        max_tokens=tokens,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    used = [chunk.usage.completion_tokens for chunk in stream if chunk.usage]
    assert used == [tokens], f"{used} tokens came, {tokens} were asked for"
    return time.monotonic() - begin


def peak_resident(server: int) -> int:
    """The high-water mark of the engine's resident set, in bytes; a spare engine, which has no model, has less."""
    engines = [child for child in psutil.Process(server).children() if "engine" in child.cmdline()]
    return max(numbers(f"/proc/{engine.pid}/status")["VmHWM"] for engine in engines)


if __name__ == "__main__":
    main()
