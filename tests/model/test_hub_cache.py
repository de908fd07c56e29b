"""Models by name, from the caches that other programs' downloads leave, in the layouts that those have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from foreign_samples import save
from shosei.model import folder
from verb import Shosei

pytestmark = pytest.mark.usefixtures("in_one_process")

NAME = "An-Org/Tiny-0.5B"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    save("llama", tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


@pytest.fixture(autouse=True)
def no_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME", "MODELSCOPE_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def hub_snapshot(cache: Path, checkpoint: Path, commit: str) -> Path:
    """As the hub's client lays a model out: files under their hashes, and links to them under their names."""
    model = cache / "models--An-Org--Tiny-0.5B"
    for number, file in enumerate(sorted(checkpoint.iterdir())):
        (model / "blobs").mkdir(parents=True, exist_ok=True)
        (model / "snapshots" / commit).mkdir(parents=True, exist_ok=True)
        blob = model / "blobs" / f"{commit}{number}"
        blob.write_bytes(file.read_bytes())
        (model / "snapshots" / commit / file.name).symlink_to(f"../../blobs/{blob.name}")
    return model


@pytest.mark.parametrize(
    ("variable", "value", "cache"),
    [
        ("", "", "home/.cache/huggingface/hub"),
        ("XDG_CACHE_HOME", "x", "x/huggingface/hub"),
        ("HF_HOME", "h", "h/hub"),
        ("HF_HUB_CACHE", "c", "c"),
    ],
)
def test_a_name_is_read_from_the_hubs_cache(
    variable: str,
    value: str,
    cache: str,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shosei: Shosei,
) -> None:
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / value))
    hub_snapshot(tmp_path / cache, checkpoint, "c0ffee")
    code, out, err = shosei("import", NAME, "--out", tmp_path / "run")
    assert code == 0, err
    assert "serve it" in out
    theirs, ours = (folder.load(path)[0].state_dict() for path in (checkpoint, tmp_path / "run/model"))
    assert all((ours[name] == theirs[name]).all() for name in theirs)


def test_of_several_snapshots_it_is_the_one_that_main_names(checkpoint: Path, tmp_path: Path, shosei: Shosei) -> None:
    cache = tmp_path / "home/.cache/huggingface/hub"
    model = hub_snapshot(cache, checkpoint, "aaaa")
    hub_snapshot(cache, checkpoint, "bbbb")
    (model / "snapshots/bbbb/config.json").unlink()
    (model / "snapshots/bbbb/config.json").write_text('{"model_type": "other"}')
    os.utime(model / "snapshots/bbbb", (2e9, 2e9))
    assert "architecture" in shosei("import", NAME, "--out", tmp_path / "run")[2]
    (model / "refs").mkdir()
    (model / "refs/main").write_text("aaaa")
    assert shosei("import", NAME, "--out", tmp_path / "run")[0] == 0


@pytest.mark.parametrize(
    "place", ["hub/models/An-Org/Tiny-0___5B", "hub/An-Org/Tiny-0___5B", "models/An-Org/Tiny-0.5B"]
)
def test_a_name_is_read_from_modelscopes_cache(place: str, checkpoint: Path, tmp_path: Path, shosei: Shosei) -> None:
    target = tmp_path / "home/.cache/modelscope" / place
    target.parent.mkdir(parents=True)
    checkpoint.rename(target)
    assert shosei("import", NAME, "--out", tmp_path / "run")[0] == 0


def test_a_name_that_no_cache_has_is_told_how_to_get_it(tmp_path: Path, shosei: Shosei) -> None:
    code, _, err = shosei("import", NAME, "--out", tmp_path / "run")
    assert code == 2
    commands = [line.partition("#")[0].strip() for line in err.splitlines()]
    for line in (f"hf download {NAME}", f"modelscope download --model {NAME}"):
        assert line in commands  # a line of its own, to be copied
    for word in ("HF_ENDPOINT=", "Qwen/Qwen3-0.6B"):
        assert word in err
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("cache", ["huggingface/hub", "modelscope"])
def test_a_configuration_alone_is_no_model(cache: str, checkpoint: Path, tmp_path: Path, shosei: Shosei) -> None:
    """As a program leaves it that only looked at what the model is."""
    if cache == "modelscope":
        folder_of_it = tmp_path / "home/.cache/modelscope/models/An-Org/Tiny-0.5B"
        folder_of_it.mkdir(parents=True)
        (folder_of_it / "config.json").write_text((checkpoint / "config.json").read_text())
    else:
        snapshots = hub_snapshot(tmp_path / "home/.cache" / cache, checkpoint, "c0ffee") / "snapshots"
        (snapshots / "c0ffee/model.safetensors").unlink()
    code, _, err = shosei("import", NAME, "--out", tmp_path / "run")
    assert code == 2
    assert f"hf download {NAME}" in err
    if cache == "huggingface/hub":
        hub_snapshot(tmp_path / "home/.cache" / cache, checkpoint, "whole")
        assert shosei("import", NAME, "--out", tmp_path / "run")[0] == 0


def test_a_model_that_is_there_pickled_is_told_so(checkpoint: Path, tmp_path: Path, shosei: Shosei) -> None:
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    hub_snapshot(tmp_path / "home/.cache/huggingface/hub", checkpoint, "c0ffee")
    assert "pytorch_model.bin is pickled" in shosei("import", NAME, "--out", tmp_path / "run")[2]


def test_a_model_that_is_there_as_gguf_is_named_by_its_file(tmp_path: Path, shosei: Shosei) -> None:
    snapshot = tmp_path / "home/.cache/huggingface/hub/models--An-Org--Tiny-0.5B/snapshots/c0ffee"
    snapshot.mkdir(parents=True)
    (snapshot / "tiny-q8_0.gguf").write_bytes(b"GGUF")
    code, _, err = shosei("import", NAME, "--out", tmp_path / "run")
    assert (code, err.count("\n")) == (2, 1)
    assert f"import the file: shosei import {snapshot / 'tiny-q8_0.gguf'}" in err


def test_a_folder_of_that_name_comes_first(checkpoint: Path, tmp_path: Path, shosei: Shosei) -> None:
    (tmp_path / NAME).parent.mkdir()
    checkpoint.rename(tmp_path / NAME)
    assert shosei("import", NAME, "--out", tmp_path / "run")[0] == 0
