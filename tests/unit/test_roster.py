"""A roster is read as people write it; what is wrong is told at once, and where."""

from __future__ import annotations

import pytest

from labwright.batch import roster
from labwright.errors import UsageError
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab

LAB = load_lab(find_lab("gorb"))
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0vbX6hYcUxY1cPDdJcxk5yTkC1bq9YvFq0lXo0aaaa"


@pytest.fixture
def read(tmp_path):
    def read(text: str | bytes, name: str = "class.csv") -> roster.Roster:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return roster.read(path, LAB)

    return read


def mistakes(read, text: str | bytes, name: str = "class.csv") -> list[str]:
    with pytest.raises(UsageError) as caught:
        read(text, name)
    head, *lines = str(caught.value).splitlines()
    return [line.rpartition(f"{name}:")[2] for line in lines or [head]]


def test_a_plain_roster_is_read_in_its_order(read):
    found = read("id,name,target\nb,Bob,10.0.0.2\na,Ann,student@10.0.0.1:2222\n").students
    assert [(s.id, s.name, s.target, s.row) for s in found] == [
        ("b", "Bob", "ssh://10.0.0.2", 2),
        ("a", "Ann", "ssh://student@10.0.0.1:2222", 3),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffid;name;target\r\na;Ames, Ann;h1\r\n",
        "sep=;\r\nid;name;target\r\na;Ames, Ann;h1\r\n",
        'id,name,target\na,"Ames, Ann",h1\n',
        '\n\n"id","name","target"\n,,\n"a","Ames, Ann","h1"\n\n',
        "ID\tName\tHost\na\tAmes, Ann\th1\n",
        'Student ID,Full name,Address\n a ,"Ames, Ann", h1 \n',
        'id,name,target\na,"Ames, Ann",h1\n'.encode("utf-16"),
        'id,name,target,\na,"Ames, Ann",h1,\n',
    ],
    ids=["excel", "sep", "quotes", "blanks", "tabs", "aliases", "utf-16", "empty column"],
)
def test_files_of_spreadsheets_are_read(read, text):
    (student,) = read(text).students
    assert (student.id, student.name, student.target) == ("a", "Ames, Ann", "ssh://h1")


def test_a_quoted_line_break_does_not_shift_the_rows_that_are_told(read):
    (first, second) = mistakes(read, 'id,name,target\na,"Ann\nAmes",h1\nb,Bob,\n')
    assert first.startswith('2: column "name": a line break')
    assert second == '4: column "target": there is none'


def test_a_roster_may_be_yaml_and_its_ids_stay_as_they_are_written(read):
    text = (
        "students:\n  - {id: 007, target: vm:a, port: }\n  - id: no\n    target: h\n    port: 22\n"
    )
    found = read(text, "class.yaml").students
    assert [(s.id, s.target) for s in found] == [("007", "vm:a"), ("no", "ssh://h:22")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- id: a\n  target: [h]\n", '2: column "target": one value is wanted'),
        ("- id: a\n- 3\n", "2: not a student"),
        ("id: a\n", "1: not a list of students"),
        ("- {id: a\n", "2: not YAML"),
        ("- id: a\n", '1: column "target": there is none'),
    ],
)
def test_what_is_wrong_in_yaml_is_told_with_its_line(read, text, told):
    assert any(line.startswith(told) for line in mistakes(read, text, "class.yml"))


def test_all_mistakes_are_told_at_once_with_row_and_column(read):
    text = (
        "id,target,email,port,jump,host_key,interface\n"
        "a,h1,,,,,\n"
        "A,h2,ann,,,,\n"
        "../x,h3,,,,,\n"
        "b,ftp://h,,,,,\n"
        "c,h:22,,23,,,\n"
        "d,h,,,-oProxyCommand=x,,\n"
        "e,h,,,,AAAA,\n"
        "f,local,,,,,\n"
        ",h,,,,,\n"
        "g,h,,,,,,,more\n"
    )
    found = mistakes(read, text)
    assert [line.partition(": ")[0] for line in found] == ["3", "3", *map(str, range(4, 12))]
    assert found[0] == "3: column \"email\": not an address: 'ann'"
    assert found[1] == '3: column "id": A is also the id of row 2'
    assert found[4] == '6: column "target": the target says port 22, and the column port says 23'
    assert found[9] == "11: 9 cells, but only 7 columns"


def test_very_many_mistakes_are_counted_not_listed(read):
    found = mistakes(read, "id,target\n" + ",h\n" * 500)
    assert len(found) == roster.MOST_TOLD + 1
    assert found[-1] == "... and 460 more"


def test_unknown_columns_are_left_to_a_rule_and_misspelt_ones_are_told(read):
    found = read("id,target,days_late\na,h,2\n")
    assert found.unused == ("days_late",)
    assert found.students[0].extra == {"days_late": "2"}
    assert mistakes(read, "id,target,e-mial\na,h,\n") == [
        '2: column "e_mial": not a column that labwright knows; email?'
    ]


def test_a_column_that_is_missing_or_there_twice_is_told(read):
    assert mistakes(read, "name,email\nAnn,a@b\n")[0].startswith("1: no column id and no column")
    assert mistakes(read, "id,target,ID\na,h,b\n")[0] == '1: column "ID": the column is there twice'


def test_a_value_of_the_lab_may_differ_for_a_student(read):
    found = read(f"id,target,interface,host_key\na,h,eth0,{KEY} root@h\nb,h2,,\n").students
    assert [student.values for student in found] == [{"interface": "eth0"}, {}]
    assert found[0].host_key == KEY
    (told,) = mistakes(read, "id,target,requests\na,h,many\n")
    assert told.startswith('2: column "requests"')


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "the roster has no students"),
        (b"id,target\n", "the roster has no students"),
        (b'id,target\na,"h\n', "2: not CSV"),
        (b"id,target\nZo\xeb,h\n", "2: not UTF-8 (byte 0xeb)"),
    ],
)
def test_what_is_no_roster_is_refused_in_a_sentence(read, text, told):
    assert any(told in line for line in mistakes(read, text))


def test_a_roster_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UsageError, match=r"none\.csv: the roster cannot be read"):
        roster.read(tmp_path / "none.csv", LAB)


def test_five_hundred_students_are_read(read):
    rows = "".join(f"s{n};Näme {n};10.1.{n // 250}.{n % 250}\r\n" for n in range(500))
    assert len(read("\ufeffid;name;target\r\n" + rows).students) == 500
