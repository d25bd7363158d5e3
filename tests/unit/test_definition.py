"""A lab's definition is refused with one sentence that says where."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from labwright.errors import DefinitionError, UsageError
from labwright.grading import step_check
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab

DOCUMENT = """\
# A toy lab

## Part (1/2): Begin

<!-- step: first -->
1. Do the first.

## Part (2/2): End

<!-- step: second -->
1. Do the second.
"""
DEFINITION = """\
name = "toy"
title = "A toy lab"
document = "lab.md"

[values]
image = "toy"
count = 3

[[step]]
id = "first"
title = "The first"
points = 40
check = "kernel.ip_vs_available"

[[step]]
id = "second"
title = "The second"
points = 60
needs = ["first"]
check = "docker.image_present"
perform = ["true"]
"""


@pytest.fixture
def write(tmp_path: Path):
    def write(definition: str = DEFINITION, document: str = DOCUMENT) -> Path:
        (tmp_path / "lab.toml").write_text(definition, encoding="utf-8")
        (tmp_path / "lab.md").write_text(document, encoding="utf-8")
        return tmp_path

    return write


def test_a_lab_is_read_with_the_parts_of_its_document(write):
    lab = load_lab(write())
    assert [(s.id, s.part, s.line) for s in lab.steps] == [
        ("first", "Part (1/2): Begin", 5),
        ("second", "Part (2/2): End", 10),
    ]
    assert lab.steps[1].needs == ("first",)


def test_a_byte_order_mark_as_windows_editors_write_it_is_passed_over(write):
    lab = load_lab(write("\ufeff" + DEFINITION, "\ufeff" + DOCUMENT))
    assert [step.line for step in lab.steps] == [5, 10]


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('title = "The first"', 'titel = "The first"', 11, "unknown key 'titel'"),
        ('document = "lab.md"', 'document = "lab.md"\ncolour = "red"', 4, "unknown key 'colour'"),
        ('document = "lab.md"', 'document = "none.md"', 3, "'none.md' does not exist"),
        ('id = "second"', 'id = "first"', 16, "used twice: see line 10"),
        ('id = "second"', 'id = "Second Step"', 16, "kebab-case"),
        ('id = "second"', 'id = "third"', 16, "'third' is not in lab.md"),
        ('needs = ["first"]', 'needs = ["nothing"]', 19, "'nothing', which is not a step"),
        ("points = 40", 'points = 40\nneeds = ["second"]', 13, "form a cycle"),
        ("points = 40", "points = -1", 12, "from 0 to 100"),
        ("points = 40", "points = nan", 12, "from 0 to 100"),
        ("points = 40", "points = 0", 12, "add up to 60, not 100"),
        ("points = 40", "points = true", 12, "'points' of step 'first' must be a number, not true"),
        ("points = 40", 'points = "many"', 12, "must be a number, not 'many'"),
        ("points = 40", "points = 39", 12, "add up to 99, not 100"),
        ("points = 40\n", "", 9, "has no 'points'"),
        ('check = "docker.image_present"', 'check = "docker"', 20, "module.function"),
        (
            'perform = ["true"]',
            "perform = [3]",
            21,
            "item 1 of 'perform' of step",
        ),
        ('perform = ["true"]', 'perform = [{ run = "x", til = "y" }]', 21, "unknown key 'til'"),
        ("count = 3", "count = = 3", 7, "not TOML"),
        ('needs = ["first"]', 'needs = [["first"]]', 19, "item 1 of 'needs' of step 'second'"),
        ('needs = ["first"]', 'needs = [\n "first",\n "x" ]', 21, "needs 'x', which is not a step"),
        ('title = "The first"', 'titel = "The first"', 11, "did you mean 'title'?"),
        ('title = "The first"', 'title = " "', 11, "must not be empty"),
        ('document = "lab.md"', 'document = "lab.md"\nwaived = [1]', 4, "be a table, not 1"),
        (
            'document = "lab.md"',
            'document = "lab.md"\nstates.a = ["x"]',
            4,
            "'x', which is not a step",
        ),
        (
            'document = "lab.md"',
            'document = "lab.md"\nstates."a" = 3',
            4,
            "'a' of [states] must be",
        ),
        ("[values]", '[states]\na = ["first"]\nb = [\n  3]\n[values]', 8, "item 1 of 'b' of [stat"),
        (
            "[values]",
            "[machine]\nmodules = 3\n[values]",
            6,
            "'modules' of [machine] must be a list",
        ),
        ("[values]", '[perform.varies]\n"1.2" = "("\n[values]', 6, "the form of '1.2'"),
        ('document = "lab.md"', 'document = "a\\u0000b"', 3, "does not exist"),
        ('document = "lab.md"', f'document = "{"a" * 5000}"', 3, "does not exist"),
        ("count = 3", f"count = {'9' * 5000}", 1, "not TOML"),
        ("count = 3", f"count = {'[' * 5000}", 1, "not TOML"),
    ],
)
def test_what_is_wrong_with_a_definition_is_named_with_its_line(write, old, new, line, says):
    folder = write(DEFINITION.replace(old, new, 1))
    with pytest.raises(DefinitionError) as caught:
        load_lab(folder)
    message = str(caught.value)
    assert says in message
    assert message.startswith(f"{folder / 'lab.toml'}:{line}: ")
    assert "\n" not in message


@pytest.mark.parametrize("step", ["step = [1]", "step = 3", "step = [[]]", "step = {}"])
def test_steps_that_are_no_tables_are_one_sentence(write, step):
    text = f'name = "toy"\ntitle = "A toy lab"\ndocument = "lab.md"\n{step}\n'
    with pytest.raises(DefinitionError, match=r"lab\.toml:4: .*'step' must be a"):
        load_lab(write(text))


def test_points_are_added_as_they_are_written(write):
    steps = "".join(
        f'[[step]]\nid = "s{n}"\ntitle = "t"\npoints = {11.2 if n == 8 else 11.1}\n'
        'check = "docker.image_present"\n'
        for n in range(9)
    )
    head = 'name = "toy"\ntitle = "A toy lab"\ndocument = "lab.md"\n'
    document = "# Toy\n" + "".join(f"\n<!-- step: s{n} -->\n" for n in range(9))
    assert len(load_lab(write(head + steps, document)).steps) == 9
    with pytest.raises(DefinitionError, match=r"add up to 100\.0001, not 100"):
        load_lab(write(head + steps.replace("11.2", "11.2001"), document))


def test_a_step_may_be_worth_nothing(write):
    text = DEFINITION.replace("points = 40", "points = 0").replace("points = 60", "points = 100")
    assert load_lab(write(text)).steps[0].points == 0


def test_a_step_of_the_document_without_definition_is_named_with_its_line(write):
    folder = write(document=DOCUMENT + "\n<!-- step: third -->\n")
    with pytest.raises(DefinitionError, match=r"lab\.md:13: the step 'third' has no definition"):
        load_lab(folder)


def test_a_step_marked_twice_in_the_document_is_refused(write):
    folder = write(document=DOCUMENT + "\n<!-- step: first -->\n")
    with pytest.raises(DefinitionError, match=r"lab\.md:13: .* is marked already in line 5"):
        load_lab(folder)


def test_steps_are_never_before_what_they_need(write):
    swapped = DOCUMENT.replace("first", "x").replace("second", "first").replace("x", "second")
    assert [s.id for s in load_lab(write(document=swapped)).steps] == ["first", "second"]


def test_a_selection_brings_what_it_needs(write):
    lab = load_lab(write())
    assert [s.id for s in lab.selected(2, [])] == ["first", "second"]
    assert [s.id for s in lab.selected(None, ["first"])] == ["first"]
    with pytest.raises(UsageError, match="no part 3"):
        lab.selected(3, [])
    with pytest.raises(UsageError, match="no step 'none'; its steps are: first, second"):
        lab.selected(None, ["none"])


def test_a_setting_of_a_switch_or_a_list_keeps_its_type(write):
    lab = replace(
        load_lab(write()), values={"on": True, "ports": [80], "names": ["a"], "rate": 1.5}
    )
    for setting, value in (
        ("on=false", False),
        ("on=True", True),
        ("ports=81,82", [81, 82]),
        ("ports=", []),
        ("names=b,c", ["b", "c"]),
        ("rate=2", 2.0),
    ):
        key = setting.partition("=")[0]
        found = lab.values_with([setting])[key]
        assert (found, type(found)) == (value, type(value))
    for wrong in ("on=no", "ports=a", "ports=80,1.5", "rate=nan", "rate=inf"):
        with pytest.raises(UsageError, match="must be"):
            lab.values_with([wrong])


def test_a_setting_changes_a_value_and_keeps_its_type(write):
    lab = load_lab(write())
    assert lab.values_with(["count=5"])["count"] == 5
    for wrong in ("count", "colour=red", "count=many"):
        with pytest.raises(UsageError, match="count"):
            lab.values_with([wrong])


@pytest.mark.parametrize(
    ("check", "says"),
    [
        ("docker.no_such", "no check 'docker.no_such'"),
        ("nothing.here", "no check 'nothing.here'"),
        ("docker.server_running", "needs a value for 'container'"),
    ],
)
def test_a_check_that_cannot_run_is_refused_with_its_line(write, check, says):
    lab = load_lab(write(DEFINITION.replace("docker.image_present", check)))
    with pytest.raises(DefinitionError, match=says) as caught:
        step_check.bind(lab, lab.steps[1], lab.values)
    assert caught.value.line == 20


def test_a_check_is_not_given_values_that_it_does_not_take(write):
    lab = load_lab(write(DEFINITION + "with = { colour = 'red' }\n"))
    with pytest.raises(DefinitionError, match="takes no 'colour'"):
        step_check.bind(lab, lab.steps[1], lab.values)


MACHINE = """
[machine]
packages = ["nginx", "libstdc++6"]
setup = "systemctl stop nginx"

[machine.files]
"/etc/motd" = "hello"
"/srv/secret" = { content = "s", mode = "0600", owner = "www-data:adm" }
"""


def test_a_lab_says_what_its_machine_has(write):
    setup = load_lab(write(DEFINITION + MACHINE)).setup
    assert setup.packages == ("nginx", "libstdc++6")
    assert [(f.path, f.mode, f.owner) for f in setup.files] == [
        ("/etc/motd", "0644", "root"),
        ("/srv/secret", "0600", "www-data:adm"),
    ]
    assert setup.script == "systemctl stop nginx"
    assert not load_lab(write()).setup


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"nginx"', '"-oDir::Bin=x"', "not the name of a Debian package"),
        ('"nginx"', '"nginx; reboot"', "not the name of a Debian package"),
        ('"nginx"', "3", "packages"),
        ('"/etc/motd"', '"etc/motd"', "not the absolute path"),
        ('"/etc/motd"', '"/etc/../motd"', "not the absolute path"),
        ('"/etc/motd"', '"/etc/"', "not the absolute path"),
        ('"0600"', '"rw"', "the mode must be like '0644'"),
        ('"www-data:adm"', '"a b"', "the owner must be like"),
        ('content = "s"', 'text = "s"', "text"),
    ],
)
def test_what_a_machine_cannot_have_is_named_with_its_line(write, old, new, says):
    with pytest.raises(DefinitionError, match=says) as raised:
        load_lab(write(DEFINITION + MACHINE.replace(old, new)))
    assert raised.value.line > DEFINITION.count("\n")


@pytest.mark.parametrize("name", ["docker-server", "gorb"])
def test_the_labs_that_come_along_are_valid(name):
    lab = load_lab(find_lab(name))
    assert sum(step.points for step in lab.steps) == 100
    for step in lab.steps:
        step_check.bind(lab, step, lab.values)
    for steps in lab.states.values():
        assert lab.with_needs(list(steps))


def test_an_unknown_lab_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match=r"no lab 'grob': .* one of: docker-server, gorb"):
        find_lab("grob")
