"""An unusual machine of a class does not delay the others."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest


@pytest.fixture
def agent(server):
    """The environment with an agent that has the accounts' key: the grader's own way in."""
    said = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, timeout=30).stdout
    found = dict(re.findall(r"(SSH_\w+)=([^;]+);", said))
    environment = {**os.environ, **found}
    subprocess.run(
        ["ssh-add", "-q", server.folder / "key"], env=environment, check=True, timeout=30
    )
    yield environment
    subprocess.run(["ssh-agent", "-k"], env=environment, capture_output=True, timeout=30)


def test_a_dry_run_ends_though_a_login_hangs(account, server, agent, tmp_path):
    silent, right = account(), account()
    silent.write(".bashrc", "exec 1>&- 2>&-; sleep 200\n")
    right.write(".bashrc", "echo Welcome\n")
    roster = tmp_path / "class.csv"
    rows = [
        f"{n},{each.name}@{host}:{server.port}\n"
        for n, each, host in (("a", silent, "127.0.0.1"), ("b", right, "[::1]"))
    ]
    roster.write_text("id,target\n" + "".join(rows))
    done = subprocess.run(
        [sys.executable, "-m", "labwright", "grade", roster, "--dry-run"],
        env=agent,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = done.stdout + done.stderr
    assert "closes its output and runs no command" in said, said
    assert "b  can be reached" in said, said
    assert done.returncode == 3, said
    listed = subprocess.run(["ps", "-wweo", "args="], capture_output=True, text=True, timeout=30)
    assert f"-l{silent.name}" not in listed.stdout


def test_many_students_behind_one_jump_host_do_not_lock_each_other_out(
    account, server, agent, tmp_path
):
    # The jump host drops every connection while eight are not logged in yet, and a login there
    # takes 2 s; sshd's default drops some at random from ten on.
    jump, student = account(), account()
    log = server.folder / f"log{len(server.processes)}"
    gate = server.start(
        "MaxStartups 8:100:8\nLogLevel VERBOSE\nAuthorizedKeysFile none\n"
        f'AuthorizedKeysCommand /bin/sh -c "sleep 2; cat {server.folder}/authorized_%u"\n'
        "AuthorizedKeysCommandUser root"
    )
    many = range(2, 16)
    machines = server.start("\n".join(f"ListenAddress 127.0.0.{n}" for n in many))
    way = f"{jump.name}@127.0.0.1:{gate}"
    rows = [f"s{n},{student.name}@127.0.0.{n}:{machines},{way}\n" for n in many]
    rows.append(f"lost,{student.name}@127.0.0.2:{machines},{jump.name}@127.0.0.1:9\n")
    (tmp_path / "class.csv").write_text("id,target,jump\n" + "".join(rows))
    done = subprocess.run(
        [sys.executable, "-m", "labwright", "grade", "class.csv", "--dry-run", "-n", "20"],
        env=agent,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    said = done.stdout + done.stderr
    assert f"{len(many)} of {len(many) + 1} machines can be reached" in said, said
    assert f"(through the jump host {jump.name}@127.0.0.1:9)" in said, said
    assert "MaxStartups" not in log.read_text()
