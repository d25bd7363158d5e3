"""Missing programs are installed where that needs no question, else named in one line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labwright.errors import SetupError, UsageError
from labwright.host import programs
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.vm import accelerator, systems


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return what makes the programs that PATH has; there are no others."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "SBIN", ())

    def make(name, script="exit 0"):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return make


def test_programs_that_are_there_need_nothing(installed):
    installed("ssh")
    programs.require(["ssh"])


def test_without_root_the_exact_command_is_said(installed, monkeypatch):
    installed("apt-get")
    monkeypatch.setattr(programs.os, "geteuid", lambda: 1000)
    with pytest.raises(SetupError, match=r"sudo apt-get install mmdebstrap qemu-utils$"):
        programs.require(["mmdebstrap", "qemu-img"])


def test_where_there_is_no_apt_the_programs_are_named(installed):
    with pytest.raises(SetupError, match="install these programs first: mmdebstrap, qemu-img"):
        programs.require(["mmdebstrap", "qemu-img"])


def test_sudo_that_would_ask_counts_as_none(installed, monkeypatch):
    installed("apt-get")
    installed("sudo", "exit 1")
    monkeypatch.setattr(programs.os, "geteuid", lambda: 1000)
    with pytest.raises(SetupError, match="sudo apt-get install openssh-client"):
        programs.require(["ssh"])


def test_the_lists_are_fetched_before_anything_is_installed(installed, tmp_path, monkeypatch):
    monkeypatch.setattr(programs.os, "geteuid", lambda: 0)
    log = tmp_path / "log"
    installed("apt-get", f'echo "$1" >>{log}; [ $1 = update ] || {{ : >{tmp_path}/ssh; }}')
    installed("ssh")
    (tmp_path / "ssh").unlink()
    with pytest.raises(SetupError, match="ssh is still missing"):
        programs.require(["ssh"])  # what was "installed" cannot be executed
    assert log.read_text().split() == ["update", "install"]


def test_an_apt_that_fails_is_a_sentence_with_its_last_words(installed, monkeypatch):
    monkeypatch.setattr(programs.os, "geteuid", lambda: 0)
    installed("apt-get", "echo 'E: no network'; exit 100")
    with pytest.raises(SetupError, match="E: no network"):
        programs.require(["ssh"])


def test_every_program_that_is_needed_has_a_package():
    from labwright.vm import debian, states

    assert {*debian.PROGRAMS, *states.PROGRAMS, "newuidmap"} <= set(programs.PACKAGES)


def test_a_forced_accelerator_is_taken_untried(monkeypatch, tmp_path):
    monkeypatch.setenv("LABWRIGHT_ACCEL", "tcg")
    assert accelerator.choose(tmp_path / "forced") == "tcg"


def test_an_unknown_accelerator_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("LABWRIGHT_ACCEL", "warp")
    with pytest.raises(UsageError, match="LABWRIGHT_ACCEL is 'warp', not one of kvm, hvf, tcg"):
        accelerator.choose(tmp_path / "unknown")


def test_a_user_who_is_lent_no_ids_is_told_how_to_get_some(tmp_path):
    (tmp_path / "subuid").write_text("somebody-else:100000:65536\n")
    with pytest.raises(SetupError, match=r"subuid has no ids for the user.*usermod --add-subuids"):
        programs.require_subuid_ranges([tmp_path / "subuid"])


def test_a_user_with_a_range_of_ids_by_number_may_build(tmp_path):
    (tmp_path / "subuid").write_text(f"{programs.os.geteuid()}:100000:65536\n")
    programs.require_subuid_ranges([tmp_path / "subuid"])


def test_a_lab_names_the_systems_that_it_can_be_done_on():
    lab = load_lab(find_lab("web-server"))
    assert systems.choose(lab, None).name == "debian-13"
    assert systems.choose(lab, "debian-14").name == "debian-14"
    with pytest.raises(UsageError, match="web-server needs --system debian-13 or debian-14"):
        systems.choose(lab, "debian-12")


def test_a_lab_that_names_no_system_can_be_done_on_each():
    lab = load_lab(find_lab("gorb"))
    assert systems.choose(lab, None) is systems.DEFAULT
    assert {systems.choose(lab, name).name for name in systems.SYSTEMS} == set(systems.SYSTEMS)


def test_a_system_that_is_not_known_is_refused_where_the_lab_names_it():
    lab = replace(load_lab(find_lab("gorb")), systems=("debian-9",))
    with pytest.raises(UsageError, match=r"lab\.toml: 'systems' has 'debian-9'; known are: debian"):
        systems.choose(lab, None)
