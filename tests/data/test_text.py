"""``shosei data --text``: what is taken from a user's files, what is held out, and what is refused."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from shosei.data import TextConfig
from shosei.data.corpus import SPLITS, corpus_file, stored_documents, take_text
from shosei.data.documents import find_files, read_documents
from shosei.log import Run, RunEnd, read_log
from shosei.text import Tokenizer
from text_samples import sentences, write_lines
from verb import Shosei

DOCUMENTS = ["吾輩は猫である。", "　名前はまだ無い。", "今天天气很好。"]


def documents_of(run: Run, split: str) -> list[str]:
    return list(stored_documents(corpus_file(run, split)))


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.jsonl", "a.jsonl.gz"])
def test_every_format_gives_the_same_documents(tmp_path: Path, name: str) -> None:
    lines = [json.dumps({"text": text, "id": 1}) if "jsonl" in name else text for text in DOCUMENTS]
    content = "\ufeff" + "\r\n".join([*lines, "", "   "])
    file = tmp_path / name
    file.write_bytes(gzip.compress(content.encode(), mtime=0) if name.endswith("gz") else content.encode())
    assert list(read_documents(file)) == DOCUMENTS


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.jsonl", "a.jsonl.gz"])
def test_whether_a_file_is_packed_is_told_by_its_content(tmp_path: Path, name: str) -> None:
    """A browser may unpack what it downloads and keep the name."""
    lines = "".join(json.dumps({"text": text}) + "\n" if "jsonl" in name else f"{text}\n" for text in DOCUMENTS)
    (tmp_path / name).write_bytes(lines.encode() if name.endswith("gz") else gzip.compress(lines.encode()))
    assert list(read_documents(tmp_path / name)) == DOCUMENTS


def test_a_document_of_json_may_have_several_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "一行目\\n二行目"}\n{"text": " "}\n')
    assert list(read_documents(file)) == ["一行目\n二行目"]


def test_a_column_of_parquet_is_documents(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": DOCUMENTS, "id": [1, 2, 3]}), tmp_path / "a.parquet")
    assert list(read_documents(tmp_path / "a.parquet")) == DOCUMENTS


def test_folders_are_searched_and_other_files_in_them_passed_over(tmp_path: Path) -> None:
    (tmp_path / "ja").mkdir()
    wanted = [write_lines(tmp_path / name, DOCUMENTS) for name in ("a.txt", "ja/b.txt")]
    write_lines(tmp_path / "LICENCE", ["words"])
    assert find_files([tmp_path]) == wanted


def test_the_split_depends_on_the_documents_alone(tmp_path: Path) -> None:
    documents = sentences(400)
    shuffled = random.Random(2).sample(documents, len(documents))
    first, second = Run(tmp_path / "first"), Run(tmp_path / "second")
    config = TextConfig(held_out=0.1)
    take_text(first, [write_lines(tmp_path / "a.txt", documents)], config)
    halves = [write_lines(tmp_path / "b.txt", shuffled[:150]), write_lines(tmp_path / "c.txt", shuffled[100:])]
    counts = take_text(second, halves, config)
    assert counts.duplicates == 50
    for split in SPLITS:
        assert sorted(documents_of(first, split)) == sorted(documents_of(second, split))
    sides = [set(documents_of(second, split)) for split in SPLITS]
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == set(documents)
    assert 20 <= len(sides[1]) <= 60


def test_the_verb_says_what_it_took(tmp_path: Path, shosei: Shosei) -> None:
    file = write_lines(tmp_path / "a.txt", [*DOCUMENTS, DOCUMENTS[0]])
    code, out, _ = shosei("data", "--run", tmp_path / "run", "--text", file, "--set", "text.held_out=0", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["documents"] == {"train": 3, "held_out": 0}
    assert told["characters"] == {"train": sum(map(len, DOCUMENTS)), "held_out": 0}
    assert told["duplicates"] == 1
    assert read_log(tmp_path / "run/log").of(RunEnd)[-1].hashes == told["hashes"]
    assert documents_of(Run(tmp_path / "run"), "train") == DOCUMENTS


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", "好\n".encode() + b"\xe5\xa5\n", "a.txt:2: not UTF-8 from byte 1"),
        ("a.txt", b"", "no document to train on"),
        ("a.txt.gz", gzip.compress("好\n".encode() * 99, mtime=0)[:-9], "damaged gzip"),
        ("a.txt.gz", b"\x1f\x8b plain", "a.txt.gz:1: damaged gzip"),
        ("a.jsonl", b'{"text": "a"}\n{"body": "b"}\n', "a.jsonl:2: not a document"),
        ("a.jsonl", b'{"text": "\\ud800"}\n', "a.jsonl:1"),
        ("a.pdf", b"", "its name must end in .txt"),
    ],
)
def test_a_file_at_fault_is_named_with_the_line(
    tmp_path: Path, shosei: Shosei, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    code, _, err = shosei("data", "--run", tmp_path / "run", "--text", tmp_path / name)
    assert code == 2
    assert words in err.splitlines()[-1]
    assert not (tmp_path / "run/data/text").exists()


def test_arguments_at_fault_leave_no_run(tmp_path: Path, shosei: Shosei, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    for path in ("empty", "absent.txt"):
        assert shosei("data", "--run", tmp_path / "run", "--text", tmp_path / path)[0] == 2
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").touch()
    code, _, err = shosei("data", "--run", tmp_path / "run", "--text", tmp_path / "a.parquet")
    assert (code, err.count("\n")) == (2, 1)
    assert ".[data]" in err
    assert "--seed" in shosei("data", "--run", tmp_path / "run", "--text", tmp_path, "--seed", "1")[2]
    assert not (tmp_path / "run").exists()


def test_text_that_a_model_may_have_learnt_is_not_replaced(tmp_path: Path, shosei: Shosei) -> None:
    run = Run(tmp_path / "run")
    first, second = (write_lines(tmp_path / f"{name}.txt", [name]) for name in ("first", "second"))
    keep = ("--set", "text.held_out=0")
    run.model.mkdir(parents=True)  # an imported model, whose user adds text
    assert shosei("data", "--run", run.folder, "--text", first, *keep)[0] == 0
    code, _, err = shosei("data", "--run", run.folder, "--text", second, *keep)
    assert code == 2
    assert "take a new run folder" in err
    assert documents_of(run, "train") == ["first"]
    run.model.rmdir()
    assert shosei("data", "--run", run.folder, "--text", second, *keep)[0] == 0
    assert documents_of(run, "train") == ["second"]


KILLED = """
import os, signal, sys
from pathlib import Path
from shosei.data import TextConfig, corpus
from shosei.log import Run
def killing(file):
    yield "半"
    os.kill(os.getpid(), signal.SIGKILL)
corpus.read_documents = killing
corpus.take_text(Run(Path(sys.argv[1])), [Path("a")], TextConfig(held_out=0))
"""


def test_a_kill_leaves_the_text_that_was_there(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    file = write_lines(tmp_path / "a.txt", DOCUMENTS)
    take_text(run, [file], TextConfig(held_out=0))
    assert subprocess.run([sys.executable, "-c", KILLED, run.folder]).returncode == -9
    assert documents_of(run, "train") == DOCUMENTS
    take_text(run, [file], TextConfig(held_out=0))
    assert {entry for entry in os.listdir(run.data) if "text" in entry} == {"text"}


def test_a_tokenizer_of_text_has_exactly_the_entries_asked_for(tmp_path: Path, shosei: Shosei) -> None:
    file = write_lines(tmp_path / "a.txt", sentences(200))
    shosei("data", "--run", tmp_path / "run", "--text", file)
    assert shosei("tokenizer", "--run", tmp_path / "run", "--vocab-size", "32000")[0] == 0
    ours, peer = Tokenizer.load(tmp_path / "run/tokenizer"), AutoTokenizer.from_pretrained(tmp_path / "run/tokenizer")
    assert ours.vocab_size == len(peer) == 32000
    text = "猫は魚を食べる。<|reserved_7|>"
    assert ours.decode(ours.encode(text)) == text, "a filling token is never matched in text"
    assert ours.decode([31999]) == "" == peer.decode([31999], skip_special_tokens=True)
    assert len(ours.encode("猫は魚を食べる。")) < len("猫は魚を食べる。"), "words of the text are learnt"
    ids = ours.encode_documents(["猫は魚を食べる。"])[0]
    assert ids == [ours.bos_id, *peer.encode("猫は魚を食べる。"), ours.end_id]


@pytest.mark.parametrize(("bos", "begins_with"), [("<|plugin|>", "<|plugin|>"), (None, "<|im_end|>")])
def test_documents_of_a_foreign_tokenizer_begin_with_its_own_token(
    tmp_path: Path, bos: str | None, begins_with: str
) -> None:
    Tokenizer.train([], 300).save(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"bos_token": bos}))
    theirs = Tokenizer.load(tmp_path)
    ids = theirs.encode_documents(["a"])[0]
    assert ids == [theirs.special_id(begins_with), *theirs.encode("a"), theirs.special_id("<|im_end|>")]
