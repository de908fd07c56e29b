"""The small modules of the floor: configuration, atomic files, SSE, the command line's manners."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from shosei import config
from shosei.errors import InputError
from shosei.files import atomic_path, write_atomic
from shosei.log import RunEnd, read_log
from shosei.wire import sse


class Recipe(config.Config):
    lr: float = Field(1e-3, gt=0, description="Peak learning rate.")
    name: str = "nano"
    steps: int = 10


def test_file_and_overrides_make_one_config_and_run_toml_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[train]\nlr = 0.5\n[load]\nrate = 1\n")
    recipe = config.load(Recipe, "train", tmp_path / "c.toml", ["train.steps=7", "train.name=ja-small"])
    assert (recipe.lr, recipe.steps, recipe.name) == (0.5, 7, "ja-small")
    run_toml = tmp_path / "run" / "run.toml"
    config.save(run_toml, "train", recipe)
    config.save(run_toml, "data", Recipe())
    tables = tomllib.loads(run_toml.read_text())
    assert tables["train"] == {"lr": 0.5, "name": "ja-small", "steps": 7}
    assert config.load(Recipe, "train", run_toml) == recipe


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.stepz=3", "did you mean 'steps'"),
        ("train.lr=-1", "train.lr"),
        ("train.steps=many", "train.steps"),
        ("train.steps=true", "whole number"),
        ("lr=3", "section.key=value"),
        ("data.lr=3", "reads section 'train'"),
    ],
)
def test_a_wrong_override_is_one_line_that_helps(override: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        config.load(Recipe, "train", overrides=[override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[trian]\nlr = 1\n", "no verb reads section 'trian'; did you mean 'train'"),
        (
            "m = 3\n",
            "no verb reads section 'm'; known: agents, data, exam, gateway, judge, load, serve, text, tokenizer, train",
        ),
        ("train = 3\n", "'train' is a section"),
        ("load = 3\n", "'load' is a section"),
        ("[train]\nlr = 1\n[train]\n", "cannot read"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        config.load(Recipe, "train", tmp_path / "c.toml")
    assert str(tmp_path / "c.toml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_kill_while_writing_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    target = tmp_path / "value"
    write_atomic(target, "0" * 1_000_000)
    code = f"""
from pathlib import Path
from shosei.files import write_atomic
print("ready", flush=True)
number = 0
while True:
    number += 1
    write_atomic(Path({str(target)!r}), str(number % 10) * 1_000_000)
"""
    for pause in (0.01, 0.03, 0.07):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            assert process.stdout
            process.stdout.readline()
            try:
                process.wait(pause)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
        text = target.read_text()
        assert len(text) == 1_000_000
        assert len(set(text)) == 1


def test_an_error_while_writing_a_folder_keeps_the_old_one_and_leaves_no_rest(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with atomic_path(tmp_path / "model") as folder:
            folder.mkdir()
            (folder / "weights").write_text(content)
    assert (tmp_path / "model" / "weights").read_text() == "new"

    def fail_halfway() -> None:
        with atomic_path(tmp_path / "model") as folder:
            folder.mkdir()
            (folder / "weights").write_text("broken")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert (tmp_path / "model" / "weights").read_text() == "new"
    assert os.listdir(tmp_path) == ["model"]


def test_a_kill_while_replacing_a_folder_leaves_a_whole_one_that_the_next_writer_finds(tmp_path: Path) -> None:
    target = tmp_path / "model"
    code = f"""
import sys
from pathlib import Path
from shosei.files import atomic_path
number = int(sys.argv[1])
while True:
    number += 1
    with atomic_path(Path({str(target)!r})) as folder:
        folder.mkdir()
        for name in range(8):
            (folder / str(name)).write_text(str(number))
    print(number, flush=True)
"""
    written = 0
    for kill in range(12):
        with subprocess.Popen([sys.executable, "-c", code, str(written)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            process.stdout.readline()
            time.sleep(0.0007 * kill)
            process.send_signal(signal.SIGKILL)
        assert set(os.listdir(tmp_path)) <= {"model", ".model.tmp", ".model.old"}
        standing = target if target.exists() else tmp_path / ".model.old"
        contents = [file.read_text() for file in standing.iterdir()]
        assert len(contents) == 8
        assert len(set(contents)) == 1
        assert int(contents[0]) > written
        written = int(contents[0])
    with contextlib.suppress(ZeroDivisionError), atomic_path(target):
        assert {file.read_text() for file in target.iterdir()} == {str(written)}
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("killed_at", ["between the renames", "before the old one was gone", "while it was going"])
def test_what_a_kill_left_of_a_folder_is_put_in_order(killed_at: str, tmp_path: Path) -> None:
    model, old, temporary = tmp_path / "model", tmp_path / ".model.old", tmp_path / ".model.tmp"
    for folder in {
        "between the renames": [old, temporary],
        "before the old one was gone": [old, model],
        "while it was going": [temporary, model],
    }[killed_at]:
        folder.mkdir()
        (folder / "weights").write_text(folder.name)
    expected = old.name if killed_at == "between the renames" else model.name
    with contextlib.suppress(ZeroDivisionError), atomic_path(model):
        assert (model / "weights").read_text() == expected
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == ["model"]


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1)), st.data())
def test_sse_survives_any_cut(texts: list[str], data: st.DataObject) -> None:
    stream = b": hello\n\n" + b"".join(sse.encode(text.encode()) for text in texts)
    decoder, found = sse.Decoder(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        found += decoder.feed(stream[:cut])
        stream = stream[cut:]
    assert found == [(b" hello", sse.COMMENT), *((text.encode(), b"") for text in texts)]


def test_sse_takes_crlf_and_joins_data_lines() -> None:
    assert sse.Decoder().feed(b"event: x\r\ndata: a\r\ndata:b\r\n\r\ndata: c\n\n") == [(b"a\nb", b"x"), (b"c", b"")]


def shosei(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "shosei", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], "did you mean 'train'"),
        (["models", "--jsn"], "--json"),
        (["models", "extra"], "unexpected extra argument"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(arguments: list[str], words: str) -> None:
    done = shosei(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("verb", "flags", "override"),
    [
        (["data"], ["--seed", "1"], "data.seed=x"),
        (["train"], ["--preset", "nano"], "train.preset=[]"),
        (["load", "http://127.0.0.1:9"], ["--rate", "8"], "load.rate=inf"),
        (["exam", "http://127.0.0.1:9", "--suite", "none"], ["--concurrency", "8"], "exam.concurrency=0"),
    ],
)
def test_set_wins_over_a_flag(verb: list[str], flags: list[str], override: str, tmp_path: Path) -> None:
    (tmp_path / "run" / "log").mkdir(parents=True)
    done = shosei(*verb, "--run", str(tmp_path / "run"), *flags, "--set", override)
    assert done.returncode == 2
    *slow, last = done.stderr.splitlines()
    assert last.startswith(f"shosei: {override.partition('=')[0]}: Input should be")
    assert all(line.startswith("loading torch: ") for line in slow)  # said on a busy machine


def test_a_number_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    for number in ("inf", "nan"):
        done = shosei("load", "http://127.0.0.1:9", "--run", str(tmp_path), "--rate", number)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "load.rate: Input should be" in done.stderr


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        ("FileNotFoundError(2, 'No such file', 'a.toml')", 2, "No such file: a.toml"),
        ("PermissionError(13, 'Permission denied', 'runs')", 2, "Permission denied: runs"),
        ("OSError(28, 'No space left on device')", 2, "no space left on device"),
        ("FileNotFoundError(2, 'No such file')", 1, "a bug of ours"),
        ("OSError(24, 'Too many open files', 'a.toml')", 1, "a bug of ours"),
        ("ConnectionRefusedError(111, 'Connection refused')", 1, "a bug of ours"),
    ],
)
def test_only_what_the_user_can_mend_is_exit_code_2(error: str, code: int, words: str, tmp_path: Path) -> None:
    program = f"""
from shosei.cli import main
from shosei.log import Run

@main.app.command("fail")
def fail() -> None:
    with Run(__import__("pathlib").Path({str(tmp_path)!r})).recording("fail"):
        raise {error}

main.main(["fail"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert words in done.stderr
    assert ("Traceback" in done.stderr) == (code == 1)
    assert read_log(tmp_path / "log").of(RunEnd)[0].exit_code == code


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_verb_ends_without_a_traceback(signum: signal.Signals) -> None:
    program = """
import signal
from shosei.cli import main

@main.app.command("wait")
def wait() -> None:
    print("up", flush=True)
    signal.pause()

main.main(["wait"])
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signum)
        _, errors = process.communicate()
    assert process.returncode == 128 + signum
    assert errors == ("shosei: interrupted\n" if signum == signal.SIGINT else "")


def test_a_reader_that_leaves_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "shosei", "models"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        process.stdout.close()
        assert process.stderr
        assert process.stderr.read() == ""
    assert process.returncode == 128 + signal.SIGPIPE


def test_help_names_the_verbs_and_imports_nothing_heavy() -> None:
    assert "quickstart" in shosei("--help").stdout
    code = """
import sys
from shosei.cli.main import main
try:
    main(["--help"])
except SystemExit as end:
    heavy = {"torch", "numpy", "scipy", "pydantic", "aiohttp", "fastapi", "tokenizers", "rich", "jinja2"}
    print(sorted(heavy & set(sys.modules)), end.code, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[] 0"


def test_a_child_ends_with_its_parent_even_at_kill_9() -> None:
    child = """
import time
from shosei.cli.main import die_with_parent
die_with_parent()
print("up", flush=True)
time.sleep(60)
"""
    parent = f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {child!r}], env=os.environ | {{"SHOSEI_PARENT": str(os.getpid())}},
                         stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        pid = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split(")")[1][:3]:
            return
        subprocess.run(["sleep", "0.05"], check=True)
    pytest.fail("the child outlived its parent")
