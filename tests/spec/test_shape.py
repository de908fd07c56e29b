"""Shapes in files: found by the solver, planned, trained, and refused in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from shosei.spec import PRESETS, preset
from shosei.spec.shape import read_shape, write_shape
from train_samples import TINY, make_run
from verb import Shosei

EXAMPLES = Path(__file__).parents[2] / "examples"
MINIMAL = """[model]
vocab_size = 100
d_model = 12
n_layers = 2
intermediate_size = 16
n_heads = 4
n_kv_heads = 2
head_dim = 8
tied = false
rope_theta = 10_000
context_length = 64
"""


@pytest.mark.parametrize("name", PRESETS)
def test_a_shape_comes_back_from_its_file(name: str, tmp_path: Path) -> None:
    spec = replace(preset(name), qk_norm=True)
    write_shape(spec, tmp_path / "shape.toml")
    assert preset(str(tmp_path / "shape.toml")) == spec


def test_what_need_not_be_said_takes_the_files_name_and_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "slim.toml"
    file.write_text(MINIMAL)
    spec = read_shape(file)
    assert (spec.name, spec.rope_theta, spec.norm_eps, spec.bias) == ("slim", 10_000.0, 1e-5, False)
    assert spec.embedding_params == 2 * 100 * 12


def test_a_solved_shape_is_planned_again_from_its_file(shosei: Shosei, tmp_path: Path) -> None:
    file = tmp_path / "shape.toml"
    solve = ["plan", "--like", "ja-small", "--params", "100e6", "--free", "depth", "--no-here"]
    code, solved, _ = shosei(*solve, "--out", file)
    assert code == 0
    assert shosei("plan", file, "--no-here")[1] == solved
    _, deeper, _ = shosei("plan", "--like", file, "--params", "200e6", "--free", "depth", "--no-here", "--json")
    assert json.loads(deeper)["model"]["n_layers"] == 11


def test_the_shipped_eighth_has_the_large_models_ratios() -> None:
    large, eighth = preset("internlm-large"), preset(str(EXAMPLES / "internlm-large-eighth.toml"))
    narrow = ("d_model", "intermediate_size", "n_heads", "n_kv_heads")
    assert eighth == replace(
        large, name="internlm-large-eighth", **{field: getattr(large, field) // 8 for field in narrow}
    )


def test_a_shape_from_a_file_is_trained(shosei: Shosei, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with run.recording("data"):
        pass
    write_shape(replace(TINY, name="slim", n_layers=1), tmp_path / "slim.toml")
    fast = ["train.epochs=1", "train.dtype=float32", "train.threads=1"]
    options = [word for setting in fast for word in ("--set", setting)]
    code, _, _ = shosei("train", "--run", run.folder, "--preset", tmp_path / "slim.toml", *options)
    config = json.loads((run.model / "config.json").read_text())
    assert (code, config["_name_or_path"], config["num_hidden_layers"]) == (0, "slim", 1)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("[model]", "[model", "cannot read"),
        ("[model]", "[shape]", "one table, [model]"),
        (MINIMAL, "model = 3", "one table, [model]"),
        ("d_model", "dmodel", "did you mean 'd_model'"),
        ("d_model = 12\n", "", "`d_model`"),
        ("d_model = 12", "d_model = 12.5", "Expected `int`, got `float` - at `d_model`"),
        ("n_layers = 2", "n_layers = 0", "model.n_layers = 0"),
        ("n_kv_heads = 2", "n_kv_heads = 3", "model.n_heads = 4"),
        ("head_dim = 8", "head_dim = 7", "model.head_dim = 7"),
        ("10_000", "nan", "model.rope_theta"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(
    shosei: Shosei, tmp_path: Path, before: str, after: str, words: str
) -> None:
    file = tmp_path / "shape.toml"
    file.write_text(MINIMAL.replace(before, after))
    code, _, error = shosei("plan", file, "--no-here")
    assert code == 2
    assert words in error
    assert str(file) in error
    assert error.count("\n") == 1
