"""Whatever is written into a lab's files, its author is told in one sentence where."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.repeated import repeated

from labwright.errors import DefinitionError
from labwright.grading.mistakes import load_mistakes
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab

LABS = {name: find_lab(name) for name in ("gorb", "networking", "web-server")}
VALUES = st.one_of(
    st.sampled_from(
        """
        1 -1 0 0.5 nan inf true false 1979-05-27 1979-05-27T07:32:00Z 07:32:00 [] {} [[]] [{}] [1]
        "" "x" [""] ["x"] [["x"]] [true] {x=1} {x={x=1}} [{x=[1]}] {id="image-built"} 0x10 1e400
        """.split()
    ),
    st.text(max_size=8).map(lambda text: repr(text)),
    st.text(max_size=4),
)
KEYS = st.sampled_from(
    "id title points needs check with hint perform step waived states values machine image name "
    "document run terminal ready says reason begins start modules folder requires typed prose "
    "varies prelude opening x claim any none port file command matches value weight until notice "
    "http status headers absent mode publishes".split()
)


@st.composite
def edits(draw: st.DrawFn) -> list[tuple[str, int, str]]:
    """Draw a few changes of a file, each at a line."""
    kind = st.sampled_from(("value", "key", "insert", "delete", "copy", "characters"))
    return [
        (draw(kind), draw(st.integers(0, 400)), f"{draw(KEYS)}\0{draw(VALUES)}")
        for _ in range(draw(st.integers(1, 3)))
    ]


def edited(text: str, changes: list[tuple[str, int, str]]) -> str:
    lines = text.split("\n")
    for kind, at, what in changes:
        number = at % len(lines)
        key, _, value = what.partition("\0")
        old, equals, kept = lines[number].partition("=")
        if kind == "value":
            lines[number] = f"{old}= {value}" if equals else f"{key} = {value}"
        elif kind == "key":
            lines[number] = f"{key} ={kept}" if equals else f"[[{key}]]"
        elif kind == "insert":
            lines.insert(number, f"{key} = {value}")
        elif kind == "delete":
            del lines[number]
        elif kind == "copy":
            lines.insert(number, lines[at * 7 % len(lines)])
        else:
            lines[number] = lines[number][: at % 9] + value + lines[number][at % 9 :]
        lines = lines or [""]
    return "\n".join(lines)


def assert_one_sentence(problem: DefinitionError, folder: Path) -> None:
    message = str(problem)
    assert message.startswith(str(folder))
    assert len(message.splitlines()) == 1
    lines = Path(problem.path).read_text(encoding="utf-8").split("\n")
    assert 1 <= problem.line <= len(lines)


def each_edit(times: int) -> Callable:
    """Try a property with so many edits."""
    return lambda tried: settings(max_examples=times, suppress_health_check=list(HealthCheck))(
        given(changes=edits())(tried)
    )


@repeated(25, 1000)
@pytest.mark.parametrize("name", LABS)
def test_a_changed_definition_is_read_or_refused_in_one_sentence(tmp_path, name, times):
    folder = tmp_path / name
    shutil.copytree(LABS[name], folder)
    text = (LABS[name] / "lab.toml").read_text()

    @each_edit(times)
    def holds(changes):
        (folder / "lab.toml").write_text(edited(text, changes), encoding="utf-8", newline="")
        try:
            load_lab(folder)
        except DefinitionError as problem:
            assert_one_sentence(problem, folder)

    holds()


@repeated(50, 1000)
def test_a_changed_mistake_is_read_or_refused_in_one_sentence(tmp_path, times):
    folder = tmp_path / "web-server"
    shutil.copytree(LABS["web-server"], folder)
    lab = load_lab(folder)
    place = folder / "mistakes" / "nothing-done.toml"
    text = place.read_text()

    @each_edit(times)
    def holds(changes):
        place.write_text(edited(text, changes), encoding="utf-8", newline="")
        try:
            load_mistakes(lab)
        except DefinitionError as problem:
            assert_one_sentence(problem, folder)

    holds()
