"""A machine runs commands with bounded time and output, and nothing it prints can raise."""

from __future__ import annotations

import pytest

from labwright.errors import CommandTimedOut, MachineError, ProbeError, UsageError
from labwright.machines.destination import Destination
from labwright.machines.local import LocalMachine
from labwright.machines.machine import CommandResult, Machine, Reply
from labwright.vm.target import open_machine


@pytest.fixture
def local():
    return LocalMachine()


def test_arguments_are_quoted(local):
    assert local.run("printf '[%%s]' %s %s", "a b'c", "$HOME;").stdout == "[a b'c][$HOME;]"


def test_a_command_tells_its_exit_status_and_both_outputs(local):
    result = local.run("echo out; echo err >&2; exit 7")
    assert (result.exit_status, result.stdout, result.stderr) == (7, "out\n", "err\n")
    assert not result.ok


def time_out(local, command, alive):
    """Run a command that touches a file again and again, until it was seen to and timed out."""
    for timeout in (0.3, 3, 30):  # on a busy computer it takes a while to begin
        with pytest.raises(CommandTimedOut, match=rf"did not end within {timeout} s"):
            local.run(command, str(alive), timeout=timeout)
        if alive.exists():
            break
    alive.unlink()


@pytest.mark.parametrize("then", ["wait", "echo hi"], ids=["waits", "has-ended"])
def test_what_a_command_left_behind_is_killed_at_its_time_limit(local, tmp_path, then):
    alive = tmp_path / "alive"
    time_out(local, f"(while :; do touch %s; sleep 0.05; done) & {then}", alive)
    local.run("sleep 0.3")
    assert not alive.exists()


def test_output_is_cut_at_the_limit_and_says_so(local):
    result = local.run("head -c 3000000 /dev/zero", limit=1000)
    assert (len(result.stdout), result.truncated, result.ok) == (1000, True, True)


def test_bytes_that_are_no_text_are_escaped(local):
    assert local.run(r"printf '\377ok\033[31m'").stdout == "\\xffok\x1b[31m"


def test_input_larger_than_a_pipe_arrives_and_may_be_left_unread(local):
    data = b"x" * 1_000_000
    assert local.run("wc -c", stdin=data).stdout.strip() == "1000000"
    assert local.run("true", stdin=data).ok


def test_a_file_that_cannot_be_read_is_none(local):
    assert local.read("/no/such/file") is None


def test_the_probe_answers_on_this_machine(local):
    assert "epoch" in local.probe({"task": "clock"}, timeout=10)


class Scripted(Machine):
    """A machine that answers every command alike."""

    target = "scripted"

    def __init__(self, stdout: str, exit_status: int = 0) -> None:
        self._result = CommandResult("", exit_status, stdout, "last words", 0.0)

    def execute(self, command, *, timeout, stdin=b"", limit=0):
        return self._result

    def ask_probe(self, task, timeout):
        return self._result

    def docker_socket(self):
        raise MachineError("no")

    def close(self):
        pass


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "null",
        "[]",
        "Welcome!",
        '{"probe": "other", "result": 1}',
        '{"probe": "labwright/probe/v1"}',
        "x" * 100000,
        "[" * 100000,
    ],
)
def test_what_is_no_probes_answer_is_our_trouble_not_the_students(answer):
    with pytest.raises(ProbeError):
        Scripted(answer).probe({"task": "clock"}, timeout=1)


@pytest.mark.parametrize("result", ["1", "[1]", '[{"status": 200}]', "null", '[{"a": 1}]', "[]"])
def test_http_answers_of_another_shape_are_our_trouble_too(result):
    machine = Scripted('{"probe": "labwright/probe/v1", "result": ' + result + "}")
    with pytest.raises(ProbeError):
        machine.http([{"url": "http://127.0.0.1/"}])


def test_a_machine_without_python_says_what_to_install():
    with pytest.raises(MachineError, match="apt-get install python3"):
        Scripted("", exit_status=127).probe({"task": "clock"}, timeout=1)


def test_a_reply_that_is_not_json_is_none():
    assert Reply(200, {}, "<html>", "", "").json() is None
    assert Reply(200, {}, "[" * 100000, "", "").json() is None


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("ssh://host", Destination("host")),
        ("ssh://ann@host:2222", Destination("host", 2222, "ann")),
        ("ssh://ann@[::1]:2222", Destination("::1", 2222, "ann")),
    ],
)
def test_an_ssh_target_is_read(target, expected):
    assert Destination.parse(target) == expected


@pytest.mark.parametrize(
    "target",
    [
        "host",
        "ssh://",
        "ssh://host:port",
        "ssh://host:99999",
        "ssh://host/path",
        "ssh://-oProxyCommand=x",
        "ssh://-x@host",
        "ssh://ann:secret@host",
        "ssh://[::1",
        "telnet://host",
        "",
    ],
)
def test_what_is_no_target_is_refused(target):
    with pytest.raises(UsageError):
        open_machine(target)


def test_a_password_in_a_target_is_not_repeated():
    with pytest.raises(UsageError) as caught:
        open_machine("ssh://ann:secret@host")
    assert "secret" not in str(caught.value)
