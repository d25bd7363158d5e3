"""JUnit XML, as continuous integration reads it: the one place that writes it.

junitparser writes the XML. Added here are what it has no names for: a test case's file, line
and properties.
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
"""Characters of a property: platforms show it in a table."""


class Case(TestCase):
    """A test case with its place in a file."""

    file = Attr()
    line = IntAttr()


def add_properties(case: TestCase, values: dict[str, str]) -> None:
    """Give a test case properties; those with an empty value are left out."""
    case.append(_properties(values))


def suite(
    name: str, cases: list[Case], seconds: float, properties: dict[str, str] | None = None
) -> TestSuite:
    """Return a suite; it counts its cases itself.

    :param seconds: how long it took: not the sum of its cases' times.
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
