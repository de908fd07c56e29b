"""The chat page as its hosts serve it: its files, how safe they are told to be, and what is said of a model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import recorded
from shosei import page
from shosei.errors import InputError
from shosei.log import RunBegin
from shosei.wire.about import About, RatingAbout, about_model
from shosei.wire.chat_page import ABOUT, ChatPage
from shosei.wire.rating_form import parse_rating_form, read_rating_form
from shosei.wire.suite import Task, write_suite

FOLDER = Path(page.__file__).parent
SCRIPTS = sorted(FOLDER.glob("*.js"))
TEXTS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("texts/*.json"))}


def hosted() -> ChatPage:
    return ChatPage(page.static_files(), About("nano"))


def test_every_file_that_the_page_asks_for_is_served() -> None:
    files = page.static_files()
    assert re.findall(r"<h1", files["/"].decode())
    wanted = {f"/{path}" for path in re.findall(r'(?:href|src)="(page/[^"]+)"', files["/"].decode())}
    for path in SCRIPTS:
        wanted |= {f"/page/{name}" for name in re.findall(r'from "\./([^"]+)"', path.read_text(encoding="utf-8"))}
    wanted |= {f"/page/texts/{language}.json" for language in ("en", "zh-CN", "ja")}
    assert wanted <= set(files)
    assert not [path for path in files if path.endswith((".py", ".toml"))]


def test_nothing_is_fetched_from_elsewhere() -> None:
    """The browser tests see it too; this one holds where there is no browser."""
    for path in [*SCRIPTS, FOLDER / "index.html", FOLDER / "page.css"]:
        addresses = set(re.findall(r"https?://[\w.]+", path.read_text(encoding="utf-8")))
        assert addresses <= {"http://www.w3.org", "https://example.com"}, path.name


def test_a_page_is_told_to_run_its_own_scripts_only() -> None:
    answer = hosted().answer("GET", "/")
    assert answer is not None
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    policy = dict(rule.strip().split(" ", 1) for rule in headers["content-security-policy"].split(";"))
    own = {"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "connect-src": "'self'"}
    none = dict.fromkeys(("base-uri", "form-action", "frame-ancestors"), "'none'")
    assert policy.items() >= (own | none | {"img-src": "'self' data:"}).items()
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
    assert headers["content-type"] == "text/html; charset=utf-8"


def test_a_browser_that_has_a_file_is_not_sent_it_again() -> None:
    first = hosted().answer("GET", "/page/app.js")
    assert first is not None
    tag = dict(first.headers)[b"etag"]
    again = hosted().answer("GET", "/page/app.js", [(b"if-none-match", b'"other", ' + tag)])
    assert again is not None
    assert (again.status, again.body) == (304, b"")
    other = hosted().answer("GET", "/page/app.js", [(b"if-none-match", b'"other"')])
    assert other is not None
    assert (other.status, other.body) == (200, (FOLDER / "app.js").read_bytes())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/"),
        ("GET", "/page/"),
        ("GET", "/page/../chat_page.py"),
        ("GET", "/page/rating_form.toml"),
        ("GET", "/v1"),
    ],
)
def test_what_is_not_the_page_s_is_left_to_the_host(method: str, path: str) -> None:
    assert hosted().answer(method, path) is None


def test_only_what_says_something_of_the_server_asks_for_a_key() -> None:
    assert "/" in hosted().keyless
    assert "/page/app.js" in hosted().keyless
    assert ABOUT not in hosted().keyless


def task(id: str, suite: str, lang: str, *questions: str) -> Task:
    messages = [{"role": "user", "content": question} for question in questions]
    return Task(id=id, suite=suite, lang=lang, cluster=id, messages=messages, grader="exact", truth="一")


def test_a_model_is_described_by_what_its_run_trained_it_on(tmp_path: Path) -> None:
    begin = RunBegin(verb="data", argv=[], hashes={"data": "a", "suite:sums": "b"})
    run = recorded.write_events(tmp_path / "run", [begin])
    questions = ["1と2の和は？", "3と4の和は？", "5と6の和は？", "長い質問" * 40]
    tasks = [task(str(place), "sums", "ja", question) for place, question in enumerate(questions)]
    tasks += [task("zh", "sums", "zh", "1加2？"), task("two", "turns", "ja", "一つ目", "二つ目")]
    write_suite(run / "suites" / "all.jsonl", tasks)
    about = about_model("nano", run)
    assert (about.model, about.trained_on, about.single_turn) == ("nano", ["sums"], True)
    assert [(example.text, example.lang) for example in about.examples] == [
        ("1と2の和は？", "ja"),
        ("3と4の和は？", "ja"),
        ("1加2？", "zh"),
    ]


def test_of_a_model_without_a_run_nothing_is_said(tmp_path: Path) -> None:
    for run in (None, tmp_path):
        about = about_model("theirs", run)
        assert (about.trained_on, about.single_turn, about.examples, about.ratings) == ([], False, [], None)


def test_a_torn_log_says_nothing_and_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "a.jsonl").write_bytes(b'{"kind": "run.begin", "ve\xff')
    (tmp_path / "log" / "b.jsonl").write_bytes(b"")
    assert about_model("m", tmp_path).trained_on == []


def test_our_own_form_has_words_in_every_language() -> None:
    form = parse_rating_form(page.rating_form(), "form")
    assert form.scale == "thumbs"
    assert {tag.good for tag in form.tags} == {True, False}
    assert all(set(tag.words) == set(TEXTS) for tag in form.tags)


def test_a_form_reaches_the_page_as_the_operator_wrote_it(tmp_path: Path) -> None:
    file = tmp_path / "form.toml"
    survey = '[survey]\nafter = 3\n[[survey.questions]]\nid = "q"\nkind = "text"\nwords = { ja = "何が？" }\n'
    tag = '[[tags]]\nid = "wrong"\ngood = false\nwords = { ja = "誤り" }\n'
    file.write_text(f'scale = "stars"\n{tag}{survey}', encoding="utf-8")
    about = About("m", ratings=RatingAbout.of(read_rating_form(file), True, "key"))
    answer = ChatPage({}, about).answer("GET", ABOUT)
    assert answer is not None
    assert json.loads(answer.body)["ratings"] == {
        "scale": "stars",
        "tags": [{"id": "wrong", "good": False, "words": {"ja": "誤り"}}],
        "survey": {"after": 3, "questions": [{"id": "q", "kind": "text", "words": {"ja": "何が？"}}]},
        "keep_text": True,
        "rater": "key",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('scale = "smiles"', "smiles"),
        ("scale =", "no TOML"),
        ('colour = "red"', "colour"),
        ('[[tags]]\nid = "Ä"\ngood = true\nwords = { en = "x" }', "matching regex"),
        ('[[tags]]\nid = "a"\ngood = true\nwords = {}', "words"),
        ('[[tags]]\nid = "a"\ngood = true\nwords = { en = "x" }\n' * 2, "two tags have the id 'a'"),
        ("".join(f'[[tags]]\nid = "t{n}"\ngood = false\nwords = {{ en = "x" }}\n' for n in range(17)), "16 tags"),
        ("[survey]\nafter = 0", "after"),
        ("[survey]\nafter = 1\n" + '[[survey.questions]]\nid = "q"\nwords = { en = "x" }\n' * 2, "two questions"),
        ('[survey]\nafter = 1\n[[survey.questions]]\nid = "csat"\nwords = { en = "x" }', "two questions"),
        ("[survey]\nafter = 1\n" + '[[survey.questions]]\nid = "q"\nwords = { en = "x" }\n' * 6, "questions"),
    ],
)
def test_a_form_that_is_none_is_one_line_that_names_it(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "form.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_rating_form(file)
    assert str(file) in str(error.value)
    assert words in str(error.value)


def test_the_languages_say_the_same_things_and_nothing_is_unsaid() -> None:
    places = {
        language: {key: sorted(re.findall(r"\{\w+\}", text)) for key, text in said.items()}
        for language, said in TEXTS.items()
    }
    assert places["en"] == places["ja"] == places["zh-CN"]
    script = "\n".join(path.read_text(encoding="utf-8") for path in [*SCRIPTS, FOLDER / "index.html"])
    built = tuple(re.findall(r"say\(`(\w+_)\$\{", script))
    asked = set(re.findall(r'"(\w+)"', script))
    settings = {"temperature", "top_p", "max_tokens", "seed", "json_more", "remember_more"}  # their fields' own names
    unsaid = {key for key in TEXTS["en"] if key not in asked and not key.startswith(built)} - settings
    assert not unsaid
    assert set(re.findall(r'say\("(\w+)"', script)) <= set(TEXTS["en"])
