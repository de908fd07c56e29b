"""Other load generators, as their users run them: each a command, and where it leaves its rate."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REQUESTS = {"vllm": 5000, "aiperf": 2000}  # guidellm runs by the clock
TOKENIZER = "bench/tokenizer"

COMMANDS = {
    "vllm": "bench serve --backend openai-chat --base-url {url} --endpoint /v1/chat/completions --model mock"
    " --tokenizer {tokenizer} --dataset-name random --random-input-len 16 --random-output-len 8"
    " --num-prompts {requests} --max-concurrency {in_flight} --save-result --result-dir . --result-filename out.json",
    "aiperf": "profile --url {url} --endpoint-type chat --model mock --tokenizer {tokenizer}{streaming}"
    " --concurrency {in_flight} --request-count {requests} --artifact-dir .",
    "guidellm": "run --backend kind=openai_http,target={url},stream={stream} --tokenizer kind=hf_auto,model={tokenizer}"
    " --profile kind=concurrent,streams={in_flight} --constraint kind=max_duration,seconds={seconds}"
    " --data kind=synthetic_text,prompt_tokens=16,output_tokens=8 --disable-console --output kind=json,path=out.json",
}


def rate(name: str, url: str, stream: bool, seconds: float, in_flight: int = 32) -> float | None:
    """Requests a second as the peer reports them; None where it is not installed or has no such mode."""
    if not shutil.which(name) or (name == "vllm" and not stream):
        return None
    with ran(name, url, stream, seconds, in_flight) as folder:
        match name:
            case "vllm":
                return float(_json(folder / "out.json")["request_throughput"])
            case "aiperf":
                return float(_json(folder / "profile_export_aiperf.json")["request_throughput"]["avg"])
            case _:
                metrics = _json(folder / "out.json")["benchmarks"][0]["metrics"]
                return float(metrics["requests_per_second"]["successful"]["mean"])


@contextmanager
def ran(name: str, url: str, stream: bool, seconds: float, in_flight: int) -> Iterator[Path]:
    """The folder in which the peer's command left its results."""
    with tempfile.TemporaryDirectory() as work:
        cache = hub_cache(Path(work) / "hub", Path(os.environ["BENCH_MODEL"]))
        arguments = COMMANDS[name].format(
            url=url,
            seconds=seconds,
            in_flight=in_flight,
            requests=REQUESTS.get(name),
            tokenizer=TOKENIZER,
            stream=stream,
            streaming=" --streaming" if stream else "",
        )
        environment = os.environ | {"HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
        done = subprocess.run([name, *arguments.split()], cwd=work, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{name} ended with exit code {done.returncode}: {(done.stderr or done.stdout)[-800:]}")
        yield Path(work)


def hub_cache(folder: Path, model: Path) -> Path:
    """A model's tokenizer, as ``TOKENIZER``, in the layout of a hub's cache, the only one that all peers read."""
    snapshot = folder / f"models--{TOKENIZER.replace('/', '--')}" / "snapshots" / "0"
    shutil.copytree(model, snapshot, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / snapshot.parent.parent.name / "refs").mkdir()
    (folder / snapshot.parent.parent.name / "refs" / "main").write_text("0")
    return folder


def _json(path: Path) -> Any:
    return json.loads(path.read_text())
