"""JUnit XML: whose fault it is can be told from the element."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from labwright.outcome import Evidence
from labwright.reports import junit, junit_xml
from labwright.score import Score

from . import samples


def suite(score: Score) -> ET.Element:
    root = ET.fromstring(junit.render(score).encode("utf-8"))
    assert root.tag == "testsuites"
    assert [child.tag for child in root] == ["testsuite"]
    return root[0]


def case(score: Score, id: str) -> ET.Element:
    return next(case for case in suite(score).iter("testcase") if case.get("name") == id)


def properties(element: ET.Element) -> dict[str, str]:
    return {p.get("name", ""): p.get("value", "") for p in element.findall("properties/property")}


@pytest.mark.parametrize(
    ("score", "id", "element"),
    [
        (samples.server2_stopped(), "server2-running", "failure"),
        (samples.server2_stopped(), "requests-succeed", "skipped"),
        (samples.ssh_broken(), "service-created", "error"),
    ],
)
def test_each_outcome_has_its_element(score: Score, id: str, element: str) -> None:
    tags = [child.tag for child in case(score, id)]
    assert [tag for tag in tags if tag in {"failure", "error", "skipped"}] == [element]


def test_a_step_that_passed_has_none_of_them() -> None:
    passed = case(samples.all_passed(), "gorb-running")
    assert {child.tag for child in passed} == {"properties", "system-out"}


def test_the_suite_counts_what_it_holds() -> None:
    counted = suite(samples.server2_stopped())
    attributes = ("name", "tests", "failures", "errors", "skipped", "time", "timestamp")
    assert {name: counted.get(name) for name in attributes} == {
        "name": "gorb",
        "tests": "12",
        "failures": "1",
        "errors": "0",
        "skipped": "5",
        "time": "31.5",
        "timestamp": "2024-03-09T10:15:02+00:00",
    }
    assert properties(counted)["points"] == "55"
    assert properties(counted)["graded"] == "true"


def test_a_testcase_says_where_the_document_asks_for_it_and_what_it_is_worth() -> None:
    found = case(samples.server2_stopped(), "server2-running")
    assert (found.get("file"), found.get("line")) == ("lab.md", "30")
    assert properties(found)["points"] == "0"
    assert properties(found)["max_points"] == "5"


def test_a_failure_says_what_was_expected_seen_and_to_be_done() -> None:
    failure = case(samples.server2_stopped(), "server2-running").find("failure")
    assert failure is not None
    assert failure.get("message") == (
        "expected the container server2 to be running, but it exited with status 0, 41 seconds ago"
    )
    assert "hint: Start it with `docker start server2`" in (failure.text or "")


def test_the_evidence_is_what_the_case_printed() -> None:
    printed = case(samples.server2_stopped(), "server2-running").findtext("system-out") or ""
    assert "run: docker inspect server2" in printed
    assert '"Status": "exited"' in printed


@pytest.mark.parametrize("kind", samples.EVERY_KIND)
def test_every_score_makes_legal_xml_of_bounded_size(kind: str) -> None:
    score = samples.EVERY_KIND[kind]()
    assert len(list(suite(score).iter("testcase"))) == len(score.steps)
    assert len(junit.render(score)) < 100_000


def test_two_suites_of_one_name_stay_two() -> None:
    suites = [junit_xml.suite("lab.md lint", [junit_xml.Case("one", "a", 0.5)], 1.0) for _ in "12"]
    root = ET.fromstring(junit_xml.document("labwright gate", suites))
    assert [child.get("tests") for child in root] == ["1", "1"]
    assert (root.get("tests"), root.get("time")) == ("2", "2.0")


def test_what_a_step_prints_is_kept_line_by_line() -> None:
    score = samples.server2_stopped()
    step = replace(score.steps[0], evidence=(Evidence("two lines", "cat x", "a <b> & c\n\nd"),))
    printed = case(replace(score, steps=(step,)), step.id).findtext("system-out") or ""
    assert "a <b> & c\n\nd" in printed
