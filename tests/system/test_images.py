"""The gorb lab is done on a machine whose Docker has no image, by an ordinary user.

The machine has systemd and an sshd with its own defaults, as a student's has. Its registry
stands for Docker Hub, which has Gorb's image and none of the others.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing

import pytest

from labwright.vm.target import guest_machine

pytestmark = [pytest.mark.system, pytest.mark.thorough]

EMPTY = """
docker ps --all --quiet | xargs --no-run-if-empty docker rm --force
docker images --all --quiet | sort -u | xargs --no-run-if-empty docker rmi --force
docker system prune --all --force
test -z "$(docker images --quiet)"
"""


def labwright(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "labwright", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=900)


def test_images_are_loaded_where_there_are_none_and_the_lab_is_done_with_them(lab_machine):
    guest = lab_machine("docker", system="debian-13")
    target = f"--target=vm:{guest.name}"
    with closing(guest_machine(guest)) as machine:
        emptied = machine.run(EMPTY, timeout=120)
        assert emptied.ok, emptied.stderr
    loaded = labwright("images", "load", target)
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stderr.count("is built, on labwright/own-base") == 3
    again = labwright("images", "load", target)
    assert again.stderr.count("exists already") == 3
    # Its last act is a check of all steps, when all of the document has been typed.
    followed = labwright("gate", "--only", "perform", target, "gorb")
    assert followed.returncode == 0, followed.stdout + followed.stderr
