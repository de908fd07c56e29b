"""What an import says of a model that works in part, and how it ends where one takes more than it may."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from foreign_chats import PLAIN, XML, make_chat
from foreign_samples import edit, save
from verb import Shosei

NO_TOOLS = "{% for m in messages %}{% if m.role not in ['user', 'assistant'] %}{{ raise_exception('roles alternate') }}"
NO_TOOLS += "{% endif %}{{ m.content }}{% endfor %}"


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    save("llama", tmp_path / "theirs", num_hidden_layers=1)
    edit(tmp_path / "theirs/tokenizer_config.json", bos_token=None)
    return tmp_path / "theirs"


@pytest.mark.parametrize(
    ("template", "note"),
    [
        (NO_TOOLS, "its chat has no tool calls: the model's chat template refuses this: roles alternate"),
        (PLAIN, "its chat template has no tools: a request's tools stand in the system's words"),
        (XML, "its chat template writes tool calls in a form that is not known here: tools are refused"),
    ],
)
def test_a_template_without_tools_is_said(
    theirs: Path, tmp_path: Path, shosei: Shosei, template: str, note: str
) -> None:
    """The tokenizer has no tokens for calls either."""
    save("llama", theirs, num_hidden_layers=1, vocab_size=400)
    make_chat(theirs, template)
    code, out, err = shosei("import", theirs, "--out", tmp_path / "run")
    assert code == 0, err
    assert note in out
    assert out.rstrip().endswith(f"serve it: shosei serve {tmp_path / 'run'}")


def test_a_base_model_is_said(theirs: Path, tmp_path: Path, shosei: Shosei) -> None:
    (theirs / "chat_template.jinja").unlink()
    code, out, err = shosei("import", theirs, "--out", tmp_path / "run")
    assert code == 0, err
    assert "it has no chat template" in out


def test_a_tokenizer_that_blows_text_up_ends_at_the_limit_of_memory(
    theirs: Path, tmp_path: Path, shosei: Shosei
) -> None:
    """Ten times as long for each of twelve rules."""
    tokenizer = json.loads((theirs / "tokenizer.json").read_text())
    rule = {"type": "Replace", "pattern": {"Regex": "."}, "content": "x" * 10}
    tokenizer["normalizer"] = {"type": "Sequence", "normalizers": [rule] * 12}
    (theirs / "tokenizer.json").write_text(json.dumps(tokenizer))
    code, out, err = shosei("import", theirs, "--out", tmp_path / "run")
    assert code == 2
    assert err.count("\n") == 1
    assert "the tokenizer or the chat template: it" in err
    assert not (tmp_path / "run/model").exists()
    assert "serve it" not in out


def test_a_lower_limit_of_the_systems_is_kept(theirs: Path, tmp_path: Path) -> None:
    """As ``ulimit -d`` sets it for a whole session, below what an import would allow its child."""
    limits = (2 << 30, 2 << 30)
    ended = subprocess.run(
        [sys.executable, "-m", "shosei", "import", theirs, "--out", tmp_path / "run"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, limits),
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert "serve it" in ended.stdout
