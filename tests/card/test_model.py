"""One model's numbers, wherever they are shown: the card's header, card.json, ``shosei models``, ``shosei plan``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from shosei.card import build, to_json
from shosei.card.facts import conditions, header
from shosei.card.words import LANGUAGES, translated
from shosei.log import read_log
from shosei.metrics.cells import compute
from shosei.spec import PRESETS, preset
from shosei.train import TrainConfig, preparation
from train_samples import make_run
from verb import Shosei

COUNTS = ("params", "embedding_params")
SHAPE = ("d_model", "n_layers", "intermediate_size", "n_heads", "n_kv_heads", "head_dim", "vocab_size")


def numbers(said: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(r"\b\d[\d,]*", said)]


@pytest.mark.parametrize("name", PRESETS)
def test_a_presets_numbers_are_the_same_everywhere(
    shosei: Shosei, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    spec = preset(name)
    run = make_run(tmp_path / "run")
    tokenizer = SimpleNamespace(vocab_size=spec.vocab_size)
    monkeypatch.setattr(preparation, "load_chat", lambda folder: SimpleNamespace(tokenizer=tokenizer))
    manifest = preparation.prepare(TrainConfig(preset=name), run).manifest()
    with run.recording("train", "training", **manifest):
        pass
    log = read_log(run.log)
    card = build(log, compute(log))
    on_card = json.loads(to_json(card))["model"]
    [listed] = [one for one in json.loads(shosei("models", "--json")[1])["presets"] if one["name"] == name]
    planned = json.loads(shosei("plan", name, "--no-here", "--json")[1])["model"]
    for key in (*COUNTS, *SHAPE):
        assert on_card[key] == listed[key] == planned[key] == getattr(spec, key)
    assert listed["non_embedding_params"] == planned["non_embedding_params"] == spec.non_embedding_params
    for language in LANGUAGES:
        on_top, below = (
            {key: " · ".join(translated(part, language) for part in parts) for key, parts in facts}
            for facts in (header(card), conditions(card))
        )
        assert numbers(on_top["parameters"]) == [spec.params]
        assert numbers(below["parameters"]) == [spec.embedding_params, spec.non_embedding_params]
        assert numbers(below["shape"]) == [getattr(spec, key) for key in SHAPE]


@pytest.mark.parametrize(
    ("kernels", "said"),
    [
        (
            {"layers": "native avx2 int4", "head": "native avx2 int8"},
            "layers: native avx2 int4 · head: native avx2 int8",
        ),
        ({"layers": "native avx512 bf16", "head": "native avx512 bf16"}, "native avx512 bf16"),
        ({"layers": "torch: there is no C compiler", "head": "torch: there is no C compiler"}, "torch"),
    ],
)
def test_every_view_says_what_computed_the_model(
    shosei: Shosei, tmp_path: Path, kernels: dict[str, str], said: str
) -> None:
    run = make_run(tmp_path / "run")
    for verb in ("serve", "engine"):
        with run.recording(verb, "inference", config={"kernels": kernels} if verb == "engine" else {}):
            pass
    assert f"Computed by: {said}\n" in shosei("card", run.folder)[1]
    assert json.loads((run.folder / "card.json").read_text())["kernels"] == kernels
    page = (run.folder / "card.html").read_text()
    assert all(f"{part}<" in page or f"{part} " in page for part in said.split(" · "))
    assert said in (run.folder / "card.md").read_text()


def test_a_card_without_an_engine_of_ours_says_nothing_of_kernels(shosei: Shosei, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with run.recording("load", "inference"):
        pass
    assert "Computed by" not in shosei("card", run.folder)[1]
    assert "kernels" not in json.loads((run.folder / "card.json").read_text())
