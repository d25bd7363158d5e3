"""A document is followed to the letter, and the first thing that goes wrong is told."""

from __future__ import annotations

import http.server
import shutil
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from labwright.errors import DefinitionError, HostUnreachable, MachineError
from labwright.gate.actions import closing_sentence, plan
from labwright.gate.expected import Varying
from labwright.gate.walkthrough import Walkthrough
from labwright.grading.step_check import pending
from labwright.lab.definition import load_lab
from labwright.lab.document import Document
from labwright.lab.model import find_lab
from labwright.machines.local import LocalMachine
from labwright.machines.terminal import Terminal
from labwright.outcome import Outcome

DEFINITION = """\
name = "toy"
title = "A toy lab"
document = "lab.md"

[perform.varies]
"10.0.0.1" = '\\d+(?:\\.\\d+){3}'

[[step]]
id = "first"
title = "The first"
points = 40
check = "kernel.ip_vs_available"

[[step]]
id = "second"
title = "The second"
points = 60
check = "kernel.ip_vs_available"
"""
DOCUMENT = """\
# A toy lab

<!-- step: first -->
1. Keep an address:

   ```console
   $ A=127.0.0.7
   $ printf '%s\\n' "address" "$A"
   ...
   10.0.0.1
   ```

<!-- step: second -->
2. Use it:

   ```sh
   for n in 1 2; do
       test 10.0.0.1 = "$A"
   done
   ```
"""


@pytest.fixture
def lab(tmp_path):
    """Return a function that writes a toy lab and reads it."""

    def write(
        document: str = DOCUMENT, more: str = "", old: str = "", new: str = "", first: str = ""
    ):
        assert document.count(old) == 1 or not old
        (tmp_path / "lab.md").write_text(document.replace(old, new), encoding="utf-8")
        definition = DEFINITION.replace("points = 40", f"points = 40\n{first}") + more
        (tmp_path / "lab.toml").write_text(definition, encoding="utf-8")
        return load_lab(tmp_path)

    return write


@pytest.fixture
def follow(monkeypatch, tmp_path):
    """Return a function that follows a lab on this computer; a step may be said to fail."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def run(lab, outcome: Outcome = Outcome.PASSED, of: str = "", at: int = 0, done=frozenset()):
        examined, told = [], []

        def examine(steps):
            examined.append([step.id for step in steps])
            return [
                replace(
                    pending(step, "lab.md"),
                    outcome=outcome
                    if (step.id, at and len(examined)) == (of, at)
                    else Outcome.PASSED,
                    reason="no such thing",
                )
                for step in steps
            ]

        with closing(LocalMachine()) as machine:
            walkthrough = Walkthrough(
                Document.read(lab.document),
                lab,
                machine,
                examine,
                tell=told.append,
                done=done,
                settle_s=0,
            )
            return walkthrough.run(), examined, told

    return run


def test_a_document_that_leads_there_has_no_finding_and_each_step_is_examined(lab, follow):
    assert follow(lab())[:2] == ([], [["first"], ["first", "second"]])


@pytest.mark.parametrize(
    ("old", "new", "line", "rule", "says"),
    [
        ("test 10.0.0.1", "test 10.0.0.2", 17, "exit-status", "exit status 1"),
        ("   done\n", "", 18, "unfinished", "waits for more"),
        ("10.0.0.1\n   ```", "address\n   ```", 9, "output", "does not print"),
        ("$ A=127", "$ exec false; A=127", 7, "closed", ""),
    ],
)
def test_what_does_not_work_is_refused_at_its_line(lab, follow, old, new, line, rule, says):
    try:
        (finding,), _, _ = follow(lab(old=old, new=new))
    except HostUnreachable:
        assert rule == "closed"  # whose fault that is cannot be told: never a finding
        return
    assert (finding.line, finding.rule) == (line, f"perform/{rule}")
    assert says in finding.message


def test_a_step_that_is_not_as_it_should_be_ends_it_at_what_was_typed_last(lab, follow):
    (finding,), examined, _ = follow(lab(), Outcome.FAILED, "first")
    assert (finding.line, finding.rule, examined) == (8, "perform/check", [["first"]])
    assert "no such thing" in finding.message


def test_a_step_that_something_later_undoes_is_refused_at_the_end(lab, follow):
    (finding,), _, _ = follow(lab(), Outcome.FAILED, "first", at=2)
    assert (finding.line, finding.rule) == (8, "perform/check")
    assert "fails at the end" in finding.message
    assert "printf" not in finding.details


THREE_TO_SEE = """
<!-- step: seen -->
3. See that it is there.

<!-- step: seen-too -->
4. See that it stays.

<!-- step: last -->
5. Do one thing more:

   ```sh
   true
   ```
"""


def test_steps_in_which_nothing_is_done_are_examined_together_with_the_one_before(lab, follow):
    seen = "".join(
        f'[[step]]\nid = "{id}"\ntitle = "T"\npoints = 0\ncheck = "kernel.ip_vs_available"\n{more}'
        for id, more in (("seen", "perform = []\n"), ("seen-too", "perform = []\n"), ("last", ""))
    )
    toy = lab(DOCUMENT + THREE_TO_SEE, seen)
    found, examined, _ = follow(toy)
    assert not found
    assert examined == [
        ["first"],
        ["second", "seen", "seen-too"],
        ["first", "second", "seen", "seen-too", "last"],
    ]
    (finding,), _, _ = follow(toy, Outcome.FAILED, "seen-too")
    assert finding.line == toy.step("seen-too").line
    assert "fails after the commands before it" in finding.message


def test_a_step_that_could_not_be_examined_is_no_finding(lab, follow):
    with pytest.raises(MachineError, match="first could not be checked"):
        follow(lab(), Outcome.BROKEN, "first")


def test_what_the_machine_has_already_is_said_and_examined_but_not_typed(lab, follow):
    found, examined, told = follow(lab(old="A=127", new="A=127"), done=frozenset({"second"}))
    assert (found, examined) == ([], [["first"], ["first", "second"]])
    assert any(entry.what.startswith("(done already) for n") for entry in told)


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_every_answer_to_curl_is_judged_though_the_command_hides_it(lab, follow):
    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command = f"curl -s http://127.0.0.1:{server.server_port}/ >/dev/null; true"
        (finding,), _, _ = follow(lab(old="$ A=127.0.0.7", new=f"$ {command}"))
        server.shutdown()
    assert (finding.line, finding.rule) == (7, "perform/http-status")
    assert "404" in finding.message


def test_a_program_that_keeps_its_terminal_is_left_there_and_must_stay(lab, follow):
    more = '[[typed]]\nstep = "first"\nbegins = "A="\nready = "test -e ready"\n'
    edit = {"old": "A=127.0.0.7", "new": "A=1; touch ready; sleep 60"}
    (finding,), _, told = follow(lab(more=more, **edit))
    assert told[0].step == "first"
    assert finding.line == 9  # a variable of the first terminal is not one of the second
    edit["new"] = "A=1; false"
    (finding,), _, _ = follow(lab(more=more.replace("-e ready", "-e never"), **edit))
    assert (finding.line, finding.rule) == (7, "perform/not-ready")
    assert "ended with exit status 1" in finding.message


def test_what_is_typed_in_place_of_a_command_says_so(lab, follow):
    more = '[[typed]]\nstep = "first"\nbegins = "A="\nreason = "quicker"\n'
    edit = {"old": "A=127.0.0.7", "new": "A=$(sleep 60)"}
    with pytest.raises(DefinitionError, match="'first' has no 'perform'"):
        lab(more=more, **edit)
    mine = lab(more=more, first='perform = ["A=127.0.0.7"]', **edit)
    found, _, told = follow(mine)
    assert found == []
    assert told[0].what == "$ A=127.0.0.7 [quicker]"


def test_what_a_terminal_is_opened_with_is_said(lab, follow):
    lab = lab(old="A=127.0.0.7", new='A="$B"')
    found, _, told = follow(replace(lab, opening="B=127.0.0.7"))
    assert found == []
    assert told[0].what == "$ B=127.0.0.7 [first in each terminal]"


def test_a_definition_that_speaks_of_a_command_which_is_not_there_is_refused(lab, follow):
    more = '[[typed]]\nstep = "first"\nbegins = "B="\nready = "true"\n'
    with pytest.raises(DefinitionError, match="begins with 'B='"):
        follow(lab(more=more))


def test_gorb_is_typed_as_its_document_has_it_but_for_the_client():
    gorb = load_lab(find_lab("gorb"))
    typed = plan(Document.of(gorb), gorb).actions
    assert [action.step for action in typed if action.note] == ["client-overload"]
    assert [action.step for action in typed if action.stays] == ["gorb-running"]


def test_a_machine_in_a_state_has_the_steps_of_the_states_before_it_too():
    gorb = load_lab(find_lab("gorb"))
    servers = [step.id for step in gorb.performed("servers")]
    assert servers == ["server1-running", "server2-running"]
    later = replace(gorb, states={"servers": ("server1-running",), "loaded": ("ip-vs-available",)})
    both = [step.id for step in later.performed("loaded")]
    assert both == ["server1-running", "ip-vs-available"]
    assert gorb.performed("docker") == ()


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\n...\nz", "a\nz\n", True),
        ("a\n...\nz", "a\nb\nc\nz\n", True),
        ("a\n...\nz", "a\nb\n", False),
        ("got ... of it", "got all of it", True),
        ("id 0123456789ab", "id fedcba987654", True),
        ("id 0123456789ab", "id fedcba98765", False),
        ("2024-01-02T03:04:05Z ok", "2026-11-25T10:00:00.5Z ok", True),
        ("172.17.0.2 172.17.0.2", "172.17.0.9 172.17.0.9", True),
        ("172.17.0.2 172.17.0.2", "172.17.0.9 172.17.0.8", False),
        ("[]", "[]", True),
        ("[]", "", False),
    ],
)
def test_output_is_compared_with_what_may_differ(shown, printed, same):
    varying = Varying({"172.17.0.2": r"172\.17\.\d+\.\d+"})
    assert (varying.differs(shown, printed) == "") is same


def test_output_is_compared_in_a_time_that_does_not_grow_with_each_ellipsis():
    """Each of these would take longer than the age of the universe, tried one by one."""
    varying = Varying({"1": r"\d+"})
    lines = "\n".join(f"a {number}" for number in range(1000))
    assert varying.differs("\n".join(["...", "a 1"] * 30), lines + "\nb")
    assert varying.differs("a" + " ... a" * 30 + "z", "a " * 3000)
    assert not varying.differs("...\nx 1\n...\ny 1", "x 2\nx 3\ny 3"), "a later place fits"


def test_a_value_of_this_machine_takes_the_place_of_the_documents():
    varying = Varying({"172.17.0.2": r"172\.17\.\d+\.\d+"})
    assert varying.substitute("curl 172.17.0.2") == "curl 172.17.0.2"
    assert not varying.differs("172.17.0.2", "172.17.0.7\r\n")
    assert (
        varying.substitute("http://172.17.0.2:80 172.17.0.21") == "http://172.17.0.7:80 172.17.0.21"
    )
    assert varying.differs("172.17.0.2", "172.17.0.8") == "- 172.17.0.7\n+ 172.17.0.8"


def test_a_shell_that_was_not_yet_set_up_is_cleaned_up_after(monkeypatch):
    machine = LocalMachine()
    monkeypatch.setattr(machine, "shell", lambda: ["sleep", "60"])
    terminal = Terminal(machine)
    left = Path("/tmp", terminal.mark)
    left.mkdir()
    terminal.close()
    assert not left.exists()


def test_what_the_definition_does_is_done_as_labwright_perform_does_it(lab, follow):
    """A whole script in a shell of its own, with what comes first: not line by line."""
    more = '[perform]\nopening = "B=7"\nprelude = "C=8"\n'
    script = 'perform = ["for n in $B; do\\n  false || touch $n$C\\ndone"]'
    document = "# T\n\n<!-- step: first -->\n1. Make it so.\n\n<!-- step: second -->\n2. See:\n\n"
    mine = lab(document + "   ```sh\n   test -e 78\n   ```\n", first=script)
    toml = mine.folder / "lab.toml"
    toml.write_text(toml.read_text().replace("[perform.varies]", more + "[perform.varies]"))
    found, _, _ = follow(load_lab(mine.folder))
    assert found == []


def test_a_program_is_interrupted_as_its_reader_would(lab, follow):
    more = '[[typed]]\nstep = "first"\nbegins = "sleep"\ninterrupt = "0.5s"\n'
    found, _, told = follow(lab(old="A=127.0.0.7", new="sleep 60; A=127.0.0.7", more=more))
    assert found  # Ctrl-C ends the whole line: the variable is not set
    mine = lab(old="$ A=127.0.0.7", new="$ sleep 60\n   $ A=127.0.0.7", more=more)
    found, _, told = follow(mine)
    assert (found, told[0].what) == ([], "$ sleep 60")


def test_a_job_in_the_background_is_brought_back(lab, follow):
    more = '[[typed]]\nstep = "first"\nbegins = "fg"\ninterrupt = "0.5s"\n'
    new = "$ sleep 60 &\n   ...\n   $ fg\n   $ A=127.0.0.7"
    assert follow(lab(old="$ A=127.0.0.7", new=new, more=more))[0] == []


def test_a_command_that_is_known_to_keep_the_terminal_is_not_waited_for(lab, follow):
    (finding,), _, _ = follow(lab(old="A=127.0.0.7", new="tail -f /dev/null"))
    assert (finding.line, finding.rule) == (7, "perform/keeps-terminal")


def test_the_text_of_a_file_is_written_where_the_document_says(lab, follow, tmp_path):
    more = '[[block]]\nbegins = "worker"\nfile = "~/conf/site.conf"\n'
    fence = "   ```nginx\n   worker 1;\n   ```\n\n<!-- step: second -->"
    mine = lab(old="<!-- step: second -->", new=fence, more=more)
    assert follow(mine)[0] == []
    assert (tmp_path / "conf" / "site.conf").read_text() == "worker 1;\n"


def test_what_was_not_performed_is_said_at_the_end_with_its_reason(lab):
    more = '[[typed]]\nstep = "first"\nbegins = "A="\nreason = "quicker."\n'
    more += '[[prose]]\nsays = "Close the door"\nreason = "There is none."\n'
    mine = lab(
        old="2. Use it:", new="2. Use it. Close the door.", more=more, first='perform = ["true"]'
    )
    planned = plan(Document.of(mine), mine)
    sentence = closing_sentence(planned, 2)
    assert sentence == (
        "typed 2 of 3 commands; not performed: line 7 (quicker), line 14 (There is none)"
    )
    assert "line 7 (quicker), line 14 (the machine begins with it)" not in sentence
    assert "line 17 (the machine begins with it)" in closing_sentence(planned, 1, {"second"})


def test_what_a_step_says_of_its_program_is_not_said_again(lab):
    first = 'perform = [{ run = "A=127.0.0.7", terminal = "t", ready = "true" }]'
    mine = lab(first=first)
    assert [a.ready for a in plan(Document.of(mine), mine).actions] == ["true", "", ""]


@pytest.fixture
def sudo(monkeypatch, tmp_path):
    """Put a `sudo` on the path that runs what it is given, and notes that it did."""
    program = tmp_path / "bin" / "sudo"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho sudo >>{tmp_path}/asked\nwhile [ "${{1#-}}" != "$1" ]; do shift; done\n'
        'exec "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return tmp_path / "asked"


def test_what_stands_at_roots_prompt_is_typed_in_a_terminal_of_roots(lab, follow, sudo):
    shown = "root@host:~# B=7\n   root@host:~# test $B = 7\n   $ A=127.0.0.7"
    mine = lab(old="$ A=127.0.0.7", new=shown)
    assert follow(mine)[0] == []
    assert sudo.read_text() == "sudo\n", "one terminal for all of it"
    commands = [command.run for command in mine.steps[0].perform]
    assert commands[0].startswith("sudo -n -H bash -euc 'B=7\ntest $B = 7'")


def test_a_shell_of_roots_that_a_document_opens_is_that_terminal(lab, sudo):
    mine = lab(old="$ A=127.0.0.7", new="$ sudo -i\n   # id -u\n   # exit\n   $ A=127.0.0.7")
    planned = plan(Document.of(mine), mine)
    assert [(a.text, a.root) for a in planned.actions[:2]] == [
        ("id -u", True),
        ("A=127.0.0.7", False),
    ]
    assert [entry.line for entry in planned.not_performed] == [7, 9]


def test_what_is_waived_and_has_no_command_is_said_at_the_end(lab):
    waived = '[[waived]]\nid = "third"\nreason = "Nobody can see it."\n'
    document = DOCUMENT + "\n<!-- step: third -->\n3. Admire it.\n"
    mine = lab(document, more=waived)
    assert "line 23 (Nobody can see it)" in closing_sentence(plan(Document.of(mine), mine), 3)
