"""What the Docker Engine refuses is that question's trouble; what is told is read strictly."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import requests
from docker.errors import APIError

from labwright.errors import EngineRefused, MachineError
from labwright.machines.docker_host import DockerHost
from labwright.machines.engine import Container, Engine

UNREADABLE = "configured logging driver does not support reading"


class Machine:
    """A machine whose Engine answers listings, and refuses to tell what a container printed."""

    target = "ssh://there"

    def __init__(self, problem: Exception) -> None:
        def raise_it(*_arguments, **_options):
            raise problem

        api = SimpleNamespace(logs=raise_it, containers=lambda all: [])
        self.docker = SimpleNamespace(api=api)

    def find_docker_host(self):
        return DockerHost("/var/run/docker.sock", there=True, writable=True)


def test_a_log_that_cannot_be_read_leaves_the_other_questions_answered():
    response = requests.Response()
    response.status_code = 501
    engine = Engine(Machine(APIError("501 Server Error", response, UNREADABLE)))
    with pytest.raises(EngineRefused, match=f"`console server1`: {UNREADABLE}"):
        engine.console("server1")
    assert engine.containers() == {}


def test_an_engine_that_gives_no_answer_is_not_waited_for_again():
    engine = Engine(Machine(requests.ConnectionError("reset")))
    for ask in (lambda: engine.console("server1"), engine.containers):
        with pytest.raises(MachineError, match="gave no answer"):
            ask()


def test_a_container_has_an_address_on_each_of_its_networks():
    networks = {
        "bridge": {"IPAddress": "172.17.0.2"},
        "lab_default": {"IPAddress": "172.18.0.5"},
        "none": {"IPAddress": ""},
    }
    seen = Container.of(
        "server1",
        {
            "State": {"Status": "running"},
            "Config": {"Image": "server"},
            "HostConfig": {},
            "NetworkSettings": {"Networks": networks},
        },
    )
    assert seen.addresses == ("172.17.0.2", "172.18.0.5")
    assert seen.address == "172.17.0.2"
