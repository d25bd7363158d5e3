"""Claims of lab.toml are read with the lab's values, or refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from labwright.checks import catalogue
from labwright.errors import CheckFailed, DefinitionError
from labwright.grading import step_check
from labwright.lab.claims import COMMON, GROUPS, KINDS, File, Group, Port
from labwright.lab.definition import load_lab

DOCUMENT = "# Toy\n\n<!-- step: first -->\n1. Do.\n\n<!-- step: second -->\n2. Undo.\n"
HEAD = """\
name = "toy"
title = "Toy"
document = "lab.md"

[values]
port = 8080
place = "srv"

[[step]]
id = "first"
title = "First"
points = 60
"""
TAIL = """
[[step]]
id = "second"
title = "Second"
points = 40

[[step.claim]]
program = "sh"
"""
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def read(tmp_path: Path):
    def read(claims: str, head: str = HEAD):
        (tmp_path / "lab.md").write_text(DOCUMENT)
        (tmp_path / "lab.toml").write_text(head + claims + TAIL)
        return load_lab(tmp_path)

    return read


def claims_of(lab, values=None):
    return step_check.bind(lab, lab.steps[0], values or lab.values).values["claims"]


def test_a_claim_is_made_with_the_labs_values(read):
    lab = read('[[step.claim]]\nport = "{{port}}"\n[[step.claim]]\nfile = "/{{ place }}/x"\n')
    assert claims_of(lab) == (Port(8080), File("/srv/x"))
    assert claims_of(lab, {"port": 81, "place": "opt"}) == (Port(81), File("/opt/x"))


def test_groups_hold_claims(read):
    lab = read('[[step.claim]]\nany = [{ port = 1 }, { none = [{ file = "/x" }] }]\n')
    (group,) = claims_of(lab)
    assert isinstance(group, Group)
    assert (group.how, group.claims[0], group.claims[1].how) == ("any", Port(1), "none")


@pytest.mark.parametrize(
    ("claims", "line", "says"),
    [
        ("[[step.claim]]\nprot = 80\n", 13, "it has none of these keys"),
        ('[[step.claim]]\nport = 80\nfile = "/x"\n', 13, "it has 'port' and 'file'"),
        ("[[step.claim]]\nport = 80\nprotocl = 'x'\n", 15, "did you mean 'protocol'?"),
        ("[[step.claim]]\nport = 'many'\n", 14, "'port' of a claim of step 'first' must"),
        ("[[step.claim]]\nport = 70000\n", 14, "must be a whole number <= 65535, not 70000"),
        ("[[step.claim]]\nport = 80\nprotocol = 'icmp'\n", 15, "one of tcp, udp, not 'icmp'"),
        ("[[step.claim]]\nport = '{{prot}}'\n", 13, "[values] has no 'prot'"),
        ("[[step.claim]]\nfile = '/x'\nmatches = '('\n", 15, "'matches' of a claim"),
        ("[[step.claim]]\nfile = '/x'\nmode = 'rw'\n", 15, "'mode' of a claim"),
        ("[[step.claim]]\nany = []\n", 14, "must be a list of claims"),
        ("[[step.claim]]\nany = [{ port = 1, weight = 2 }]\n", 14, "'weight' stands beside 'any'"),
        ("[[step.claim]]\nport = 1\nnotice = true\n", 13, "add a claim about a lasting result"),
        ("[[step.claim]]\nport = 1\nuntil = 'second'\n", 13, "add a claim about a lasting result"),
        ("[[step.claim]]\nport = 1\nuntil = 'third'\n[[step.claim]]\nport = 2\n", 15, "not a step"),
        ("[[step.claim]]\nport = 1\nuntil = 'first'\n[[step.claim]]\nport = 2\n", 15, "come after"),
        ("[[step.claim]]\nport = 1\nweight = 2\n[[step.claim]]\nport = 2\n", 15, "or none"),
        ("[[step.claim]]\nport = 1\nweight = 0\n", 15, "more than 0"),
        ("check = 'a.b'\n[[step.claim]]\nport = 1\n", 9, "either a 'check', or one or several"),
        ("", 9, "either a 'check', or one or several"),
        ("claim = [3]\n", 13, "item 1 of 'claim' of step 'first' must be a table"),
    ],
)  # fmt: skip
def test_a_wrong_claim_is_one_sentence_with_its_line(read, claims, line, says):
    with pytest.raises(DefinitionError) as caught:
        read(claims)
    assert says in str(caught.value)
    assert caught.value.line == line
    assert "\n" not in str(caught.value)


def test_a_value_that_does_not_fit_a_claim_is_told_with_its_line(read):
    lab = read('[[step.claim]]\nport = "{{port}}"\n')
    with pytest.raises(DefinitionError, match=r"lab\.toml:14: 'port' .* whole number, not 'x'"):
        claims_of(lab, {"port": "x", "place": ""})


def test_no_key_of_a_kind_is_the_name_of_another_one():
    for name, kind in KINDS.items():
        others = {*KINDS, *GROUPS, *COMMON} - {name, *COMMON}
        assert not others & set(kind.__struct_fields__), name


@pytest.mark.parametrize("entry", catalogue.claims(), ids=lambda entry: entry.name)
def test_the_example_of_a_kind_is_right(read, entry):
    (claim,) = claims_of(read(entry.example + "\n"))
    assert type(claim) is KINDS[entry.name]


def test_every_parameter_of_a_claim_says_what_it_means():
    for entry in catalogue.claims():
        for parameter in entry.parameters:
            known = parameter.meaning or parameter.name in ("uid", "gid", "mtu")
            assert known, (entry.name, parameter.name)


def test_a_share_of_the_points_is_earned():
    result = step_check.pending(load_lab(REPOSITORY / "labs" / "gorb").steps[0], "lab.md")
    for share, points in ((0.5, 2.5), (0, 0), (1, 0), (7, 0), (-1, 0), (float("nan"), 0)):
        failure = CheckFailed("a", "b", share=share)
        assert step_check.failed(result, failure, step_check.Seen(), "").points == points
