"""A roster is read as people write it; what is wrong is told at once, and where."""

from __future__ import annotations

import datetime
from pathlib import Path

import openpyxl
import pytest

from labwright.batch import roster, roster_table
from labwright.errors import UsageError
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab

LAB = load_lab(find_lab("gorb"))
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0vbX6hYcUxY1cPDdJcxk5yTkC1bq9YvFq0lXo0aaaa"


@pytest.fixture
def read(tmp_path):
    def read(text: str | bytes, name: str = "class.csv", **how) -> roster.Roster:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return roster.read(path, LAB, roster.Reading(**how))

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
    assert first.startswith('2: column "name": it contains a line break')
    assert second == '4: column "target": it is missing'


def test_a_roster_may_be_yaml_and_its_ids_stay_as_they_are_written(read):
    text = (
        "students:\n  - {id: 007, target: vm:a, port: }\n  - id: no\n    target: h\n    port: 22\n"
    )
    found = read(text, "class.yaml").students
    assert [(s.id, s.target) for s in found] == [("007", "vm:a"), ("no", "ssh://h:22")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- id: a\n  target: [h]\n", '2: column "target": give one value'),
        ("- id: a\n- 3\n", "2: not a student"),
        ("id: a\n", "1: not a list of students"),
        ("- {id: a\n", "2: not YAML"),
        ("[" * 5000, "1: not a list of students: it is nested too deeply"),
        ("- id: a\n", '1: column "target": it is missing'),
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
    assert len(found) == roster_table.MOST_TOLD + 1
    assert found[-1] == "... and 460 more"


def test_unknown_columns_are_left_to_a_rule_and_misspelt_ones_are_told(read):
    found = read("id,target,days_late\na,h,2\n")
    assert found.unused == ("days_late",)
    assert found.students[0].extra == {"days_late": "2"}
    assert mistakes(read, "id,target,e-mial\na,h,\n") == [
        '2: column "e_mial": unknown column; did you mean email?'
    ]


def test_a_column_that_is_missing_or_there_twice_is_told(read):
    assert mistakes(read, "name,email\nAnn,a@b\n")[0].startswith("1: no column id and no column")
    assert (
        mistakes(read, "id,target,ID\na,h,b\n")[0]
        == '1: column "ID": there are two columns with this name'
    )


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
        (b"id,target\nZo\x8d,h\n", "2: not UTF-8 (byte 0x8d), nor Windows' western encoding"),
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


# Rosters as people have them.

CANVAS = """\
Student,ID,SIS User ID,SIS Login ID,Section,Lab 1 (4711),Final Score,target
,,,,,Manual Posting,,
    Points Possible,,,,,10.00,(read only),
"Ames, Ann",101,s1001,ann@example.org,Monday,9.00,90.0,10.0.0.1
"Bird, Bob",102,s1002,bob@example.org,Monday,,,10.0.0.2
"Student, Test",999,,abc,Monday,,,
"""
MOODLE = """\
First name,Last name,ID number,Institution,Email address,Assignment: Lab 1 (Real),target
Ann,Ames,1001,,ann@example.org,9.00,10.0.0.1
Bob,Bird,1002,,bob@example.org,-,10.0.0.2
"""


def test_canvas_own_export_with_a_column_of_targets_is_a_roster(read):
    found = read(CANVAS)
    assert [(s.id, s.name, s.target) for s in found.students] == [
        ("s1001", "Ames, Ann", "ssh://10.0.0.1"),
        ("s1002", "Bird, Bob", "ssh://10.0.0.2"),
    ]
    assert found.students[0].extra["canvas_id"] == "101"
    assert found.students[0].extra["login"] == "ann@example.org"
    assert "a Canvas export: ids from sis_id" in found.notes[0]
    assert found.unused == ()


def test_canvas_ids_are_the_logins_where_not_everybody_has_a_sis_id(read):
    found = read(CANVAS.replace("s1002", ""))
    assert [s.id for s in found.students] == ["ann@example.org", "bob@example.org"]


def test_canvas_with_names_in_two_columns_and_semicolons_is_read(read):
    text = "LastName;FirstName;ID;SIS Login ID;Section;target\nAmes;Ann;101;ann;Mon;h1\n"
    (found,) = read("\ufeff" + text).students
    assert (found.id, found.name) == ("ann", "Ann Ames")


@pytest.mark.parametrize("last", ["Last name", "Surname"])
def test_moodles_own_exports_with_a_column_of_targets_are_rosters(read, last):
    found = read(MOODLE.replace("Last name", last)).students
    assert [(s.id, s.name, s.email, s.target) for s in found] == [
        ("1001", "Ann Ames", "ann@example.org", "ssh://10.0.0.1"),
        ("1002", "Bob Bird", "bob@example.org", "ssh://10.0.0.2"),
    ]
    without = read(MOODLE.replace("1002", "")).students
    assert [s.id for s in without] == ["ann@example.org", "bob@example.org"]


def test_moodles_worksheet_says_which_participant_a_student_is(read):
    (found,) = read(
        "Identifier,Full name,ID number,Email address,Status,Grade,target\n"
        "Participant 4242,Ann Ames,1001,ann@example.org,Submitted,,h1\n"
    ).students
    assert (found.id, found.extra["participant"]) == ("1001", "4242")


def test_an_export_without_targets_says_what_to_do(read):
    (told,) = mistakes(read, CANVAS.replace("target", "remarks"))
    assert told.startswith("1: no column target")
    assert "add one to the export, or give a second file by --targets" in told


def test_targets_come_from_a_second_file_by_any_id_that_a_student_has(read, tmp_path):
    plain = "\n".join(line.rpartition(",")[0] for line in CANVAS.splitlines())
    second = tmp_path / "targets.csv"
    second.write_text("id,target,port,interface\nBOB@example.org,h2,22,\n101,h1,,eth0\n")
    found = read(plain, targets=second).students
    assert [(s.id, s.target, s.values) for s in found] == [
        ("s1001", "ssh://h1", {"interface": "eth0"}),
        ("s1002", "ssh://h2:22", {}),
    ]
    second.write_text("id,target\ns1001,h1\nann@example.org,h3\nnobody,h4\n")
    with pytest.raises(UsageError) as caught:
        read(plain, targets=second)
    assert "targets.csv:3: column \"id\": 'ann@example.org' already has a target in row 2" in str(
        caught.value
    )
    assert "targets.csv:4: column \"id\": 'nobody' is not in the roster" in str(caught.value)
    left = read(plain, targets=second, skip_bad_rows=True)
    assert [s.target for s in left.students] == ["ssh://h1"]
    assert any("it is missing" in line for line in left.skipped)


def test_a_second_file_may_name_the_students_by_another_column_than_id(read, tmp_path):
    second = tmp_path / "targets.csv"
    second.write_text("E-mail,target\nann@example.org,h1\n")
    text = "id,email\nann,ann@example.org\n"
    (found,) = read(text, targets=second).students
    assert (found.id, found.target, found.email) == ("ann", "ssh://h1", "ann@example.org")


def test_two_ids_that_differ_by_zeros_alone_are_refused(read):
    (told,) = mistakes(read, "id,target\n007,h1\n7,h2\nx1,h3\n")
    assert told.startswith('3: column "id": 7 is also the id of row 2, 007, without the zeros')


def test_a_line_to_look_at_is_the_right_one_where_an_old_mac_ended_it(read):
    found = read(ZOE.replace("\r\n", "\r").encode("cp1252"))
    assert "2: not UTF-8" in found.notes[0]
    assert "'a;Zo\u00eb;h1'" in found.notes[0]


ZOE = "id;name;target\r\na;Zo\u00eb;h1\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_excel_s_unicode_encodings_are_told_apart(read, encoding):
    found = read(ZOE.encode(encoding))
    assert (found.students[0].name, found.notes) == ("Zo\u00eb", ())


def test_excel_s_ansi_is_read_and_said_so(read):
    found = read(ZOE.encode("cp1252"))
    assert found.students[0].name == "Zo\u00eb"
    assert (
        "2: not UTF-8 (byte 0xeb): read as Windows' western encoding: 'a;Zo\u00eb;h1'"
        in found.notes[0]
    )


@pytest.mark.parametrize("encoding", ["mac_roman", "cp850", "cp1250"])
def test_other_encodings_are_read_as_they_are_named(read, encoding):
    assert read(ZOE.encode(encoding), encoding=encoding).students[0].name == "Zo\u00eb"


def test_an_encoding_that_there_is_not_is_refused(read):
    for name in ("klingon", "base64", "undefined", "a\0b"):
        with pytest.raises(UsageError, match=f"not in the encoding {name}"):
            read(ZOE.encode(), encoding=name)


@pytest.mark.parametrize(
    ("id", "why"),
    [
        ("1.2E+05", "shortened the number"),
        ("1,2E+05", "shortened the number"),
        ("1001.0", "turned it into a number"),
        ("1-Mar", "turned it into a date"),
        ("Mar-01", "turned it into a date"),
        ("01-Sept", "turned it into a date"),
        ("2-okt", "turned it into a date"),
        ("March-2026", "turned it into a date"),
        ("01.02.2026", "turned it into a date"),
        ("1-2-2026", "turned it into a date"),
        ("#REF!", "a spreadsheet's error value"),
        ("####", "a spreadsheet's error value"),
    ],
)
def test_an_id_that_a_spreadsheet_has_mangled_is_refused_with_the_reason(read, id, why):
    (told,) = mistakes(read, f"id;target\n{id};h\nb;h2\n")
    assert told.startswith('2: column "id"')
    assert why in told
    assert "format the column as text" in told


@pytest.mark.parametrize("id", ["12-mary", "7-julia", "maier-12", "2026-01-17", "1.2.3", "1e5"])
def test_an_id_that_looks_a_little_like_a_date_or_number_is_one(read, id):
    assert read(f"id,target\n{id},h\n").students[0].id == id


def test_ids_that_lost_their_zeros_are_refused_where_others_have_them(read):
    (told,) = mistakes(read, "id,target\n00123,h1\n4567,h2\n10000,h3\n")
    assert told.startswith('3: column "id": 4567 has 4 digits and others have 5')
    assert len(read("id,target\n0a,h1\n12e4,h2\n7,h3\n").students) == 3


def workbook(tmp_path, *rows, format=None) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    if format:
        book.active["A2"].number_format = format
    book.save(tmp_path / "class.xlsx")
    return tmp_path / "class.xlsx"


def test_a_workbook_of_excel_is_a_roster(tmp_path):
    path = workbook(
        tmp_path, ["ID", "Name", "Target", "port"], [1001, "Zo\u00eb", "h1", 22.0], [None]
    )
    (found,) = roster.read(path, LAB).students
    assert (found.id, found.name, found.target, found.row) == ("1001", "Zo\u00eb", "ssh://h1:22", 2)
    path = workbook(tmp_path, ["id", "target"], [42, "h1"], format="00000")
    assert roster.read(path, LAB).students[0].id == "00042"


@pytest.mark.parametrize(
    ("id", "why"),
    [
        (datetime.date(2024, 3, 1), "turned it into a date"),
        (12345678901234567, "digits after the 15th"),
        ("#N/A", "error"),
    ],
)
def test_what_a_workbook_has_made_of_an_id_is_refused(tmp_path, id, why):
    with pytest.raises(UsageError, match=why):
        roster.read(workbook(tmp_path, ["id", "target"], [id, "h"]), LAB)


@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04nonsense", b"id,target\na,h\n"])
def test_what_is_no_workbook_is_refused_in_a_sentence(read, raw):
    with pytest.raises(UsageError, match=r"not an \.xlsx file"):
        read(raw, "class.xlsx")


def test_a_file_of_another_spreadsheet_is_refused_with_what_to_do(read):
    with pytest.raises(UsageError, match=r"save it as \.xlsx or as CSV"):
        read(b"x", "class.ods")


@pytest.mark.parametrize(
    ("target", "full"),
    [
        ("[2001:DB8::1]:2222", "ssh://[2001:db8::1]:2222"),
        ("ann@[2001:db8:0::1]", "ssh://ann@[2001:db8::1]"),
        ("2001:db8::1", "ssh://[2001:db8::1]"),
        ("ann@fe80::1%eth0", "ssh://ann@[fe80::1%eth0]"),
        ("ssh://ann@[::1]:22", "ssh://ann@[::1]:22"),
        ("ssh://ann@[fe80::1%25eth0]:22", "ssh://ann@[fe80::1%eth0]:22"),
    ],
)
def test_a_target_may_be_an_ipv6_address(read, target, full):
    assert read(f"id,target\na,{target}\n").students[0].target == full


def test_what_is_no_ipv6_address_is_refused(read):
    assert "does not appear to be an IPv4 or IPv6" in mistakes(read, "id,target\na,1:2:3:zz\n")[0]


def test_a_jump_host_may_be_an_ipv6_address(read):
    found = read("id,target,jump\na,h,me@[2001:db8::1]:2222\n").students
    assert found[0].jump == "me@[2001:db8::1]:2222"


def test_one_machine_is_told_however_its_address_is_written(read):
    found = read("id,target\na,[2001:db8:0::1]:22\nb,x@2001:DB8::1\nc,H:22\nd,h\n").students
    assert found[0].address == found[1].address
    assert found[2].address == found[3].address


def test_bad_rows_are_told_and_the_others_graded_where_that_is_wanted(read):
    text = "id,target\na,h1\n,h2\nb,local\nc,h3\nC,h4\n"
    assert len(mistakes(read, text)) == 3
    found = read(text, skip_bad_rows=True)
    assert [s.id for s in found.students] == ["a"], "nobody knows which of the two c is right"
    assert [line.partition("class.csv:")[2][:2] for line in found.skipped] == ["3:", "4:", "6:"]
    with pytest.raises(UsageError, match="1 mistake"):
        read("id,target\n,h\n", skip_bad_rows=True)
