"""The same log gives the same bytes on a CPU with other SIMD features, and with another BLAS kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy._core._multiarray_umath as numpy_core
import pytest

import recorded

FEATURES = [name for name in numpy_core.__cpu_dispatch__ if numpy_core.__cpu_features__[name]]
OTHER_MACHINES = {
    "baseline": {"NPY_DISABLE_CPU_FEATURES": " ".join(FEATURES)},
    "without the widest": {"NPY_DISABLE_CPU_FEATURES": " ".join(FEATURES[1:])},
    "old BLAS kernel": {"OPENBLAS_CORETYPE": "Prescott"},
    "BLAS kernel of 2013": {"OPENBLAS_CORETYPE": "Haswell"},
}
VIEWS = ("card.json", "card.html", "card.md")


def views(run: Path, machine: dict[str, str]) -> dict[str, bytes]:
    done = subprocess.run(
        [sys.executable, "-m", "shosei", "card", str(run)],
        env=os.environ | machine,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "cannot disable" not in done.stderr.lower()
    return {name: (run / name).read_bytes() for name in VIEWS}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    run = recorded.write_run(tmp_path_factory.mktemp("machines") / "run")
    return run, views(run, {})


def test_the_machine_is_really_another_and_the_run_has_bootstraps(here: tuple[Path, dict[str, bytes]]) -> None:
    code = "import numpy._core._multiarray_umath as n; print(*(f for f in n.__cpu_dispatch__ if n.__cpu_features__[f]))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | OTHER_MACHINES["baseline"], capture_output=True, text=True
    )
    assert (done.stdout.split(), done.returncode) == ([], 0)
    assert b"bootstrap" in here[1]["card.json"]


@pytest.mark.parametrize("name", OTHER_MACHINES)
def test_recomputing_a_card_gives_the_same_bytes(
    here: tuple[Path, dict[str, bytes]], tmp_path: Path, name: str
) -> None:
    machine = OTHER_MACHINES[name]
    if machine.get("NPY_DISABLE_CPU_FEATURES") == "":
        pytest.skip("this CPU has no features beyond NumPy's baseline that could be switched off")
    run, expected = here
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    for view in VIEWS:
        (copy / view).unlink()
    found = views(copy, machine)
    assert [view for view in VIEWS if found[view] != expected[view]] == []
