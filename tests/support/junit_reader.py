"""JUnit's XML as a reader sees it, held against the rules of junit-10.xsd (Jenkins' xunit plug-in)."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree as ET

_RESULTS = ("failure", "error", "skipped")
# Element -> its attributes: whether they must be there.
_ATTRIBUTES = {
    "testsuites": {"name": False, "time": False, "tests": False, "failures": False, "errors": False},
    "testsuite": {
        **dict.fromkeys(("name", "tests", "failures", "errors"), True),
        **dict.fromkeys(("time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"), False),
    },
    "properties": {},
    "property": {"name": True, "value": True},
    "testcase": {"name": True, "time": False, "classname": False, "group": False},
    **{tag: {"type": False, "message": False} for tag in _RESULTS},
    "system-out": {},
}
_CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase", "system-out", "system-err"},
    "properties": {"property"},
    "testcase": {*_RESULTS, "system-out", "system-err"},
}


@dataclass(frozen=True)
class Read:
    """A test case: ``result`` is passed, failure, error or skipped."""

    classname: str
    name: str
    result: str
    type: str
    message: str
    text: str


def read_junit(source: str) -> list[Read]:
    """The test cases of a file that keeps the schema, and whose counts are those of its test cases."""
    root = ET.fromstring(source.encode())
    assert root.tag == "testsuites"
    _check(root)
    [suite] = root
    cases = [_case(element) for element in suite.iter("testcase")]
    for counted in (root, suite):
        assert int(counted.attrib["tests"]) == len(cases)
        assert int(counted.attrib["failures"]) == sum(case.result == "failure" for case in cases)
        assert int(counted.attrib["errors"]) == sum(case.result == "error" for case in cases)
    assert int(suite.attrib["skipped"]) == sum(case.result == "skipped" for case in cases)
    assert len({(case.classname, case.name) for case in cases}) == len(cases)
    return cases


def properties(source: str) -> dict[str, str]:
    return {each.attrib["name"]: each.attrib["value"] for each in ET.fromstring(source.encode()).iter("property")}


def _check(element: ET.Element) -> None:
    allowed = _ATTRIBUTES[element.tag]
    assert set(element.attrib) <= set(allowed), element.attrib
    assert {name for name, required in allowed.items() if required} <= set(element.attrib)
    children = [child.tag for child in element]
    assert set(children) <= _CHILDREN.get(element.tag, set())
    if element.tag in ("testsuites", "testsuite", "properties", "testcase"):
        assert not (element.text or "").strip()
    for child in element:
        _check(child)


def _case(element: ET.Element) -> Read:
    told = {child.tag: child for child in element}
    results = [tag for tag in _RESULTS if tag in told]
    assert len(results) < 2, "one outcome each"
    [result] = results or ["passed"]
    child = told.get(result, told.get("system-out"))
    attributes = child.attrib if child is not None else {}
    text = child.text or "" if child is not None else ""
    name, classname = element.attrib["name"], element.attrib["classname"]
    return Read(classname, name, result, attributes.get("type", ""), attributes.get("message", ""), text)
