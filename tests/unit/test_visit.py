"""One visit sees all that was planned; what it tells is believed only in its own shape."""

from __future__ import annotations

import pytest

from labwright.checks.visit import Visit
from labwright.errors import HostUnreachable, ProbeError

REPLY = {"status": 200, "headers": {}, "body": "[]", "error": "", "detail": "", "took_s": 0.1}


class Visited:
    """A machine whose probe answers from what it is told, and counts the visits."""

    target = "ssh://there"

    def __init__(self, **answer) -> None:
        self.answer = answer
        self.tasks = []

    def probe(self, task, timeout):
        self.tasks.append(task)
        if isinstance(self.answer, Exception):
            raise self.answer
        whole = {
            "started_at": 5.0,
            "replies": [REPLY for _ in task["requests"]],
            "files": dict.fromkeys(task["files"], "text"),
            "addresses": {key: ["10.0.2.15"] for key in task["interfaces"]},
        }
        return {**whole, **self.answer}


def test_what_was_planned_is_seen_in_one_visit():
    machine = Visited()
    visit = Visit(machine)
    visit.plan(urls=["http://a/", "http://b/"], files=["/etc/x"], interfaces=["eth0"])
    assert visit.reply("http://b/").status == 200
    assert visit.file("/etc/x") == "text"
    assert visit.addresses("eth0") == ["10.0.2.15"]
    assert visit.started_at == 5.0
    assert len(machine.tasks) == 1


def test_what_was_not_planned_takes_a_visit_of_its_own_and_is_asked_once():
    machine = Visited()
    visit = Visit(machine)
    visit.file("/etc/x")
    assert visit.file("/etc/y") == visit.file("/etc/y") == "text"
    assert [task["files"] for task in machine.tasks] == [["/etc/x"], ["/etc/y"]]


def test_a_file_that_does_not_exist_is_none():
    assert Visit(Visited(files={"/etc/x": None})).file("/etc/x") is None


@pytest.mark.parametrize(
    "answer",
    [
        {"replies": []},
        {"replies": None},
        {"replies": [{"status": "200"}]},
        {"replies": [{**REPLY, "took_s": "soon"}]},
        {"started_at": "yesterday"},
        {"started_at": None},
        {"files": []},
    ],
)
def test_an_answer_of_another_shape_is_an_error_of_the_probe(answer):
    visit = Visit(Visited(**answer))
    visit.plan(files=["/etc/x"])
    with pytest.raises(ProbeError, match="ssh://there gave a malformed answer"):
        visit.reply("http://a/")


def test_a_file_that_is_no_text_is_an_error_of_the_probe():
    with pytest.raises(ProbeError):
        Visit(Visited(files={"/etc/x": 5})).file("/etc/x")


def test_a_machine_that_is_lost_is_lost_at_each_question():
    machine = Visited()
    machine.answer = HostUnreachable("ssh://there cannot be reached: gone")
    visit = Visit(machine)
    for _ in range(2):
        with pytest.raises(HostUnreachable):
            visit.file("/etc/x")
