"""``bench/serve.py`` and ``bench/gpu.py``: their tables and verdicts, a peer that answers, a machine without a GPU."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from documented import ROOT
from engine_process import make_engine_model
from shosei.load.speed import NotMeasured, measured_rate
from shosei.spec import preset
from shosei.wire.timed_stream import TimedStream

sys.path.append(str(ROOT / "bench"))  # last: some of its scripts have the names of packages

import gpu
from serving.alone import _gaps, _repeated
from serving.formats import PREFILL, WORK, formats
from serving.machine import Machine
from serving.models import Model
from serving.peers import HERE, started
from serving.turns import LLAMA_CPP, OURS, TRANSFORMERS, table

MODEL = Model(preset("nano"), Path(), {}, {"bf16": "bf16", "q4_0-pure": "q4_0"})
MACHINES = [Machine(1e10, 1e12, 1e12), Machine(3e10, 1e12, 1e12), Machine(2e10, 1e12, 1e12)]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_compares_medians_with_the_best_peer() -> None:
    offered = [form for form in formats(4) if form.name == "bf16"]
    rates = {
        ("1 stream", (OURS, "bf16")): [90.0, 105.0, 500.0],
        ("1 stream", (LLAMA_CPP, "bf16")): [100.0, 100.0, 1.0],
        ("1 stream", (TRANSFORMERS, "bf16")): [40.0],
        ("8 streams", (OURS, "bf16")): [100.0],
        ("8 streams", (LLAMA_CPP, "bf16")): [50.0],
        ("8 streams", (TRANSFORMERS, "bf16")): [60.0],
    }
    lines = table(MODEL, offered, rates, MACHINES)
    one, eight = map(cells, lines[-2:])
    assert one[:8] == ["1 stream", "bf16", "105", "100 (bf16)", "40", "1.05", "≥ 1.05", "reached"]
    assert eight[5:8] == ["1.67", "≥ 1.9", "missed"]
    assert "reads 20.0 GB/s (10–30)" in lines[2]


def test_shares_are_of_what_the_machine_could_in_each_round() -> None:
    read = 2 * MODEL.spec.matmul_params + 96 * MODEL.spec.kv_bytes_per_token()
    halves = [machine.bandwidth / read / 2 for machine in MACHINES]
    line = table(MODEL, formats(4)[:1], {("1 stream", (OURS, "bf16")): halves}, MACHINES)[-1]
    assert cells(line)[8] == "50%"


def test_without_peers_there_is_no_verdict() -> None:
    line = table(MODEL, formats(4)[:1], {(PREFILL, (OURS, "bf16")): [1000.0]}, MACHINES)[-1]
    assert cells(line)[3:8] == ["–", "–", "–", "≥ 1.2", "–"]


def test_a_head_is_compared_with_one_of_as_many_bits() -> None:
    files = {form.weights: form.file for bits in (4, 8) for form in formats(bits)}
    assert (files["int4"], files["int4-head8"]) == ("q4_0-pure", "q4_0")
    assert all(len(form.goals) == len(WORK) for bits in (4, 8) for form in formats(bits))


def test_how_much_an_answer_repeats() -> None:
    assert _repeated([1, 2, 3, 1, 2], [3, 1, 2, 3]) == 1.0
    assert _repeated([1, 2, 3, 4], [5, 6, 7, 8]) == 0.0


class _Script:
    """An engine's client that has a token a second, and none for five while the long prompt comes in."""

    def __init__(self) -> None:
        self.streams: list[TimedStream] = []

    def submit(self, prompt: list[int], _tokens: int) -> TimedStream:
        stream = TimedStream(sent=100.5 if len(prompt) > 64 else 0.0, tokens_in=len(prompt))
        calm = [float(second) for second in range(1, 101)]
        stream.times = [106.0] if len(prompt) > 64 else [*calm, *(106.0 + second for second in range(92))]
        self.streams.append(stream)
        return stream

    def read_until(self, _condition: object) -> None:
        pass


class _Engine:
    def __init__(self) -> None:
        self.client = _Script()

    def prompts(self, count: int, tokens: int) -> list[list[int]]:
        return [[0] * tokens for _ in range(count)]


def test_the_gaps_while_a_long_prompt_comes_in() -> None:
    calm, disturbed = _gaps(_Engine(), 512)  # type: ignore[arg-type]
    assert set(calm) == {1.0}
    assert set(disturbed) == {6.0, 1.0}
    assert disturbed.count(6.0) == 7


def test_a_peer_answers_line_by_line(tmp_path: Path) -> None:
    model = make_engine_model(tmp_path)
    command = [sys.executable, str(HERE / "transformers_child.py"), str(model), "1"]
    with started("transformers", command, 300, 640) as peer:
        streams = peer.answers(3, 8, 6)
        assert [(stream.tokens_in, len(stream.times)) for stream in streams] == [(8, 6)] * 3
        assert measured_rate(peer, 2, 8, 12) > 0


def test_a_peer_that_ends_is_not_measured() -> None:
    with started(
        "nobody", [sys.executable, "-c", "import sys; print('no room', file=sys.stderr); sys.exit(7)"], 300, 640
    ) as peer:
        with pytest.raises(NotMeasured, match="nobody ended with exit code 7: no room"):
            peer.answers(1, 4, 4)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_its_script_says_so_in_one_line() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "bench/gpu.py")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("no CUDA device")
    assert done.stderr.count("\n") == 1


def test_a_part_that_fails_leaves_the_others_their_turn(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(given: argparse.Namespace) -> tuple[bool, str]:
        raise RuntimeError("out of memory")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["gpu.py", "--device", "cpu"])
        patch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "")
        patch.setattr(gpu, "BEGAN", time.monotonic())
        patch.setattr(gpu, "PARTS", {"first": broken, "second": lambda given: (True, "fine")})
        assert gpu.main() == 1
    out = capsys.readouterr().out
    assert "failed: RuntimeError: out of memory" in out
    assert "fine" in out.splitlines()[-1]


def test_a_shape_that_there_is_not_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["gpu.py", "--device", "cpu", "--preset", "ja-smal"])
        patch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "")
        assert gpu.main() == 2
    err = capsys.readouterr().err
    assert "did you mean 'ja-small'?" in err
    assert err.count("\n") == 1


def test_a_rate_that_was_not_measured_is_told_with_its_reason() -> None:
    speed = {"streams": 8, "new_tokens": 64, "prompt_tokens": 64, "tokens_per_second": None, "reason": "it ended"}
    assert gpu._rate_words(speed | {"share_of_limit": None}) == "8: not measured: it ended"
