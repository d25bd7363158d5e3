"""People's ssh_config leads to machines; options of ours come before it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from labwright.batch.student import jump_of, normal_target
from labwright.errors import UsageError
from labwright.machines import destination, login
from labwright.machines.destination import OVERRIDES, Destination


def effective(where: Destination, folder: Path) -> dict[str, str]:
    """Return what ssh makes of a destination, by its own word."""
    file = folder / "config"
    file.write_text(where.configuration())
    argv = ["ssh", "-G", *where.options(file), "--", where.host]
    said = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30).stdout
    return dict(line.split(" ", 1) for line in said.splitlines() if " " in line)


@pytest.fixture
def own(tmp_path, monkeypatch):
    file = tmp_path / "own"
    monkeypatch.setattr(destination, "OWN_CONFIGURATION", (str(file),))
    return file


def test_what_would_change_a_grade_is_overridden(own, tmp_path):
    own.write_text(
        "Host *\n RemoteCommand tmux attach\n ControlMaster auto\n ControlPath ~/m-%h\n"
        " ControlPersist 10m\n RequestTTY force\n PermitLocalCommand yes\n ForwardAgent yes\n"
        " ServerAliveInterval 0\n BatchMode no\n LogLevel QUIET\n ConnectTimeout 900\n"
    )
    found = effective(Destination("lab"), tmp_path)
    assert found.get("remotecommand", "none") == "none"
    assert (found["controlmaster"], found["controlpersist"]) == ("false", "no")
    assert found.get("controlpath", "none") == "none"
    assert (found["requesttty"], found["permitlocalcommand"]) == ("false", "no")
    assert (found["forwardagent"], found["batchmode"]) == ("no", "yes")
    assert (found["serveraliveinterval"], found["connecttimeout"]) == ("5", "15")
    assert found["loglevel"] == "INFO"


def test_what_leads_to_a_machine_is_kept(own, tmp_path):
    own.write_text(
        "Host LabVM1\n HostName 10.0.0.7\n User ann\n Port 2200\n ProxyJump gate\n"
        " IdentityFile ~/.ssh/lab\n"
    )
    found = effective(Destination.parse("ssh://LabVM1"), tmp_path)
    assert (found["hostname"], found["user"], found["port"]) == ("10.0.0.7", "ann", "2200")
    assert found["proxyjump"] == "gate"
    assert found["identityfile"] == "~/.ssh/lab"
    named = effective(Destination.parse("ssh://bob@LabVM1:22"), tmp_path)
    assert (named["user"], named["port"]) == ("bob", "22")


def test_a_guest_is_reached_without_the_own_configuration(own, tmp_path):
    own.write_text("Host *\n HostName 10.0.0.7\n")
    found = effective(Destination("127.0.0.1", 2222, plain=True), tmp_path)
    assert found["hostname"] == "127.0.0.1"


def test_the_key_of_a_student_is_the_only_one_that_is_accepted(own, tmp_path):
    own.write_text("")
    known = tmp_path / "known hosts"
    where = Destination("lab", known_hosts=known, alias="ann", jump="me@gate:2222")
    found = effective(where, tmp_path)
    assert (found["hostkeyalias"], found["proxyjump"]) == ("ann", "me@gate:2222")
    assert found["stricthostkeychecking"] == "true"
    assert found["userknownhostsfile"].replace('"', "") == str(known)


def test_every_option_is_one_that_ssh_knows():
    done = subprocess.run(
        [
            "ssh",
            "-Fnone",
            *(
                f"-o{name}={value}"
                for name, value, since in OVERRIDES
                if destination.client_release() >= since
            ),
            "-G",
            "lab",
        ],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("written", "target"),
    [
        ("LabVM1", "ssh://LabVM1"),
        ("student@[::1]:22", "ssh://student@[::1]:22"),
        ("ssh://[::1]:22", "ssh://[::1]:22"),
        ("ssh://Ann@LabVM1:2222", "ssh://Ann@LabVM1:2222"),
    ],
)
def test_a_roster_names_hosts_as_an_ssh_config_does(written, target):
    assert normal_target(written) == target


def test_a_jump_host_may_be_an_ipv6_address():
    assert jump_of("me@[2001:db8::1]:2222,gate") == "me@[2001:db8::1]:2222,gate"
    with pytest.raises(UsageError):
        jump_of("me@[nonsense]:22")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Warning: Permanently added 'lab' (ED25519) to the list of known hosts.\n", ""),
        (
            (
                "ann@lab: Permission denied (publickey).\n"
                "** WARNING: connection is not using a post-quantum key exchange algorithm.\n"
                "** This session may be vulnerable to attacks.\n"
            ),
            "ann@lab: Permission denied (publickey).",
        ),
        (
            (
                "Received disconnect from 10.0.0.7 port 22:2: Too many authentication failures\n"
                "Disconnected from 10.0.0.7 port 22\n"
            ),
            "Received disconnect from 10.0.0.7 port 22:2: Too many authentication failures",
        ),
        (
            (
                "me@gate: Permission denied (publickey).\n"
                "kex_exchange_identification: Connection closed by remote host\n"
                "Connection closed by UNKNOWN port 65535\n"
            ),
            "me@gate: Permission denied (publickey).",
        ),
    ],
)
def test_the_reason_for_a_refusal_is_never_a_warning(said, reason):
    assert login.reason(said) == reason


def test_what_an_account_answers_is_the_reason():
    said = "This account is currently not available.\n"
    assert "currently not available" in login.refusal(said, "Warning: Permanently added\n", 1)
    assert login.refusal("Welcome\n", "Connection reset by 10.0.0.7\n", 255).startswith(
        "Connection"
    )
    assert login.refusal("", "", 142) == "ssh exited 142"


def test_a_script_reaches_sh_through_quotes_of_any_shell():
    script = "printf %s \"it's\" '\\n' '!x' `echo é` $((1+1))\necho"
    line = login.quoted(script)
    assert not set("!\\\n") & set(line.replace("\\0", ""))
    assert line.count("'") == 2
    direct, through = (
        subprocess.run(["sh", "-c", text], capture_output=True, timeout=30).stdout
        for text in (script, line)
    )
    assert through == direct
