"""The lab machine is what the document takes for granted, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import secrets
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.vm import states, store
from labwright.vm.guest import machines
from labwright.vm.lab_states import states as lab_states
from labwright.vm.target import guest_machine

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("image")]

HOLD = """
import time
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.vm.lab_states import ephemeral
with ephemeral(load_lab(find_lab("gorb")), "docker") as guest:
    print(guest.name, guest.pid, flush=True)
    while True:  # not one long wait: an interruption just before it would be noticed at its end
        time.sleep(0.1)
"""


def labwright(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "labwright", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def on(guest, command: str) -> str:
    with closing(guest_machine(guest)) as machine:
        result = machine.run("sh -c %s", command)
        assert result.ok, result.stderr
        return result.stdout.strip()


def await_end(pid: int, timeout: float = 20.0) -> None:
    """Wait until a process has ended; a zombie has."""
    descriptor = os.pidfd_open(pid)
    try:
        assert select.select([descriptor], [], [], timeout)[0], f"process {pid} still runs"
    finally:
        os.close(descriptor)


@pytest.fixture
def up():
    """Start machines by the command; they are stopped afterwards."""
    names = []

    def start(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        names.append(name)
        return labwright("vm", "up", name, *arguments)

    yield start
    for name in names:
        labwright("vm", "down", name)


def test_the_machine_is_what_the_document_takes_for_granted(lab_machine):
    guest = lab_machine("docker")
    assert on(guest, "id -un") == "student"
    assert on(guest, "sudo -n id -un") == "root"
    assert "10.0.2.15/24" in on(guest, "ip -4 -brief address show enp0s3")
    assert on(guest, "test ! -e /proc/net/ip_vs && sudo modprobe -n ip_vs && echo available")
    assert on(guest, "docker ps --all --quiet") == ""
    for command in ("curl", "ifconfig", "ipvsadm", "less", "script", "setsid"):
        assert on(guest, f"PATH=$PATH:/usr/sbin:/sbin command -v {command}")
    assert on(guest, "python3 -c 'import asyncio, ctypes, json, sqlite3, ssl; print(1)'") == "1"


@pytest.mark.thorough
def test_the_images_of_the_components_are_in_the_machine_and_gorbs_is_pulled(lab_machine):
    guest = lab_machine("docker")
    names = "docker images --format '{{.Repository}}:{{.Tag}}'"
    images = on(guest, names).split()
    assert {"server:latest", "client:latest"} <= set(images)
    assert "kobolog/gorb:latest" not in images
    for _ in range(2):
        on(guest, "docker pull kobolog/gorb:latest")
        assert "kobolog/gorb:latest" in on(guest, names).split()
        on(guest, "docker image rm kobolog/gorb")


def test_the_clock_of_a_restored_machine_is_right(lab_machine):
    guest = lab_machine("docker")
    before = time.time()
    told = float(on(guest, "date +%s.%N"))
    # However long it took to ask.
    assert before - 1 < told < time.time() + 1


def test_each_state_has_what_it_promises(lab_machine):
    containers = "docker ps --format '{{.Names}}' | sort | tr '\\n' ' '"
    assert on(lab_machine("servers"), containers) == "server1 server2"
    deployed = lab_machine("deployed")
    assert on(deployed, containers) == "gorb server1 server2"
    assert on(deployed, "grep -c Masq /proc/net/ip_vs") == "2"


@pytest.mark.thorough
def test_machines_side_by_side_share_nothing(lab_machine):
    first, second = lab_machine("docker"), lab_machine("docker")
    assert first.port != second.port
    on(first, "touch only-here; sync")
    assert on(second, "ls only-here 2>/dev/null || echo no") == "no"


def test_what_is_done_to_a_machine_is_gone_with_it(up):
    up("again", "--state", "docker")
    labwright("vm", "ssh", "again", "--", "echo was-here > note; sync")
    assert labwright("vm", "down", "again").returncode == 0
    up("again", "--state", "docker")
    assert labwright("vm", "ssh", "again", "--", "cat note").returncode != 0


def test_up_of_a_name_that_runs_says_so_and_leaves_it_alone(up):
    assert up("twice", "--state", "docker").returncode == 0
    labwright("vm", "ssh", "twice", "--", "touch kept")
    second = up("twice", "--state", "servers")
    assert second.returncode == 0
    assert "twice runs already" in second.stderr
    assert "docker" in second.stderr
    assert labwright("vm", "ssh", "twice", "--", "ls kept").returncode == 0


def test_a_machine_outlives_the_command_that_started_it_and_is_listed(up):
    up("listed", "--state", "docker")
    done = labwright("vm", "ls")
    assert done.returncode == 0
    assert re.search(
        r"^\s*listed\s+gorb\s+debian-\d+\s+docker\s+(tcg|kvm|hvf)\s", done.stdout, re.M
    )


def test_ssh_hands_on_the_commands_output_and_exit_status(up):
    up("status", "--state", "docker")
    done = labwright("vm", "ssh", "status", "--", "echo seen; exit 7")
    assert (done.returncode, done.stdout) == (7, "seen\n")
    done = labwright("vm", "ssh", "status", "--", "printf", "%s.", "a b", "$HOME")
    assert done.stdout == "a b.$HOME."


def test_down_of_a_machine_that_does_not_run_is_no_error():
    for _ in range(2):
        assert labwright("vm", "down", "never-was").returncode == 0


def test_a_frozen_machine_can_be_taken_down(up):
    up("frozen", "--state", "docker")
    pid = json.loads((machines() / "frozen" / "guest.json").read_text())["pid"]
    os.kill(pid, signal.SIGSTOP)
    assert labwright("vm", "down", "frozen").returncode == 0
    assert not (machines() / "frozen").exists()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_of_a_machine_whose_owner_was_ended(end):
    owner = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with owner:
        name, pid = owner.stdout.readline().split()
        owner.send_signal(end)
        await_end(int(pid))
    assert name not in labwright("vm", "ls").stdout
    assert not (machines() / name).exists()


def test_nothing_is_left_of_a_machine_whose_start_was_killed():
    command = [sys.executable, "-m", "labwright", "vm", "up", "cut-off", "--state", "docker"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as starting:
        lock = machines() / "cut-off" / "lock"
        while not (lock.exists() and lock.read_text().strip()):
            assert starting.poll() is None, starting.stderr.read()
            time.sleep(0.01)
        pid = int(lock.read_text())
        starting.kill()
    await_end(pid) if Path(f"/proc/{pid}").exists() else None
    assert "cut-off" not in labwright("vm", "ls").stdout
    done = labwright("vm", "up", "cut-off", "--state", "docker")
    try:
        assert done.returncode == 0, done.stderr
    finally:
        labwright("vm", "down", "cut-off")


@pytest.fixture
def other_cache():
    """Another cache with the same saved states, as links: to be damaged."""
    labwright("vm", "build")
    # Links do not cross file systems; the name is the test's own, for those beside it.
    folder = store.root() / f"other-cache-{secrets.token_hex(4)}"
    for kept in states.in_cache(lab_states(load_lab(find_lab("gorb"))).values()):
        shutil.copytree(kept, folder / kept.name, copy_function=os.link)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.thorough
def test_a_truncated_cache_is_noticed_and_made_again(other_cache):
    (state,) = other_cache.glob("*-servers-*")
    devices = state / "devices"
    whole = devices.read_bytes()
    devices.unlink()  # it is a link to the true one
    devices.write_bytes(whole[:1000])
    done = labwright("vm", "up", "heals", "--state", "servers", LABWRIGHT_CACHE=str(other_cache))
    try:
        assert done.returncode == 0, done.stderr
        assert "damaged and is made again" in done.stderr
        assert devices.stat().st_size > 1000
    finally:
        labwright("vm", "down", "heals", LABWRIGHT_CACHE=str(other_cache))


@pytest.mark.thorough
def test_a_state_that_does_not_load_is_made_again(other_cache):
    (state,) = other_cache.glob("*-servers-*")
    devices = state / "devices"
    size = devices.stat().st_size
    devices.unlink()
    devices.write_bytes(bytes(size))
    done = labwright("vm", "up", "heals", "--state", "servers", LABWRIGHT_CACHE=str(other_cache))
    try:
        assert done.returncode == 0, done.stderr
        assert "made again" in done.stderr
    finally:
        labwright("vm", "down", "heals", LABWRIGHT_CACHE=str(other_cache))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which needs root")
def test_a_full_disk_is_one_sentence_and_leaves_nothing_behind(tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", tmp_path], check=True)
    try:
        done = labwright("vm", "up", "a", LABWRIGHT_CACHE=str(tmp_path))
        assert done.returncode == 2
        assert "GiB left" in done.stderr
        assert "LABWRIGHT_CACHE" in done.stderr
        assert "Traceback" not in done.stderr
        assert not list(tmp_path.glob("tmp-*"))
    finally:
        subprocess.run(["umount", tmp_path], check=True)
