"""Spares: a second start that waits, takes over, is metered, and ends with everything else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shosei.log import ProcExit, ProcStart, Restart
from shosei.supervise import spares
from supervised import linux, lives, python, samples, supervise

pytestmark = linux

# Each start tells of its process id and whether it has waited, and crashes until somebody has waited twice.
PROGRAM = """
import os, pathlib, sys, time
from shosei.lineage import is_spare, wait_until_needed
folder = pathlib.Path(sys.argv[1])
waits = is_spare()
(folder / f"{os.getpid()}.started").write_text(str(waits))
if waits:
    burnt = time.process_time() + 0.3
    while time.process_time() < burnt: pass
    (folder / f"{os.getpid()}.waits").touch()
    wait_until_needed()
    assert not is_spare()
(folder / f"{os.getpid()}.works").write_text(str(waits))
if len(list(folder.glob("*.works"))) > 2:
    sys.exit(0)
ahead = lambda: len(list(folder.glob("*.waits"))) >= len(list(folder.glob("*.works")))
while not ahead(): time.sleep(0.01)
time.sleep(0.5)
os.abort()
"""


def test_a_spare_takes_over_from_each_that_dies(tmp_path: Path) -> None:
    child = replace(python("engine", PROGRAM, tmp_path, phase="inference"), spare=True)
    code, log = supervise(tmp_path / "run", child, spare_delay_s=0.0)
    assert code == 0
    starts = log.of(ProcStart)
    waited = [(tmp_path / f"{start.child_pid}.works").read_text() for start in starts]
    assert waited == ["False", "True", "True"], "the first start works at once, the others have waited"
    assert [end.child_pid for end in log.of(ProcExit)] == [start.child_pid for start in starts]
    assert [event.failure for event in log.of(Restart)] == [0, 1, 2]
    assert not any(lives(int(file.stem)) for file in tmp_path.glob("*.started")), "nothing waits any more"


def test_what_a_spare_uses_is_on_record_and_counted_once(tmp_path: Path) -> None:
    child = replace(python("engine", PROGRAM, tmp_path, phase="inference"), spare=True)
    _, log = supervise(tmp_path / "run", child, spare_delay_s=0.0)
    held = samples(log, "engine spare")
    assert max(sample.rss_bytes or 0 for sample in held) > 5_000_000
    burnt_ns = (held[-1].cpu_ns or 0) + (samples(log, "engine")[-1].cpu_ns or 0)
    started = len(list(tmp_path.glob("*.started")))
    # Two or three spares burn 0.3 s each; what starting Python takes comes to less than as much again for each start.
    assert 0.6e9 <= burnt_ns < (0.3 * (started - 1) + 0.3 * started) * 1e9


def test_no_spare_is_kept_where_memory_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spares, "_LEAST_MEMORY_BYTES", 1 << 62)
    program = "import sys, time; time.sleep(0.5); open(sys.argv[1], 'a').write('x')"
    child = replace(python("engine", program, tmp_path / "starts"), spare=True)
    code, log = supervise(tmp_path / "run", child, spare_delay_s=0.0)
    assert code == 0
    assert not samples(log, "engine spare")


def test_a_spare_is_given_up_where_memory_becomes_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spares, "available_memory", lambda: 0 if list(tmp_path.glob("[0-9]*")) else 1 << 40)
    program = (
        "import os, pathlib, sys, time\nfrom shosei.lineage import is_spare, wait_until_needed\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "if is_spare():\n    (folder / str(os.getpid())).touch()\n    wait_until_needed()\n"
        "spares = lambda: [p.name for p in folder.iterdir() if p.name.isdigit()]\n"
        "while not any(not os.path.exists(f'/proc/{pid}') for pid in spares()): time.sleep(0.05)"
    )
    child = replace(python("engine", program, tmp_path), spare=True)
    code, _ = supervise(tmp_path / "run", child, spare_delay_s=0.0)
    assert code == 0, "it ended because its spare was gone"


def test_a_spare_that_died_is_replaced_by_an_ordinary_start(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys, time\nfrom shosei.lineage import is_spare\n"
        "mark = pathlib.Path(sys.argv[1])\n"
        "if is_spare():\n    mark.write_text('died')\n    os._exit(1)\n"
        "if mark.exists() and mark.read_text() == 'again': sys.exit(0)\n"
        "while not mark.exists(): time.sleep(0.01)\n"
        "time.sleep(0.3); mark.write_text('again'); os.abort()"
    )
    child = replace(python("engine", program, tmp_path / "mark"), spare=True)
    code, log = supervise(tmp_path / "run", child, spare_delay_s=0.0)
    assert code == 0
    assert len(log.of(ProcStart)) == 2
