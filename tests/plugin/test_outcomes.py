"""What a check does decides a step's outcome, and pytest's own results keep in step."""

from __future__ import annotations

import json
import sys
import textwrap

import pytest

import labwright.checks

pytest_plugins = ["pytester"]

CHECKS = """
from labwright.errors import CheckFailed, HostUnreachable
from labwright.outcome import Evidence

def holds(machine):
    yield Evidence("it holds", "true", "yes")

def holds_not(machine):
    yield Evidence("seen before the failure", "cat colour", "blue")
    raise CheckFailed("the colour red", "it is blue", "Paint it.")

def swapped(machine):
    yield Evidence("seen before the failure", "ls", "2 1")
    raise CheckFailed("1 before 2", "they are swapped", cause="1 and 2 are swapped")

def unreachable(machine):
    yield Evidence("seen before the loss", "true", "yes")
    raise HostUnreachable("ssh://x cannot be reached: no route to host")

def buggy(machine):
    yield Evidence("before", "true", "yes")
    assert False, "a plain assertion is a bug of the check"

def meets_the_enemy(machine):
    written = "\\x1b[2J \\ud800"
    yield Evidence(written, written, written)
    raise CheckFailed(written, written, written)

def is_cut_off_by_the_enemy(machine):
    yield Evidence("before", "true", "yes")
    raise HostUnreachable("gone: \\x1b[2J \\ud800")

def sees_nothing(machine):
    return iter(())

def skips(machine):
    import pytest
    yield Evidence("before", "true", "yes")
    pytest.skip("a check must not")

def exits(machine):
    yield Evidence("before", "true", "yes")
    raise SystemExit(0)
"""


@pytest.fixture
def toy(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Make a lab of steps ``(id, points, needs, check)`` and run it; return its score."""

    def make(*steps: tuple[str, int, list[str], str]) -> None:
        document = ["# Toy", "", "## Part (1/1): All", ""]
        definition = ['name = "toy"', 'title = "Toy"', 'document = "lab.md"', ""]
        for step, points, needs, check in steps:
            document += [f"<!-- step: {step} -->", f"1. Do {step}.", ""]
            definition += [
                "[[step]]",
                f'id = "{step}"',
                f'title = "The {step}"',
                f"points = {points}",
                f"needs = {json.dumps(needs)}",
                f'check = "toy.{check}"',
                'hint = "The hint of the step."',
                "",
            ]
        folder = pytester.mkdir("toy")
        (folder / "lab.md").write_text("\n".join(document))
        (folder / "lab.toml").write_text("\n".join(definition))
        (folder / "test_toy.py").write_text("def test_step(examine_step):\n    examine_step()\n")
        checks = pytester.mkdir("more_checks")
        (checks / "toy.py").write_text(textwrap.dedent(CHECKS))
        monkeypatch.setattr(labwright.checks, "__path__", [*labwright.checks.__path__, str(checks)])
        monkeypatch.delitem(sys.modules, "labwright.checks.toy", raising=False)
        monkeypatch.delitem(sys.modules, "test_toy", raising=False)  # another test's lab
        # For the workers of pytest-xdist, which are processes of their own.
        pytester.makeconftest(
            f"import labwright.checks\nlabwright.checks.__path__.append({str(checks)!r})"
        )

    # Each process of pytest-xdist would import whatever plugins are installed: seconds.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(*arguments: str):
        result = pytester.runpytest_inprocess(
            *("toy", "--target=local", "--report=out", "-pno:cacheprovider", "-plabwright.plugin"),
            *("-pxdist.plugin", "-pallure_pytest.plugin", *arguments),
        )
        path = pytester.path / "out" / "score.json"
        return result, json.loads(path.read_text()) if path.exists() else None

    make.run = run
    return make


def outcomes(score) -> dict[str, str]:
    return {step["id"]: step["outcome"] for step in score["steps"]}


def test_all_passed_is_all_points(toy):
    toy(("a", 60, [], "holds"), ("b", 40, ["a"], "holds"))
    result, score = toy.run()
    result.assert_outcomes(passed=2)
    assert (score["points"], score["max_points"], score["graded"]) == (100, 100, True)
    assert score["steps"][0]["evidence"][0]["saw"] == "yes"


def test_a_claim_that_does_not_hold_fails_with_what_was_expected_and_seen(toy):
    toy(("a", 100, [], "holds_not"))
    result, score = toy.run()
    result.assert_outcomes(failed=1)
    step = score["steps"][0]
    assert (step["outcome"], step["points"]) == ("failed", 0)
    assert (step["expected"], step["actual"], step["hint"]) == (
        "the colour red",
        "it is blue",
        "Paint it.",
    )
    assert step["evidence"][0]["claim"] == "seen before the failure"


def test_what_needs_a_step_that_failed_is_blocked_by_name_and_skipped(toy):
    toy(
        ("a", 20, [], "holds_not"),
        ("b", 30, ["a"], "holds"),
        ("c", 30, ["b"], "holds"),
        ("d", 20, [], "holds"),
    )
    result, score = toy.run()
    result.assert_outcomes(failed=1, skipped=2, passed=1)
    assert outcomes(score) == {"a": "failed", "b": "blocked", "c": "blocked", "d": "passed"}
    assert "needs a" in score["steps"][1]["reason"]
    assert score["points"] == 20


def test_a_machine_that_is_lost_breaks_the_step_and_is_no_grade(toy):
    toy(("a", 100, [], "unreachable"))
    result, score = toy.run()
    result.assert_outcomes(errors=1)
    step = score["steps"][0]
    assert (step["outcome"], score["graded"]) == ("broken", False)
    assert step["reason"] == "ssh://x cannot be reached: no route to host"
    assert step["evidence"][0]["claim"] == "seen before the loss"


@pytest.mark.parametrize("check", ["buggy", "sees_nothing", "skips"])
def test_whatever_else_a_check_does_is_broken_never_passed_or_failed(toy, check):
    toy(("a", 100, [], check))
    result, score = toy.run()
    result.assert_outcomes(errors=1)
    assert outcomes(score) == {"a": "broken"}


def test_a_run_that_ends_half_way_is_no_grade(toy):
    toy(("a", 50, [], "holds_not"), ("b", 50, [], "holds"))
    _, score = toy.run("--exitfirst")
    assert outcomes(score) == {"a": "failed", "b": "broken"}
    assert not score["graded"]


def test_what_needs_a_broken_step_is_blocked(toy):
    toy(("a", 50, [], "unreachable"), ("b", 50, ["a"], "holds"))
    _, score = toy.run()
    assert outcomes(score) == {"a": "broken", "b": "blocked"}


def test_a_part_or_a_step_is_examined_with_its_needs_only(toy):
    toy(("a", 40, [], "holds"), ("b", 30, ["a"], "holds"), ("c", 30, [], "holds"))
    _, score = toy.run("--step=b")
    assert list(outcomes(score)) == ["a", "b"]


def test_steps_of_a_lab_stay_together_and_in_order_on_xdist(toy):
    toy(("a", 50, [], "holds_not"), ("b", 50, ["a"], "holds"))
    _, score = toy.run("-n2")
    assert outcomes(score)["b"] == "blocked"
    assert [step["id"] for step in score["steps"]] == ["a", "b"]


@pytest.mark.parametrize("options", [(), ("--alluredir=allure",), ("-n1",)])
def test_what_a_target_writes_neither_ends_the_run_nor_reaches_the_terminal(toy, options):
    toy(
        ("a", 40, [], "meets_the_enemy"),
        ("b", 30, [], "is_cut_off_by_the_enemy"),
        ("c", 30, [], "holds"),
    )
    result, score = toy.run(*options)
    assert outcomes(score) == {"a": "failed", "b": "broken", "c": "passed"}
    assert "\x1b[2J" not in result.stdout.str()


def test_the_seed_is_settled_once_and_kept_in_the_score(toy):
    toy(("a", 100, [], "holds"))
    assert toy.run("--seed=42")[1]["seed"] == 42


def test_a_wrong_definition_is_one_sentence_with_its_place(toy, pytester: pytest.Pytester):
    toy(("a", 99, [], "holds"))
    result, score = toy.run()
    assert score is None
    assert result.ret == pytest.ExitCode.INTERRUPTED  # 2
    result.stdout.fnmatch_lines(["*lab.toml:*: the points add up to 99, not 100*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_target_that_cannot_be_one_is_refused_before_anything_runs(toy):
    toy(("a", 100, [], "holds"))
    result, score = toy.run("--target=telnet://x")
    assert score is None
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*not a target: 'telnet://x'*"])


def test_a_projects_own_tests_are_left_alone(pytester: pytest.Pytester):
    pytester.makepyfile("def test_something(): pass")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*labwright*checklist*")


def test_a_cause_that_shows_in_several_steps_is_charged_once(toy):
    toy(
        ("a", 30, [], "swapped"),
        ("b", 30, [], "swapped"),
        ("c", 20, [], "holds_not"),
        ("d", 20, ["b"], "holds"),
    )
    result, score = toy.run()
    result.assert_outcomes(failed=2, skipped=2)
    assert outcomes(score) == {"a": "failed", "b": "blocked", "c": "failed", "d": "blocked"}
    assert "for the same cause as a: they are swapped" in score["steps"][1]["reason"]
    assert score["points"] == 0
