"""The lab's server does one thing at a time, as the document says, and nobody can stop it."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest

from labwright.components.workload.server import BadRequest, Request, Server, listen, parse_head

LIMIT_S = 10.0
"""Only a test that hangs waits for so long."""


@pytest.fixture
def port(request):
    """A server in a thread; its work takes as long as the marker says, or nothing."""
    settings = getattr(request, "param", {})
    listener = listen(0)
    server = Server(listener, settings.get("work_s", 0.0), settings.get("read_timeout", LIMIT_S))

    def serve():
        with contextlib.suppress(OSError, SystemExit):
            server.serve()

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    listener.close()


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)


def exchange(port, data):
    """Send bytes; return everything until the server closes the connection."""
    with connect(port) as sock:
        sock.sendall(data)
        answer = b""
        while more := sock.recv(4096):
            answer += more
    return answer


def get(port, path, method="GET"):
    request = f"{method} {path} HTTP/1.1\r\nHost: server1\r\nConnection: close\r\n\r\n"
    head, _, body = exchange(port, request.encode()).partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


@pytest.mark.parametrize("port", [{"work_s": 0.5}], indirect=True)
def test_work_is_answered_and_shown_on_the_console_as_the_document_shows_it(port, capfd):
    assert get(port, "/doWork") == (200, "Response sent after 500 ms\n")
    get(port, "/heartbeat")  # so the line, which is printed after the answer, is there
    assert capfd.readouterr().out == "Response sent\n"


def test_the_console_says_when_work_begins(port, capfd):
    get(port, "/doWork")
    assert re.fullmatch(
        r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d Processing request\n", capfd.readouterr().err
    )


def test_a_heartbeat_is_a_tick_and_no_work(port, capfd):
    assert get(port, "/heartbeat") == (200, "tick\n")
    assert capfd.readouterr().out == ""


def test_a_query_does_not_change_the_path(port):
    assert get(port, "/heartbeat?a=/doWork") == (200, "tick\n")


@pytest.mark.parametrize("path", ["/", "/dowork", "/doWork/", "/heartbeat/x"])
def test_an_unknown_path_is_404(port, path):
    assert get(port, path)[0] == 404


def test_a_head_request_has_no_body(port):
    assert get(port, "/heartbeat", "HEAD") == (200, "")


def test_a_connection_may_carry_several_requests(port):
    asked = b"GET /heartbeat HTTP/1.1\r\n\r\n" * 2 + b"GET /heartbeat HTTP/1.0\r\n\r\n"
    assert exchange(port, asked).count(b"tick\n") == 3


def test_a_body_that_nobody_asked_for_is_skipped(port):
    posted = b"POST /heartbeat HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
    assert exchange(port, posted + b"GET /heartbeat HTTP/1.0\r\n\r\n").count(b"tick\n") == 2


def test_one_connection_is_served_and_the_next_one_waits_for_its_end(port):
    with connect(port) as first, connect(port) as second:
        second.sendall(b"GET /heartbeat HTTP/1.0\r\n\r\n")
        first.sendall(b"GET /heartbeat HTTP/1.1\r\n\r\n")
        assert first.recv(4096).endswith(b"tick\n")
        # The first may go on, so the second has nothing yet: it is in the backlog.
        second.setblocking(False)
        with pytest.raises(BlockingIOError):
            second.recv(4096)
        first.close()
        second.settimeout(LIMIT_S)
        assert second.recv(4096).endswith(b"tick\n")


@pytest.mark.parametrize("port", [{"read_timeout": 0.2}], indirect=True)
@pytest.mark.parametrize("said", [b"", b"GET /hear"], ids=["nothing", "half a line"])
def test_a_client_that_falls_silent_does_not_starve_the_others(port, said):
    with connect(port) as silent:
        silent.sendall(said)
        assert get(port, "/heartbeat") == (200, "tick\n")


@pytest.mark.parametrize("port", [{"read_timeout": 0.2}], indirect=True)
def test_a_byte_now_and_then_does_not_buy_a_client_more_time(port):
    over = threading.Event()

    def dribble():
        with connect(port) as sock:
            try:
                while not over.wait(0.05):
                    sock.sendall(b"x")
            except OSError:
                pass

    thread = threading.Thread(target=dribble)
    try:
        with connect(port):  # both are before us
            thread.start()
            assert get(port, "/heartbeat") == (200, "tick\n")
    finally:
        over.set()
        thread.join()


def test_clients_that_go_away_in_the_middle_are_forgotten(port):
    for data in (b"", b"GET /doWork HTTP/1.1\r\n\r\n", b"GET /doW"):
        with connect(port) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            sock.sendall(data)
    assert get(port, "/heartbeat") == (200, "tick\n")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"\x00\xff\xfe \x01 HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: many\r\n\r\n", 400),
        (b"GET /" + b"a" * 20_000, 431),
    ],
)
def test_what_is_no_request_is_refused_and_the_next_one_served(port, sent, status):
    with connect(port) as sock:
        sock.sendall(sent)
        assert sock.recv(4096).startswith(f"HTTP/1.1 {status} ".encode())
    assert get(port, "/heartbeat") == (200, "tick\n")


@pytest.mark.parametrize(
    ("head", "request_"),
    [
        (b"GET / HTTP/1.1", Request("GET", "/", True, 0)),
        (b"GET /a?b HTTP/1.0", Request("GET", "/a", False, 0)),
        (b"PUT / HTTP/1.1\r\ncontent-LENGTH: 7", Request("PUT", "/", True, 7)),
        (b"GET / HTTP/1.1\nConnection: Close", Request("GET", "/", False, 0)),
        (b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked", Request("PUT", "/", False, 0)),
    ],
)
def test_a_request_is_read(head, request_):
    assert parse_head(head) == request_


@pytest.mark.parametrize("head", [b"", b"GET", b"GET /", b"GET x HTTP/1.1", b"GET / / HTTP/1.1"])
def test_half_a_request_line_is_refused(head):
    with pytest.raises(BadRequest):
        parse_head(head)


@pytest.fixture
def process(request):
    """The server as the container runs it, and its port."""
    command = [
        sys.executable,
        "-m",
        "labwright.components.workload.server",
        "--port",
        "0",
        "--work-ms",
        "60000",
        *getattr(request, "param", ()),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        try:
            yield running, int(running.stderr.readline().split()[-1])
        finally:
            running.kill()


def test_stop_ends_the_process_with_0_after_an_answer(process):
    running, port = process
    assert get(port, "/stop") == (200, "")
    assert running.wait(LIMIT_S) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_even_in_the_middle_of_work(process, number):
    running, port = process
    with connect(port) as sock:
        sock.sendall(b"GET /doWork HTTP/1.1\r\n\r\n")
        assert "Processing request" in running.stderr.readline()
        running.send_signal(number)
        assert running.wait(LIMIT_S) == 0


@pytest.mark.parametrize("process", [("--concurrency", "2")], indirect=True)
def test_as_many_connections_are_served_at_a_time_as_it_is_told_and_no_more(process):
    running, port = process
    with connect(port) as first, connect(port) as second, connect(port) as third:
        for sock in (first, second, third):
            sock.sendall(b"GET /doWork HTTP/1.1\r\n\r\n")
        lines = [running.stderr.readline() for _ in range(2)]
        assert all(line.endswith("Processing request\n") for line in lines)
        third.settimeout(0.2)
        with pytest.raises(TimeoutError):
            third.recv(1)
        running.terminate()
        assert running.wait(LIMIT_S) == 0
        assert running.stderr.read() == ""


@pytest.mark.parametrize("process", [("--concurrency", "3")], indirect=True)
def test_stop_ends_all_of_it_whoever_is_asked(process):
    running, port = process
    with connect(port) as busy:
        busy.sendall(b"GET /doWork HTTP/1.1\r\n\r\n")
        running.stderr.readline()
        assert get(port, "/stop") == (200, "")
        assert running.wait(LIMIT_S) == 0


def test_a_port_that_is_taken_is_told_in_a_sentence(process):
    _, port = process
    second = subprocess.run(
        [
            sys.executable,
            "-m",
            "labwright.components.workload.server",
            "--port",
            str(port),
            "--name",
            "server2",
        ],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert second.stderr == f"server2 cannot listen on port {port}: Address already in use\n"
    assert second.returncode == 1
