"""Where Debian is fetched from, and what a failed build says."""

from __future__ import annotations

import shutil

import pytest

from labwright.vm import mmdebstrap

DOCKER_MISSING = """\
I: running --customize-hook in shell: sh -c 'sh "$1/tmp/customize.sh" "$1"' exec /tmp/x
labwright: kernel
labwright: accounts
/tmp/customize.sh: 76: docker: not found
E: setup failed: E: command failed: sh "$1/tmp/customize.sh" "$1"
I: main() received signal PIPE: waiting for setup...
E: mmdebstrap failed to run
"""
NO_PACKAGE = """\
labwright: packages
Reading package lists...
E: Unable to locate package no-such-package
E: setup failed: E: command failed: sh "$1/tmp/customize.sh" "$1"
W: hook failed
"""
DESCRIPTOR = """\
I: downloading packages with apt...
/bin/sh: 1: Bad fd number
E: Sub-process cat >&10 returned an error code (2)
E: setup failed: E: apt-get -o Dir::Cache failed
"""


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (DOCKER_MISSING, "/tmp/customize.sh: 76: docker: not found"),
        (NO_PACKAGE, "E: Unable to locate package no-such-package"),
        (DESCRIPTOR, "E: Sub-process cat >&10 returned an error code (2)"),
        ("E: setup failed: E: something\n", "E: setup failed: E: something"),
        ("", "it printed nothing"),
    ],
)
def test_a_failed_build_says_what_the_failing_command_said_last(log, words):
    assert mmdebstrap.last_words(log) == words


@pytest.fixture
def apt(tmp_path):
    """Return a function that writes a file of apt's sources, and their folder."""
    (tmp_path / "sources.list.d").mkdir()

    def write(name, text):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    write.folder = tmp_path
    return write


DEBIAN = """\
Types: deb
# http://snapshot.example/archive/debian/20250520T000000Z
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""


def test_sources_of_the_same_suite_are_handed_over_as_they_are(apt):
    own = apt("sources.list.d/debian.sources", DEBIAN)
    assert mmdebstrap.sources("bookworm", apt.folder) == [own]


def test_the_mirror_of_another_suite_is_used(apt):
    apt("sources.list.d/debian.sources", DEBIAN)
    assert mmdebstrap.sources("trixie", apt.folder) == [
        "deb http://mirror.example/debian trixie main"
    ]
    apt("sources.list", "deb [arch=amd64] https://other.example/debian/ trixie main\n")
    assert mmdebstrap.sources("forky", apt.folder) == [
        "deb https://other.example/debian/ forky main"
    ]


def test_other_sources_leave_the_choice_to_mmdebstrap(apt):
    apt("sources.list", "deb http://archive.ubuntu.com/ubuntu noble main universe\n")
    apt("sources.list.d/cloud.list", "deb https://packages.example/apt cloud-sdk-bookworm main\n")
    apt(
        "sources.list.d/docker.sources",
        "Types: deb\nURIs: https://download.example/linux/debian\nSuites: bookworm\n"
        "Components: main\nSigned-By: /etc/apt/keyrings/docker.asc\n",
    )
    assert mmdebstrap.sources("bookworm", apt.folder) == []
    assert mmdebstrap.sources("trixie", apt.folder) == []


@pytest.mark.skipif(not shutil.which("apt-config"), reason="needs apt")
@pytest.mark.parametrize(("told", "accepted"), [("false", True), ("no", True), ("true", False)])
def test_an_old_mirror_is_accepted_where_apt_accepts_it(told, accepted, tmp_path, monkeypatch):
    settings = tmp_path / "apt.conf"
    alone = 'Dir::Etc::main "/none"; Dir::Etc::parts "/none";'  # without this computer's own
    settings.write_text(f'{alone} Acquire::Check-Valid-Until "{told}";\n')
    monkeypatch.setenv("APT_CONFIG", str(settings))
    assert bool(mmdebstrap.options()) == accepted
