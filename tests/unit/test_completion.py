"""The completion scripts work in the shells that they are for."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import pexpect
import pytest

from labwright.cli import COMMANDS, main

TYPED = [
    ("labwright hand", "-out"),
    ("labwright vm expo", "rt"),
    ("labwright check --watc", "h"),
    ("labwright check --hints sho", "rt"),
    ("labwright grade clas", "s.csv"),
]
"""What somebody types before the tab key, and what must then be added."""
DELETE_LINE = "\x15"


@pytest.fixture
def folder(tmp_path, capsys, monkeypatch):
    """Return a folder with the scripts, and a file to complete, as current folder."""
    for shell, name in (("bash", "labwright"), ("zsh", "_labwright"), ("fish", "labwright.fish")):
        assert main(["completion", shell]) == 0
        (tmp_path / name).write_text(capsys.readouterr().out)
    (tmp_path / "class.csv").write_text("id,target\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def needs(shell):
    return pytest.mark.skipif(not shutil.which(shell), reason=f"{shell} is not installed")


def press_tab(command, setup):
    """Type each line into an interactive shell, press tab, and expect what is added."""
    shell = pexpect.spawn(command, timeout=30, encoding="utf-8", dimensions=(40, 200))
    try:
        # Not as it is typed: the echo of the line must not be taken for its output.
        shell.sendline(f"{setup}; echo set'-'up")
        shell.expect_exact("set-up")
        for typed, added in TYPED:
            shell.send(f"{DELETE_LINE}{typed}\t")
            shell.expect_exact(f"{typed}{added}")
    finally:
        shell.close(force=True)


@needs("bash")
def test_bash_completes_commands_options_choices_and_files(folder):
    press_tab("bash --norc --noprofile", "source ./labwright")


@needs("zsh")
def test_zsh_completes_commands_options_choices_and_files(folder):
    press_tab("zsh -f", "fpath+=$PWD; autoload -Uz compinit; compinit -u -D")


@needs("fish")
@pytest.mark.parametrize(("typed", "added"), TYPED)
def test_fish_completes_commands_options_choices_and_files(folder, typed, added):
    script = f"source labwright.fish; complete --do-complete {shlex.quote(typed)}"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], capture_output=True, text=True, timeout=60
    )
    last = typed.split()[-1] + added
    assert last in [row.split("\t")[0] for row in done.stdout.splitlines()], done


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_script_knows_every_command(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert [name for name in COMMANDS if name not in script] == []


def test_another_shell_is_refused_with_those_that_there_are(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["completion", "cmd"])
    assert ended.value.code == 2
    assert "bash" in capsys.readouterr().err
