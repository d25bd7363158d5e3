"""A class is graded on a Dask cluster as without one, also when a worker is lost on the way."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

STATES = [*["right"] * 6, "stopped", "refused", "hostile"]


@pytest.fixture
def start(tmp_path):
    """Start a program of Python's; it is gone after the test."""
    running = []

    def start(*arguments: str, **options) -> subprocess.Popen:
        command = [sys.executable, "-m", *arguments]
        with (tmp_path / f"log-{len(running)}").open("w") as log:
            # Dask keeps files of its own, too: here, and not in /tmp.
            env = {**os.environ, "DASK_TEMPORARY_DIRECTORY": str(tmp_path)}
            running.append(subprocess.Popen(command, stderr=log, cwd=tmp_path, env=env, **options))
        return running[-1]

    yield start
    for process in reversed(running):
        process.kill()
        process.wait()


@pytest.fixture
def roster(serve, tmp_path) -> Path:
    rows = [f"s{place},x@127.0.0.1:{port}" for place, port in enumerate(serve(*STATES))]
    (tmp_path / "class.csv").write_text("\n".join(["id,target", *rows]) + "\n")
    return tmp_path / "class.csv"


def scheduler(start, tmp_path: Path) -> str:
    """Start a scheduler; return its address."""
    found = tmp_path / "scheduler.json"
    options = ("--host=127.0.0.1", "--port=0", "--no-dashboard", f"--scheduler-file={found}")
    process = start("distributed.cli.dask_scheduler", *options)
    while not found.exists():
        assert process.poll() is None, "the scheduler did not start"
        time.sleep(0.1)
    return json.loads(found.read_text())["address"]


def test_a_class_is_graded_alike_on_a_cluster_that_loses_a_worker(start, roster, tmp_path):
    address = scheduler(start, tmp_path)
    options = ("--host=127.0.0.1", "--nthreads=3", "--no-nanny", "--no-dashboard")
    workers = [start("distributed.cli.dask_worker", address, *options) for _ in range(2)]
    command = ("labwright", "grade", str(roster), "--seed=7", "--out")
    alone = start(*command, "alone")
    assert alone.wait(240) == 3
    graded = start(*command, "cluster", f"--dask={address}")
    journal = tmp_path / "cluster" / "journal.jsonl"
    while not journal.exists() or len(journal.read_text().splitlines()) < 3:
        assert graded.poll() is None, "it ended before a worker was killed"
        time.sleep(0.1)
    workers[0].kill()
    assert graded.wait(240) == 3
    # A hostile machine's reason quotes a mark that is random for each connection.
    books = [
        re.sub("labwright-[0-9a-f]{16}", "labwright-MARK", path.read_text())
        for path in (tmp_path / out / "gradebook.csv" for out in ("alone", "cluster"))
    ]
    assert books[0] == books[1]
    assert books[1].count(",100,100,yes,") == 6


def test_a_cluster_without_workers_is_refused_at_once_and_nobody_is_lost(start, roster, tmp_path):
    address = scheduler(start, tmp_path)
    command = [sys.executable, "-m", "labwright", "grade", str(roster), "--out", "out"]
    done = subprocess.run(
        [*command, f"--dask={address}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert f"the Dask cluster at {address} has no workers" in done.stderr
    assert f"dask worker {address}" in done.stderr
    assert '"line":"attempt"' not in (tmp_path / "out" / "journal.jsonl").read_text()
