"""Draws the charts as SVG.

ElementTree escapes all text. Colours are classes of charts.css, since the report's
Content-Security-Policy forbids ``style`` attributes.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from importlib import resources

from labwright.text import line

CHARACTER = 6.4
"""Mean width of a character in charts.css's font, in units of the drawing."""
SERVER_COLOURS = 6
"""Number of classes s0, s1, ... in charts.css."""


@dataclass(frozen=True)
class Picture:
    """A drawing, and its description in words."""

    kind: str
    words: str
    """A description in one or two sentences, also for people who cannot see the drawing."""
    svg: str
    """One ``<svg>`` element that is safe in HTML."""

    def file(self) -> str:
        """Return the drawing as a separate SVG file, with its colours."""
        css = resources.files("labwright.reports").joinpath("charts.css").read_text("utf-8")
        head, rest = self.svg.split(">", 1)
        return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{css}</style>{rest}'


class Canvas:
    """A drawing to which elements are added. All numbers are in its units, about one pixel."""

    def __init__(self, width: float, height: float, words: str) -> None:
        self.width = width
        self._root = ET.Element(
            "svg",
            {
                "class": "chart",
                "viewBox": f"0 0 {width:g} {height:g}",
                "width": f"{width:g}",
                "height": f"{height:g}",
                "role": "img",
                "aria-label": words,
            },
        )

    def __str__(self) -> str:
        """Return the ``<svg>`` element."""
        return ET.tostring(self._root, encoding="unicode", short_empty_elements=True)

    def text(self, x: float, y: float, words: str, look: str = "", anchor: str = "start") -> None:
        """Write one line; ``anchor`` is start, middle or end."""
        node = self._add("text", look, x=x, y=y)
        node.set("text-anchor", anchor)
        node.text = words

    def box(
        self, x: float, y: float, width: float, height: float, look: str, tip: str = ""
    ) -> None:
        """Draw a rectangle with a tooltip."""
        node = self._add("rect", look, x=x, y=y, width=max(width, 0), height=max(height, 0))
        if tip:
            ET.SubElement(node, "title").text = tip

    def line(self, x1: float, y1: float, x2: float, y2: float, look: str) -> None:
        """Draw a straight line."""
        self._add("line", look, x1=x1, y1=y1, x2=x2, y2=y2)

    def path(self, points: list[tuple[float, float]], look: str) -> None:
        """Draw a line through points."""
        node = self._add("polyline", look)
        node.set("points", " ".join(f"{x:.1f},{y:.1f}" for x, y in points))

    def cross(self, x: float, y: float, size: float, look: str) -> None:
        """Draw a cross around a point."""
        self.line(x - size, y - size, x + size, y + size, look)
        self.line(x - size, y + size, x + size, y - size, look)

    def key(self, x: float, y: float, entries: list[tuple[str, str]]) -> None:
        """Draw a legend in one row: (class, words)."""
        for look, words in entries:
            if "line" in look.split():
                self.line(x, y - 4, x + 14, y - 4, look)
            else:
                self.box(x + 2, y - 9, 10, 10, look)
            self.text(x + 18, y, words)
            x += 18 + len(words) * CHARACTER + 14

    def _add(self, name: str, look: str, **numbers: float) -> ET.Element:
        given = {key: f"{value:.1f}".removesuffix(".0") for key, value in numbers.items()}
        if look:
            given["class"] = look
        return ET.SubElement(self._root, name, given)


def colour(index: int) -> str:
    """Return the CSS class of the n-th server."""
    return f"s{index % SERVER_COLOURS}"


def label(name: str) -> str:
    """Return a server's name, shortened for a label."""
    return line(name, 14) or "(no name)"
