"""The HTML report: everything is in it, the worst first, and nothing of it is obeyed."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from labwright.outcome import Evidence, Outcome
from labwright.reports import html
from labwright.score import Score

from . import samples

VOID = {"meta", "input", "rect", "line", "path", "polyline", "link", "br"}


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str, look: str = "") -> list[dict[str, str | None]]:
        return [
            attributes
            for name, attributes in self.elements
            if name == tag and (not look or look in (attributes.get("class") or "").split())
        ]


def page(score: Score) -> Page:
    return Page(html.render(score))


@pytest.mark.parametrize("kind", samples.EVERY_KIND)
def test_every_page_is_well_formed_and_needs_nothing_else(kind: str) -> None:
    shown = page(samples.EVERY_KIND[kind]())
    assert not shown.open
    for tag, attributes in shown.elements:
        assert tag not in {"img", "link", "iframe", "object", "embed", "form", "base"}
        assert not [name for name in attributes if name == "style" or name.startswith("on")]
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")


@pytest.mark.parametrize("kind", samples.EVERY_KIND)
def test_ids_are_safe_and_each_is_there_once(kind: str) -> None:
    shown = page(samples.EVERY_KIND[kind]())
    ids = [attributes["id"] or "" for _, attributes in shown.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z][a-z0-9-]*", id) for id in ids)
    links = {(a.get("href") or "#")[1:] for a in shown.all("a")}
    assert links <= set(ids)


@pytest.mark.parametrize("kind", ["all passed", "hostile"])
def test_the_policy_allows_our_own_style_and_script_and_nothing_else(kind: str) -> None:
    source = html.render(samples.EVERY_KIND[kind]())
    shown = Page(source)
    policy = next(
        meta["content"] or ""
        for meta in shown.all("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        bodies = re.findall(rf"<{tag}>(.*?)</{tag}>", source, re.DOTALL)
        assert len(bodies) == len(shown.all(tag)) == 1
        digest = base64.b64encode(hashlib.sha256(bodies[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_what_failed_comes_first_then_broken_then_blocked_and_what_passed_last() -> None:
    score = samples.changed(
        samples.server2_stopped(), "ip-vs-available", outcome=Outcome.BROKEN, reason="no answer"
    )
    groups = [group["data-outcome"] for group in page(score).all("section")]
    assert groups == ["failed", "broken", "blocked", "passed"]


def test_what_failed_is_open_and_says_what_was_expected_seen_and_to_be_done() -> None:
    shown = page(samples.server2_stopped())
    steps = {step["id"]: step for step in shown.all("details", "step")}
    assert "open" in steps["step-server2-running"]
    assert "open" not in steps["step-server1-running"]
    assert "Expected the container server2 to be running" in shown.text
    assert "Seen it exited with status 0, 41 seconds ago" in shown.text
    assert "Hint Start it with docker start server2 , or" in shown.text
    assert "Claim The container server2 is running" in shown.text
    assert "Run docker inspect server2" in shown.text


def test_each_step_is_listed_in_the_order_of_the_lab_with_its_outcome_in_words() -> None:
    shown = page(samples.server2_stopped())
    for id, title, part, points, _, line in samples.STEPS:
        assert title in shown.text
        assert part in shown.text
        assert f"lab.md, line {line} {id}" in shown.text
        assert f"/ {points:g}" in shown.text
    assert "blocked server2 is registered as backend 1" in shown.text


def test_points_and_counts_are_at_the_top() -> None:
    shown = page(samples.server2_stopped())
    assert "6 passed, 1 failed and 5 blocked 55 of 100 points" in shown.text
    assert "Not a grade" not in shown.text


def test_a_score_with_something_broken_says_that_it_is_not_a_grade() -> None:
    shown = page(samples.ssh_broken())
    assert "Not a grade: 1 step could not be checked. This is not the student's" in shown.text
    assert "Why no connection to vm:a" in shown.text


def test_what_the_target_wrote_is_shown_and_not_obeyed() -> None:
    source = html.render(samples.hostile())
    shown = Page(source)
    assert len(shown.all("script")) == 1
    assert "<script>alert(1)</script>" in shown.text
    assert "{{ 7*7 }}" in shown.text
    assert "\\x1b[2J" in shown.text
    assert not set(source) & {"\x1b", "\x00", "\x9b", "\u202e", "\u2066", "\ud800", "\uffff"}


def test_pictures_are_drawn_and_said_in_words() -> None:
    shown = page(samples.not_round_robin())
    drawn = shown.all("svg", "chart")
    assert len(drawn) == 5
    for svg in drawn:
        assert svg["role"] == "img"
        assert svg["aria-label"] in shown.text


def test_data_that_cannot_be_drawn_is_shown_as_it_is() -> None:
    shown = page(samples.malformed())
    assert '"of": "a request"' in shown.text


def test_a_huge_output_is_cut_and_says_so() -> None:
    source = html.render(samples.huge())
    assert len(source) < 400_000
    assert "characters left out here; score.json has them" in source


def test_short_output_is_shown_without_a_click_and_long_output_is_not() -> None:
    pieces = (Evidence("short", saw="line\n" * 12), Evidence("long", saw="line\n" * 13))
    score = samples.changed(samples.all_passed(), "ip-vs-available", evidence=pieces)
    outputs = page(score).all("details", "output")
    assert ["open" in output for output in outputs[4:6]] == [True, False]


def test_a_score_of_nothing_says_so() -> None:
    assert "No step was checked." in page(samples.nothing()).text


def test_a_sentences_code_is_marked_and_an_odd_backtick_stays() -> None:
    assert str(html.prose("run `a<b` or ` c")) == "run <code>a&lt;b</code> or ` c"


def test_the_same_score_gives_the_same_page() -> None:
    assert html.render(samples.hostile()) == html.render(samples.hostile())


def test_a_score_read_back_gives_the_same_page() -> None:
    score = samples.not_round_robin()
    assert html.render(Score.from_json(score.to_json())) == html.render(score)
