"""What README and the documents below say of files and folders is so."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from documented import ROOT

PACKAGE = ROOT / "src/shosei"
README = ROOT / "README.md"
DOCUMENTS = [README, ROOT / "docs/architecture.md", ROOT / "docs/glossary.md"]
DOCUMENTS += [ROOT / "docs/deploy.md", ROOT / "docs/security.md"]
_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)*(?:/|/[\w.-]+\.\w+|\.(?:py|md|toml))")


def named(text: str) -> Iterator[str]:
    """Paths in code spans. Those of a user's run folder, and of an API, are none of ours."""
    for span in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)):
        if _PATH.fullmatch(span) and not span.startswith("runs/"):
            yield span


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_that_is_named_exists(document) -> None:  # type: ignore[no-untyped-def]
    paths = set(named(document.read_text(encoding="utf-8")))
    assert paths
    assert not {path for path in paths if not any((base / path).exists() for base in (ROOT, PACKAGE))}


def test_every_link_between_documents_leads_somewhere() -> None:
    broken = []
    for document in [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
            path, _, heading = target.partition("#")
            if "://" in target:
                continue
            file = document.parent / path if path else document
            if not file.exists() or (heading and heading not in _headings(file.read_text(encoding="utf-8"))):
                broken.append(f"{document.name}: {target}")
    assert not broken


def _headings(text: str) -> set[str]:
    """As GitHub makes links of them."""
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_readme_lists_every_room_and_stays_short() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 140
    assert max(map(len, lines)) <= 100
    rooms = [folder.name for folder in PACKAGE.iterdir() if (folder / "__init__.py").is_file()]
    listed = re.findall(r"^\|[^|]*\| `(\w+)/` \|", "\n".join(lines), re.M)
    assert sorted(listed) == sorted(rooms)


def test_the_glossary_is_alphabetical_and_has_each_noun_once() -> None:
    nouns = re.findall(r"^\| ([^|]+) \| [A-Z]", (ROOT / "docs/glossary.md").read_text(encoding="utf-8"), re.M)
    assert len(nouns) > 60
    assert [noun.lower() for noun in nouns] == sorted({noun.lower() for noun in nouns})
