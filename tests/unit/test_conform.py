"""The conformance suite finds no fault with our daemon, and every fault with others."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.unit import gorb_daemon

from labwright.cli import main
from labwright.components.conform.gorb import Difference, Gorb, Reply
from labwright.components.conform.run import CASES, Verdict, run
from labwright.errors import HostUnreachable, UsageError

QUICK = tuple(case for case in CASES if case.group != "pulses")


@pytest.fixture(scope="module")
def daemon():
    with gorb_daemon.running() as one:
        yield one


@pytest.fixture
def url(daemon):
    yield f"http://127.0.0.1:{daemon.port}"
    daemon.clear()


def test_our_daemon_conforms_and_is_left_as_it_was(daemon, url):
    findings = list(run(Gorb(url), QUICK, beside_others=False))
    differing = [(one.case.name, one.difference) for one in findings if one.difference]
    assert differing == []
    assert daemon.get("/service").json() == []
    assert daemon.ipvs.services == {}


def test_a_daemon_with_services_is_refused_unless_told_and_keeps_them(daemon, url):
    daemon.put("/service/mine", port=80)
    with pytest.raises(UsageError, match="has services"):
        next(run(Gorb(url), QUICK, beside_others=False))
    verdicts = {one.verdict for one in run(Gorb(url), QUICK[:5], beside_others=True)}
    assert verdicts == {Verdict.CONFORMS}
    assert daemon.get("/service").json() == ["mine"]


def test_names_of_cases_are_sentences_and_none_comes_twice_in_a_group():
    names = [(case.group, case.name) for case in CASES]
    assert len(names) == len(set(names))
    assert all(len(name.split()) > 2 for _, name in names)


class Liar(BaseHTTPRequestHandler):
    """Answers every request alike."""

    answer = (200, "application/json", b"[]")

    def do_GET(self):
        status, kind, body = self.answer
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_DELETE = do_PATCH = do_POST = do_GET  # noqa: N815

    def log_message(self, *_):
        pass


@pytest.fixture
def liar():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_what_always_answers_the_same_conforms_in_nearly_nothing(liar):
    findings = list(run(Gorb(liar), QUICK, beside_others=False))
    assert {one.case.name for one in findings if one.verdict is Verdict.CONFORMS} <= {
        "without services the list is empty",
        "an answer has its date and its length",
    }


def test_who_lacks_an_addition_still_conforms(liar):
    (addition,) = (case for case in CASES if case.addition)
    (finding,) = run(Gorb(liar), (addition,), beside_others=False)
    assert finding.verdict is Verdict.LACKS


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply("GET /x", 0, {}, b""), "the connection closed without an answer"),
        (Reply("GET /x", 500, {}, b"oh"), "500 oh"),
        (Reply("GET /x", 200, {"content-type": "text/html"}, b"{}"), "text/html"),
    ],
)
def test_a_difference_says_what_was_seen(reply, says):
    with pytest.raises(Difference) as raised:
        reply.json()
    assert raised.value.seen == says


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://h:port", "http://h/path"])
def test_what_is_no_daemon_s_address_is_refused(url):
    with pytest.raises(UsageError, match="http://HOST:4672"):
        Gorb(url)


def test_a_daemon_that_is_not_there_is_told_in_a_sentence(capsys):
    with pytest.raises(HostUnreachable):
        Gorb("http://127.0.0.1:1").services()
    assert main(["conform", "http://127.0.0.1:1"]) == 2
    assert "no daemon answers at http://127.0.0.1:1" in capsys.readouterr().err


def test_the_command_tells_what_differs_and_writes_it_down(liar, tmp_path, capsys):
    file = tmp_path / "findings.json"
    assert main(["conform", liar, "--only", "removed", "--json", str(file)]) == 1
    assert "differ" in capsys.readouterr().out
    written = json.loads(file.read_text())
    assert written["schema"] == "labwright/conform/v1"
    assert {case["verdict"] for case in written["cases"]} == {"differs"}
    assert all(case["expected"] and case["seen"] for case in written["cases"])


def test_no_case_of_a_name_is_wrong_usage(url, capsys):
    assert main(["conform", url, "--only", "nonsense"]) == 2
    assert "no case has 'nonsense'" in capsys.readouterr().err
