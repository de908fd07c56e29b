"""Chinese and Japanese readers see no English of ours: on whole cards and comparisons, and in the language files."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console, RenderableType

import recorded
import shosei
import tuned
from shosei.card import Scorecard, build, html, markdown, terminal
from shosei.card import reference as reference_page
from shosei.card.notes import recognised
from shosei.card.words import LANGUAGES, own_texts, texts
from shosei.compare.comparison import Decision, compare_logs
from shosei.compare.sides import pairs_of_turns
from shosei.compare.views import markdown as compared_markdown
from shosei.compare.views import terminal as compared_terminal
from shosei.log import Log, Note, read_log
from shosei.log.reader import attempts
from shosei.metrics.cells import cells, compute, task_cells
from shosei.metrics.metric import Text, text
from shosei.metrics.service_level import ServiceLevel
from shosei.profile.profile import read_profile
from shosei.tune import views as tuning_views
from shosei.tune.page import html as tuning_page
from shosei.tune.report import Report
from verb import Shosei

FROZEN = Path(__file__).parents[1] / "frozen"
SOURCES = Path(shosei.__file__).parent
RUNS = sorted(folder.name for folder in FROZEN.iterdir() if folder.is_dir())
FOREIGN = [language for language in LANGUAGES if language != "en"]

# Fields of a card that hold only names, commands and hashes, out of the log or of the paper's tables.
NAMES = {
    "argv",
    "audit",
    "command",
    "figure",
    "hardware",
    "hashes",
    "log_digest",
    "model",
    "profile",
    "run",
    "seeds",
    "started",
    "system",
    "target",
    "versions",
}
PLAIN = {"id", "phase", "unit", "direction", "status", "inputs_digest", "key", "kind", "outcome", "arrival", "verb"}
CODES = {"PSS", "kill@9 (train)"}  # a gauge of Linux; a fault as it was asked for
HASH_OR_NUMBER = re.compile(r"[+−]?\d+(\.\d+)?|[0-9a-f]{12}")
# What was asked and answered, and what programs printed.
SAID = {"task", "lang", "question", "expected", "answer", "detail"}

# In every language as it is: authors, the names of tests and tools, what a file or a command is called.
QUOTED = re.compile(
    r"`[^`]*`|“How NOT to Measure Latency”|Schroeder, Wierman and Harchol-Balter|Law and Kelton|Bonett and Price"
    r"|[A-Z][a-z]+ et al\.|shosei \w+|--[\w-]+( \w+)?|Student t"
)
ENGLISH = re.compile(r"[A-Za-z][a-z']+(?:,? [a-z']+){2,}")  # three words in a row

FORBIDDEN = {
    "zh-CN": {
        "配置档": "",
        "尝试": "一次尝试",
        "内存利用率": "",
        "精度": "精确率（精度）",
        "“score”事件": "",
        "模型裁判": "",
        "题集": "",
        "被杀死": "",
    },
    "ja": {
        "が限れる": "",
        "届か": "",
        "決まらない": "",
        "満たす": "",
        "標本": "有効標本数",
        "トレーニング": "",
        "精度": "適合率（精度）|モデルの精度指標",
        "メモリ使用率": "",
        "冷えた": "",
        "木だけ": "",
        "ここでは": "",
        "課題": "",
    },
}


def card_of(name: str, profile: str = "chatbot") -> Scorecard:
    log = read_log(FROZEN / name / "log")
    return build(log, compute(log), read_profile(profile))


def printed(view: RenderableType) -> str:
    out = io.StringIO()
    Console(file=out, width=1000, no_color=True).print(view)
    return out.getvalue()


def comparison() -> Decision:
    logs = [read_log(FROZEN / "alternate" / "log", number) for number in attempts(FROZEN / "alternate" / "log")]
    one, other = pairs_of_turns(logs)
    return Decision.of(compare_logs(one, other, ServiceLevel(), {}, by_turns=True))


def sentences() -> list[str]:
    """Three words or more between two values, of each text in English."""
    pieces = {piece.strip(" .,:;()") for words in texts("en").values() for piece in re.split(r"{\w+}", words)}
    return sorted(piece for piece in pieces if len(piece.split()) > 2 and not QUOTED.search(piece))


def english_in(view: str) -> list[str]:
    return [sentence for sentence in sentences() if sentence in view]


@pytest.mark.parametrize("language", FOREIGN)
@pytest.mark.parametrize("name", RUNS)
def test_a_card_has_no_english_sentence(name: str, language: str) -> None:
    card = card_of(name)
    page = re.sub(r"<script.*?</script>", "", html(card, language), flags=re.DOTALL)
    for view in (page, markdown(card, language), printed(terminal(card, language))):
        assert len(re.findall(r"[\u3040-\u9fff]", view)) > 300  # a training alone has half a card
        assert english_in(view) == []


def test_the_search_for_english_finds_it() -> None:
    card = card_of("quickstart")
    assert len(english_in(markdown(card))) > 10
    assert len(english_in(printed(compared_terminal(comparison())))) > 3


@pytest.mark.parametrize("language", FOREIGN)
def test_a_comparison_and_the_reference_have_no_english_sentence(language: str) -> None:
    decision = comparison()
    views = [compared_markdown(decision, language), printed(compared_terminal(decision, language))]
    for view in [*views, reference_page.as_markdown(reference_page.references(), language)]:
        assert english_in(view) == []


@pytest.mark.parametrize("language", FOREIGN)
def test_the_report_of_a_search_has_no_english_sentence(language: str) -> None:
    crashed = text("tune.why_ended", what=text("tune.why_server"), code=137, said=text("tune.why_silent"))
    why = msgspec.to_builtins(crashed)
    trials = [msgspec.structs.replace(trial, why=trial.why and why) for trial in tuned.trials()]
    for verdict in (tuned.verdict(), tuned.verdict("keep", reason="unconfirmed"), None):
        report = Report("tuned", tuned.begin(), trials, verdict)
        page = re.sub(r"<script.*?</script>", "", tuning_page(report, language), flags=re.DOTALL)
        for view in (page, tuning_views.markdown(report, language), printed(tuning_views.terminal(report, language))):
            assert english_in(view) == []


@pytest.mark.parametrize("name", RUNS)
def test_a_plain_string_of_a_card_is_a_name_out_of_the_log(name: str) -> None:
    """What is no name of somebody else's is a text, and so has all languages."""
    written = "".join(file.read_text(encoding="utf-8") for file in sorted((FROZEN / name / "log").iterdir()))
    card = card_of(name)
    figures = {figure for metric in card.metrics for figure in metric.figures}
    figures |= {judgement.figure for judgement in card.judgements}
    plain = set(plain_strings(card)) - figures - CODES
    assert plain
    foreign = [words for words in sorted(plain) if not HASH_OR_NUMBER.fullmatch(words)]
    assert [words for words in foreign if msgspec.json.encode(words).decode()[1:-1] not in written] == []


@pytest.mark.parametrize("language", FOREIGN)
def test_the_language_files_have_no_english_sentence_but_names(language: str) -> None:
    for key, words in own_texts(language).items():
        assert not ENGLISH.search(QUOTED.sub("", re.sub(r"{\w+}", "", words))), key


@pytest.mark.parametrize("language", FOREIGN)
def test_terms_that_were_given_up_do_not_come_back(language: str) -> None:
    """docs/translating.md has the ones that took their place."""
    for key, words in own_texts(language).items():
        for term, but_for in FORBIDDEN[language].items():
            assert term not in (re.sub(but_for, "", words) if but_for else words), key


@pytest.mark.parametrize("language", FOREIGN)
def test_punctuation_is_full_width_and_no_space_stands_before_a_percent_sign(language: str) -> None:
    wide = r"[\u3040-\u30ff\u4e00-\u9fff]"
    for key, words in own_texts(language).items():
        said = QUOTED.sub("", words)
        assert not re.search(rf"{wide}[,;:?!]|{wide}\.( |$)", said), key
        assert not re.search(r"\d %", said), key
        assert not re.search(rf"{wide} {wide}", said), key


def test_japanese_sentences_are_polite() -> None:
    for key, words in own_texts("ja").items():
        assert not re.search(r"(である|だ|だった|ない|いる|ある|する|れる|なる)(。|$)", words), key


def test_every_kind_of_event_that_a_cell_needs_has_a_name() -> None:
    needing = [*cells(ServiceLevel()), *task_cells(ServiceLevel())]
    kinds = {str(kind.__struct_config__.tag) for cell in needing if not cell.absent for kind in cell.needs}
    assert kinds == {key.removeprefix("kind.") for key in texts("en") if key.startswith("kind.")}


SENTENCES = {
    "note.not_executed": "3 python tasks are asked but not executed; to run the programs, leave out --sandbox none",
    "note.lost": "engine is lost: it ended with code 137 and is not started again",
    "note.supervisor_killed": "the supervisor of attempt 1 (process 77) was killed, and with it ended train",
    "note.supervisor_survived": "the supervisor of attempt 1 (process 77) was killed, and with it ended a, b; "
    "still running: c",
    "note.judges_itself": "the judge has the name of the model that gave the answers, nano: "
    "models prefer their own answers",
    "note.no_verdict": "2 of 9 answers were not judged: the grader 'python grade.py' gave no verdict (exit code 7: x)",
    "warning.regraded": "answers are graded by version 9 of the rules; the run's items.jsonl, written by version 8, "
    "has 1 as right that are wrong now, 2 as wrong that are right now, 0 changed otherwise: regraded.jsonl lists them",
}


@pytest.mark.parametrize("key", SENTENCES)
def test_a_sentence_in_the_log_is_told_in_the_reader_s_language(key: str) -> None:
    log = Log(1, {Note: [note(SENTENCES[key])]})
    card = build(log, compute(log))
    assert Text(key) == msgspec.structs.replace(card.warnings[-1], values={})
    assert SENTENCES[key] in markdown(card)
    for language in FOREIGN:
        assert english_in(markdown(card, language)) == []
        assert SENTENCES[key] not in markdown(card, language)


def test_a_sentence_of_another_s_stays_as_it_is() -> None:
    for foreign in ("out of cheese", "engine is lost", "{verb} ended", "3 python tasks are asked\nbut"):
        assert recognised(foreign) == foreign


def test_a_damaged_log_is_told_of_in_the_reader_s_language(tmp_path: Path) -> None:
    run = recorded.write_events(tmp_path, [note("all is well", level="info")])
    (segment,) = (run / "log").glob("*.jsonl")
    whole = segment.read_text(encoding="utf-8")
    known = '"v":1,"run":"r","attempt":1,"host":"h","boot":"b","pid":1,"start_ticks":1,"seq":1,"mono_ns":1'
    lines = ["no json", f'{{"kind":"swan",{known}}}', f'{{"kind":"note","text":7,{known}}}', "torn"]
    segment.write_text(whole + "\n".join(lines), encoding="utf-8")
    (run / "log" / "a-b-1-1.jsonl").mkdir()
    log = read_log(run / "log")
    card = build(log, compute(log))
    told = {warning.key for warning in card.warnings if isinstance(warning, Text)}
    assert {"note.unreadable", "note.version", "note.not_valid", "note.torn", "note.no_file"} <= told
    assert not [warning for warning in card.warnings if isinstance(warning, str)]


def test_every_sentence_that_is_looked_for_stands_in_the_source() -> None:
    """The fixed words of each, piece by piece, as the rooms that write them have them."""
    source = "".join(file.read_text(encoding="utf-8") for file in sorted(SOURCES.rglob("*.py")))
    joined = re.sub(r'"\s*\n\s*f?"', "", source)
    for key, words in own_texts("en").items():
        if key.startswith("note."):
            for piece in re.split(r"{\w+}|: |, ", words):
                assert piece.strip(" :;,()'") in joined, f"{key}: {piece}"


def test_what_is_said_beside_the_card_is_in_its_language(shosei: Shosei, tmp_path: Path) -> None:
    run = shutil.copytree(FROZEN / "faults", tmp_path / "faults")
    begins = {"en": "warning: 'train' ended", "zh-CN": "警告：“train”没有结束记录", "ja": "警告：「train」の終了が"}
    ends = {
        "en": "exit code 4, not everything",
        "zh-CN": "退出码 4，所要求的未能",
        "ja": "終了コード 4、一部の要件で達成を示せず",
    }
    for language in LANGUAGES:
        code, _, said = shosei("card", run, "--profile", "pretrain", "--lang", language)
        assert code == 4
        assert begins[language] in said
        assert ends[language] in said


def note(words: str, level: str = "warning") -> Note:
    """What a process wrote into the log."""
    base: dict[str, Any] = {"v": 1, "run": "r", "attempt": 1, "host": "h", "boot": "b", "pid": 1, "start_ticks": 1}
    return Note(**base, seq=0, mono_ns=1, wall_ns=1, level=level, text=words)


def plain_strings(value: object) -> Iterator[str]:
    """The strings of a card that are no texts, but for those fields that hold only names."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Text):
        yield from plain_strings(list(value.values.values()))
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            if name not in NAMES | PLAIN | SAID:
                yield from plain_strings(getattr(value, name))
    elif isinstance(value, dict):
        yield from plain_strings(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from plain_strings(item)
