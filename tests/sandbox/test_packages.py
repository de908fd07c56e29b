"""Installed packages that programs may import, behind each wall: those that are allowed, and no others."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy
import pytest

from exam_server import Server
from shosei.errors import InputError
from shosei.exam import ExamConfig
from shosei.log import Exec, RunBegin, Score, read_log
from shosei.sandbox import choose
from shosei.sandbox.packages import allowed
from shosei.sandbox.proof import prove
from shosei.sandbox.runner import IN_PROCESS, Execution, Runner
from shosei.wire.suite import Task, write_suite
from verb import Shosei
from walls import STANDING

pytestmark = [pytest.mark.system, pytest.mark.skipif(sys.platform != "linux", reason="the runner needs Linux")]

RUNGS = [*STANDING, "rlimits"]
SITE = str(Path(numpy.__file__).parents[1])
NUMPY = f"numpy {metadata.version('numpy')}"
SUMS = (
    "import numpy as np\n"
    "def f(n):\n"
    "    inverse = np.linalg.inv(2.0 * np.eye(n))\n"
    "    shuffled = np.random.default_rng(1).permutation(n)\n"
    "    return [float(inverse.sum()), int(shuffled.sum())]"
)
SUMMED = ([300], [150.0, 44850])


def task(*tests: tuple[list[Any], Any], test: str = "", truth: str = "") -> Task:
    return Task(
        id="i",
        suite="s",
        lang="en",
        cluster="c",
        messages=[{"role": "user", "content": "sum"}],
        grader="python",
        truth=truth,
        entry_point="f",
        tests=list(tests),
        test=test,
    )


def execute(program: str, item: Task, backend: str = RUNGS[0], *packages: str, oracle: str = "outside") -> Execution:
    async def main() -> Execution:
        async with Runner(ExamConfig(cpu_s=5, wall_s=20, packages=[*packages]), backend) as runner:
            return await runner.execute(program, item, oracle)

    return asyncio.run(main())


@pytest.mark.parametrize("backend", RUNGS)
def test_a_right_program_passes_with_its_package_and_says_what_it_lacks_without(backend: str) -> None:
    right = execute(SUMS, task(SUMMED), backend, "numpy")
    assert (right.outcome, right.needs) == ("pass", "")
    lacking = execute(SUMS, task(SUMMED), backend)
    assert (lacking.outcome, lacking.needs) == ("exception", "numpy")


@pytest.mark.parametrize("backend", RUNGS)
def test_other_packages_are_not_importable(backend: str) -> None:
    other = execute("import msgspec\ndef f(x):\n    return x", task(([1], 1)), backend, "numpy")
    assert (other.outcome, other.needs) == ("exception", "msgspec")


@pytest.mark.parametrize("backend", STANDING)
def test_no_wall_shows_the_rest_of_the_folder_that_a_package_lies_in(backend: str) -> None:
    finds = f"import sys\nsys.path.append({SITE!r})\nimport msgspec\ndef f(x):\n    return x"
    assert execute(finds, task(([1], 1)), backend, "numpy").outcome == "exception"
    reads = "def f(path):\n    try:\n        return open(path).read(0)\n    except OSError:\n        return 'hidden'"
    other, own = f"{SITE}/msgspec/__init__.py", f"{SITE}/numpy/__init__.py"
    assert execute(reads, task(([other], "hidden"), ([own], "")), backend, "numpy").outcome == "pass"


@pytest.mark.parametrize("backend", STANDING)
def test_a_package_cannot_be_written(backend: str) -> None:
    writes = "def f(file):\n    try:\n        open(file, 'w')\n    except OSError:\n        return 'kept'"
    assert execute(writes, task(([f"{SITE}/numpy/shosei_written"], "kept")), backend, "numpy").outcome == "pass"
    assert not os.path.exists(f"{SITE}/numpy/shosei_written")


@pytest.mark.parametrize("backend", RUNGS)
def test_what_a_package_requires_comes_with_it(backend: str) -> None:
    program = "import scipy.linalg, numpy\ndef f(x):\n    return float(scipy.linalg.det(numpy.eye(x)))"
    assert execute(program, task(([3], 1.0)), backend, "scipy").outcome == "pass"
    assert sorted(allowed(["SciPy"]).versions) == ["numpy", "scipy"]


@pytest.mark.parametrize("backend", RUNGS)
def test_tests_may_import_it_in_either_place(backend: str) -> None:
    beside = task(test="import numpy\nassert numpy.allclose(f(3), 3.0)")
    assert execute("def f(x): return x", beside, backend, "numpy").outcome == "pass"
    inside = task(test="import numpy\nassert f(numpy.arange(4)) == 6")
    program = "def f(x): return x.sum()"
    assert execute(program, inside, backend, "numpy").needs_objects == "argument"
    assert execute(program, inside, backend, "numpy", oracle=IN_PROCESS).outcome == "pass"
    assert execute(program, inside, backend, oracle=IN_PROCESS).needs == "numpy"


def test_a_program_can_claim_no_lack_of_what_is_there_and_none_that_is_no_name() -> None:
    for word in ("math", "numpy.nothing", "a'; b", "x" * 100, "a\\nb"):
        program = f"def f(x):\n    raise ModuleNotFoundError(\"No module named '{word}'\")"
        execution = execute(program, task(([1], 1)), RUNGS[0], "numpy")
        assert (execution.outcome, execution.needs) == ("exception", "")


@pytest.mark.parametrize("backend", RUNGS)
def test_attacks_get_no_further_with_packages(backend: str) -> None:
    async def both() -> tuple[list[str], list[str], str]:
        bare = await prove(ExamConfig(), backend)
        proof = await prove(ExamConfig(packages=["numpy"]), backend)
        return bare.broken, proof.broken, proof.level

    bare, broken, level = asyncio.run(both())
    assert broken == bare
    assert level.startswith(f"{backend} ")
    assert level.endswith(f" + {NUMPY}")


def distribution(folder: Path, name: str, files: dict[str, str]) -> None:
    """Install one by hand, as pip would."""
    files[f"{name}-1.dist-info/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    (folder / f"{name}-1.dist-info/RECORD").write_text("".join(f"{path},,\n" for path in files))


def test_a_package_that_does_not_load_behind_the_wall_is_refused_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution(tmp_path, "frail", {"frail.py": "raise ImportError('no hardware for it')"})
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="ImportError: no hardware for it"):
        asyncio.run(choose(ExamConfig(sandbox="rlimits", packages=["frail"])))


def test_a_folder_shared_with_other_packages_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distribution(tmp_path, "part", {"shared/part.py": ""})
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="package 'part' cannot be allowed"):
        ExamConfig(packages=["part"])


class TestAnExam:
    @pytest.fixture
    def server(self) -> Iterator[Server]:
        server = Server()
        server.answers["sum"] = f"```python\n{SUMS}\n```"
        yield server
        server.stop()

    @pytest.fixture
    def suite(self, tmp_path: Path) -> Path:
        path = tmp_path / "s.jsonl"
        write_suite(path, [task(SUMMED)])
        return path

    def test_an_unknown_package_is_refused_before_anything_is_asked(
        self, server: Server, suite: Path, tmp_path: Path, shosei: Shosei
    ) -> None:
        run = tmp_path / "run"
        for options in (("--package", "no-such-package"), ("--set", 'exam.packages=["no-such-package"]')):
            code, _, said = shosei("exam", server.url, "--suite", suite, "--run", run, *options)
            assert (code, said.count("\n")) == (2, 1)
            assert "package 'no-such-package' is not installed" in said
        assert (server.bodies, run.exists()) == ([], False)

    def test_a_package_that_was_wanting_is_named_and_can_be_allowed_later(
        self, server: Server, suite: Path, tmp_path: Path, shosei: Shosei
    ) -> None:
        wanting, allowing = tmp_path / "wanting", tmp_path / "allowing"
        wall = ("--sandbox", RUNGS[0])
        code, out, _ = shosei("exam", server.url, "--suite", suite, "--run", wanting, *wall)
        assert (code, "numpy (1: --package numpy)" in out) == (0, True)
        code, out, _ = shosei("exam", server.url, "--suite", suite, "--run", allowing, *wall, "--package", "numpy")
        assert (code, "--package" in out) == (0, False)
        logs = [read_log(run / "log") for run in (wanting, allowing)]
        assert [log.of(Exec)[0].outcome for log in logs] == ["exception", "pass"]
        assert [log.of(RunBegin)[0].config["packages"] for log in logs] == ["", NUMPY]
        assert len({log.of(Score)[0].identity for log in logs}) == 2

        assert shosei("card", wanting)[0] == 0
        assert "--package" in (wanting / "card.json").read_text()
        assert shosei("card", allowing, "--lang", "ja")[0] == 0
        assert f" + {NUMPY}" in (allowing / "card.html").read_text()
        _, out, _ = shosei("compare", wanting, allowing)
        assert "exam.packages" in out

        options = (*wall, "--package", "numpy", "--json")
        code, out, _ = shosei("exam", "--regrade", wanting, "--suite", suite, *options)
        regraded = json.loads(out)
        assert (code, regraded["needs"]) == (0, {})
        assert regraded["changed"] == [{"task": "s/i", "before": "exception", "after": "pass"}]
        assert shosei("card", wanting)[0] == 0
        card = (wanting / "card.json").read_text()
        assert ("--package" in card, json.loads(card)["sandbox"].endswith(f" + {NUMPY}")) == (False, True)
