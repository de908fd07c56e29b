"""A wrong path gets the advice that fits: what lies around it, and never a run that takes minutes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shosei.errors import InputError
from shosei.train import TrainConfig
from shosei.train.preparation import shape_of
from verb import Shosei


def make(*files: str) -> None:
    for file in files:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text("{}")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs, of which the second is the newer and has no model; a model of others', and as GGUF."""
    monkeypatch.chdir(tmp_path)
    make(
        "runs/quickstart/log/a.jsonl",
        "runs/quickstart/card.json",
        "runs/quickstart/suites/kana.jsonl",
        "runs/quickstart/model/config.json",
        "runs/quickstart/tokenizer/tokenizer.json",
        "runs/second/log/a.jsonl",
        "theirs/config.json",
        "theirs/model.safetensors",
        "packed/theirs.Q4_1.gguf",
        "rows.jsonl",
    )
    os.utime("runs/quickstart/log", (1, 1))
    return tmp_path


def told(shosei: Shosei, *arguments: str) -> str:
    """The one line of a verb that refuses."""
    code, out, errors = shosei(*arguments)
    assert (code, out, errors.count("\n")) == (2, "", 1), errors
    assert "quickstart --out" not in errors
    return errors.removeprefix("shosei: ").rstrip("\n")


READS_A_RUN = (
    ("card",),
    ("log",),
    ("judge", "--judge-url", "http://127.0.0.1:9"),
    ("tokenizer", "--run"),
    ("train", "--run"),
    ("data", "--inspect"),
    ("ratings", "rows.jsonl", "--run"),
    ("exam", "--regrade"),
    ("compare",),
)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("verb", READS_A_RUN, ids=" ".join)
def test_every_verb_that_reads_a_run_says_which_is_meant(shosei: Shosei, verb: tuple[str, ...]) -> None:
    assert told(shosei, *verb, "runs/quikstart") == (
        "runs/quikstart is not a run folder (there is no such path); did you mean runs/quickstart?"
    )


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("given", "advised"),
    [
        ("quickstart", "did you mean runs/quickstart?"),
        ("run/quickstart", "did you mean runs/quickstart?"),
        ("runs/quickstart/model", "did you mean runs/quickstart?"),
        ("runs/quickstart/log", "did you mean runs/quickstart?"),
        ("runs/quickstart/log/a.jsonl", "did you mean runs/quickstart?"),
        ("runs/quickstart/card.json", "did you mean runs/quickstart?"),
        ("runs", "did you mean runs/second?"),
        ("something/else", "did you mean runs/second, the newest?"),
        ("theirs", "it is a model: 'shosei import theirs --out runs/NAME' makes a run of it"),
        (
            "packed/theirs.Q4_1.gguf",
            "it is a model: 'shosei import packed/theirs.Q4_1.gguf --out runs/NAME' makes a run of it",
        ),
    ],
)
def test_a_run(shosei: Shosei, given: str, advised: str) -> None:
    assert told(shosei, "card", given).endswith(f"; {advised}")


def test_where_there_is_no_run_it_is_said_how_one_begins(
    shosei: Shosei, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert told(shosei, "card", "runs/mine").endswith(
        "; a run begins with a verb that is given --run, such as 'shosei data --run runs/NAME'"
    )
    assert "such as runs/NAME" in told(shosei, "card")


@pytest.mark.usefixtures("here")
def test_without_a_run_the_newest_is_named(shosei: Shosei) -> None:
    assert "such as runs/second" in told(shosei, "card")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("given", "advised"),
    [
        ("runs/quikstart", "did you mean runs/quickstart?"),
        ("theirz", "did you mean theirs?"),
        ("runs/quickstart/modle", "did you mean runs/quickstart/model?"),
        ("runs/quickstart/tokenizer", "did you mean runs/quickstart?"),
        ("runs", "did you mean runs/quickstart?"),
        ("runs/second", "it is a run in which no training has ended: 'shosei train --run runs/second' makes its model"),
        (
            "packed/theirs.Q4_1.gguf",
            "it is a model: 'shosei import packed/theirs.Q4_1.gguf --out runs/NAME' makes a run of it",
        ),
        ("somewhere/else", "did you mean runs/quickstart, the newest?"),
    ],
)
@pytest.mark.parametrize("verb", ["serve", "chat", "export"])
def test_a_model_to_be_used(shosei: Shosei, verb: str, given: str, advised: str) -> None:
    assert told(shosei, verb, given, *(["out"] if verb == "export" else [])).endswith(f"; {advised}")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("given", "advised"),
    [
        ("runs/quickstart", "did you mean runs/quickstart/model?"),
        ("packed", "did you mean packed/theirs.Q4_1.gguf?"),
        ("./theirz", "did you mean theirs?"),
        ("runs/quickstart/modle", "did you mean runs/quickstart/model?"),
    ],
)
def test_a_checkpoint_to_be_imported(shosei: Shosei, given: str, advised: str) -> None:
    assert told(shosei, "import", given, "--out", "runs/new").endswith(f"; {advised}")
    assert not Path("runs/new").exists()


@pytest.mark.usefixtures("here")
def test_a_model_to_be_trained_further() -> None:
    for given, meant in (("runs/quickstart", "runs/quickstart/model"), ("theirz", "theirs")):
        with pytest.raises(InputError, match=f"; did you mean {meant}\\?$"):
            shape_of(TrainConfig(init=given), 300)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("given", "advised"),
    [
        ("runs/quickstart", "did you mean runs/quickstart/suites?"),
        ("runs/quickstart/suites/kanna.jsonl", "did you mean runs/quickstart/suites/kana.jsonl?"),
        ("runs/quickstart/suite", "did you mean runs/quickstart/suites?"),
        ("packed", "did you mean runs/quickstart/suites, the newest?"),
    ],
)
def test_a_suite(shosei: Shosei, given: str, advised: str) -> None:
    os.utime("runs/second/log", (0, 0))
    for arguments in (("exam", "http://127.0.0.1:9", "--suite"), ("agents", "run", "single", "--tasks")):
        url = ["--base-url", "http://127.0.0.1:9"] if arguments[0] == "agents" else []
        assert told(shosei, *arguments, given, "--run", "runs/new", *url).endswith(f"; {advised}")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "verb",
    [
        ("train", "--run", "runs/second", "--config"),
        ("data", "--run", "runs/new", "--text"),
        ("ratings", "import", "--run", "runs/second"),
    ],
    ids=lambda verb: str(verb[0]),
)
def test_a_file(shosei: Shosei, verb: tuple[str, ...]) -> None:
    assert told(shosei, *verb, "row.jsonl").endswith("; did you mean rows.jsonl?")
