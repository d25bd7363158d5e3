"""What the page holds is bounded, survives a reload, and ends with the page."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import socket
import threading
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.pretended import PretendedMachine
from tests.unit.live_client import Client, serving

from labwright.batch import submission
from labwright.cli import main
from labwright.cli.open import submitted
from labwright.errors import UsageError
from labwright.grading import judge_again as judged_again
from labwright.grading.run import plan
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.lab.variants import values_for
from labwright.live import terminals
from labwright.live.document import commands
from labwright.live.serving import Served, open_page
from labwright.score import Score

RECORD = Path(__file__).parent / "data" / "deployed.json"
LAB = load_lab(find_lab("gorb"))


@pytest.fixture
def client():
    """A page that is served, and a program that has not been let in."""
    with serving() as served:
        yield Client(served)


def test_a_student_s_own_edition_is_opened(monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr(
        "labwright.live.serving.open_page", lambda run, *_, **__: opened.append(run)
    )
    secret = tmp_path / "secret"
    secret.write_text("a secret of the course")
    status = main(
        ["open", "--target=local", "--student=ann", f"--secret-file={secret}", "--set=requests=10"]
    )
    (run,) = opened
    assert status == 0
    values = values_for(LAB, "ann", "a secret of the course")
    assert values
    assert {key: run.lab.values[key] for key in values} == values
    assert run.values["requests"] == 10
    assert run.lab.document.name == "variants.md"


def until(what, seconds=20):
    async def wait():
        for _ in range(int(seconds / 0.02)):
            if what():
                return
            await asyncio.sleep(0.02)
        raise AssertionError("it did not come about in time")

    return wait()


def test_a_terminal_survives_a_reload_and_shows_what_it_showed(client):
    client.enter()
    with client.socket("/live") as live:
        while not (numbers := json.loads(live.recv(timeout=10))["terminals"]):
            pass
        with client.socket(f"/terminal/{numbers[0]}") as terminal:
            terminal.send(json.dumps({"columns": -5, "rows": 10**12}))
            terminal.send(json.dumps({"columns": 100, "rows": 30}))
            terminal.send(json.dumps({"typed": "echo $((6*7)) $(stty size)\r"}))
            seen = b""
            while b"42 30 100" not in seen:
                seen += terminal.recv(timeout=10)
        with client.socket(f"/terminal/{numbers[0]}") as again:
            assert b"42 30 100" in again.recv(timeout=10)


def test_a_terminal_that_prints_without_end_is_bounded_and_still_obeys():
    async def flood():
        ended = []
        terminal = terminals.Terminal(["bash", "--norc"], lambda: ended.append(1))
        _, viewer = terminal.show()
        await terminal.type("yes 0123456789012345678901234567890123456789\n")
        await until(lambda: not viewer.drained.is_set())
        for _ in range(50):
            await asyncio.sleep(0.01)
        assert viewer.waiting <= terminals.WAITING + terminals.CHUNK
        assert len(terminal.show()[0]) <= terminals.KEPT
        terminal.leave(viewer)
        await terminal.type("\x03")
        await terminal.type("exit\n")
        await until(lambda: ended)
        await terminal.close()

    asyncio.run(flood())


def test_there_is_an_end_to_the_number_of_terminals():
    async def many():
        opened = terminals.Terminals(lambda: ["cat"], lambda: None)
        numbers = [await opened.open() for _ in range(terminals.MOST + 2)]
        assert numbers[terminals.MOST :] == [None, None]
        await opened.close_all()
        assert opened.numbers == []

    asyncio.run(many())


def test_closing_a_terminal_ends_what_runs_in_it_also_what_does_not_listen():
    async def stubborn():
        opened = terminals.Terminals(
            lambda: ["bash", "-c", "trap '' HUP; echo up $$; cat"], lambda: None
        )
        number = await opened.open()
        kept, viewer = opened.get(number).show()
        while b"up" not in kept:
            kept += await viewer.get()
        pid = int(re.search(rb"up (\d+)", kept)[1])
        await opened.close_all()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    asyncio.run(stubborn())


def test_when_the_page_is_closed_all_ends(monkeypatch):
    monkeypatch.setattr("labwright.live.page.BYE_S", 0.2)
    machine = PretendedMachine()
    said: list[str] = []
    thread = threading.Thread(
        target=open_page,
        args=(plan(LAB), said.append),
        kwargs={"browser": False, "connect": lambda: machine},
        daemon=True,
    )
    thread.start()
    asyncio.run(until(lambda: said))
    url = urlsplit(said[0].split()[1])
    reader = Client.__new__(Client)
    reader.port, reader.token, reader.cookie = url.port, url.query.partition("=")[2], ""
    reader.place = ""
    reader.enter()
    with reader.socket("/live") as live:
        live.recv(timeout=10)
    assert reader.get("/bye", "POST").status == 204
    thread.join(20)
    assert not thread.is_alive()
    assert machine.closed >= 2  # the watch's connection, and the terminals'
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", url.port))


def test_a_port_that_is_taken_is_said():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1 port {port}: Address"):
            Served(lambda *_: None, port=port)


def test_what_is_typed_of_a_block_is_its_commands_and_not_what_they_print():
    assert commands("sh", "a\nb\n") == "a\nb"
    assert commands("console", "$ a \\\n> b\nprinted\n$ c\n") == "a \\\nb\nc"
    assert commands("json", "{}") == ""


def test_the_terminal_emulator_is_the_one_that_was_published():
    folder = resources.files("labwright.live").joinpath("static", "xterm")
    rows = re.findall(
        r"^\| `(.*?)` .*`([0-9a-f]{64})` \|$", folder.joinpath("README.md").read_text(), re.M
    )
    assert len(rows) == 3
    for name, digest in rows:
        assert hashlib.sha256(folder.joinpath(name).read_bytes()).hexdigest() == digest


def test_the_file_to_hand_in_is_the_one_that_submit_makes(tmp_path):
    make = submitted(LAB, "ann", {}, "")
    score = judged_again.read_score(RECORD)
    name, text = make(score, PretendedMachine())
    assert name == "gorb-ann.lab"
    (tmp_path / name).write_text(text)
    found, handed_in, _ = submission.read(tmp_path / name)
    assert found.student == "ann"
    assert handed_in.points == 100


def test_what_evidence_shows_is_a_picture_of_its_own_that_can_run_nothing():
    (split,) = (
        step for step in Score.from_json(RECORD.read_text()).steps if step.id == "split-round-robin"
    )
    with serving(known=[split]) as served:
        client = Client(served).enter()
        with client.socket("/live") as live:
            told = json.loads(live.recv(10))["steps"]["split-round-robin"]
        assert told["pictures"]
        for shown in told["pictures"]:
            picture = client.get("/" + shown["at"])
            assert picture.headers["Content-Type"].startswith("image/svg+xml")
            assert "sandbox" in picture.headers["Content-Security-Policy"]
            assert shown["words"].split(".")[0] in picture.text
        assert client.get("/picture/split-round-robin/9").status == 404
        assert client.get("/picture/none/0").status == 404
        assert Client(served).get("/picture/split-round-robin/0").status == 403
