"""A licence goes with the model from import to export, over GGUF and over training, and none is made up."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from gguf import GGUFReader

from foreign_samples import save
from verb import Shosei

pytestmark = pytest.mark.usefixtures("in_one_process")


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    save("llama", tmp_path / "theirs", num_hidden_layers=1)
    return tmp_path / "theirs"


def front_matter(folder: Path) -> dict[str, object]:
    header: dict[str, object] = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
    return header


def test_a_cards_licence_survives_folders_and_gguf(theirs: Path, tmp_path: Path, shosei: Shosei) -> None:
    (theirs / "README.md").write_text("---\nlanguage: ja\nlicense: Apache-2.0\n---\n# Theirs\n")
    (theirs / "LICENSE").write_bytes(b"Theirs, \xa9 2026\n")
    code, out, err = shosei("import", theirs, "--out", tmp_path / "run")
    assert code == 0, err
    assert "licence: apache-2.0" in out
    assert shosei("export", tmp_path / "run", tmp_path / "m.gguf")[0] == 0
    assert GGUFReader(tmp_path / "m.gguf").fields["general.license"].contents() == "apache-2.0"
    assert shosei("import", tmp_path / "m.gguf", "--out", tmp_path / "again")[0] == 0
    for run, texts in (("run", ["LICENSE"]), ("again", [])):
        assert shosei("export", tmp_path / run, tmp_path / f"{run}-out")[0] == 0
        assert front_matter(tmp_path / f"{run}-out")["license"] == "apache-2.0"
        assert [file.name for file in (tmp_path / f"{run}-out").glob("LICENSE*")] == texts
    assert (tmp_path / "run-out/LICENSE").read_bytes() == b"Theirs, \xa9 2026\n"


def test_a_text_alone_is_another_licence_with_a_link(theirs: Path, tmp_path: Path, shosei: Shosei) -> None:
    (theirs / "LICENSE.txt").write_text("Theirs.")
    assert shosei("import", theirs, "--out", tmp_path / "run")[0] == 0
    assert shosei("export", tmp_path / "run", tmp_path / "out")[0] == 0
    stated = front_matter(tmp_path / "out")
    assert (stated["license"], stated["license_link"]) == ("other", "LICENSE.txt")
    assert (tmp_path / "out/LICENSE.txt").read_text() == "Theirs."


def test_no_licence_is_made_up(theirs: Path, tmp_path: Path, shosei: Shosei) -> None:
    code, out, _ = shosei("import", theirs, "--out", tmp_path / "run")
    assert code == 0
    assert "licence:" not in out
    assert not (tmp_path / "run/model/README.md").exists()
    assert shosei("export", tmp_path / "run", tmp_path / "m.gguf")[0] == 0
    assert "general.license" not in GGUFReader(tmp_path / "m.gguf").fields


def test_a_text_from_elsewhere_is_not_taken(theirs: Path, tmp_path: Path, shosei: Shosei) -> None:
    (theirs / "LICENSE").symlink_to("/etc/hostname")
    code, _, err = shosei("import", theirs, "--out", tmp_path / "run")
    assert (code, err.count("\n")) == (2, 1)
    assert "leads out of the folder" in err
