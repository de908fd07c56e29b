"""``shosei export`` as a user calls it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import gguf
import jinja2
import pytest
import torch
import yaml
from transformers import AutoTokenizer

from foreign_chats import make_chat
from foreign_samples import save
from model_samples import random_model, reduced, save_tokenizer
from shosei.model import folder, ollama
from verb import Shosei

QUICKSTART = Path(__file__).parents[1] / "frozen/quickstart"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    spec = reduced("nano")
    folder.export(random_model(spec), spec, save_tokenizer(tmp_path / "tokenizer"), tmp_path / "run/model")
    return tmp_path / "run"


def test_a_run_becomes_a_folder_or_a_file(run: Path, tmp_path: Path, shosei: Shosei) -> None:
    code, out, _ = shosei("export", run, tmp_path / "half", "--type", "bf16", "--json")
    assert code == 0
    assert json.loads(out)["bytes"] == sum(file.stat().st_size for file in (tmp_path / "half").iterdir())
    assert folder.load(tmp_path / "half", None)[0].norm.weight.dtype == torch.bfloat16
    assert shosei("export", run / "model", tmp_path / "m.gguf", "--format", "gguf", "--type", "q8_0")[0] == 0
    assert gguf.GGUFReader(tmp_path / "m.gguf").tensors


def test_nothing_is_replaced_that_is_no_model(run: Path, tmp_path: Path, shosei: Shosei) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/kept.txt").write_text("mine")
    code, _, err = shosei("export", run, tmp_path / "notes")
    assert code == 2
    assert "is not a model folder" in err
    assert (tmp_path / "notes/kept.txt").read_text() == "mine"
    assert "the model itself" in shosei("export", run, run / "model")[2]
    assert "--format gguf" in shosei("export", run, tmp_path / "out", "--type", "q4_0")[2]


def test_a_name_that_ends_in_gguf_makes_a_file(run: Path, tmp_path: Path, shosei: Shosei) -> None:
    code, out, _ = shosei("export", run, tmp_path / "m.gguf")
    assert code == 0
    assert gguf.GGUFReader(tmp_path / "m.gguf").tensors
    assert f"llama-server -m {tmp_path / 'm.gguf'}" in out
    assert shosei("export", run, tmp_path / "q.gguf", "--type", "q8_0")[0] == 0
    assert "a file's name" in shosei("export", run, tmp_path / "n.gguf", "--format", "hf")[2]
    (tmp_path / "folder").mkdir()
    assert "is a folder" in shosei("export", run, tmp_path / "folder", "--format", "gguf")[2]
    code, _, err = shosei("export", run, tmp_path / "no/such/x.gguf")
    assert (code, err.count("\n")) == (2, 1), err
    assert "there is no folder" in err
    assert not (tmp_path / "no").exists()


def test_ollama_gets_a_modelfile_beside_the_file(run: Path, tmp_path: Path, shosei: Shosei) -> None:
    assert shosei("export", run, tmp_path / "bot.gguf", "--format", "ollama")[0] == 0
    lines = (tmp_path / "bot.Modelfile").read_text().splitlines()
    assert lines[0] == "FROM ./bot.gguf"
    assert {'PARAMETER stop "<|im_end|>"', "PARAMETER temperature 1.0", "PARAMETER num_ctx 512"} <= set(lines)
    assert gguf.GGUFReader(tmp_path / "bot.gguf").tensors


@pytest.mark.parametrize(
    ("stated", "drawn"),
    [
        ({}, {"temperature": 1, "top_p": 1, "top_k": 0, "min_p": 0, "repeat_penalty": 1}),
        ({"do_sample": False}, {"temperature": 1}),
        ({"do_sample": False, "temperature": 0.6, "top_k": None}, {"temperature": 0.6, "top_k": 0}),
        ({"do_sample": True, "temperature": 0, "repetition_penalty": 1.1}, {"temperature": 0, "repeat_penalty": 1.1}),
    ],
)
def test_ollama_draws_as_our_server_does(
    stated: dict[str, object], drawn: dict[str, float], run: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(run / "model", tmp_path / "model")
    (model / "generation_config.json").write_text(json.dumps(stated))
    lines = [line.split() for line in ollama.modelfile(model, tmp_path / "m.gguf").splitlines()]
    parameters = {line[1]: float(line[2]) for line in lines if line[:1] == ["PARAMETER"] and line[1] != "stop"}
    assert drawn.items() <= parameters.items()


@pytest.mark.parametrize("default", ["", "<|role|>system\nBe kind.<|end|>\n"])
def test_ollamas_template_lays_out_as_the_models_own(default: str, tmp_path: Path) -> None:
    begin = f"{{% if messages[0].role != 'system' %}}{{{{ {json.dumps(default)} }}}}{{% endif %}}" if default else ""
    turn = "{{ '<|role|>' + m.role + '\n' + m.content + '<|end|>\n' }}"
    folder_of_chat = make_chat(
        tmp_path / "chat",
        f"{begin}{{% for m in messages %}}{turn}{{% endfor %}}"
        "{% if add_generation_prompt %}{{ '<|role|>assistant\n' }}{% endif %}",
    )
    save("llama", tmp_path / "model")
    (folder_of_chat / "config.json").write_text((tmp_path / "model/config.json").read_text())
    template = ollama.modelfile(folder_of_chat, tmp_path / "m.gguf").split('"""')[1]
    own = AutoTokenizer.from_pretrained(folder_of_chat)
    for roles in (["user"], ["system", "user"], ["user", "assistant", "user"]):
        messages = [{"role": role, "content": f"你好{place}"} for place, role in enumerate(roles)]
        wanted = own.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        assert as_go_reads(template, messages) == wanted


def as_go_reads(template: str, messages: list[dict[str, str]]) -> str:
    """What Go's text/template makes of the few actions that a Modelfile of ours has: they are Jinja's but for names."""
    for go, jinja in (
        (r'if ne \(index \.Messages 0\)\.Role "system"', 'if messages[0].role != "system"'),
        (r"range \.Messages", "for m in messages"),
        (r'else if eq \.Role ("\w+")', r"elif m.role == \1"),
        (r'if eq \.Role ("\w+")', r"if m.role == \1"),
    ):
        template = re.sub(rf"{{{{ {go} }}}}", rf"{{% {jinja} %}}", template)
    template = template.replace("{{ .Content }}", "{{ m.content }}")
    blocks: list[str] = []

    def closed(found: re.Match[str]) -> str:
        if found[1] != "end":
            blocks.append(found[1])
            return found[0]
        return f"{{% end{blocks.pop()} %}}"

    template = re.sub(r"{[{%] (if|for|end)\b(?: [^%]*%}| }})", closed, template)
    return jinja2.Environment(keep_trailing_newline=True).from_string(template).render(messages=messages)


def test_a_layout_that_ollama_has_no_words_for_is_refused(run: Path, tmp_path: Path, shosei: Shosei) -> None:
    numbered = "{% for m in messages %}{{ loop.index }}{{ m.role + m.content }}{% endfor %}"
    (run / "model/chat_template.jinja").write_text(numbered)
    code, _, err = shosei("export", run, tmp_path / "m.gguf", "--format", "ollama")
    assert code == 2
    assert "llama-server --jinja" in err
    assert not (tmp_path / "m.gguf").exists()


def test_a_folder_has_a_model_card_and_a_line_that_uploads_it(run: Path, tmp_path: Path, shosei: Shosei) -> None:
    shutil.copytree(QUICKSTART, run, dirs_exist_ok=True)
    (run / "suites").mkdir()
    (run / "suites/facts.jsonl").write_text('{"lang": "zh"}\n{"lang": "ja"}\n{"lang": "zh"}\n')
    code, out, _ = shosei("export", run, tmp_path / "out", "--license", "apache-2.0")
    assert code == 0
    assert f"hf upload YOUR_NAME/out {tmp_path / 'out'}" in out
    header = yaml.safe_load((tmp_path / "out/README.md").read_text().split("---\n")[1])
    assert header["license"] == "apache-2.0"
    assert header["language"] == ["ja", "zh"]
    assert header["tags"] == ["llama", "conversational", "shosei"]
    assert "of other weights" in (tmp_path / "out/README.md").read_text()

    card = json.loads((run / "card.json").read_text())
    card["hashes"]["model.safetensors"] = hashlib.sha256((run / "model/model.safetensors").read_bytes()).hexdigest()
    (run / "card.json").write_text(json.dumps(card))
    assert shosei("export", run, tmp_path / "out")[0] == 0
    text = (tmp_path / "out/README.md").read_text()
    assert "license" not in text
    measured = [metric for metric in card["metrics"] if metric["value"] is not None]
    assert text.count("| training |") + text.count("| inference |") == len(measured) > 10

    (run / "model/README.md").write_text("---\nlicense: mit\n---\n")
    assert shosei("export", run, tmp_path / "out")[0] == 0
    assert "license: mit\n" in (tmp_path / "out/README.md").read_text()
    assert "an identifier" in shosei("export", run, tmp_path / "new", "--license", "see the file")[2]
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("kind", ["gguf", "ollama"])
def test_a_licence_is_not_swallowed_where_there_is_no_card(
    kind: str, run: Path, tmp_path: Path, shosei: Shosei
) -> None:
    out = tmp_path / "nano.gguf"
    assert shosei("export", run, out, "--format", kind, "--license", "mit")[0] == 0
    assert gguf.GGUFReader(out).fields["general.license"].contents() == "mit"
    code, _, err = shosei("export", run, tmp_path / "other.gguf", "--format", kind, "--license", "see the file")
    assert (code, err.count("\n")) == (2, 1)
    assert not (tmp_path / "other.gguf").exists()


@pytest.mark.parametrize(
    ("stated", "written"), [("Apache-2.0", "apache-2.0"), ("[mit]", None), ("'MIT'", "mit"), ("如文件", None)]
)
def test_what_a_models_own_card_says_never_stops_its_export(
    stated: str, written: str | None, run: Path, tmp_path: Path, shosei: Shosei
) -> None:
    """It is somebody else's file; hubs write identifiers in small letters."""
    (run / "model/README.md").write_text(f"---\nlicense: {stated}\n---\n")
    code, _, err = shosei("export", run, tmp_path / "out")
    assert code == 0, err
    header = yaml.safe_load((tmp_path / "out/README.md").read_text().split("---\n")[1])
    assert header.get("license") == written
