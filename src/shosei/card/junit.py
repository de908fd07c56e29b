"""JUnit's XML, which CI systems list as tests: the form, and a card's requirements in it, a test case each.

A test fails where a limit is missed (exit code 3), is an error where a required measurement is invalid (5), and is
skipped where nothing is shown (4): so a report is red just where something is known to be wrong.
The form is that of junit-10.xsd of Jenkins' xunit plug-in, which GitLab and the readers for GitHub take as well.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree as ET

from shosei.card import facts
from shosei.card.judge import Compliance, Judgement, figure_of
from shosei.card.scorecard import Scorecard
from shosei.card.words import Translator
from shosei.quantity import shown

Result = Literal["passed", "failure", "error", "skipped"]

_RESULTS: dict[Compliance, Result] = {"pass": "passed", "missed": "failure", "invalid": "error"}
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, Char


@dataclass(frozen=True, slots=True)
class Case:
    """A test case. ``group`` and ``name`` stay the same from run to run: by them a CI system knows it again.

    ``type`` is the outcome in our own words, ``message`` says why it is not passed, ``details`` are all that is known.
    """

    group: str
    name: str
    result: Result
    type: str
    message: str
    details: Sequence[str]


def junit(card: Scorecard) -> str:
    """What the card's profile requires, with limit, value, interval and n. In English, whatever the card speaks."""
    facts_of_run = {
        "run": card.run,
        "attempt": str(card.attempt),
        "started": card.started,
        "profile": card.profile,
        "log_digest": card.log_digest,
    }
    return document(f"shosei card: {card.profile}", [_case(card, each) for each in card.judgements], facts_of_run)


def document(suite: str, cases: Sequence[Case], properties: Mapping[str, str]) -> str:
    """One suite of test cases. Foreign text is escaped; what XML cannot hold becomes U+FFFD.

    The times are 0, as a comparison of two numbers takes none; readers do not get by without them.
    """
    results = Counter(case.result for case in cases)
    counts = {"tests": len(cases), "failures": results["failure"], "errors": results["error"]}
    root = _element(None, "testsuites", counts)
    element = _element(root, "testsuite", {"name": suite, **counts, "skipped": results["skipped"], "time": 0})
    described = _element(element, "properties", {})
    for name, value in properties.items():
        _element(described, "property", {"name": name, "value": value})
    for case in cases:
        test = _element(element, "testcase", {"classname": case.group, "name": case.name, "time": 0})
        details = "\n".join(case.details)
        if case.result == "passed":
            _element(test, "system-out", {}, details)
        else:
            _element(test, case.result, {"type": case.type, "message": case.message}, details)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, "unicode")}\n'


def _element(parent: ET.Element | None, tag: str, attributes: Mapping[str, object], text: str = "") -> ET.Element:
    clean = {name: _NOT_IN_XML.sub("\ufffd", str(value)) for name, value in attributes.items()}
    element = ET.Element(tag, clean) if parent is None else ET.SubElement(parent, tag, clean)
    element.text = _NOT_IN_XML.sub("\ufffd", text) or None
    return element


def _case(card: Scorecard, judgement: Judgement) -> Case:
    translator = Translator("en")
    metric = card.cell(judgement.id, judgement.phase)
    figure = figure_of(metric, judgement.figure)
    number = shown(judgement.value, judgement.unit, figure.ci if figure else None)
    limits = ", ".join(map(translator.of, facts.limits(judgement)))
    value = f"{translator.number(number)} {number.interval}".strip()
    n = translator.of(figure.n) if figure and value else ""
    outcome = translator.term(f"outcome.{judgement.outcome}")
    if not judgement.required:
        outcome += f" ({translator.term('verdict.optional')})"
    reason = translator.of(judgement.reason)
    details = {
        "limit": limits,
        "value, with its 95 % interval": value,
        "independent units": n,
        "outcome": outcome,
        "reason": reason,
        "what measures it": metric.command if judgement.value is None else "",
    }
    return Case(
        f"{card.profile}.{judgement.phase}",
        f"{judgement.id}.{judgement.figure}".rstrip("."),
        _result(judgement),
        judgement.outcome,
        ": ".join(filter(None, [limits, f"{value}, n = {n}" if n else "", outcome, reason])),
        [f"{what}: {words}" for what, words in details.items() if words],
    )


def _result(judgement: Judgement) -> Result:
    """As the exit code counts it: what is not required counts only where it is missed."""
    result = _RESULTS.get(judgement.outcome, "skipped")
    return "skipped" if result == "error" and not judgement.required else result
