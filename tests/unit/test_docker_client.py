"""Every answer of a Docker Engine is bounded, and a malformed answer affects that question only."""

from __future__ import annotations

import tracemalloc

import pytest
from tests.engine_server import EngineServer, drip, drip_head, flood, reply

from labwright.errors import EngineRefused, MachineError
from labwright.machines import docker_client
from labwright.machines.docker_host import DockerHost, found
from labwright.machines.engine import Engine
from labwright.machines.local import LocalMachine


@pytest.fixture
def engine_server(tmp_path):
    server = EngineServer(tmp_path / "docker.sock")
    yield server
    server.close()


@pytest.fixture
def engine(engine_server, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{engine_server.path}")
    machine = LocalMachine()
    yield Engine(machine)
    machine.close()


def test_an_answer_that_is_too_long_is_cut_off_and_not_kept(engine, engine_server):
    engine_server.answers["/containers/json"] = flood
    engine_server.answers["/images/json"] = lambda c: reply(c, [{"RepoTags": ["server:latest"]}])
    tracemalloc.start()
    try:
        with pytest.raises(EngineRefused, match="`containers` had more than 16 MiB"):
            engine.containers()
        assert tracemalloc.get_traced_memory()[1] < 4 * docker_client.ANSWER_LIMIT
    finally:
        tracemalloc.stop()
    assert engine.image_names() == ["server:latest"]


@pytest.mark.parametrize("slow", [drip, drip_head])
def test_an_answer_that_never_ends_is_given_up(slow, engine, engine_server, monkeypatch):
    monkeypatch.setattr(docker_client, "ANSWER_S", 1)
    engine_server.answers["/containers/server1/json"] = slow
    with pytest.raises(EngineRefused, match="`container server1` took more than 1 s"):
        engine.container("server1")
    assert engine.container("server2").absent


@pytest.mark.parametrize("body", [None, 1, {"a": 1}, ["x"], [{"Names": 3}]])
def test_an_answer_of_another_shape_is_that_questions_trouble(body, engine, engine_server):
    engine_server.answers["/containers/json"] = lambda c: reply(c, body)
    with pytest.raises(MachineError):
        engine.containers()
    assert engine.container("server2").absent


def test_a_container_whose_log_cannot_be_read_leaves_the_others(engine, engine_server):
    described = {"Id": "1", "Config": {"Tty": False}}
    engine_server.answers["/containers/server1/json"] = lambda c: reply(c, described)
    engine_server.answers["/containers/server1/logs"] = lambda c: reply(
        c, {"message": "configured logging driver does not support reading"}, "501 Not Implemented"
    )
    with pytest.raises(EngineRefused, match="does not support reading"):
        engine.console("server1")
    assert engine.container("server2").absent


@pytest.mark.parametrize(("options", "rootless"), [(["name=rootless"], True), (None, False)])
def test_a_rootless_engine_is_told_apart(options, rootless, engine, engine_server):
    engine_server.answers["/info"] = lambda c: reply(c, {"SecurityOptions": options})
    assert engine.is_rootless() is rootless


def test_an_engine_elsewhere_is_named(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")
    with pytest.raises(
        MachineError, match=r"at tcp://10\.0\.0\.1:2375 \(DOCKER_HOST\), but the lab"
    ):
        Engine(LocalMachine()).containers()


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("host=\nuser=ann\n", "Docker is not installed on there"),
        (
            "host=\nuser=ann\ninstalled=yes\n",
            "does not run on there: `sudo systemctl start docker`",
        ),
        (
            "host=unix:///run/docker.sock\nfrom=the docker context lab\nuser=ann\ninstalled=yes\n",
            "no Docker Engine listens at /run/docker.sock on there (the docker context lab)",
        ),
        (
            "host=unix:///run/docker.sock\nfrom=\nuser=ann\ninstalled=yes\nthere=yes\n",
            "the user ann on there may not use Docker: `sudo usermod -aG docker ann`",
        ),
        ("host=unix:///run/docker.sock\nfrom=\nuser=ann\nthere=yes\nsudo=yes\n", ""),
        ("host=unix:///run/docker.sock\nfrom=\nuser=ann\nthere=yes\nwritable=yes\n", ""),
    ],
)
def test_why_an_engine_cannot_be_asked_is_one_sentence(said, problem):
    told = found(said, "there").problem("there")
    assert problem in told
    assert bool(problem) == bool(told)


def test_only_root_reaches_some_engines():
    assert DockerHost("/run/d.sock", sudo=True).relay().startswith("exec sudo -n env DOCKER_HOST=")
    assert DockerHost("/run/d.sock", writable=True).relay().startswith("exec env DOCKER_HOST=")
