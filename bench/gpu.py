"""What a GPU computes, and what our meters say of it: ``python bench/gpu.py`` on any machine with CUDA, in 8 minutes.

Five parts: logits beside the CPU's, a step of the trainer, decoding (``shosei bench``), our GPU meters beside
``nvidia-smi``, and a supervised training whose card has GPU utilisation. A part that disagrees makes the exit code 1.
``--device cpu`` tries every part that a CPU can do; ``--only`` takes a part's name and may be repeated. What is not
reached within the time is said to be not measured.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from statistics import median
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from shosei.model.transformer import Transformer
    from shosei.spec import ModelSpec

WHOLE_S = 480.0
LOGIT_TOKENS = 256
# Of the logits' spread: how far the mean may be off. bfloat16 has 8 bits; float32 differs by the order of sums.
FARTHEST = {"float32": 1e-4, "bfloat16": 0.05}
STEPS, FARTHEST_LOSS = 4, 1e-3
METER_S, FARTHEST_PERCENT, FARTHEST_SHARE = 8, 15.0, 0.05
EXIT_DISAGREES, EXIT_INPUT = 1, 2


class NotMeasured(Exception):
    """What this machine cannot do; the words say why."""


class Failed(Exception):
    """A verb did not end well."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--preset", default="ja-small")
    parser.add_argument("--only", action="append", choices=list(PARTS), help="Repeatable (default: all).")
    given = parser.parse_args()
    if given.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # numbered as nvidia-smi does
    from shosei.errors import InputError

    try:
        _spec(given)
    except InputError as error:
        print(error, file=sys.stderr)
        return EXIT_INPUT
    import torch

    if given.device == "cuda" and not torch.cuda.is_available():
        print(f"no CUDA device: torch {torch.__version__} sees none; --device cpu tries the parts", file=sys.stderr)
        return EXIT_INPUT
    name = torch.cuda.get_device_name() if given.device == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}, {given.preset}", flush=True)
    agreed = [_ran(part, given) for part in given.only or PARTS]
    return 0 if all(agreed) else EXIT_DISAGREES


def _ran(part: str, given: argparse.Namespace) -> bool:
    """Run one part; whether what it found agrees."""
    began = time.monotonic()
    agrees = True
    try:
        if began - BEGAN > WHOLE_S:
            raise NotMeasured(f"{WHOLE_S:.0f} s are over")
        agrees, words = PARTS[part](given)
    except NotMeasured as reason:
        words = f"not measured: {reason}"
    except Exception as failure:  # the parts after it are worth their minutes all the same
        traceback.print_exc()
        agrees, words = False, f"failed: {type(failure).__name__}: {failure}"
    print(f"{part} ({time.monotonic() - began:.0f} s): {words}{'' if agrees else '  <- DISAGREES'}", flush=True)
    return agrees


def logits(given: argparse.Namespace) -> tuple[bool, str]:
    """A random model's logits on the device, in float32 and bfloat16, beside the CPU's in float32."""
    import torch

    model = _random_model(_spec(given))
    ids = torch.randint(0, model.spec.vocab_size, (1, LOGIT_TOKENS), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        truth = _logits(model, ids)
        findings = []
        for name, farthest in FARTHEST.items():
            model.to(given.device, getattr(torch, name))
            computed = _logits(model, ids.to(given.device)).float().cpu()
            off = ((computed - truth).abs().mean() / truth.std()).item()
            same = (computed.argmax(-1) == truth.argmax(-1)).float().mean().item()
            findings.append((off <= farthest, f"{name} off by {off:.1e} of their spread, {same:.1%} same best token"))
    return all(fine for fine, _ in findings), "; ".join(words for _, words in findings)


def _logits(model: Transformer, ids: Tensor) -> Tensor:
    return model.logits(model(ids))


def step(given: argparse.Namespace) -> tuple[bool, str]:
    """The trainer's own step: losses in float32 beside the CPU's, and the speed in the type that it would choose."""
    from shosei.model.device import compute_dtype, gemm_peak
    from shosei.spec import preset

    small = preset("nano")
    here, there = (_trained(small, device, "float32", 4, 64)[0] for device in (given.device, "cpu"))
    off = max(abs(a - b) / b for a, b in zip(here, there, strict=True))
    spec, dtype = _spec(given), compute_dtype("auto")
    rows, tokens = (16, 1024) if given.device == "cuda" else (2, 256)
    seconds = _trained(spec, given.device, str(dtype).removeprefix("torch."), rows, tokens)[1]
    flops = rows * tokens * spec.train_flops_per_token(tokens) / seconds
    return off <= FARTHEST_LOSS, (
        f"{STEPS} losses within {off:.1e} of the CPU's; {rows} x {tokens} tokens in {seconds * 1e3:.1f} ms, "
        f"{rows * tokens / seconds:,.0f} tokens/s, {flops / 1e12:.2f} TFLOP/s ({flops / gemm_peak(dtype):.0%} of the "
        f"GEMM peak in {dtype})"
    )


def _trained(spec: ModelSpec, device: str, dtype: str, rows: int, tokens: int) -> tuple[list[float], float]:
    """Losses of some steps on the same rows, and the median seconds of all but the first."""
    import numpy as np
    import torch

    from shosei.data.dataset import Batch
    from shosei.train import TrainConfig
    from shosei.train.optim import Optimizers
    from shosei.train.trainer import learn
    from shosei.train.workers import Threads, Workers

    model = _random_model(spec).train().to(device)
    config = TrainConfig(optimizer="adamw")
    optimizers, workers = Optimizers(model, config), Workers(model, Threads(os.cpu_count() or 1, 1))
    ids = np.random.default_rng(0).integers(0, spec.vocab_size, (rows, tokens))
    batch = Batch(ids, ids, np.full(rows, tokens))
    losses, seconds = [], []
    for _ in range(STEPS):
        begin = time.monotonic()
        loss, _, _ = learn(workers, optimizers, batch, 1.0, config.max_grad_norm, getattr(torch, dtype))
        losses.append(loss.item())  # waits for the device
        seconds.append(time.monotonic() - begin)
    return losses, median(seconds[1:])


def decode(given: argparse.Namespace) -> tuple[bool, str]:
    """``shosei bench`` on the shape with random weights."""
    from random_model import write_random

    with tempfile.TemporaryDirectory() as scratch:
        write_random(_spec(given), Path(scratch) / "model", "今天天气怎么样？")
        values = _json_of("bench", f"{scratch}/model", "--json")
    rates = [_rate_words(speed) for speed in values["speeds"]]
    machine = values["machine"]
    return all(speed["tokens_per_second"] for speed in values["speeds"]), (
        f"tokens/s at once {', '.join(rates)}; reads {machine['bandwidth'] / 1e9:,.0f} GB/s, computes "
        f"{machine['flops'] / 1e12:,.1f} TFLOP/s ({machine['source']})"
    )


def _rate_words(speed: dict[str, Any]) -> str:
    what = f"a prompt of {speed['prompt_tokens']}" if speed["new_tokens"] == 1 else speed["streams"]
    if speed["tokens_per_second"] is None:
        return f"{what}: not measured: {speed['reason']}"
    return f"{what}: {speed['tokens_per_second']:,.0f} ({speed['share_of_limit']:.0%} of the limit)"


def meters(given: argparse.Namespace) -> tuple[bool, str]:
    """Our GPU meter and ``nvidia-smi``, by turns, while this process multiplies half of the time."""
    from shosei.supervise.gpu import GpuMeter

    if given.device == "cpu" or not shutil.which("nvidia-smi"):
        raise NotMeasured("there is no GPU" if given.device == "cpu" else "nvidia-smi is not installed")
    meter, stop = GpuMeter(), Event()
    if not meter.read([]):
        raise NotMeasured("NVML tells of no GPU: is pynvml installed?")
    working = Thread(target=_multiply, args=(stop,))
    working.start()
    try:
        time.sleep(1.0)
        readings = [_both(meter) for _ in range(METER_S)]
    finally:
        stop.set()
        working.join()
    ours, theirs, used, listed = zip(*readings, strict=True)
    apart = abs(median(ours) - median(theirs))
    words = f"utilisation {median(ours):.0f} %, nvidia-smi {median(theirs):.0f} %"
    if None in used or None in listed:
        return apart <= FARTHEST_PERCENT, f"{words}; memory not measured: this process's is not listed (a container?)"
    share = abs(median(used) - median(listed)) / median(listed)
    words += f"; memory {median(used) / 1e6:,.0f} MB, nvidia-smi {median(listed) / 1e6:,.0f} MB"
    return apart <= FARTHEST_PERCENT and share <= FARTHEST_SHARE, words


def _both(meter: Any) -> tuple[float, float, int | None, int | None]:
    """Utilisation in percent and this process's bytes: ours, and ``nvidia-smi``'s, of the first GPU."""
    time.sleep(0.5)
    (sample, *_) = meter.read([os.getpid()])
    percent = _smi("--query-gpu=utilization.gpu").strip()
    if not percent.isdecimal():
        raise NotMeasured(f"nvidia-smi says {percent} for the utilisation")  # of a part of a GPU (MIG) it knows none
    processes = dict(line.split(", ") for line in _smi("--query-compute-apps=pid,used_memory").splitlines())
    mebibytes = processes.get(str(os.getpid()), "")
    listed = int(mebibytes) << 20 if mebibytes.isdecimal() else None
    return sample.kernel_percent or 0.0, float(percent), sample.used_bytes, listed


def _smi(query: str) -> str:
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
    words = ["nvidia-smi", f"--id={first}", query, "--format=csv,noheader,nounits"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def _multiply(stop: Event) -> None:
    import torch

    a = torch.ones(4096, 4096, device="cuda", dtype=torch.bfloat16)
    while not stop.is_set():
        begin = time.monotonic()
        while time.monotonic() - begin < 0.05:
            a @ a
            torch.cuda.synchronize()
        time.sleep(0.05)


def card(given: argparse.Namespace) -> tuple[bool, str]:
    """A training under the supervisor, and what its card says of GPU utilisation."""
    steps = 400 if given.device == "cuda" else 10
    with tempfile.TemporaryDirectory() as scratch:
        run = ("--run", f"{scratch}/run")
        _verb("data", *run, "--set", "data.validation_tasks=1")
        _verb("tokenizer", *run)
        train = [sys.executable, "-m", "shosei", "train", *run, "--set", f"train.max_steps={steps}"]
        _verb("supervise", *run, "--name", "train", "--max-restarts", "0", "--", *train)
        cells = _json_of("card", run[1], "--json")["metrics"]
    (cell,) = (cell for cell in cells if (cell["id"], cell["phase"]) == ("gpu_utilization", "training"))
    words = f"GPU utilisation in training: {cell['status']}, {cell['value']} {cell['unit']} {cell['reason']}"
    return cell["value"] is not None or given.device == "cpu", words.rstrip()


def _verb(*words: str) -> str:
    left = max(1.0, WHOLE_S - (time.monotonic() - BEGAN))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "shosei", *words], capture_output=True, text=True, timeout=left, check=True
        )
    except subprocess.TimeoutExpired:
        raise NotMeasured(f"{WHOLE_S:.0f} s are over") from None
    except subprocess.CalledProcessError as failure:
        raise Failed(f"shosei {words[0]} ended with {failure.returncode}: {failure.stderr[-800:]}") from None
    return done.stdout


def _json_of(*words: str) -> Any:
    return json.loads(_verb(*words))


def _spec(given: argparse.Namespace) -> ModelSpec:
    from shosei.spec import preset

    return preset(given.preset)


def _random_model(spec: ModelSpec) -> Transformer:
    import torch

    from shosei.model.transformer import Transformer

    torch.manual_seed(0)
    model = Transformer(spec).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=parameter.shape[1] ** -0.5)
    return model


PARTS: dict[str, Callable[[argparse.Namespace], tuple[bool, str]]] = {
    "logits": logits,
    "step": step,
    "decode": decode,
    "meters": meters,
    "card": card,
}
BEGAN = time.monotonic()

if __name__ == "__main__":
    sys.exit(main())
