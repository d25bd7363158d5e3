"""A mistake is read strictly, and a verdict that is not the expected one is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labwright.errors import DefinitionError, UsageError
from labwright.grading.mistakes import Matrix, Mistake, Trial, judged, load_mistakes
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.outcome import Outcome


def test_the_mistakes_of_the_gorb_lab_can_be_read():
    lab = load_lab(find_lab("gorb"))
    found = load_mistakes(lab)
    assert len(found) > 50
    assert sum(one.right for one in found) > 10
    charged = {step for mistake in found for step in mistake.fails}
    assert charged == {step.id for step in lab.steps}


def test_an_unknown_mistake_is_refused_with_those_that_there_are():
    with pytest.raises(UsageError, match="no mistake or variant 'x'; it has: addresses-swapped"):
        load_mistakes(load_lab(find_lab("gorb")), ["x"])


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('title = "t"\nfails = ["no-such-step"]', 2, "no step of the lab"),
        ('title = "t"\nfials = []', 2, "unknown key 'fials'"),
        ('title = "t"\nfails = []', 2, "must fail a step"),
        ('title = "t"\nfails = [["gorb-running"]]', 2, "item 1 of 'fails' must be text"),
        ('title = "t"\nsays = "word"', 2, "'says' must be a list, not 'word'"),
        ('fails = ["gorb-running"]', 1, "the file has no 'title'"),
        ('title = 3\nfails = ["gorb-running"]', 1, "'title' must be text, not 3"),
    ],
)
def test_what_is_wrong_with_a_mistake_is_told_with_its_line(tmp_path, text, line, says):
    (tmp_path / "mistakes").mkdir()
    (tmp_path / "mistakes" / "a.toml").write_text(text)
    lab = replace(load_lab(find_lab("gorb")), folder=tmp_path)
    with pytest.raises(DefinitionError, match=says) as caught:
        load_mistakes(lab)
    assert caught.value.line == line


def trial(outcome: Outcome, *deviations: str) -> Trial:
    mistake = Mistake("m", "M", "deployed", "", ("a",), (), (), ())
    return Trial(mistake, {"a": outcome}, deviations, 1.0)


@pytest.mark.parametrize(
    ("trials", "steps", "holds"),
    [
        ([trial(Outcome.FAILED)], ("a",), True),
        ([trial(Outcome.PASSED)], ("a",), False),
        ([trial(Outcome.FAILED, "b is passed, not blocked")], ("a",), False),
        ([trial(Outcome.FAILED)], ("a", "b"), False),
    ],
)
def test_a_survivor_a_deviation_or_an_idle_check_is_no_trust(trials, steps, holds):
    assert Matrix("l", "L", steps, tuple(trials), complete=True).holds is holds


def test_no_mistake_need_fail_a_step_that_a_later_one_undoes():
    trials = (trial(Outcome.FAILED),)
    assert Matrix("l", "L", ("a", "b"), trials, complete=True, undone=("b",)).holds


def test_a_right_variant_must_pass_every_step_and_say_what_is_unusual(tmp_path):
    from .samples import all_passed, changed

    (tmp_path / "variants").mkdir()
    path = tmp_path / "variants" / "a.toml"
    path.write_text('title = "t"\nsays = ["weight 7"]')
    lab = replace(load_lab(find_lab("gorb")), folder=tmp_path)
    (variant,) = load_mistakes(lab)
    right = changed(all_passed(), "server1-registered", notices=("it has weight 7",))
    assert judged(variant, right, 1.0).deviations == ()
    assert not judged(variant, right, 1.0).survives
    assert judged(variant, all_passed(), 1.0).deviations == ("no notice says 'weight 7'",)
    lost = changed(right, "client-split", outcome=Outcome.FAILED, reason="r")
    assert judged(variant, lost, 1.0).deviations == ("client-split is failed, not passed: r",)


@pytest.mark.parametrize(
    ("mistake", "variant", "says"),
    [
        ("", 'title = "t"\nfails = ["gorb-running"]', "unknown key 'fails'"),
        ('title = "t"\nfails = ["gorb-running"]', 'title = "t"', "there is a mistake 'a' as well"),
    ],
)
def test_a_variant_that_is_a_mistake_is_refused(tmp_path, mistake, variant, says):
    for folder, text in (("mistakes", mistake), ("variants", variant)):
        (tmp_path / folder).mkdir()
        if text:
            (tmp_path / folder / "a.toml").write_text(text)
    lab = replace(load_lab(find_lab("gorb")), folder=tmp_path)
    with pytest.raises(DefinitionError, match=says):
        load_mistakes(lab)
