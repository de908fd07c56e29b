"""The jobs of ``examples/ci``: their shell steps, as written, pass an equal run and fail one that got worse.

What a hosted runner does besides, such as its cache, no test here can see.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from documented import ROOT
from junit_reader import read_junit
from recipes import environment
from shosei.log import read_log
from shosei.profile.profile import read_profile
from shosei.wire.suite import Task, write_suite

CI = ROOT / "examples/ci"
SUMS = Path(__file__).parents[1] / "support/sums_server.py"
# A profile is its owner's: this one asks for a load of a second.
PROFILE = (
    'name = "ci"\n[load]\nrate = 20\nseconds = 1\nwarmup_s = 0\n[inference]\npass_at_1 = { min = 0.7, margin = 0.05 }\n'
)


def github() -> dict[str, Any]:
    [job] = yaml.safe_load((CI / "github-workflow.yml").read_text(encoding="utf-8"))["jobs"].values()
    return {step.get("name", step.get("uses")): step for step in job["steps"]}


def gitlab() -> dict[str, Any]:
    [job] = yaml.safe_load((CI / "gitlab-ci.yml").read_text(encoding="utf-8")).values()
    return job


class Project:
    """A repository with the example's files, in which jobs run. ``wrong``: how many of the 64 answers are."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.environment = folder, environment(folder)
        python = self.folder / "bin/python"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')  # a link to it would not find its packages
        python.chmod(0o755)
        shutil.copytree(CI, folder / "ci")
        (folder / "ci/profile.toml").write_text(PROFILE)
        tasks = [
            Task(
                id=f"{number}",
                suite="sums",
                lang="zh",
                cluster=f"{number}",
                messages=[{"role": "user", "content": f"{number}+{7 * number}=?"}],
                grader="exact",
                truth=str(8 * number),
            )
            for number in range(64)
        ]
        write_suite(folder / "ci/questions.jsonl", tasks)

    def run(self, script: str, server: str, *shell: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """A job's script on a fresh checkout, with another server than the one that it starts."""
        shutil.rmtree(self.folder / "runs/candidate", ignore_errors=True)
        text, count = re.subn(r"shosei serve \S+ --port 8000", server, script)
        assert count == 1
        text = text.replace("http://127.0.0.1:8000", f"http://127.0.0.1:{self.environment['PORT']}")
        return subprocess.run(
            [*shell, text], cwd=self.folder, env=self.environment | variables, capture_output=True, text=True
        )

    def adding(self, wrong: int) -> str:
        """The command of a server that adds."""
        return f"python {SUMS} {self.environment['PORT']} {wrong}"

    def on_github(self, wrong: int) -> tuple[int, str, str]:
        """The step's exit code, what it says, and the page of its job."""
        for name in ("summary.md", "output.txt"):
            (self.folder / name).unlink(missing_ok=True)
        files = {
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
            "GITHUB_OUTPUT": str(self.folder / "output.txt"),
        }
        done = self.run(github()["Measure and judge"]["run"], self.adding(wrong), "bash", "-e", "-c", **files)
        assert (self.folder / "output.txt").read_text().startswith("code="), done.stderr
        return done.returncode, done.stdout + done.stderr, (self.folder / "summary.md").read_text(encoding="utf-8")

    def on_gitlab(self, wrong: int) -> subprocess.CompletedProcess[str]:
        """With the server under the meters, as the example says of one that is not Shosei's."""
        server = f"shosei supervise --phase inference -- {self.adding(wrong)}"
        return self.run("\n".join(gitlab()["script"]), server, "sh", "-e", "-c")

    def results(self, name: str) -> dict[str, str]:
        source = (self.folder / "runs/candidate" / name).read_text(encoding="utf-8")
        return {case.name: case.result for case in read_junit(source)}


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a main branch, measured on GitHub before there was one, and stored."""
    project = Project(tmp_path_factory.mktemp("main"))
    code, said, _ = project.on_github(wrong=4)
    assert (code, "no baseline in runs/baseline" in said) == (0, True), said
    step = github()["Make it the baseline"]["run"]
    subprocess.run(["bash", "-e", "-c", step], cwd=project.folder, check=True)
    return project.folder / "runs/baseline"


@pytest.fixture
def project(tmp_path: Path, baseline: Path) -> Project:
    project = Project(tmp_path)
    shutil.copytree(baseline, tmp_path / "runs/baseline")
    return project


def test_an_equal_run_passes(project: Project) -> None:
    code, said, page = project.on_github(wrong=4)
    assert code == 0, said
    assert project.results("card.xml") == project.results("compare.xml") == {"pass_at_1": "passed"}
    assert "is equivalent to" in page
    assert "✓ ci" in page


def test_a_regression_fails_the_pull_request(project: Project) -> None:
    code, said, page = project.on_github(wrong=16)
    assert code == 3, said
    assert (project.results("card.xml"), project.results("compare.xml")) == (
        {"pass_at_1": "skipped"},  # 75 %, and the interval reaches below the limit of 70
        {"pass_at_1": "failure"},
    )
    assert "candidate is worse than baseline: pass@1" in page
    assert "candidate is worse than baseline" in (project.folder / "runs/candidate/compare.md").read_text()
    assert (project.folder / "runs/candidate/card.prom").read_text().endswith("# EOF\n")


@pytest.mark.long
def test_what_is_not_decided_is_a_warning(project: Project) -> None:
    code, said, _ = project.on_github(wrong=7)
    assert code == 0
    assert "::warning title=Shosei::Not decided" in said
    assert project.results("compare.xml") == {"pass_at_1": "skipped"}


@pytest.mark.long
def test_gitlab_is_told_the_code_and_stores_what_was_measured(project: Project) -> None:
    done = project.on_gitlab(wrong=7)
    assert done.returncode == 4, done.stderr
    assert gitlab()["allow_failure"] == {"exit_codes": 4}
    stored, measured = (read_log(project.folder / f"runs/{name}/log") for name in ("baseline", "candidate"))
    assert stored.digest == measured.digest
    assert 'shosei_card_memory_bytes{run="candidate"' in (project.folder / "runs/candidate/card.prom").read_text()


def test_a_server_that_does_not_start_fails_and_says_why(project: Project) -> None:
    done = project.run(
        github()["Measure and judge"]["run"], "python no_server.py", "bash", "-e", "-c", GITHUB_OUTPUT="o"
    )
    assert done.returncode not in (0, 3, 4, 5)
    assert "no_server.py" in done.stderr


def test_a_command_that_nothing_parts_from_the_rest_is_refused(tmp_path: Path) -> None:
    words = ["http://127.0.0.1:8000", "questions.jsonl", "profile.toml", "baseline", "shosei", "serve", "models/bot"]
    done = subprocess.run(["sh", str(CI / "measure.sh"), *words], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr.partition(" ")[0]) == (2, "usage:")
    assert not list(tmp_path.iterdir())


def test_the_profile_is_one_and_the_files_that_the_jobs_name_are_there() -> None:
    profile = read_profile(str(CI / "profile.toml"))
    assert profile.inference["pass_at_1"].margin == 0.05
    for name in ("github-workflow.yml", "gitlab-ci.yml"):
        text = (CI / name).read_text(encoding="utf-8")
        used = set(re.findall(r"\bci/(\w[\w.-]*)", text)) - {"questions.jsonl"}
        assert used == {"measure.sh", "profile.toml"}
        assert all((CI / file).is_file() for file in used)
    reports = gitlab()["artifacts"]["reports"]
    assert [*reports["junit"], reports["metrics"]] == [
        f"runs/candidate/{n}" for n in ("card.xml", "compare.xml", "card.prom")
    ]
    workflow = yaml.safe_load((CI / "github-workflow.yml").read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}
