"""``shosei card`` and ``shosei log`` as a user runs them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import card_samples
from shosei.cli.main import main

Shosei = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shosei(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shosei:
    """Run a verb; return its exit code and what it wrote to the two streams."""
    monkeypatch.delenv("SHOSEI_RUN", raising=False)
    monkeypatch.delenv("SHOSEI_ATTEMPT", raising=False)

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit:
            main([str(argument) for argument in arguments])
        streams = capsys.readouterr()
        return int(exit.value.code or 0), streams.out, streams.err

    return call


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return card_samples.write_run(tmp_path / "runs" / "quickstart")


def tear(run: Path) -> None:
    """As if the writer had been killed in the middle of a line."""
    segment = next((run / "log").glob("*.jsonl"))
    with open(segment, "ab") as file:
        file.write(b'{"kind":"step","v":1,"att')


def test_card_writes_three_files_and_prints_the_table(shosei: Shosei, run: Path) -> None:
    code, out, _ = shosei("card", run)
    assert code == 0
    assert {path.name for path in run.iterdir()} >= {"card.json", "card.html", "card.md"}
    assert "User satisfaction" in out
    assert "not measured" in out
    first = (run / "card.json").read_bytes()
    for name in ("card.json", "card.html", "card.md"):
        (run / name).unlink()
    copy = run.parent / "copy"
    shutil.copytree(run, copy)
    code, out, _ = shosei("card", copy, "--json")
    assert code == 0
    assert out.encode() == first == (copy / "card.json").read_bytes()
    assert len(json.loads(out)["metrics"]) == 30


def test_card_speaks_the_language_that_it_is_asked_for(shosei: Shosei, run: Path) -> None:
    code, out, _ = shosei("card", run, "--lang", "ja")
    assert code == 0
    assert "ユーザー満足度" in out
    assert "ユーザー満足度" in (run / "card.md").read_text(encoding="utf-8")
    assert '<html lang="ja" data-chosen>' in (run / "card.html").read_text(encoding="utf-8")
    in_japanese = (run / "card.json").read_bytes()
    shosei("card", run)
    assert (run / "card.json").read_bytes() == in_japanese, "JSON is always English"
    code, out, err = shosei("card", run, "--lang", "zh")
    assert (code, out, err) == (2, "", "shosei: unknown language 'zh'; known: en, ja, zh-CN\n")


def test_card_needs_neither_torch_nor_a_web_framework(run: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'tokenizers', 'fastapi', 'uvicorn'): sys.modules[name] = None\n"
        "from shosei.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code, "card", str(run)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, "User satisfaction" in done.stdout) == (0, True), done.stderr


def test_a_torn_line_is_a_warning(shosei: Shosei, run: Path) -> None:
    tear(run)
    code, _, err = shosei("card", run)
    assert (code, err.count("torn last line")) == (0, 1)
    assert "torn last line" in (run / "card.md").read_text(encoding="utf-8")
    assert "torn last line" in shosei("log", run)[1]


@pytest.mark.parametrize("verb", ["card", "log"])
def test_bad_input_is_one_line_and_exit_code_two(shosei: Shosei, run: Path, tmp_path: Path, verb: str) -> None:
    empty = tmp_path / "empty"
    (empty / "log").mkdir(parents=True)
    for arguments, said in (
        ([tmp_path / "nowhere"], "no run folder"),
        ([tmp_path], "no run folder"),
        ([empty], "holds no events"),
        ([run, "--attempt", "7"], "attempt 7 is not in"),
        ([], "no run folder"),
    ):
        code, out, err = shosei(verb, *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1), arguments
        assert said in err
    assert not (tmp_path / "nowhere").exists()


def test_log_counts_and_lists_events(shosei: Shosei, run: Path) -> None:
    card_samples.write_run(run)  # the same verbs again: attempt 2
    code, out, _ = shosei("log", run, "--json")
    values = json.loads(out)
    assert (code, values["attempt"], values["attempts"]) == (0, 2, [1, 2])
    assert "this is attempt 2; --attempt shows another: 1" in shosei("card", run)[2]
    assert values["events"] == {"run.begin": 2, "run.end": 2}
    assert len(values["segments"]) == 1
    code, out, _ = shosei("log", run, "--kind", "run.begin", "--attempt", "1")
    events = [json.loads(line) for line in out.splitlines()]
    assert [(event["kind"], event["verb"], event["attempt"]) for event in events] == [
        ("run.begin", "data", 1),
        ("run.begin", "train", 1),
    ]
    assert "run.begin" in shosei("log", run)[1]


def test_an_unknown_kind_offers_the_nearest(shosei: Shosei, run: Path) -> None:
    code, _, err = shosei("log", run, "--kind", "scor")
    assert (code, err.count("\n")) == (2, 1)
    assert "did you mean 'score'?" in err
