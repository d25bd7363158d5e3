"""A server is judged at its best, and not at all while others keep it busy."""

from __future__ import annotations

import pytest

from labwright.checks.docker import VISITS, server_running
from labwright.errors import CheckFailed, Disturbed
from labwright.machines.engine import Container
from labwright.machines.machine import Reply

ANSWER = "Response sent after 500 ms\n"
VALUES = {
    "container": "server1",
    "server_image": "server",
    "server_port": 4444,
    "work_path": "/doWork",
    "work_answer": ANSWER,
    "server_rate": 2.0,
}
RUNS = Container("server1", "running", addresses=("172.17.0.2",), network_mode="default")


class Docker:
    def __init__(self, seen: Container = RUNS, console: str = "") -> None:
        self.seen, self.printed = seen, console

    def container(self, _name):
        return self.seen

    def containers(self):
        return {"other": "server"}

    def console(self, _name, since):
        return self.printed


class Visits:
    """A stand-in: the n-th visit finds a server at work for so many seconds."""

    started_at = 0.0

    def __init__(self, *took: float | None, body: str = ANSWER, beat: str = "tick\n") -> None:
        self.took, self.body, self.beat = list(took), body, beat
        self.visits = 1

    def plan(self, urls):
        pass

    def forget(self, *_urls):
        self.visits += 1

    def reply(self, url):
        if url.endswith("/heartbeat"):
            return Reply(200, {}, self.beat, "", "", 0.01)
        took = self.took[self.visits - 1]
        if took is None:
            return Reply(None, {}, "", "timeout", "no answer came in time")
        return Reply(200, {}, self.body, "", "", took)


def test_a_server_that_works_as_the_document_says_is_asked_once():
    visit = Visits(0.52)
    assert len(list(server_running(Docker(), visit, **VALUES))) == 3
    assert visit.visits == 1


@pytest.mark.parametrize("bad", [4.0, None])
def test_a_bad_moment_is_no_slow_server(bad):
    visit = Visits(bad, 0.6)
    assert list(server_running(Docker(), visit, **VALUES))
    assert visit.visits == 2


@pytest.mark.parametrize(
    ("visit", "says"),
    [
        (Visits(*[4.0] * VISITS), "it took 4000 ms"),
        (Visits(*[None] * VISITS), "no answer came in time"),
        (Visits(0.01), "it took 10 ms"),
        (Visits(5.0, body="Response sent after 5000 ms\n"), "Response sent after 5000 ms"),
        (Visits(0.5, beat="hello"), "answered 200 hello"),
    ],
)
def test_a_server_that_is_another_one_fails(visit, says):
    with pytest.raises(CheckFailed, match=says):
        list(server_running(Docker(), visit, **VALUES))


def test_a_server_that_others_keep_busy_is_neither_right_nor_wrong():
    busy = Docker(console="Response sent\n" * (VISITS + 1))
    with pytest.raises(Disturbed, match="other requests at the same time"):
        list(server_running(busy, Visits(*[4.0] * VISITS), **VALUES))


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (Container("server1", "absent"), "Docker has: other"),
        (Container("server1", "exited", exit_status=137), r"exited \(exit status 137\)"),
        (Container("server1", "running", network_mode="host"), "its network is host"),
    ],
)
def test_a_container_that_is_not_as_it_should_be_is_told(seen, says):
    with pytest.raises(CheckFailed, match=says):
        list(server_running(Docker(seen), Visits(0.5), **VALUES))


class OneOfTwo(Visits):
    """A server that can be reached on the second of its networks only."""

    def reply(self, url):
        if "//172.17.0.2:" in url:
            return Reply(None, {}, "", "unreachable", "no route to host")
        return super().reply(url)


def test_a_server_is_asked_on_the_network_on_which_it_answers():
    seen = Container("server1", "running", addresses=("172.17.0.2", "172.18.0.2"))
    evidence = list(server_running(Docker(seen), OneOfTwo(0.5), **VALUES))
    assert "172.18.0.2" in evidence[1].ran
