"""A real OpenSSH server on loopback, with accounts of its own, removed afterwards."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from labwright.machines import destination
from labwright.machines.destination import Destination
from labwright.machines.ssh import SshMachine

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
NEEDS = {
    "root, for accounts and an sshd of its own": os.geteuid() == 0,
    "sshd (openssh-server)": bool(SSHD),
    "useradd": bool(shutil.which("useradd")),
}
KEYGEN = ["ssh-keygen", "-qt", "ed25519", "-N", "", "-f"]


@dataclass
class Account:
    """A user of this computer, for one test."""

    name: str
    home: Path

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of theirs."""
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        for each in (file, *file.parents):
            if each == self.home:
                break
            shutil.chown(each, self.name, self.name)


@dataclass
class Server:
    """An sshd, and what is needed to reach it."""

    folder: Path
    port: int = 0
    processes: list[subprocess.Popen] = field(default_factory=list)

    def start(self, extra: str = "") -> int:
        """Start one with these lines first in its configuration; return its port."""
        number = len(self.processes)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        config = self.folder / f"sshd_config{number}"
        config.write_text(
            f"{extra}\nPort {port}\nListenAddress 127.0.0.1\nListenAddress ::1\n"
            f"HostKey {self.folder / 'host_key'}\nPidFile none\nUsePAM no\nStrictModes no\n"
            f"AuthorizedKeysFile {self.folder}/authorized_%u\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nPrintMotd no\n"
            # Of this one alone the last line counts, not the first.
            + ("" if "MaxStartups" in extra else "MaxStartups 100\n")
        )
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        log = (self.folder / f"log{number}").open("wb")
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=log)
        self.processes.append(process)
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, (self.folder / f"log{number}").read_text()
            assert time.monotonic() < deadline, "sshd does not listen"
            time.sleep(0.05)
        self.port = self.port or port
        return port


@pytest.fixture(scope="session")
def server():
    """The server. Where there cannot be one, the tests are skipped, and say why."""
    missing = [what for what, there in NEEDS.items() if not there]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}")
    folder = Path("/tmp") / f"lw-sshd-{secrets.token_hex(4)}"  # readable by every account
    folder.mkdir(mode=0o755)
    subprocess.run([*KEYGEN, folder / "host_key"], check=True, timeout=30)
    subprocess.run([*KEYGEN, folder / "key"], check=True, timeout=30)
    found = Server(folder)
    try:
        found.start()
        yield found
    finally:
        for process in found.processes:
            process.kill()
            process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def account(server):
    """A function that makes an account with a login shell; all are gone after the test."""
    made = []

    def make(shell: str = "/bin/bash", options: str = "") -> Account:
        """Return it; ``options`` stand before its key in authorized_keys."""
        name = f"lw{secrets.token_hex(4)}"
        argv = ["useradd", "--create-home", "--shell", shell, "--password", "*", name]
        subprocess.run(argv, check=True, capture_output=True, timeout=30)
        made.append(Account(name, Path(pwd.getpwnam(name).pw_dir)))
        key = (server.folder / "key.pub").read_text()
        (server.folder / f"authorized_{name}").write_text(f"{options} {key}".lstrip())
        return made[-1]

    yield make
    for each in made:
        subprocess.run(["pkill", "-KILL", "-u", each.name], check=False, timeout=30)
        for _ in range(20):
            argv = ["userdel", "--force", "--remove", each.name]
            if subprocess.run(argv, check=False, capture_output=True, timeout=30).returncode == 0:
                break
            time.sleep(0.1)


@pytest.fixture
def configuration(monkeypatch, tmp_path):
    """A function that sets what stands in the grader's own ssh_config."""
    file = tmp_path / "own_config"
    file.write_text("")
    file.chmod(0o600)
    monkeypatch.setattr(destination, "OWN_CONFIGURATION", (str(file),))
    return file.write_text


@pytest.fixture
def reach(server, configuration, tmp_path):
    """A function that returns a machine over SSH; all are closed after the test."""
    machines = []

    def connect(user: Account | str, host: str = "127.0.0.1", port: int = 0) -> SshMachine:
        name = user if isinstance(user, str) else user.name
        port = port or server.port
        known = tmp_path / "known_hosts"
        found = Destination(host, port, name, server.folder / "key", known, strict=False)
        machines.append(SshMachine(f"ssh://{name}@{host}:{port}", found))
        return machines[-1]

    yield connect
    for machine in machines:
        machine.close()
