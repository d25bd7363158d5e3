"""Writes JUnit XML for all reports.

junitparser makes the XML. This module adds a test case's file, line and properties, which
junitparser does not support.
"""

from __future__ import annotations

from io import BytesIO

from junitparser import (
    Attr,
    Error,
    Failure,
    IntAttr,
    JUnitXml,
    Properties,
    Property,
    Skipped,
    TestCase,
    TestSuite,
)

from labwright.text import line

__all__ = ["Case", "Error", "Failure", "Skipped", "add_properties", "document", "suite"]

ATTRIBUTE_LIMIT = 500
"""Maximum characters of a property: platforms show it in a table."""


class Case(TestCase):
    """A test case with a file and a line."""

    file = Attr()
    line = IntAttr()


def add_properties(case: TestCase, values: dict[str, str]) -> None:
    """Add properties to a test case; empty values are left out."""
    case.append(_properties(values))


def suite(
    name: str, cases: list[Case], seconds: float, properties: dict[str, str] | None = None
) -> TestSuite:
    """Return a suite, which counts its cases itself.

    :param seconds: the duration of the suite, which is not the sum of its cases' durations.
    """
    made = TestSuite(line(name))
    if properties:
        made.append(_properties(properties))
    made.add_testcases([*cases])
    made.time = round(seconds, 3)
    return made


def document(name: str, suites: list[TestSuite]) -> str:
    """Return the XML document of some suites."""
    root = JUnitXml(name)
    # Not add_testsuite: it merges suites of the same name.
    root.extend(suites)
    seconds = round(sum(suite.time for suite in suites), 3)
    for counted in ("tests", "failures", "errors", "skipped"):
        setattr(root, counted, sum(getattr(suite, counted) for suite in suites))
    root.time = seconds
    written = BytesIO()
    root.write(written, pretty=True)
    return written.getvalue().decode("utf-8")


def _properties(values: dict[str, str]) -> Properties:
    properties = Properties()
    for name, value in values.items():
        if value:
            properties.add_property(Property(name, line(value, ATTRIBUTE_LIMIT)))
    return properties
