"""A folder passes through the memory a matrix at a time: peaks of real processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from model_samples import save_tokenizer
from native_samples import HAS_COMPILER, HERE
from shosei.model import folder, weights
from shosei.model.transformer import Transformer
from shosei.spec import ModelSpec
from shosei.spec.generation import WeightFormat, generation_memory

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads and resets Linux's high-water mark")

SPEC = ModelSpec(
    name="wide",
    vocab_size=320,
    d_model=1024,
    n_layers=4,
    intermediate_size=8192,
    n_heads=2,
    n_kv_heads=1,
    head_dim=32,
    tied=False,
    rope_theta=1e4,
    context_length=64,
)
MATRIX = 2 * SPEC.d_model * SPEC.intermediate_size
ALL = 2 * SPEC.params
SLACK = 40_000_000  # of the allocator, and of what the rounding needs

# What is resident before includes the libraries, and all that a first, tiny call leaves behind.
PEAK = """
import sys
from pathlib import Path
import torch
from shosei.model import folder, gguf_file
from shosei.model.native import decoder, library
from shosei.spec.generation import WeightFormat

def high_water():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])

torch.set_num_threads(1)
tiny, model, out = map(Path, sys.argv[1:])
folder.load(tiny, torch.bfloat16, WeightFormat.INT4)
Path("/proc/self/clear_refs").write_text("5")
before = high_water()
kept = WORK
print(high_water() - before)
"""


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, and one of twelve large matrices in several shards."""
    root = tmp_path_factory.mktemp("wide")
    save_tokenizer(root / "tokenizer")
    tiny = ModelSpec(
        **{name: getattr(SPEC, name) for name in SPEC.__slots__} | {"d_model": 64, "intermediate_size": 64}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "SHARD_BYTES", 2 * MATRIX)
        for name, spec in (("tiny", tiny), ("model", SPEC)):
            folder.export(Transformer(spec).bfloat16(), spec, root / "tokenizer", root / name)
    assert len(list(root.glob("model/*.safetensors"))) > 4
    return root


def peak(wide: Path, work: str) -> int:
    """Bytes that ``work`` adds to what a process has when it begins."""
    command = [sys.executable, "-c", PEAK.replace("WORK", work), wide / "tiny", wide / "model", wide / "out.gguf"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_int4_weights_are_made_from_one_matrix_at_a_time(wide: Path) -> None:
    found = peak(wide, "folder.load(model, torch.bfloat16, WeightFormat.INT4)")
    held = generation_memory(SPEC, 1, 1, WeightFormat.INT4).weights
    assert held < found < held + 2 * MATRIX + SLACK < ALL


@pytest.mark.skipif(not (HAS_COMPILER and HERE), reason="no C compiler, or no such processor")
@pytest.mark.parametrize("weights", list(WeightFormat))
def test_native_weights_are_packed_from_one_matrix_at_a_time(weights: WeightFormat, wide: Path) -> None:
    found = peak(wide, f"decoder.load(model, library.library(), WeightFormat({weights.value!r}))")
    held = generation_memory(SPEC, 1, 1, weights).weights
    assert held < found < held + 2 * MATRIX + SLACK


def test_stored_weights_are_there_once(wide: Path) -> None:
    assert ALL < peak(wide, "folder.load(model, None)") < ALL + MATRIX + SLACK


def test_a_conversion_holds_no_model(wide: Path) -> None:
    assert peak(wide, "gguf_file.write(model, out, 'bf16')") < 5 * MATRIX + SLACK < ALL
