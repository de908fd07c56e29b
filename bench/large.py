"""internlm-large, served with 4-bit weights: ``python bench/large.py [--divide N] [--out FOLDER] [--keep]``.

Writes a stock folder of its shape with random weights in bfloat16 shards (24.6 GB; one shard is in memory at a time),
serves it with ``shosei serve --weights int4 --slots 1 --context 1024``, asks it through the ``openai`` client,
streamed, and removes the folder. Prints how long loading took, the engine's peak memory beside the plan, tokens a
second, and how much of the read bandwidth that is. ``--divide 8`` takes an eighth of the widths and heads: a trial.
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

import openai
import psutil
from random_model import write_random

from shosei.log import RunBegin, Sample, Section, read_log
from shosei.model.device import this_machine
from shosei.quantity import shown_bytes
from shosei.spec import ModelSpec, preset
from shosei.spec.generation import WeightFormat, decode_seconds, generation_memory, product_bytes

CONTEXT, NEW, TURNS = 1024, 64, 3
QUESTION = [{"role": "user", "content": "今天天气怎么样？東京の天気は？"}]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--divide", type=int, default=1, help="Divide widths and heads.")
    options.add_argument("--out", type=Path, help="Folder to work in (default: a temporary one).")
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
        bandwidth = this_machine().bandwidth
        measure(spec, out, bandwidth)
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


def measure(spec: ModelSpec, out: Path, bandwidth: float) -> None:
    run = out / "run"
    command = [sys.executable, "-m", "shosei", "serve", str(out / "model"), "--weights", "int4", "--slots", "1"]
    command += ["--context", str(CONTEXT), "--port", "0", "--run", str(run), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            client = openai.OpenAI(base_url=json.loads(server.stdout.readline())["url"] + "/v1", api_key="none")
            ask(client, 1)
            rates = [NEW / (ask(client, NEW + 1) - ask(client, 1)) for _ in range(TURNS)]
            high_water = peak_resident(server.pid)
        finally:
            server.terminate()
    log = read_log(run / "log")
    (load,) = log.of(Section)
    pss = max(sample.pss_bytes or 0 for sample in log.of(Sample) if sample.name == "engine")
    planned = generation_memory(spec, 1, CONTEXT, WeightFormat.INT4)
    rate = sorted(rates)[TURNS // 2]
    least = decode_seconds(spec, 0, bandwidth, weights=WeightFormat.INT4)
    read = product_bytes(spec, WeightFormat.INT4)
    config = next(begin.config for begin in log.of(RunBegin) if begin.verb == "engine")
    print(
        f"{spec.params:,} parameters, {config['weights']}, {config['slots']} x {config['context']} tokens, "
        f"{config['threads']} threads\n"
        f"loaded in {(load.end_ns - load.begin_ns) / 1e9:.1f} s\n"
        f"engine's peak: {shown_bytes(high_water)} resident, {shown_bytes(pss)} proportional as sampled; planned "
        f"{shown_bytes(planned.peak)}\n"
        f"{rate:.2f} tokens/s ({', '.join(f'{each:.2f}' for each in rates)}): {rate * read / 1e9:.1f} GB/s of weights; "
        f"at the read bandwidth of {bandwidth / 1e9:.1f} GB/s {1 / least:.2f} tokens/s at most"
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
    """The high-water mark of the engine's resident set, in bytes."""
    (engine,) = (child for child in psutil.Process(server).children() if "engine" in child.cmdline())
    lines = Path(f"/proc/{engine.pid}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])


if __name__ == "__main__":
    main()
