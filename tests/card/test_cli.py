"""``shosei card`` and ``shosei log`` as a user runs them."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import card_samples
from shosei.log import Note, open_run

Shosei = Callable[..., tuple[int, str, str]]


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


@pytest.mark.parametrize("name", ["zh", "zh_CN", "zh-cn", "zh-CN"])
def test_a_language_may_be_spelt_as_people_spell_it(shosei: Shosei, run: Path, name: str) -> None:
    code, out, _ = shosei("card", run, "--lang", name)
    assert (code, "用户满意度" in out) == (0, True)
    assert '<html lang="zh-CN" data-chosen>' in (run / "card.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "said"), [("jp", "did you mean 'ja'?"), ("fr", "known: en, ja, zh-CN")])
@pytest.mark.parametrize("verb", ["card", "metrics"])
def test_an_unknown_language_is_one_line(shosei: Shosei, run: Path, verb: str, name: str, said: str) -> None:
    code, out, err = shosei(*([verb, run] if verb == "card" else [verb]), "--lang", name)
    assert (code, out, err) == (2, "", f"shosei: unknown language '{name}'; {said}\n")


def test_a_metric_may_be_spelt_in_capitals(shosei: Shosei) -> None:
    assert shosei("metrics", "F1") == shosei("metrics", "f1")


@pytest.mark.parametrize(("number", "wanted"), [(errno.EROFS, 0), (errno.EACCES, 0), (errno.ENOSPC, 2)])
def test_a_card_that_cannot_be_written_is_shown(
    shosei: Shosei, run: Path, monkeypatch: pytest.MonkeyPatch, number: int, wanted: int
) -> None:
    _, printed, _ = shosei("card", run)
    _, data, _ = shosei("card", run, "--json")

    def refuse(path: Path, **_: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr("shosei.log.run.locked", refuse)
    code, out, err = shosei("card", run)
    assert (code, out) == (wanted, printed)
    assert (err.count("the card's files were not written"), err.count("the whole card")) == (1, 0)
    assert "those in the folder are of an older card" in err
    assert shosei("card", run, "--json")[:2] == (wanted, data)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_events_that_a_full_disk_took_are_counted(shosei: Shosei, run: Path) -> None:
    with open_run(run).recording("load", "inference") as record:
        disk = os.dup(record.writer._file)
        os.dup2(os.open("/dev/full", os.O_WRONLY), record.writer._file)
        for number in range(3):
            record.writer.emit(Note(level="info", text=str(number)))
        record.writer.flush()
        os.dup2(disk, record.writer._file)
    assert "warning: load: 3 events were lost" in shosei("card", run)[2]
    assert "警告：load：有 3 个事件未能写入而丢失" in shosei("card", run, "--lang", "zh")[2]


def test_a_turn_says_whose_it_is_and_how_to_compare(shosei: Shosei, tmp_path: Path) -> None:
    run = open_run(tmp_path / "ab", must_exist=False)
    with run.recording("alternate", target="quick", turn=3):
        pass
    _, out, err = shosei("card", run.folder)
    assert "Target: quick · turn 3" in out
    assert f"compare {run.folder}" in err
    assert "Target: quick · turn 3" in (run.folder / "card.md").read_text(encoding="utf-8")
    assert json.loads((run.folder / "card.json").read_bytes())["turn"] == 3


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
        ([tmp_path / "nowhere"], "not a run folder"),
        ([tmp_path], "not a run folder"),
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
