"""Whatever an account's login is and prints: its commands' own output, or one sentence."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from labwright.errors import CommandTimedOut, HostUnreachable, MachineError

ODD = "printf '[%%s]' %s; echo \"a\\tb\" 'it''s!' `echo x` $((1+1)) >&2; exit 7"
ARGUMENT = "a 'b' \"c\" $HOME `id` \\ ! é\nlast"
SHELLS = ["bash", "dash", "zsh", "fish", "tcsh", "mksh", "rbash", "busybox"]
START_UP = [".bashrc", ".zshenv", ".config/fish/config.fish", ".tcshrc", ".profile"]


def shell_named(name: str, account):
    path = shutil.which(name)
    if not path:
        pytest.skip(f"needs {name}")
    if name == "busybox":
        # As where sh is busybox: the program is told what it is by its name.
        found = account()
        link = found.home / "sh"
        link.symlink_to(path)

        subprocess.run(["usermod", "--shell", str(link), found.name], check=True, timeout=30)
        return found
    return account(path)


@pytest.mark.parametrize("name", SHELLS)
def test_a_command_is_the_same_in_every_login_shell(name, account, reach):
    machine = reach(shell_named(name, account))
    result = machine.run(ODD, ARGUMENT)
    assert result.exit_status == 7
    assert result.stdout == f"[{ARGUMENT}]".encode().decode()
    assert result.stderr.split()[-2:] == ["x", "2"]
    assert machine.run("cat", stdin=b"one\ntwo").stdout == "one\ntwo"
    assert "epoch" in machine.probe({"task": "clock"}, timeout=30)
    assert machine.run("exit 255").exit_status == 254


@pytest.mark.parametrize("name", ["bash", "zsh", "fish", "tcsh"])
def test_what_start_up_files_print_is_no_answer(name, account, reach):
    user = shell_named(name, account)
    for path in START_UP:
        user.write(path, "echo 'Welcome to {}!'\necho careful >/dev/stderr\n")
    machine = reach(user)
    result = machine.run("echo out; echo err >&2", limit=4)
    assert (result.stdout, result.stderr) == ("out\n", "err\n")
    assert "epoch" in machine.probe({"task": "clock"}, timeout=30)


def test_a_python_that_prints_a_line_first_is_used(account, reach):
    user = account()
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    user.write("bin/python3", f'#!/bin/sh\necho Using 3.11\nexec {python} "$@"\n', 0o755)
    user.write(".bashrc", "PATH=~/bin:$PATH\n")
    assert "epoch" in reach(user).probe({"task": "clock"}, timeout=30)


def test_start_up_files_that_read_take_no_input_of_ours(account, reach):
    user = account()
    user.write(".bashrc", 'read -t 0.2 answer\necho "got $answer"\n')
    machine = reach(user)
    assert machine.run("cat", stdin=b"one\ntwo").stdout == "one\ntwo"
    assert "epoch" in machine.probe({"task": "clock"}, timeout=30)


@pytest.mark.parametrize(
    ("shell", "options", "said"),
    [
        ("/usr/sbin/nologin", "", "currently not available"),
        ("/bin/false", "", "ssh exited 1"),
        ("/bin/bash", 'command="echo Only backups here"', "Only backups here"),
        ("/bin/bash", 'command="echo Closed until Monday >&2; exit 3"', "Closed until Monday"),
    ],
)
def test_an_account_without_a_shell_is_reported_by_what_it_says(
    shell, options, said, account, reach
):
    machine = reach(account(shell, options))
    with pytest.raises(HostUnreachable, match=said):
        machine.run("true")
    with pytest.raises(HostUnreachable, match=said):  # and at once
        machine.probe({"task": "clock"}, timeout=30)


def test_a_login_that_closes_its_output_is_given_up(account, reach):
    user = account()
    user.write(".bashrc", "exec 1>&- 2>&-; sleep 200\n")
    with pytest.raises(HostUnreachable, match="runs no command"):
        reach(user).run("true")


def test_a_login_that_never_ends_is_given_up(account, reach, monkeypatch):
    monkeypatch.setattr("labwright.machines.ssh.CONNECT_TIMEOUT_S", -8)
    user = account()
    user.write(".bashrc", "echo Choose a course:; sleep 200\n")
    with pytest.raises(HostUnreachable, match=r"no answer within 2 s.*Choose a course"):
        reach(user).run("true")


def test_a_refused_key_is_named_and_no_warning(account, reach, server):
    user = account()
    (server.folder / f"authorized_{user.name}").write_text("")
    with pytest.raises(HostUnreachable, match=r"Permission denied \(publickey\)"):
        reach(user).run("true")


def test_a_command_that_does_not_end_is_ended_with_what_it_started(account, reach):
    user = account()
    machine = reach(user)
    with pytest.raises(CommandTimedOut, match=r"did not end within 0\.5 s"):
        machine.run("sleep 4321 & echo hi", timeout=0.5)
    listed = machine.run("ps -o args= -u %s", user.name).stdout
    assert "sleep 4321" not in listed


def test_a_python_that_is_too_old_or_missing_is_named(account, reach):
    user = account()
    old = "import sys; sys.version_info = (3, 6, 9)"
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    user.write(
        "bin/python3", f'#!/bin/sh\nexec {python} -I -c "{old}; exec(sys.argv[1])" "$3"\n', 0o755
    )
    user.write(".bashrc", "PATH=~/bin:$PATH\n")
    with pytest.raises(MachineError, match=r"has python3 3\.6\.9; the grader needs 3\.7 or newer"):
        reach(user).probe({"task": "clock"}, timeout=30)
    user.write("bin/python3", "#!/bin/sh\nexec nothing-of-that-name\n", 0o755)
    with pytest.raises(MachineError, match="has no python3"):
        reach(user).probe({"task": "clock"}, timeout=30)
