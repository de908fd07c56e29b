"""Folders that were made to do harm, or are damaged in unlikely ways, are one line each, and leave no model behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from sentencepiece import sentencepiece_model_pb2

from foreign_samples import edit, save
from shosei.errors import InputError
from shosei.model import folder
from shosei.text.foreign import tokenizer_files
from verb import Shosei


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a chat format of its own and weights of one layer."""
    path = tmp_path_factory.mktemp("whole")
    save("qwen2", path, num_hidden_layers=1)
    edit(path / "tokenizer_config.json", bos_token=None)
    return path


def replaced(name: str, by: Callable[[Path], object]) -> Callable[[Path], object]:
    def damage(path: Path) -> None:
        (path / name).unlink(missing_ok=True)
        by(path / name)

    return damage


def text(name: str, content: str) -> Callable[[Path], object]:
    return replaced(name, lambda file: file.write_text(content))


def number(key: str, value: str) -> Callable[[Path], object]:
    """A number in JSON that Python would not write."""
    return lambda path: (path / "config.json").write_text(
        json.dumps(json.loads((path / "config.json").read_text()) | {key: "HERE"}).replace('"HERE"', value)
    )


def shard_outside(path: Path) -> None:
    shutil.move(path / "model.safetensors", path.parent / "outside.safetensors")
    (path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../outside.safetensors"}}')


def not_finite(path: Path) -> None:
    tensors = load_file(path / "model.safetensors")
    tensors["model.norm.weight"].fill_(float("nan"))
    save_file(tensors, path / "model.safetensors", {"format": "pt"})


def sparse(file: Path) -> None:
    with file.open("w") as opened:
        opened.truncate(1 << 30)


def pieces_alone(by: Callable[[Path], object]) -> Callable[[Path], object]:
    """A SentencePiece model in the tokenizer's place."""

    def damage(path: Path) -> None:
        (path / "tokenizer.json").unlink()
        by(path / "tokenizer.model")

    return damage


def one_long_piece(file: Path) -> None:
    proto = sentencepiece_model_pb2.ModelProto()
    proto.trainer_spec.model_type = 2  # BPE
    for piece in ("<unk>", "a", "a" * 300_000):
        proto.pieces.add(piece=piece, score=0.0)
    file.write_bytes(proto.SerializeToString())


def backtracking(path: Path) -> None:
    """A pattern that tries exponentially many ways to divide a text."""
    split = {
        "type": "Split",
        "pattern": {"Regex": "((((.+)+)+)+)+(?!.)(?<!？)"},
        "behavior": "Isolated",
        "invert": False,
    }
    edit(path / "tokenizer.json", pre_tokenizer=split)


LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
HARM: dict[str, tuple[Callable[[Path], object], str]] = {
    "a number beyond all": (number("hidden_size", "1e999"), "1e999 is not a finite number"),
    "no number": (number("rope_theta", "NaN"), "NaN is not a finite number"),
    "a size of a million digits": (number("hidden_size", "9" * 1_000_000), "cannot read"),
    "a deep file": (text("config.json", "[" * 100_000), "nested too deep"),
    "a deep tokenizer_config": (text("tokenizer_config.json", '{"a":' * 100_000), "nested too deep"),
    "architectures as a number": (number("architectures", "5"), "is not supported"),
    "a billion layers": (number("num_hidden_layers", "1000000000"), "num_hidden_layers = 1000000000"),
    "a hundred layers": (number("num_hidden_layers", "100"), "100 layers, but only"),
    "a huge width": (number("hidden_size", "9000000000"), "hidden_size = 9000000000"),
    "a wide width": (number("hidden_size", "60000000"), "has shape"),
    "a negative size": (number("vocab_size", "-1"), "vocab_size = -1"),
    "a shard outside": (shard_outside, "leads out of the folder"),
    "a linked template": (
        replaced("chat_template.jinja", lambda file: file.symlink_to("/etc/hostname")),
        "leads out of the folder",
    ),
    "a link to itself": (replaced("config.json", lambda file: file.symlink_to(file)), "config.json"),
    "a pipe": (replaced("config.json", os.mkfifo), "is not a regular file"),
    "a pipe of weights": (replaced("model.safetensors", os.mkfifo), "is not a regular file"),
    "a device": (replaced("tokenizer.json", lambda file: file.symlink_to("/dev/zero")), "leads out of the folder"),
    "an endless template": (text("chat_template.jinja", LOOP), "chat template: it does not end within"),
    "a vast template": (text("chat_template.jinja", "{{ 'a' * 10**11 }}"), "refuses this"),
    "a gigabyte of tokenizer": (replaced("tokenizer.json", sparse), "tokenizer.json has more than 200,000,000 bytes"),
    "a deep tokenizer": (text("tokenizer.json", '{"model":' * 100_000), "is not a tokenizer"),
    "a gigabyte of pieces": (pieces_alone(sparse), "tokenizer.model has more than 200,000,000 bytes"),
    "a piece that is a book": (
        pieces_alone(one_long_piece),
        "list of weights and tokenizer: it fails, or takes more memory",
    ),
    "a pattern without an end": (backtracking, "the tokenizer or the chat template"),
    "no template": (text("chat_template.jinja", "{% for %}"), "is not Jinja"),
    "weights without numbers": (not_finite, "no finite numbers"),
}


# It takes all of the CPU time that it may, as the endless template does.
ENDLESS_TOO = "a pattern without an end"


@pytest.mark.parametrize(
    "name", [*(name for name in HARM if name != ENDLESS_TOO), pytest.param(ENDLESS_TOO, marks=pytest.mark.long)]
)
def test_harm_is_one_line_and_leaves_nothing(name: str, whole: Path, tmp_path: Path, shosei: Shosei) -> None:
    damage, says = HARM[name]
    theirs = shutil.copytree(whole, tmp_path / "theirs")
    damage(theirs)
    code, out, err = shosei("import", theirs, "--out", tmp_path / "run")
    assert code == 2, err
    assert err.count("\n") == 1
    assert says in err
    assert "serve it" not in out
    assert not [file for file in (tmp_path / "run").rglob("*") if file.name in ("config.json", "tokenizer.json")]


def test_what_fails_leaves_the_model_that_was_there(whole: Path, tmp_path: Path, shosei: Shosei) -> None:
    assert shosei("import", whole, "--out", tmp_path / "run")[0] == 0
    before = {file: file.read_bytes() for file in sorted((tmp_path / "run/model").rglob("*"))}
    theirs = shutil.copytree(whole, tmp_path / "theirs")
    (theirs / "chat_template.jinja").write_text("{{ raise_exception('never') }}")
    assert shosei("import", theirs, "--out", tmp_path / "run")[0] == 2
    assert {file: file.read_bytes() for file in sorted((tmp_path / "run/model").rglob("*"))} == before


def test_a_snapshot_of_a_hubs_cache_links_to_its_blobs(whole: Path, tmp_path: Path, shosei: Shosei) -> None:
    blobs = Path(shutil.copytree(whole, tmp_path / "hub/models--a--b/blobs"))
    snapshot = blobs.parent / "snapshots/0123"
    snapshot.mkdir(parents=True)
    for file in blobs.iterdir():
        (snapshot / file.name).symlink_to(Path("../../blobs") / file.name)
    code, out, err = shosei("import", snapshot, "--out", tmp_path / "run")
    assert code == 0, err
    assert "serve it" in out


SOMETIMES = {
    "config.json": {"rope_scaling": None, "quantization_config": None, "layer_types": None},
    "generation_config.json": {"temperature": 0.5, "top_k": 20},
    "tokenizer_config.json": {"chat_template": "", "auto_map": None},
}
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer_config.json"])
def test_any_config_is_read_or_is_one_line(name: str, data: st.DataObject, whole: Path, tmp_path: Path) -> None:
    """One or two keys of a good file have any value, or are gone."""
    theirs = tmp_path / "theirs"
    if not theirs.exists():
        shutil.copytree(whole, theirs)
    config = json.loads((whole / name).read_text()) | SOMETIMES.get(name, {})
    for key in data.draw(st.lists(st.sampled_from(sorted(config)), min_size=1, max_size=2, unique=True)):
        value = data.draw(_VALUES | st.just("absent"))
        config = {other: old for other, old in config.items() if other != key}
        config |= {} if value == "absent" else {key: value}
    (theirs / name).write_text(json.dumps(config))
    with contextlib.suppress(InputError):
        folder.open_model(theirs)
        tokenizer_files(theirs)
