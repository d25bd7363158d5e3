"""Whatever pytest does with a lab's tests, its score is the same, or says what is broken."""

from __future__ import annotations

import json
import random
import sys
import textwrap
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CHECKS = """
import os
import time
from labwright.errors import CheckFailed
from labwright.outcome import Evidence

def good(machine):
    yield Evidence("it holds", "true", machine.run("echo yes").stdout)

def bad(machine):
    yield Evidence("it does not", "false", "no")
    raise CheckFailed("yes", "no")

def slow(machine):
    yield Evidence("before the time limit")
    time.sleep(1.1)
    yield Evidence("after it")

def ends(machine):
    yield Evidence("before the end")
    os._exit(0)
"""
STEPS = {
    "one": ("good", []),
    "two": ("bad", []),
    "three": ("good", ["two"]),
    "four": ("good", ["three"]),
    "five": ("good", ["one"]),
}
RIGHT = {"one": "passed", "two": "failed", "three": "blocked", "four": "blocked", "five": "passed"}
TEST = "def test_step(examine_step):\n    examine_step()\n"


def make(folder: Path, steps: dict[str, tuple[str, list[str]]] = STEPS, test: str = TEST) -> None:
    """Write a lab of steps of 10 points each, and one that holds for the rest."""
    steps = {**steps, "rest": ("good", [])}
    rows = ["# Toy", "", "## Part (1/1): All", ""]
    table = [f'name = "{folder.name}"', 'title = "Toy"', 'document = "lab.md"', ""]
    for id, (check, needs) in steps.items():
        points = 100 - 10 * (len(steps) - 1) if id == "rest" else 10
        rows += [f"<!-- step: {id} -->", f"1. Do {id}.", ""]
        table += ["[[step]]", f'id = "{id}"', f'title = "The {id}"', f"points = {points}"]
        table += [f"needs = {json.dumps(needs)}", f'check = "checks.{check}"', ""]
    folder.mkdir()
    (folder / "lab.md").write_text("\n".join(rows))
    (folder / "lab.toml").write_text("\n".join(table))
    (folder / "checks.py").write_text(textwrap.dedent(CHECKS))
    (folder / "test_toy.py").write_text(test)


@pytest.fixture
def graded(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Run pytest on labs; return its exit status and the scores, by where they were written."""
    # Each process of pytest-xdist would import whatever plugins are installed: seconds.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(*arguments: str):
        fixed = ("-plabwright.plugin", "-pxdist.plugin", "-pno:cacheprovider", "--report=out")
        fixed = (*fixed, "--import-mode=importlib")
        # The controller of pytest-xdist is not for this process: checks end its workers.
        way = pytester.runpytest_subprocess if "-n2" in arguments else pytester.runpytest_inprocess
        result = way(*fixed, *arguments)
        out = pytester.path / "out"
        found = {
            str(path.parent.relative_to(out)): json.loads(path.read_text())
            for path in sorted(out.rglob("score.json"))
        }
        return result, found

    return run


def outcomes(score) -> dict[str, str]:
    return {step["id"]: step["outcome"] for step in score["steps"]}


DISTS = ("load", "loadscope", "loadgroup", "worksteal", "each")
# As load does with a scheduler of ours, these keep what belongs together on one worker.
LIKE_LOAD = ("loadscope", "loadgroup")
SPREAD = [("-n2", f"--dist={dist}") for dist in DISTS]
OPTIONS = [
    ("-x",),
    ("--maxfail=2",),
    ("-kgood or five",),
    ("-ktwo",),
    ("-preorders",),
    ("-preruns",),
    ("-pdrops",),
    ("-oaddopts=-x",),
    ("--deselect=toy/test_toy.py::test_step[two]",),
]
PLUGINS = {
    "reorders": "def pytest_collection_modifyitems(items):\n    items.reverse()\n",
    "drops": "def pytest_collection_modifyitems(items):\n    del items[::2]\n",
    "reruns": """
        from _pytest.runner import runtestprotocol
        def pytest_runtest_protocol(item, nextitem):
            for _ in range(2):
                for report in runtestprotocol(item, nextitem=nextitem, log=False):
                    item.ihook.pytest_runtest_logreport(report=report)
            return True
    """,
}


def drawn(options: list[tuple[str, ...]], seed: int) -> list[tuple[str, ...]]:
    return random.Random(seed).sample(options, 3)


CHOSEN = [
    *([options] for options in OPTIONS),
    *(drawn(OPTIONS, seed) for seed in range(3)),
    *(pytest.param([options], marks=pytest.mark.simulation) for options in SPREAD),
    *(
        pytest.param(drawn([*SPREAD, *OPTIONS], seed), marks=pytest.mark.simulation)
        for seed in range(50)
    ),
]


@pytest.mark.parametrize("chosen", CHOSEN, ids=str)
def test_no_option_or_plugin_raises_a_score(
    graded, pytester: pytest.Pytester, chosen: list[tuple[str, ...]]
) -> None:
    make(pytester.path / "toy")
    pytester.makepyfile(**{name: textwrap.dedent(text) for name, text in PLUGINS.items()})
    pytester.syspathinsert()
    result, found = graded("toy", *(option for options in chosen for option in options))
    score = found["."]
    told = f"{chosen}: {outcomes(score)}"
    assert [step["id"] for step in score["steps"]] == [*RIGHT, "rest"], told
    assert score["max_points"] == 100, told
    assert score["points"] <= 70, told
    for id, outcome in outcomes(score).items():
        assert outcome in (RIGHT.get(id, "passed"), "broken", "blocked"), told
    if "broken" not in outcomes(score).values():
        assert outcomes(score) == {**RIGHT, "rest": "passed"}, told
    assert result.ret != 0, told


@pytest.mark.parametrize("dist", ["load", pytest.param("worksteal", marks=pytest.mark.simulation)])
def test_a_check_that_ends_its_process_breaks_its_step_and_no_other(
    graded, pytester: pytest.Pytester, dist: str
) -> None:
    make(pytester.path / "toy", {"ends": ("ends", []), "after": ("good", ["ends"]), **STEPS})
    result, found = graded("toy", "-n2", f"--dist={dist}")
    score = found["."]
    assert outcomes(score) == {**RIGHT, "ends": "broken", "after": "blocked", "rest": "passed"}
    assert (score["graded"], score["max_points"], result.ret) == (False, 100, 1)


@pytest.mark.parametrize(
    "body",
    [
        "pass",
        "try:\n        examine_step()\n    except BaseException: pass",
        "examine_step()\n    assert False",
        "import pytest\n    pytest.skip('no')",
        "import pytest\n    pytest.xfail('no')",
    ],
)
def test_what_a_test_does_with_its_check_passes_no_step(
    graded, pytester: pytest.Pytester, body: str
) -> None:
    make(pytester.path / "toy", test=f"def test_step(examine_step):\n    {body}\n")
    result, found = graded("toy")
    for id, outcome in outcomes(found["."]).items():
        right = RIGHT.get(id, "passed")
        assert outcome == right or outcome in ("broken", "blocked"), (id, outcome)
    assert outcomes(found["."])["two"] in ("failed", "broken")
    assert result.ret == 1
    if body == "pass":
        assert set(outcomes(found["."]).values()) == {"broken", "blocked"}
        assert found["."]["points"] == 0


def test_each_lab_has_a_score_of_its_own(graded, pytester: pytest.Pytester) -> None:
    (pytester.path / "labs").mkdir()
    make(pytester.path / "labs" / "first")
    make(pytester.path / "labs" / "second")
    _, found = graded("labs")
    assert list(found) == ["first", "second"]
    assert [score["max_points"] for score in found.values()] == [100, 100]


@pytest.mark.parametrize(
    "dist",
    [
        pytest.param(dist, marks=pytest.mark.simulation if dist in LIKE_LOAD else ())
        for dist in DISTS
    ],
)
def test_each_target_has_a_score_of_its_own_whatever_the_distribution(
    graded, pytester: pytest.Pytester, dist: str
) -> None:
    make(pytester.path / "toy")
    pytester.makeconftest(
        """
        import labwright.fixtures.witnesses, labwright.plugin
        from labwright.machines.local import LocalMachine

        def opened(target):
            machine = LocalMachine()
            machine.target = target
            return machine

        labwright.fixtures.witnesses.open_machine = opened
        labwright.plugin.open_machine = opened
        """
    )
    result, found = graded("toy", "--target=vm:a", "--target=vm:b", "-n2", f"--dist={dist}")
    assert result.ret != 0
    assert list(found) == ["vm_a", "vm_b"]
    for folder, score in found.items():
        assert [step["id"] for step in score["steps"]] == [*RIGHT, "rest"]
        assert (score["points"], score["max_points"]) == (70, 100)
        assert score["target"] == folder.replace("_", ":")
        assert outcomes(score) == {**RIGHT, "rest": "passed"}


def test_what_only_collects_writes_no_score(graded, pytester: pytest.Pytester) -> None:
    make(pytester.path / "toy")
    result, found = graded("toy", "--collect-only")
    assert (result.ret, found) == (0, {})


def test_settings_of_pytest_in_the_environment_have_no_say_in_a_check(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(pytester.path / "toy")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k good --maxfail=1")
    (pytester.path / "pytest.ini").write_text("[pytest]\naddopts = -k nothing\n")
    command = "check --lab toy --target local --json out.json"
    done = pytester.run(sys.executable, "-m", "labwright", *command.split())
    score = json.loads((pytester.path / "out.json").read_text())
    assert outcomes(score) == {**RIGHT, "rest": "passed"}
    assert done.ret == 1


@pytest.mark.parametrize("way", ["-m labwright check --lab", "-m pytest -plabwright.plugin"])
def test_without_assertions_nothing_is_graded(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    make(pytester.path / "toy")
    with (pytester.path / "toy" / "checks.py").open("a") as written:
        written.write("def good(machine):\n    yield Evidence('seen')\n    assert False\n")
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    done = pytester.run(sys.executable, *way.split(), "toy", "--target=local")
    assert done.ret == 2
    assert "unset PYTHONOPTIMIZE" in done.stdout.str() + done.stderr.str()


@pytest.mark.parametrize("file", ["checks.py", "conftest.py", "test_toy.py"])
def test_a_file_of_the_lab_that_ends_the_command_is_no_success(
    pytester: pytest.Pytester, file: str
) -> None:
    make(pytester.path / "toy")
    with (pytester.path / "toy" / file).open("a") as written:
        written.write("import sys\nsys.exit(0)\n")
    done = pytester.run(
        *(sys.executable, "-m", "labwright", "check", "--lab", "toy", "--target", "local")
    )
    assert done.ret in (2, 3)
    assert "toy/checks.py" in done.stderr.str() or "sys.exit" in done.stderr.str()


def test_what_is_not_examined_within_the_time_limit_is_broken(pytester: pytest.Pytester) -> None:
    make(pytester.path / "toy", {"slow": ("slow", []), "later": ("good", [])})
    command = "check --lab toy --target local --limit 1 --json out.json"
    done = pytester.run(sys.executable, "-m", "labwright", *command.split())
    score = json.loads((pytester.path / "out.json").read_text())
    assert outcomes(score) == {"slow": "broken", "later": "broken", "rest": "broken"}
    for step in score["steps"]:
        assert step["reason"] == "the time limit of 1 s for the whole run was reached"
    assert score["steps"][0]["evidence"], "what was seen before is kept"
    assert done.ret == 3
