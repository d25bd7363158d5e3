"""The grader's own ssh_config leads to machines, and changes nothing that a grade sees."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest
from tests.ssh.conftest import KEYGEN

from labwright.errors import HostUnreachable
from labwright.machines.destination import Destination, client_release
from labwright.machines.ssh import SshMachine

PERSIST = "ControlMaster auto\nControlPath {folder}/master-%h\nControlPersist 10m\n"


def processes(word: str) -> list[str]:
    listed = subprocess.run(["ps", "-wweo", "args="], capture_output=True, text=True, timeout=30)
    return [line for line in listed.stdout.splitlines() if line.startswith("ssh ") and word in line]


@pytest.mark.parametrize(
    "lines",
    [
        "RemoteCommand tmux attach",
        "SessionType none",
        "SessionType subsystem",
        "ForkAfterAuthentication yes",
        "StdinNull yes",
        "RequestTTY force",
        "PermitLocalCommand yes\nLocalCommand echo a local command",
        "LogLevel QUIET",
        "LogLevel DEBUG3",
        "VisualHostKey yes",
        "ControlMaster autoask",
        "LocalForward 127.0.0.1:1 127.0.0.1:1\nExitOnForwardFailure yes",
        "SendEnv LC_* LANG\nSetEnv LC_ALL=de_DE.UTF-8",
        "IgnoreUnknown UseKeychain\nUseKeychain yes",
        "EscapeChar a\nConnectionAttempts 5\nTunnel yes",
        PERSIST,
    ],
)
def test_options_for_all_hosts_change_nothing(lines, account, reach, configuration, tmp_path):
    configuration(f"Host *\n{lines.format(folder=tmp_path)}\n")
    machine = reach(account())
    assert machine.run("cat; echo err >&2; exit 3", stdin=b"in").stdout == "in"
    assert machine.run("echo out; echo err >&2").stderr == "err\n"
    assert "epoch" in machine.probe({"task": "clock"}, timeout=30)
    machine.close()
    assert processes(machine.destination.user) == []
    assert not list(tmp_path.glob("master-*"))


def test_a_host_is_found_by_its_name_as_it_is_written(account, server, configuration, tmp_path):
    user = account()
    configuration(
        f"Host LabVM1\n HostName 127.0.0.1\n Port {server.port}\n User {user.name}\n"
        f" IdentityFile {server.folder / 'key'}\n StrictHostKeyChecking accept-new\n"
        f" UserKnownHostsFile {tmp_path / 'known'}\n"
    )
    machine = SshMachine("ssh://LabVM1", Destination.parse("ssh://LabVM1"))
    try:
        assert machine.run("id -un").stdout.strip() == user.name
    finally:
        machine.close()


def test_an_ipv6_address_is_reached(account, reach):
    assert reach(account(), "::1").run("echo $SSH_CONNECTION").stdout.startswith("::1 ")


def test_a_jump_host_of_the_configuration_is_used_and_leaves_nothing(
    account, reach, server, configuration, tmp_path
):
    jump, user = account(), account()
    configuration(
        f"Host bastion\n HostName 127.0.0.1\n Port {server.port}\n User {jump.name}\n"
        f" IdentityFile {server.folder / 'key'}\n RemoteCommand tmux attach\n"
        f"Host labvm\n HostName 127.0.0.1\n ProxyJump bastion\n"
        f"Host *\n {PERSIST.format(folder=tmp_path)} RequestTTY force\n"
    )
    machine = reach(user, "labvm")
    assert machine.run("id -un").stdout.strip() == user.name
    assert len(processes("bastion")) == 1
    machine.close()
    assert processes("bastion") + processes(user.name) == []
    assert not list(tmp_path.glob("master-*"))


def test_a_jump_host_that_is_named_is_used(account, reach, server, configuration):
    jump, user = account(), account()
    configuration(f"Host 127.0.0.1\n IdentityFile {server.folder / 'key'}\n")
    machine = reach(user)
    machine.destination = replace(machine.destination, jump=f"{jump.name}@127.0.0.1:{server.port}")
    assert machine.run("id -un").stdout.strip() == user.name


def test_a_jump_host_that_refuses_is_named(account, reach, server, configuration):
    jump, user = account(), account()
    (server.folder / f"authorized_{jump.name}").write_text("")
    configuration(
        f"Host labvm\n HostName 127.0.0.1\n ProxyJump {jump.name}@127.0.0.1:{server.port}\n"
    )
    with pytest.raises(HostUnreachable, match=rf"{jump.name}@127\.0\.0\.1: Permission denied"):
        reach(user, "labvm").run("true")


def test_another_key_than_the_known_one_is_refused_and_named(account, reach, server, tmp_path):
    user = account()
    subprocess.run([*KEYGEN, tmp_path / "other"], check=True, timeout=30)
    key = (tmp_path / "other.pub").read_text()
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {key}")
    with pytest.raises(HostUnreachable, match="Host key verification failed"):
        reach(user).run("true")


def test_a_machine_that_allows_one_session_is_reached(account, reach, server):
    port = server.start("MaxSessions 1")
    machine = reach(account(), port=port)
    assert machine.run("cat", stdin=b"in").stdout == "in"
    assert "epoch" in machine.probe({"task": "clock"}, timeout=30)


def test_a_long_banner_is_passed_over(account, reach, server):
    banner = server.folder / "banner"
    banner.write_text("Authorised use only. \n" * 5000)
    machine = reach(account(), port=server.start(f"Banner {banner}"))
    assert machine.run("echo out").stdout == "out\n"
    assert "epoch" in machine.probe({"task": "clock"}, timeout=30)


def test_a_configuration_that_ssh_does_not_read_is_named(account, reach, configuration):
    configuration("Host *\n ProxyJmp bastion\n")
    with pytest.raises(HostUnreachable, match=r"own_config|terminating"):
        reach(account()).run("true")


def test_the_release_of_ssh_is_known():
    assert client_release() >= (7, 6)
