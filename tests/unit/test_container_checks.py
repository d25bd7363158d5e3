"""What is claimed of a container is read from Docker, its console and what was noted."""

from __future__ import annotations

import pytest

from labwright.checks.containers import addresses_noted, alive, has_worked, stopped_and_started
from labwright.errors import CheckFailed
from labwright.machines.engine import Container
from labwright.machines.machine import CommandResult, Reply

SEEN = {
    "State": {"Status": "running", "ExitCode": 0, "FinishedAt": "0001-01-01T00:00:00Z"},
    "Config": {"Image": "server"},
    "HostConfig": {"NetworkMode": "default"},
    "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}},
}
SERVER = {"container": "server1", "server_image": "server", "server_port": 4444}
WORK = {"work_path": "/doWork", "work_answer": "done\n", "server_rate": 2.0}


class Docker:
    def __init__(self, printed: str = "", **state) -> None:
        self.seen = {**SEEN, "State": {**SEEN["State"], **state}}
        self.printed = printed

    def container(self, name: str) -> Container:
        return Container.of(name, self.seen)

    def console(self, _name, since=None, tail=None) -> str:
        return self.printed


class Visit:
    """Answers any request alike, and remembers which there were."""

    def __init__(self, body: str = "tick\n") -> None:
        self.body = body
        self.asked: list[str] = []

    def reply(self, url: str) -> Reply:
        self.asked.append(url)
        return Reply(200, {}, self.body, "", "")


class Home:
    def __init__(self, text: str, status: int = 0) -> None:
        self.result = CommandResult("", status, text, "", 0.0)

    def run(self, _command, *_arguments, limit=0) -> CommandResult:
        return self.result


def refused(check) -> str:
    with pytest.raises(CheckFailed) as caught:
        list(check)
    return f"{caught.value} {caught.value.hint}"


def test_a_container_that_lives_is_not_asked_to_work():
    visit = Visit()
    assert len(list(alive(Docker(), visit, **SERVER))) == 2
    assert visit.asked == ["http://172.17.0.2:4444/heartbeat"]


def test_a_container_that_ended_with_an_error_tells_its_last_words():
    docker = Docker("Traceback\nNameError: x\n", Status="exited", ExitCode=1)
    assert "ended with status 1 and last printed: NameError: x" in refused(
        alive(docker, Visit(), **SERVER)
    )


def test_another_image_is_named():
    assert "it runs server" in refused(
        alive(Docker(), Visit(), **{**SERVER, "server_image": "mine"})
    )


def test_who_has_not_worked_is_not_made_to():
    visit = Visit()
    assert "does not say so" in refused(has_worked(Docker(), visit, **SERVER, **WORK))
    assert visit.asked == []


@pytest.mark.parametrize(
    ("finished", "holds"), [("0001-01-01T00:00:00Z", False), ("2026-11-25T17:00:00.5Z", True)]
)
def test_a_container_was_stopped_if_docker_says_when(finished, holds):
    check = stopped_and_started(Docker(FinishedAt=finished), container="server2")
    if holds:
        assert len(list(check)) == 1
    else:
        assert "never been stopped" in refused(check)


@pytest.mark.parametrize(
    ("text", "status", "says"),
    [
        ("", 1, "no such file"),
        ("", 0, "a line `server1 ADDRESS`"),
        ("server1 172.17.0.3\n", 0, "it says 172.17.0.3"),
        ("  server1\t172.17.0.2 \nserver1x 1\n", 0, ""),
    ],
)
def test_noted_addresses_are_those_of_now(text, status, says):
    check = addresses_noted(
        Docker(), Home(text, status), servers=["server1"], addresses_file="addresses"
    )
    if says:
        assert says in refused(check)
    else:
        assert len(list(check)) == 2
