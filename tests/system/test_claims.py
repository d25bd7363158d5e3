"""A claim of each kind holds on a real machine, and fails for the right reason when broken."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from labwright.errors import CheckFailed
from labwright.grading import step_check
from labwright.lab.definition import load_lab
from labwright.machines.perform import perform
from labwright.vm.lab_states import ephemeral
from labwright.vm.systems import SYSTEMS
from labwright.vm.target import guest_machine

pytestmark = [pytest.mark.system, pytest.mark.thorough]

DEFINITION = Path(__file__).with_name("claims.toml")
# For each kind: what a student does wrong, how it is put right again, what is said of it.
BROKEN = {
    "command": ("echo wrong >~/answer", "echo right >~/answer", "it says `wrong`"),
    "file": ("sudo chmod 0644 /etc/labfile", "sudo chmod 0600 /etc/labfile", "its mode is 0644"),
    "directory": ("sudo rm /srv/lab/one", "sudo touch /srv/lab/one", "it holds nothing"),
    "service": (
        "sudo systemctl disable lab 2>/dev/null",
        "sudo systemctl enable lab 2>/dev/null",
        "it is disabled",
    ),
    "port": ("sudo systemctl stop lab", "sudo systemctl start lab; sleep 2", "none does"),
    "http": (
        "sudo rm /srv/pages/index.html",
        "echo '<p>hello</p>' | sudo tee /srv/pages/index.html",
        "it answered with 404",
    ),
    "process": (
        (
            "sudo sed -i s/www-data/nobody/ /etc/systemd/system/lab.service; "
            "sudo systemctl daemon-reload; sudo systemctl restart lab; sleep 2"
        ),
        (
            "sudo sed -i s/nobody/www-data/ /etc/systemd/system/lab.service; "
            "sudo systemctl daemon-reload; sudo systemctl restart lab; sleep 2"
        ),
        "it runs as nobody",
    ),
    "timer": ("sudo systemctl stop tick.timer", "sudo systemctl start tick.timer", "inactive"),
    "package": (
        "sudo dpkg --force-depends --remove ed >/dev/null 2>&1",
        "true",
        "it is not installed",
    ),
    "program": ("chmod -x ~/bin/labtool", "chmod +x ~/bin/labtool", "there is none"),
    "user": ("sudo gpasswd -d ann www-data", "sudo usermod -aG www-data ann", "groups are ann"),
    "group": ("sudo gpasswd -d ann crew", "sudo usermod -aG crew ann", "ann is in"),
    "mount": ("sudo umount /data", "sudo mount /data", "nothing is"),
    "sysctl": (
        "sudo rm /etc/sysctl.d/70-lab.conf",
        "echo 'net.ipv4.ip_default_ttl=70' | sudo tee /etc/sysctl.d/70-lab.conf",
        "no file sets it",
    ),
    "module": ("sudo rmmod dummy", "sudo modprobe dummy", "it is not loaded"),
    "interface": (
        (
            "sudo ip netns exec red ip addr del 10.77.0.2/24 dev eth0; "
            "sudo ip netns exec red ip addr add 10.77.0.3/24 dev eth0"
        ),
        (
            "sudo ip netns exec red ip addr add 10.77.0.2/24 dev eth0; "
            "sudo ip netns exec red ip route replace default via 10.77.0.1"
        ),
        "it has 10.77.0.3/24",
    ),
    "route": (
        "sudo ip netns exec red ip route del default",
        "sudo ip netns exec red ip route add default via 10.77.0.1",
        "a route to default in red, but there is none",
    ),
    "namespace": (
        "sudo ip netns del red",
        "sudo ip netns add red",
        "a network namespace red",
    ),
    "firewall": ("sudo iptables -F INPUT", "true", "to drop tcp port 8099"),
    "cron": ("crontab -r", "true", "there is none"),
    "environment": (
        "sed -i /LAB_MODE/d ~/.profile",
        "echo 'export LAB_MODE=live' >>~/.profile",
        "it is not set",
    ),
    "container": ("docker stop --time 0 web", "docker start web", "it is exited"),
    "network": (
        "docker rm -f web; docker network rm front",
        "docker network create --subnet 172.30.0.0/24 front",
        "a network front of Docker",
    ),
    "volume": ("docker volume rm data", "docker volume create data", "a volume data"),
    "image": ("docker rmi own:1", "true", "Docker has none of this name"),
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("claims")
    shutil.copy(DEFINITION, folder / "lab.toml")
    ids = [line.split('"')[1] for line in DEFINITION.read_text().splitlines() if "id = " in line]
    marks = "".join(f"<!-- step: {id} -->\n\nDo {id}.\n\n" for id in ids)
    (folder / "lab.md").write_text(f"# Claims\n\n{marks}")
    return load_lab(folder)


@pytest.fixture(scope="module")
def machine(lab):
    with ExitStack() as stack:
        guest = stack.enter_context(ephemeral(lab, "docker", SYSTEMS["debian-13"]))
        machine = stack.enter_context(closing(guest_machine(guest)))
        list(perform(lab, lab.steps, machine))
        yield machine


def judge(lab, id, machine):
    """Return what is said of a step, and its evidence; what is said is empty if it holds."""
    step = lab.step(id)
    seen = step_check.Seen()
    try:
        step_check.examine(step_check.bind(lab, step, lab.values), {"machine": machine}, seen)
    except CheckFailed as failure:
        return str(failure), seen.evidence
    return "", seen.evidence


def test_every_kind_is_broken_by_one_of_these(lab):
    assert {step.id for step in lab.steps} == set(BROKEN)


@pytest.mark.parametrize("id", BROKEN)
def test_a_claim_holds_and_fails_for_the_right_reason(lab, machine, id):
    wrong, right, says = BROKEN[id]
    said, evidence = judge(lab, id, machine)
    assert said == ""
    assert evidence
    result = machine.run(wrong, timeout=60)
    assert result.ok, result
    said, evidence = judge(lab, id, machine)
    machine.run(right, timeout=60)
    assert says in said
    assert evidence
