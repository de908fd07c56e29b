"""From documents to rows of tokens: nothing lost, nothing twice, on every rank the same."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from progress_display import Recorder
from shosei.data.batches import Batches, TextBatches, open_batches
from shosei.data.corpus import corpus_file, stored_documents
from shosei.data.dataset import NO_LOSS, Batch
from shosei.data.packing import Packed, best_fit
from shosei.data.tokens import Tokens, open_tokens
from shosei.log import Run
from shosei.progress import shown_on
from shosei.text import Tokenizer, load_chat
from text_samples import hashes_of, sentences, text_run
from train_samples import make_run

lengths_and_capacity = st.integers(1, 40).flatmap(
    lambda capacity: st.tuples(st.lists(st.integers(1, capacity), max_size=60), st.just(capacity))
)


@given(lengths_and_capacity)
def test_no_row_overflows_and_two_never_fit_into_one(drawn: tuple[list[int], int]) -> None:
    lengths, capacity = np.array(drawn[0], np.int64), drawn[1]
    rows = best_fit(lengths, capacity)
    filled = np.bincount(rows, lengths).astype(int)
    assert filled.sum() == lengths.sum()
    assert all(0 < row <= capacity for row in filled)
    # A piece opens a row only where it fits into none.
    assert sum(row <= capacity / 2 for row in filled) <= 1


def tokens_of(documents: list[int]) -> Tokens:
    """Documents of so many tokens each, every token another number."""
    ends = np.cumsum([0, *documents])
    return Tokens(np.arange(ends[-1], dtype=np.uint32), ends, 0)


@given(st.lists(st.integers(2, 50), max_size=30), st.integers(1, 20))
def test_every_token_but_a_documents_first_is_foretold_once_from_the_one_before(
    documents: list[int], sequence: int
) -> None:
    packed = Packed(tokens_of(documents), sequence)
    batches = list(packed.in_order(3 * sequence))
    pairs: Counter[tuple[int, int]] = Counter()
    for batch in batches:
        counted = batch.targets != NO_LOSS
        assert batch.ids.shape == batch.targets.shape
        assert counted.sum(axis=1).tolist() == batch.lengths.tolist()
        assert all(row[: int(row.sum())].all() for row in counted), "filled up at the right"
        pairs.update(zip(batch.ids[counted].tolist(), batch.targets[counted].tolist(), strict=True))
    first = {int(start) for start in np.cumsum([0, *documents])[:-1]}
    assert pairs == Counter({(token - 1, token): 1 for token in range(sum(documents)) if token not in first})
    assert sum(len(batch.ids) for batch in batches) == len(packed)


@given(st.lists(st.integers(2, 50), min_size=1, max_size=30), st.integers(1, 4))
def test_an_epoch_is_the_same_everywhere_and_goes_on_where_it_was(documents: list[int], batch_size: int) -> None:
    def batches(seed: int = 1) -> TextBatches:
        return TextBatches(Packed(tokens_of(documents), 16), batch_size, seed, batch_tokens=48)

    whole = [as_lists(batch) for batch in batches().epoch(2)]
    assert len(whole) == batches().steps_per_epoch
    assert all(len(ids) <= min(batch_size, 3) for ids, _ in whole)
    taken = len(whole) // 2
    assert [as_lists(batch) for batch in islice(batches().epoch(2), taken, None)] == whole[taken:]
    rows = sorted(row for ids, _ in whole for row in ids)
    assert rows == sorted(row for batch in batches(seed=2).epoch(1) for row in batch.ids.tolist())
    # Divided among ranks, no row is lost and none is read twice.
    shares = [batch.share(rank, 2) for batch in batches().epoch(2) for rank in range(2)]
    assert sorted(row.tolist() for own in shares for row in own.ids[own.lengths > 0]) == rows


def as_lists(batch: Batch) -> tuple[list[list[int]], list[list[int]]]:
    return batch.ids.tolist(), batch.targets.tolist()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return text_run(tmp_path_factory.mktemp("packed"), sentences(120))


def test_what_is_trained_on_is_the_text_and_nothing_that_is_held_out(run: Run) -> None:
    chat = load_chat(run.tokenizer)
    batches, held_out = open_batches(
        run, chat, hashes_of(run), batch_size=8, batch_tokens=4096, sequence=256, seed=1, context=256
    )
    assert held_out is not None
    for split, rows in (("train", batches.epoch(1)), ("held_out", held_out.in_order(4096))):
        read = []
        for batch in rows:
            for ids, targets in zip(batch.ids, batch.targets, strict=True):
                starts = np.flatnonzero((ids == chat.tokenizer.begin_id) & (targets != NO_LOSS))
                ends = np.flatnonzero(targets == chat.tokenizer.end_id)
                read += [chat.tokenizer.decode(targets[a:b]) for a, b in zip(starts, ends, strict=True)]
        assert sorted(read) == sorted(stored_documents(corpus_file(run, split)))


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with shown_on(recorder := Recorder()):
        yield recorder


def test_text_is_encoded_once_and_anew_where_it_must_be(tmp_path: Path, recorder: Recorder) -> None:
    run = text_run(tmp_path, sentences(40))
    tokenizer = Tokenizer.load(run.tokenizer)
    tokens = open_tokens(run, tokenizer, hashes_of(run))["train"]
    assert tokens.ids.dtype == np.uint16
    documents = list(stored_documents(corpus_file(run, "train")))
    assert tokens.characters == sum(map(len, documents))
    assert [tokens.ids[a:b].tolist() for a, b in zip(tokens.starts, tokens.starts[1:], strict=False)] == [
        [tokenizer.begin_id, *tokenizer.encode(document), tokenizer.end_id] for document in documents
    ]
    before = tokens.ids.tolist()
    open_tokens(run, tokenizer, hashes_of(run))
    assert recorder.names.count("encoding the text") == 1
    (run.data / "tokens/train.ids").write_bytes(b"\0" * 10)
    assert open_tokens(run, tokenizer, hashes_of(run))["train"].ids.tolist() == before
    Tokenizer.train([], (1 << 16) + 1).save(run.tokenizer)
    assert open_tokens(run, Tokenizer.load(run.tokenizer), hashes_of(run))["train"].ids.dtype == np.uint32
    assert recorder.names.count("encoding the text") == 3


KILLED = """
import os, signal, sys
from pathlib import Path
from shosei.data import tokens
from shosei.data.batches import training_files
from shosei.files import sha256
from shosei.log import Run
from shosei.text import Tokenizer
encode = tokens._encode_split
def killed(documents, tokenizer, dtype, path):
    if path.name == "held_out":
        os.kill(os.getpid(), signal.SIGKILL)
    return encode(documents, tokenizer, dtype, path)
tokens._encode_split = killed
run = Run(Path(sys.argv[1]))
hashes = {name: sha256(path) for name, path in training_files(run).items()}
tokens.open_tokens(run, Tokenizer.load(run.tokenizer), hashes)
"""


def test_a_kill_while_encoding_leaves_nothing_broken(tmp_path: Path) -> None:
    run = text_run(tmp_path, sentences(40))
    assert subprocess.run([sys.executable, "-c", KILLED, run.folder]).returncode == -9
    assert not (run.data / "tokens").exists()
    tokens = open_tokens(run, Tokenizer.load(run.tokenizer), hashes_of(run))
    assert len(tokens["held_out"].starts) > 1
    assert not list(run.data.glob(".tokens.*"))


def test_conversations_and_text_come_by_turns(tmp_path: Path) -> None:
    def batches(run: Run) -> Batches:
        chat = load_chat(run.tokenizer)
        return open_batches(
            run, chat, hashes_of(run), batch_size=16, batch_tokens=128, sequence=64, seed=1, context=64
        )[0]

    alone = batches(make_run(tmp_path))
    mixed = batches(text_run(tmp_path, sentences(40)))
    epoch = list(mixed.epoch(1))
    assert len(epoch) == mixed.steps_per_epoch
    text = [number for number, batch in enumerate(epoch) if batch.answers == batch.tokens]
    assert 0 < len(text) < len(epoch)
    assert text != list(range(text[0], text[0] + len(text)))
    assert sum(batch.samples for number, batch in enumerate(epoch) if number not in text) == sum(
        batch.samples for batch in alone.epoch(1)
    )
