"""Each system is what students have, and a machine can be carried. Minutes for each system.

tox -e systems
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing

import pytest

from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.vm import carry, lab_states
from labwright.vm.systems import DEFAULT, SYSTEMS
from labwright.vm.target import guest_machine

pytestmark = pytest.mark.systems

DEBIAN = {"debian-12": "bookworm", "debian-13": "trixie", "debian-14": "forky"}
WEB = """\
name = "web"
title = "A web server"
document = "lab.md"

[machine]
packages = ["nginx-light"]
setup = "systemd-sysusers && systemctl reload nginx"

[machine.files]
"/etc/sysusers.d/bob.conf" = "u bob - Bob\\n"
"/etc/nginx/conf.d/a.conf".content = "server { listen 81; }\\n"
"/etc/nginx/conf.d/a.conf".mode = "0640"
"/etc/nginx/conf.d/a.conf".owner = "root:adm"

[[step]]
id = "served"
title = "It is served"
points = 100
check = "kernel.ip_vs_available"
"""


@pytest.fixture
def on():
    """Return a function that runs a shell's command on a guest and returns what it printed."""

    def run(guest, command: str) -> str:
        with closing(guest_machine(guest)) as machine:
            result = machine.run("sh -c %s", command, timeout=120)
            assert result.ok, result.stderr
            return result.stdout.strip()

    return run


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_is_what_students_have(name, on):
    lab = load_lab(find_lab("gorb"))
    with lab_states.ephemeral(lab, "servers", SYSTEMS[name]) as guest:
        assert DEBIAN[name] in on(guest, "cat /etc/os-release")
        assert "10.0.2.15/24" in on(guest, "ip -4 -brief address show enp0s3")
        assert on(guest, "docker ps --format '{{.Names}}' | sort | xargs") == "server1 server2"
        on(guest, "docker pull -q kobolog/gorb")
        if SYSTEMS[name].init == "systemd":
            assert on(guest, "cat /proc/1/comm") == "systemd"
            assert on(guest, "systemctl list-units --failed --no-legend") == ""
            assert "nf_tables" in on(guest, "/usr/sbin/iptables --version")
            assert "usepam yes" in on(guest, "sudo /usr/sbin/sshd -T")
            assert on(guest, "systemctl list-timers --no-legend") == ""


def test_machines_of_two_systems_run_side_by_side(on):
    lab = load_lab(find_lab("docker-server"))
    first, second = list(SYSTEMS.values())[:2]
    with (
        lab_states.ephemeral(lab, "docker", first) as one,
        lab_states.ephemeral(lab, "docker", second) as other,
    ):
        assert DEBIAN[first.name] in on(one, "cat /etc/os-release")
        assert DEBIAN[second.name] in on(other, "cat /etc/os-release")


def test_a_labs_machine_has_its_packages_and_files(tmp_path, on):
    (tmp_path / "lab.toml").write_text(WEB)
    (tmp_path / "lab.md").write_text(
        "# Web\n\n## Part (1/1): Go\n\n<!-- step: served -->\n1. Go.\n"
    )
    with lab_states.ephemeral(load_lab(tmp_path), "docker", SYSTEMS["debian-13"]) as guest:
        assert on(guest, "systemctl is-active nginx") == "active"
        assert on(guest, "id -un bob") == "bob"
        assert on(guest, "stat -c '%a %U:%G' /etc/nginx/conf.d/a.conf") == "640 root:adm"
        assert "nginx" in on(guest, "curl --silent --include localhost:81")


def test_an_exported_machine_runs_where_none_can_be_built(tmp_path, monkeypatch, on):
    file = tmp_path / "machine"
    lab = load_lab(find_lab("gorb"))
    carry.export(lab, DEFAULT, lab_states.states(lab)["docker"], file)
    monkeypatch.setenv("LABWRIGHT_CACHE", str(tmp_path / "cache"))
    from labwright.vm import debian

    monkeypatch.setattr(debian, "require", lambda: pytest.fail("it was built"))
    carry.import_file(file)
    with lab_states.ephemeral(lab, "deployed") as guest:
        command = [sys.executable, "-m", "labwright", "check", "--target", f"vm:{guest.name}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
