"""The probe tells what came of its requests, whatever the server does, and ends in time."""

from __future__ import annotations

import ast
import contextlib
import itertools
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from labwright.components.workload import probe

SOURCE = Path(probe.__file__).read_bytes()
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
TEN_MS = [[10, 0.1]]


@contextlib.contextmanager
def server(reply, host="127.0.0.1"):
    """Serve each connection, in a thread of its own, by handing it to ``reply``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family, backlog=200)
    clients = []

    def serve(sock):
        with sock, contextlib.suppress(OSError):
            reply(sock)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                sock, address = listener.accept()
                clients.append(address[:2])
                threading.Thread(target=serve, args=(sock,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    port = listener.getsockname()[1]
    try:
        yield SimpleNamespace(url=f"http://127.0.0.1:{port}/doWork", port=port, clients=clients)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def saying(data):
    def reply(sock):
        sock.recv(1 << 16)
        sock.sendall(data)

    return reply


def silent(sock):
    """Read until the client gives up."""
    while sock.recv(1 << 16):
        pass


def resetting(sock):
    sock.recv(1 << 16)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def endless(sock):
    sock.recv(1 << 16)
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    while True:
        sock.sendall(b"x" * 65536)


def dribbling(sock):
    """Send a byte as often as the client can take one, and never an end."""
    sock.recv(1 << 16)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(b"HTTP/1.1 200 OK\r\n")
    gone = threading.Event()
    while not gone.wait(0.01):
        sock.sendall(b"a")


def recording(seen):
    def reply(sock):
        data = sock.recv(1 << 16)
        seen.append(data)
        sock.sendall(OK)

    return reply


def ask(url, timeout=5.0, **request):
    task = {"task": "http", "requests": [{"url": url, **request}], "timeout": timeout}
    (answer,) = probe.http(task)
    assert set(answer) == {"status", "headers", "body", "error", "detail", "took_s"}
    return SimpleNamespace(**answer)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def run(task, source=SOURCE):
    """Run the probe as a machine does: from stdin, isolated."""
    argument = task if isinstance(task, str) else json.dumps(task)
    return subprocess.run(
        [sys.executable, "-I", "-", argument], input=source, capture_output=True, timeout=30
    )


def test_an_answer_is_told_with_its_headers_in_lower_case():
    reply = saying(b"HTTP/1.1 404 Not Found\r\nContent-LENGTH: 4\r\nX-A: b\r\n\r\nnope")
    with server(reply) as peer:
        answer = ask(peer.url)
    assert (answer.status, answer.body, answer.error) == (404, "nope", "")
    assert answer.headers == {"content-length": "4", "x-a": "b"}


@pytest.mark.parametrize(
    ("data", "status", "body"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, "until the end"),
        (b"HTTP/1.1 200 OK\n\nbare\r\n\r\nlines", 200, "bare\r\n\r\nlines"),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, ""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n\r\n", 201, ""),
        (
            CHUNKED + b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
            200,
            "abc0123456789",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more", 200, "ok"),
        (b"HTTP/1.1 200 OK\r\n\r\n\xff\x00\xc3\xa9", 200, "\\xff\x00é"),
    ],
)
def test_each_way_to_end_an_answer_is_understood(data, status, body):
    with server(saying(data)) as peer:
        answer = ask(peer.url)
    assert (answer.status, answer.body, answer.error) == (status, body, "")


@pytest.mark.parametrize("cut", range(1, 75))
def test_where_the_network_cuts_an_answer_does_not_matter(cut):
    data = CHUNKED + b"3\r\nabc\r\nb\r\n0123456789\n\r\n0\r\n"
    assert not probe.Answer(data[: min(cut, len(data) - 2)], False, "GET").complete
    assert probe.Answer(data, False, "GET").body == b"abc0123456789\n"


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"", "no answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP: b'SSH-2.0"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5", "closed in mid-answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "ended early, after 5 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "Content-Length is '-1'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", "Content-Length is"),
        (b"HTTP/1.1 two hundred\r\n\r\n", "not a status line"),
        (b"HTTP/1.1 099 Low\r\n\r\n", "not a status line"),
        (b"HTTP/1.1 \r\n\r\n", "not a status line"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20000, "headers of more than"),
        (CHUNKED + b"zz\r\n", "size of a chunk"),
        (CHUNKED + b"-5\r\nabc", "ended early"),
        (CHUNKED + b"5\r\nabc", "ended early"),
    ],
)
def test_what_is_no_answer_is_a_protocol_error_and_has_no_status(data, detail):
    with server(saying(data)) as peer:
        answer = ask(peer.url)
    assert (answer.status, answer.error) == (None, "protocol")
    assert detail in answer.detail


def test_a_body_of_a_gigabyte_is_cut_and_not_waited_for():
    with server(endless) as peer:
        answer = ask(peer.url)
    assert answer.status == 200
    assert answer.body == "x" * 4096
    assert "4096 bytes" in answer.detail


@pytest.mark.parametrize("reply", [silent, dribbling])
def test_a_server_that_never_finishes_is_a_timeout(reply):
    with server(reply) as peer:
        answer = ask(peer.url, timeout=0.2)
    assert (answer.status, answer.error) == (None, "timeout")


def test_a_reset_and_a_closed_port_are_told_apart():
    with server(resetting) as peer:
        assert ask(peer.url).error == "reset"
    assert ask(f"http://127.0.0.1:{free_port()}/").error == "refused"


def test_a_name_that_does_not_resolve_is_unreachable():
    answer = ask("http://no-such-host.invalid/")
    assert answer.error == "unreachable"
    assert "no-such-host.invalid" in answer.detail


def test_every_address_of_a_name_is_tried():
    with server(saying(OK)) as peer:
        asked = probe.Peer(peer.url)
        asked.addresses.insert(0, (socket.AF_INET, ("127.0.0.1", free_port())))
        flight, exchange = (
            probe.Flight(),
            probe.Exchange(asked, probe.message(asked, "GET", {}, "")),
        )
        flight.launch(exchange, float("inf"))
        flight.finish()
    assert (exchange.answer.status, exchange.error, exchange.detail) == (200, "", "")


def test_a_request_is_sent_as_it_was_asked_for_and_closes_its_connection():
    seen = []
    with server(recording(seen)) as peer:
        url = f"http://127.0.0.1:{peer.port}/service/0?x=1#y"
        ask(url, method="PUT", headers={"Content-Type": "application/json"}, body='{"a": "é🎈"}')
        ask(f"http://127.0.0.1:{peer.port}")
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.splitlines() == [
        b"PUT /service/0?x=1 HTTP/1.1",
        b"Host: 127.0.0.1:%d" % peer.port,
        b"Accept: */*",
        b"Content-Type: application/json",
        b"Content-Length: 15",
        b"Connection: close",
    ]
    assert body.decode() == '{"a": "é🎈"}'
    assert seen[1].startswith(b"GET / HTTP/1.1\r\n")


def test_an_answer_that_overtakes_its_request_counts():
    def impatient(sock):
        sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        silent(sock)

    with server(impatient) as peer:
        assert ask(peer.url, method="PUT", body="x" * 100_000).status == 413


@pytest.mark.parametrize("pipeline", [True, False])
def test_traffic_is_connected_in_order_each_from_a_port_of_its_own(pipeline):
    with server(saying(OK)) as peer:
        result = probe.traffic(
            {"task": "traffic", "url": peer.url, "count": 8, "pipeline": pipeline}
        )
    rows = result["requests"]
    assert [row["n"] for row in rows] == list(range(1, 9))
    assert [(row["local_address"], row["local_port"]) for row in rows] == peer.clients
    assert len(set(peer.clients)) == 8
    assert [row["status"] for row in rows] == [200] * 8
    assert [row["body"] for row in rows] == ["ok"] * 8
    for row, following in itertools.pairwise(rows):
        assert row["start_s"] <= row["connected_s"] <= row["end_s"]
        assert row["connected_s"] <= following["start_s"]
        assert pipeline or row["end_s"] <= following["start_s"]


def test_pipelined_traffic_does_not_wait_for_answers():
    gate = threading.Barrier(5)

    def together(sock):
        sock.recv(1 << 16)
        gate.wait(timeout=20)  # nobody is answered before all five have asked
        sock.sendall(OK)

    with server(together) as peer:
        result = probe.traffic({"url": peer.url, "count": 5, "timeout": 20})
    assert [row["status"] for row in result["requests"]] == [200] * 5


def test_traffic_that_is_refused_goes_on_and_says_so():
    url = f"http://127.0.0.1:{free_port()}/"
    rows = probe.traffic({"url": url, "count": 3})["requests"]
    assert [(row["error"], row["status"], row["end_s"]) for row in rows] == [
        ("refused", None, None)
    ] * 3


def test_traffic_ends_when_its_time_is_over_and_tells_what_was_not_sent():
    with server(silent) as peer:
        task = {"url": peer.url, "count": 3, "pipeline": False, "timeout": 0.1, "limit_s": 0.15}
        rows = probe.traffic(task)["requests"]
    assert [row["error"] for row in rows] == ["timeout"] * 3
    assert rows[2]["local_port"] == 0
    assert "not sent" in rows[2]["detail"]
    assert isinstance(rows[2]["start_s"], float)


def test_a_connection_that_does_not_come_about_leaves_time_for_the_others():
    # A backlog that is full: the kernel drops what comes after.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as held:
        for _ in range(3):
            sock = held.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"
        rows = probe.traffic({"url": url, "count": 2, "connect_s": 0.05})["requests"]
    assert [(row["error"], row["connected_s"]) for row in rows] == [("timeout", None)] * 2
    assert "no connection" in rows[0]["detail"]
    # The kernel may have chosen a server for it, and its table tells by the port.
    assert all(row["local_port"] for row in rows)


def test_a_load_is_sent_at_its_intended_times_though_nobody_answers():
    with server(silent) as peer:
        rows = probe.load({"url": peer.url, "gaps_ms": TEN_MS, "drain_s": 0.05})["requests"]
    assert [row["intended_s"] for row in rows] == pytest.approx([n / 100 for n in range(10)])
    assert all(row["start_s"] >= row["intended_s"] for row in rows)
    assert all(row["connected_s"] for row in rows)
    assert {(row["error"], row["end_s"]) for row in rows} == {("timeout", None)}


def test_a_load_ends_as_soon_as_all_is_answered():
    with server(saying(OK)) as peer:
        result = probe.load({"url": peer.url, "gaps_ms": TEN_MS, "drain_s": 500})
    assert [row["status"] for row in result["requests"]] == [200] * 10


def test_a_load_ends_when_no_answer_has_come_for_a_while():
    task = {"gaps_ms": TEN_MS, "drain_s": 500, "quiet_s": 0.05}
    with server(silent) as peer:
        rows = probe.load({"url": peer.url, **task})["requests"]
    assert {row["error"] for row in rows} == {"timeout"}


def test_a_load_is_waited_for_as_long_as_answers_come():
    slow = threading.Lock()

    def one_by_one(sock):
        with slow:
            time.sleep(0.2)
            saying(OK)(sock)

    task = {"gaps_ms": TEN_MS, "drain_s": 500, "quiet_s": 1.0}
    with server(one_by_one) as peer:
        result = probe.load({"url": peer.url, **task})
    assert [row["status"] for row in result["requests"]] == [200] * 10


def test_a_watched_load_serves_the_clients_numbers():
    port, told = free_port(), {}
    paths = ["/requestRate", "/responseRate", "/numRequests", "/numResponses"]

    def answering(sock):
        # The first request that the server sees asks for the numbers: the load runs then.
        for path in () if told else paths:
            told[path] = ask(f"http://127.0.0.1:{port}{path}").body
        saying(OK)(sock)

    task = {"gaps_ms": [[500, 1.0]], "drain_s": 20, "statistics_port": port}
    with server(answering) as peer:
        watch = probe.load({"url": peer.url, **task})["watch"]
    rate, responses_a_second, sent, answered = (float(told[path]) for path in paths)
    assert rate in (2.0, 0.0)  # 0: a busy machine, on which the load was over by then
    assert (sent, answered, responses_a_second) in [(1, 0, 0), (2, 0, 0)]
    assert watch["asked"] == dict.fromkeys(paths, 1)


def test_a_watched_load_runs_commands_at_their_times_and_waits_for_them():
    commands = [{"after_s": 0.2, "run": "exit 3"}, {"after_s": 0.1, "run": "echo done"}]
    with server(saying(OK)) as peer:
        task = {"url": peer.url, "gaps_ms": TEN_MS, "drain_s": 20, "commands": commands}
        first, second = probe.load(task)["watch"]["commands"]
    assert (first["status"], first["output"]) == (0, "done\n")
    assert (second["status"], second["output"]) == (3, "")
    assert second["after_s"] >= 0.2


def test_a_watched_load_keeps_the_kernels_table_when_it_changed(monkeypatch):
    tables = itertools.chain(["one", "one", "two"], itertools.repeat("two"))
    monkeypatch.setattr(
        probe,
        "read",
        lambda path, limit=0: next(tables) if path == probe.SERVICES and limit else "",
    )
    with server(saying(OK)) as peer:
        task = {"url": peer.url, "gaps_ms": TEN_MS, "sample_s": 0.01, "watch_s": 0.3}
        watch = probe.load(task)["watch"]
    assert [text for _, text in watch["samples"]] == ["one", "two"]
    assert not watch["cut"]


def test_a_load_whose_statistics_cannot_be_served_is_no_result():
    with server(saying(OK)) as peer, pytest.raises(probe.ProbeFailed, match="cannot be served"):
        probe.load({"url": peer.url, "gaps_ms": TEN_MS, "statistics_port": peer.port})


def test_a_port_that_the_kernels_table_holds_is_not_used_again(monkeypatch):
    table = (
        "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires\n"
        "TCP 0A00020F 9C40 0A00020F 115C AC110002 115C TIME_WAIT       99\n"
    )
    monkeypatch.setattr(probe, "read", lambda path, limit=0: table)
    with server(saying(OK)) as peer:
        campaign = probe.Campaign({"url": peer.url}, 1)
        campaign.begin()
        assert campaign.peer.taken == {0x9C40}
    everything = set(range(65536))
    campaign.peer.taken = everything
    with pytest.raises(probe.ProbeFailed, match="no local port left"):
        campaign.peer.fresh_socket(socket.AF_INET)


def test_of_too_many_connections_those_of_the_service_are_kept_ours_first(monkeypatch):
    def row(client, port):
        return f"TCP 0A00020F {client:04X} 0A00020F {port:04X} AC110002 115C ESTABLISHED 99\n"

    rows = [row(n % 60000, 4445) for n in range(20_000)]
    rows += [row(n, 4444) for n in range(2000, 22_000)]
    table = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires\n" + "".join(rows)
    monkeypatch.setattr(probe, "read", lambda path, limit=probe.FILE_LIMIT: table[:limit])
    kept = probe.witnesses(4444, {21_999})[probe.CONNECTIONS]
    assert len(kept) <= probe.FILE_LIMIT
    assert kept.splitlines()[1] == row(21_999, 4444).strip()
    assert {line.split()[4] for line in kept.splitlines()[1:]} == {"115C"}


def test_a_file_is_cut_at_a_line_and_an_absent_one_is_null(tmp_path):
    (tmp_path / "table").write_text("one\ntwo\nthree\n")
    assert probe.read(str(tmp_path / "table"), 9) == "one\ntwo\n"
    assert probe.read(str(tmp_path / "table")) == "one\ntwo\nthree\n"
    assert probe.read(str(tmp_path / "none")) is None


def test_what_nobody_can_read_back_is_still_one_line_of_json():
    value = {"a\n": ['\x00\x1f"\\\x7f\u2028é🎈', 1, 0, 1.5, True, False, None, -3e-06]}
    assert json.loads(probe.to_json(value)) == value
    assert "\n" not in probe.to_json(value)
    assert json.dumps(json.loads(probe.to_json([1, 1.0, True]))) == "[1, 1.0, true]"


def test_sent_to_an_isolated_python_it_prints_one_line():
    done = run({"task": "clock"})
    assert done.returncode == 0
    assert done.stdout.count(b"\n") == 1
    answer = json.loads(done.stdout)
    assert answer["probe"] == "labwright/probe/v1"
    assert set(answer["result"]) == {"epoch", "monotonic", "boot_id", "machine"}


def test_sent_to_an_isolated_python_it_asks():
    with server(saying(b"HTTP/1.1 200 OK\r\n\r\n\xe2\x80\xa8\xf0\x9f\x8e\x88\xff\n")) as peer:
        done = run({"task": "http", "requests": [{"url": peer.url}]})
    assert done.stdout.count(b"\n") == 1
    (answer,) = json.loads(done.stdout)["result"]
    assert answer["body"] == "\u2028🎈\\xff\n"


@pytest.mark.parametrize(
    ("task", "error"),
    [
        ({"task": "reboot"}, "the task is none of"),
        ({"task": ["http"]}, "the task is none of"),
        ([], "the task is none of"),
        ("{", "the task is not JSON"),
        ("[" * 10000, "the task is not JSON"),
        ({"task": "clock", "url": "x"}, "not understood: url"),
        ({"task": "http", "requests": []}, "requests is not a list of 1 to 64"),
        ({"task": "http", "requests": [{}] * 65}, "requests is not a list"),
        ({"task": "http", "requests": ["x"]}, "not understood"),
        ({"task": "http", "requests": [{"url": "x", "verb": "GET"}]}, "not understood: verb"),
        ({"task": "http", "requests": [{"url": "https://a/"}]}, "not an http:// address"),
        ({"task": "http", "requests": [{"url": "http://a b/"}]}, "not an http:// address"),
        ({"task": "http", "requests": [{"url": "http://a:99999/"}]}, "not an http:// address"),
        ({"task": "http", "requests": [{"url": "http://u@a/"}]}, "not an http:// address"),
        (
            {
                "task": "http",
                "requests": [{"url": "http://127.0.0.1:1/", "headers": {"a": "b\r\n"}}],
            },
            "cannot be sent",
        ),
        (
            {"task": "http", "requests": [{"url": "http://127.0.0.1:1/", "headers": "a"}]},
            "cannot be sent",
        ),
        ({"task": "traffic", "url": "http://127.0.0.1:1/", "count": 5001}, "count is 5001"),
        ({"task": "traffic", "url": "http://127.0.0.1:1/", "count": "3"}, "count is '3'"),
        ({"task": "traffic", "url": "http://127.0.0.1:1/"}, "count is 0"),
        (
            {"task": "load", "url": "http://127.0.0.1:1/", "gaps_ms": [[1, 10]]},
            "requests; from 1 to 5000",
        ),
        ({"task": "load", "url": "http://127.0.0.1:1/", "gaps_ms": [[0, 1]]}, "a gap below"),
        ({"task": "load", "url": "http://127.0.0.1:1/", "gaps_ms": [["a"]]}, "not a gap"),
        ({"task": "load", "url": "http://127.0.0.1:1/", "gaps_ms": [[999, 601]]}, "more than 600"),
    ],
)
def test_a_task_that_is_none_is_refused_in_words_and_never_has_a_result(task, error, capsys):
    argument = task if isinstance(task, str) else json.dumps(task)
    assert probe.main([argument]) == 2
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert set(answer) == {"probe", "error"}
    assert error in answer["error"]
    assert error in printed.err


def test_it_is_written_for_python_3_8():
    ast.parse(SOURCE, feature_version=(3, 8))


def test_it_needs_no_module_that_a_minimal_python_lacks():
    """Debian's python3-minimal has neither json, http, asyncio, queue nor resource."""
    tree = ast.parse(SOURCE)
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert imported == {
        "_signal", "_socket", "array", "errno", "fcntl", "hashlib", "os", "select", "subprocess",
        "sys", "threading", "time",
    }  # fmt: skip


def test_a_visit_asks_together_and_looks_at_files_and_addresses(tmp_path):
    (tmp_path / "there").write_text("text")
    all_are_asked = threading.Barrier(3, timeout=20)

    def together(sock):
        sock.recv(1 << 16)
        all_are_asked.wait()
        sock.sendall(OK)

    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(server(together)) for _ in range(3)]
        seen = probe.visit(
            {
                "task": "visit",
                "requests": [{"url": peer.url} for peer in peers],
                "files": [str(tmp_path / "there"), str(tmp_path / "absent")],
                "interfaces": ["lo", "no-such-interface"],
            }
        )
    assert [reply["status"] for reply in seen["replies"]] == [200, 200, 200]
    assert list(seen["files"].values()) == ["text", None]
    assert seen["addresses"] == {"lo": ["127.0.0.1"], "no-such-interface": []}


def test_a_file_that_may_not_be_read_is_no_absent_one(tmp_path):
    with pytest.raises(probe.ProbeFailed, match="cannot be read"):
        probe.visit({"task": "visit", "files": [str(tmp_path)]})
