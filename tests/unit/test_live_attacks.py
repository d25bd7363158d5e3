"""The page is for whoever was handed its address, and for nobody else. Each attack is made on a
page that is really served."""

from __future__ import annotations

import http.client
import json
import re
import socket
import stat
from pathlib import Path

import pytest
from tests.unit.live_client import Client, serving, serving_app
from websockets.exceptions import ConnectionClosed, InvalidStatus

from labwright.cli.open import listen_address
from labwright.errors import UsageError
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.live.document import sections
from labwright.live.page import Page
from labwright.live.serving import invite
from labwright.score import Score

RECORD = Path(__file__).parent / "data" / "deployed.json"
LAB = load_lab(find_lab("gorb"))


@pytest.fixture
def client():
    """A page that is served, and a program that has not been let in."""
    with serving() as served:
        yield Client(served)


def test_the_address_lets_in_once_and_never_again(client):
    assert client.get("/").status == 403
    client.enter()
    assert client.get("/").status == 200
    stranger = http.client.HTTPConnection("127.0.0.1", client.port)
    stranger.request("GET", f"/?token={client.token}")
    answer = stranger.getresponse()
    assert answer.status == 403
    assert "Set-Cookie" not in answer.headers
    assert LAB.title not in answer.read().decode()


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(client):
    answer = client.get(f"/?token={client.token}")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    # A browser sends a host's cookies to all of its ports, for paths that begin so.
    place = answer.headers["Location"].rstrip("/")
    assert re.fullmatch("/[A-Za-z0-9_-]{20,}", place)
    assert f"Path={place}" in cookie


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/hand-in", "/live", "//", "/x/hand-in"])
def test_nothing_is_outside_of_the_path_that_nobody_knows(client, path):
    client.enter()
    assert client.ask(path).status == 403
    assert client.ask(client.place).status == 403
    assert client.ask(client.place + "x" + path).status == 403


@pytest.mark.parametrize(
    "path", ["/", "/static/page.js", "/report", "/hand-in", "/bye", "/lab/lab.md", "/?token=", "/x"]
)
def test_another_user_of_this_computer_gets_nothing(client, path):
    assert client.get(path).status == 403
    assert client.get(path, Cookie="labwright=guess").status == 403


@pytest.mark.parametrize("path", ["/live", "/terminal/1"])
def test_another_user_of_this_computer_gets_no_socket(client, path):
    with pytest.raises(InvalidStatus), client.socket(path):
        pass


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "[::1]:{port}"]
)
def test_a_foreign_name_for_loopback_is_refused_with_the_right_cookie(client, host):
    client.enter()
    assert client.get("/", Host=host.format(port=client.port)).status == 403


@pytest.mark.parametrize(
    "hosts", ["", "Host: {0}\r\nHost: evil\r\n", "Host: evil\r\nHost: {0}\r\n"]
)
def test_no_name_or_two_are_refused_with_the_right_cookie(client, hosts):
    client.enter()
    named = hosts.format(f"127.0.0.1:{client.port}")
    asked = f"GET {client.place}/ HTTP/1.0\r\n{named}Cookie: {client.cookie}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as raw:
        raw.sendall(asked.encode())
        assert raw.recv(100).split()[1] in (b"400", b"403")


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1"]
)
def test_a_foreign_origin_is_refused_with_the_right_cookie(client, origin):
    client.enter()
    assert client.get("/", Origin=origin).status == 403
    for path in ("/live", "/terminal/1"):
        with pytest.raises(InvalidStatus), client.socket(path, origin=origin):
            pass


def test_a_request_that_another_site_caused_is_refused(client):
    client.enter()
    assert client.get("/hand-in", **{"Sec-Fetch-Site": "cross-site"}).status == 403
    assert client.get("/bye", "POST", **{"Sec-Fetch-Site": "same-site"}).status == 403


def test_the_page_may_load_nothing_and_run_nothing_but_its_own_files(client):
    answer = client.enter().get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.findall(
        r"<script(?! type=\"module\" src=\"/[\w-]+/static/)|style=|\son\w+=", answer.text
    )
    assert set(re.findall(r"(?:src|href)=\"(\w+):", answer.text)) <= {"https", "data"}


@pytest.mark.parametrize(
    "path",
    ["/lab/lab.toml", "/lab/../lab.toml", "/lab/..%2f..%2f..%2fetc/passwd", "/lab//etc/passwd",
     "/static/../page.py", "/static/xterm/../../page.py", "/static/page.html"],
)  # fmt: skip
def test_no_other_file_of_this_computer_is_handed_out(client, path):
    assert client.enter().get(path).status == 404


def test_it_listens_on_loopback_alone(client):
    listening = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()]
    own = [row[1] for row in listening if row[1].endswith(f":{client.port:04X}") and row[3] == "0A"]
    assert own == [f"0100007F:{client.port:04X}"]


def test_the_address_is_shown_to_the_browser_in_a_file_of_this_user_alone(tmp_path, monkeypatch):
    opened, said = [], []
    monkeypatch.setenv("DISPLAY", ":9")
    monkeypatch.setattr("webbrowser.open", opened.append)
    invite("http://127.0.0.1:1/?token=secret", tmp_path, said.append, browser=True)
    (place,) = opened
    assert "secret" not in place
    file = tmp_path / "open.html"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "token=secret" in file.read_text()
    assert "token=secret" in said[0]


@pytest.mark.parametrize("name", ["%00.png", "a" * 5000 + ".png", "%ff%fe.png", "..%5cx.png"])
def test_a_name_that_no_file_can_have_is_not_found(client, name):
    assert client.enter().get(f"/lab/{name}").status == 404


@pytest.mark.parametrize(
    "message",
    [
        '{"columns": 1e999, "rows": 3}',
        '{"columns": "x"}',
        '"typed"',
        "7",
        "[" * 100_000,
        b"\x00\xff",
        '{"typed": "' + "x" * (2 << 20) + '"}',
    ],
)
def test_a_message_that_no_page_of_ours_sends_ends_its_own_connection_alone(client, message):
    client.enter()
    with client.socket("/live") as live:
        while not (numbers := json.loads(live.recv(timeout=10))["terminals"]):
            pass
        with client.socket(f"/terminal/{numbers[0]}") as terminal:
            terminal.send(message)
            with pytest.raises(ConnectionClosed):
                until_closed(terminal)
        with client.socket(f"/terminal/{numbers[0]}") as terminal:
            terminal.send(json.dumps({"typed": "echo $((6*7))\r"}))
            seen = b""
            while b"42" not in seen:
                seen += terminal.recv(timeout=10)


def until_closed(terminal) -> None:
    while True:
        terminal.recv(timeout=10)


@pytest.mark.parametrize("address", ["0.0.0.0", "0.0.0.0:8080", "[::]:8080"])
def test_an_address_that_is_no_name_of_the_page_is_refused(address):
    with pytest.raises(UsageError, match="give the address of this computer"):
        listen_address(address)


def test_a_report_has_an_origin_of_its_own():
    page = Page(LAB, "local", None)
    page.graded(Score.from_json(RECORD.read_text()))
    with serving_app(page) as served:
        policy = Client(served).enter().get("/report").headers["Content-Security-Policy"]
    assert policy == "sandbox allow-scripts"


def test_a_page_that_only_shows_has_no_terminal_and_obeys_nothing():
    page = Page(LAB, "ssh://ann", None)
    with serving_app(page) as served:
        client = Client(served).enter()
        for path in ("/hand-in", "/bye", "/terminal/1"):
            assert client.get(path).status == 404
        with pytest.raises(InvalidStatus), client.socket("/terminal/1"):
            pass
        with client.socket("/live") as live:
            for what in ("open", "finish", "traffic"):
                live.send(json.dumps({"do": what}))
            told = json.loads(live.recv(timeout=10))
            assert told["terminals"] == []
            assert not told["finishing"]


def test_a_document_cannot_bring_markup_of_its_own():
    text = (
        "# T\n\n<script>alert(1)</script>\n\n<!-- step: a -->\n1. Do <b onclick=x>this</b>\n\n"
        "   ```sh\n   echo '<img src=x onerror=alert(1)>'\n   ```\n\n"
        "[bad](javascript:alert(1)) ![p](http://evil.example/p.png)\n\n## Next\n\ntext\n"
    )
    found = sections(text, ["a"])
    html = "".join(section.html for section in found)
    assert [section.step for section in found] == ["", "a", ""]
    assert not re.search(r"<(script|b|img)\b|href=\"javascript", html)
    assert "&lt;script&gt;" in html
