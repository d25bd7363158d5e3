"""The Docker Engine of a machine's user is asked where it listens, by whatever way is open."""

from __future__ import annotations

import pytest
from tests.engine_server import EngineServer, reply

from labwright.errors import MachineError

DIAL = """\
#!/usr/bin/python3
import os, select, socket, sys
if sys.argv[1:] == ["context", "inspect", "--format", "{{.Endpoints.docker.Host}}", "lab"]:
    print("unix://SOCKET")
    sys.exit()
assert sys.argv[1:] == ["system", "dial-stdio"]
there = socket.socket(socket.AF_UNIX)
there.connect(os.environ["DOCKER_HOST"].removeprefix("unix://"))
while True:
    for ready in select.select([0, there], [], [])[0]:
        data = os.read(0, 9999) if ready == 0 else there.recv(9999)
        if not data:
            sys.exit()
        there.sendall(data) if ready == 0 else os.write(1, data)
"""
"""A ``docker`` command, as far as it is used."""


@pytest.fixture
def engine_server(server):
    found = EngineServer(server.folder / "engine.sock")
    found.answers["/containers/json"] = lambda c: reply(c, [{"Names": ["/server1"], "Image": "s"}])
    yield found
    found.close()


@pytest.fixture
def user(account, engine_server):
    found = account()
    found.write("bin/docker", DIAL.replace("SOCKET", str(engine_server.path)), 0o755)
    found.write(".bashrc", "echo noise\nPATH=~/bin:$PATH\n")
    return found


def use_docker_host(user, engine_server, file: str = ".bashrc") -> None:
    text = f"echo noise\nPATH=~/bin:$PATH\nexport DOCKER_HOST=unix://{engine_server.path}\n"
    user.write(file, text)


def test_docker_host_of_the_start_up_files_is_asked(user, reach, engine_server):
    use_docker_host(user, engine_server)
    assert reach(user).engine.containers() == {"server1": "s"}


def test_docker_host_that_only_a_terminal_has_is_asked(user, reach, engine_server):
    user.write(".profile", ". ~/.bashrc\n")
    user.write(
        ".bashrc",
        "PATH=~/bin:$PATH\ncase $- in *i*) ;; *) return;; esac\n"
        f"echo noise\nexport DOCKER_HOST=unix://{engine_server.path}\n",
    )
    assert reach(user).engine.containers() == {"server1": "s"}


def test_the_context_of_the_user_is_asked(user, reach):
    user.write(".docker/config.json", '{\n\t"auths": {},\n\t"currentContext": "lab"\n}')
    assert reach(user).engine.containers() == {"server1": "s"}


@pytest.mark.parametrize("how", ["sshd", "key"])
def test_where_sockets_are_not_forwarded_docker_itself_is_the_way(
    how, user, account, reach, server, engine_server
):
    use_docker_host(user, engine_server)
    port = server.start("AllowStreamLocalForwarding no") if how == "sshd" else server.port
    if how == "key":
        key = (server.folder / f"authorized_{user.name}").read_text()
        (server.folder / f"authorized_{user.name}").write_text(f"restrict {key}")
    machine = reach(user, port=port)
    assert machine.engine.containers() == {"server1": "s"}
    assert machine.engine.container("other").absent


def test_where_that_is_no_way_either_the_setting_is_named(user, reach, server, engine_server):
    use_docker_host(user, engine_server)
    user.write("bin/docker", "#!/bin/sh\necho 'docker: no dial-stdio' >&2; exit 1\n", 0o755)
    machine = reach(user, port=server.start("AllowStreamLocalForwarding no"))
    with pytest.raises(MachineError, match=r"no dial-stdio.*AllowStreamLocalForwarding"):
        machine.engine.containers()
    assert machine.run("echo there").stdout == "there\n"


def test_a_docker_elsewhere_is_named(user, reach):
    user.write(".bashrc", "export DOCKER_HOST=ssh://big-computer\n")
    with pytest.raises(MachineError, match="ssh://big-computer"):
        reach(user).engine.containers()


def test_no_engine_at_all_is_one_sentence(account, reach):
    with pytest.raises(MachineError, match="Docker"):
        reach(account()).engine.containers()
