"""The client's load does not depend on what the servers do with it, and is counted truly."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from types import SimpleNamespace
from urllib.error import HTTPError

import pytest
from rich.console import Console

from labwright.components.workload import client
from labwright.components.workload.latency import latencies
from labwright.components.workload.live import bars, picture
from labwright.components.workload.load import Load, Pace
from labwright.components.workload.probe import Flight, ProbeFailed
from labwright.components.workload.record import Record

TEN = [(10.0, 0.1)]
"""Ten requests."""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LIMIT_S = 20.0
"""Only a run that hangs waits for so long."""


@contextlib.contextmanager
def server(reply):
    """Serve each connection, in a thread of its own, by handing it to ``reply``."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=200)
    clients = []

    def serve(sock):
        with sock, contextlib.suppress(OSError):
            reply(sock)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                sock, address = listener.accept()
                clients.append(address)
                threading.Thread(target=serve, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield SimpleNamespace(port=listener.getsockname()[1], clients=clients)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def answering(data):
    def reply(sock):
        sock.recv(4096)
        sock.sendall(data)

    return reply


def reset(sock):
    sock.recv(4096)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def load_on(served):
    return Load(client.peer_of(f"127.0.0.1:{served.port}"))


def nothing(_seconds):
    pass


def test_every_request_that_is_due_is_sent_and_its_answer_counted():
    with server(answering(OK)) as served:
        load = load_on(served)
        load.run(TEN, nothing)
        load.drain(LIMIT_S)
    assert (load.requests, load.responses, load.served, load.errors) == (10, 10, 10, 0)
    assert load.in_flight == 0


def test_each_request_has_a_connection_of_its_own():
    with server(answering(OK)) as served:
        load = load_on(served)
        load.run(TEN, nothing)
        load.drain(LIMIT_S)
        assert len(set(served.clients)) == 10


def test_a_server_that_never_answers_makes_no_request_wait():
    release = threading.Event()
    with server(lambda sock: release.wait(LIMIT_S)) as served:
        load = load_on(served)
        load.run(TEN, nothing)
        assert (load.requests, load.served, load.in_flight, load.errors) == (10, 0, 10, 0)
        release.set()


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (answering(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), "status 500"),
        (answering(b"SSH-2.0-OpenSSH_9.2\r\n"), "protocol"),
        (answering(b""), "protocol"),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"), "protocol"),
        (reset, "reset"),
    ],
    ids=["status", "garbage", "silent close", "short body", "reset"],
)
def test_whatever_is_no_good_answer_is_an_error_that_is_named(reply, says):
    with server(reply) as served:
        load = load_on(served)
        load.run(TEN, nothing)
        load.drain(LIMIT_S)
    assert (load.requests, load.served, load.errors) == (10, 0, 10)
    assert load.last_error.startswith(says)


def test_an_answer_without_end_is_cut_and_not_kept():
    def endless(sock):
        sock.recv(4096)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            sock.sendall(b"x" * 65536)

    with server(endless) as served:
        load = load_on(served)
        load.run([(10.0, 0.03)], nothing)
        load.drain(LIMIT_S)
    assert load.served == 3


def test_no_request_is_offered_when_the_profile_is_over():
    with server(answering(OK)) as served:
        load = load_on(served)
        load.run(TEN, nothing)
    assert load.request_rate == 0


def test_seconds_are_told_one_by_one_and_a_look_is_never_later_than_one():
    seconds = []
    pace = Pace(100.0, iter([(500.0, 10.0)]), seconds.append)
    for now in (100.0, 100.95, 101.0, 101.5, 102.01):
        pace.look(now)
        assert now < pace.next_look <= int(now) + 1
    assert seconds == [1, 2]


def test_the_rate_offered_is_that_of_the_window_at_the_time():
    pace = Pace(100.0, iter([(500.0, 5.0), (100.0, 5.0)]), nothing)
    rates = []
    for now in (100.0, 104.99, 105.0, 109.99, 110.0):
        pace.look(now)
        rates.append((pace.rate, pace.over))
    assert rates == [(2, False), (2, False), (10, False), (10, False), (0, True)]


def test_a_name_with_two_addresses_is_reached_at_the_one_that_answers():
    with server(answering(OK)) as served:
        load = Load(client.peer_of(f"localhost:{served.port}"))
        load.run(TEN, nothing)
        load.drain(LIMIT_S)
    assert (load.served, load.errors, load.last_error) == (10, 0, "")


def test_a_request_that_this_computer_cannot_carry_on_does_not_end_the_load(monkeypatch):
    with server(answering(OK)) as served:
        load = load_on(served)
        turn, exhausted = Flight.turn, iter([True])

        def turn_with_one_failure(flight, until):
            if next(exhausted, False):
                raise ProbeFailed("this machine cannot open one more connection")
            turn(flight, until)

        monkeypatch.setattr(Flight, "turn", turn_with_one_failure)
        load.run(TEN, nothing)
        load.drain(LIMIT_S)
    assert load.served == 10


@pytest.mark.parametrize(
    ("host", "authority"),
    [
        ("127.0.0.1", "127.0.0.1:4444"),
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("::1", "[::1]:4444"),
        ("[::1]", "[::1]:4444"),
        ("[::1]:80", "[::1]:80"),
        ("localhost", "localhost:4444"),
    ],
)
def test_a_service_is_named_by_host_and_port(host, authority):
    peer = client.peer_of(host)
    assert (peer.authority, peer.path) == (authority, "/doWork")


@pytest.mark.parametrize("host", ["", "a b", "1.2.3.4:x", "1.2.3.4:99999", "1.2.3.4/path:1"])
def test_what_is_no_host_is_refused(host):
    with pytest.raises(ProbeFailed):
        client.peer_of(host)


def counted():
    load = Load(client.peer_of("127.0.0.1"))
    load.requests, load.responses, load.served, load.errors = 22, 13, 12, 3
    load.request_rate, load.latest_s = 1000 / 323, 0.0021
    return load


def test_port_5555_says_one_number_a_line():
    load = counted()
    paths = ("/requestRate", "/responseRate", "/numRequests", "/numResponses")
    assert [client.statistics(load, path) for path in paths] == [
        "3.095975\n",
        "0\n",
        "22\n",
        "13\n",
    ]
    assert client.statistics(load, "/") is None


def test_a_second_is_a_line_of_plain_text():
    assert client.line(counted(), 7) == (
        "    7 s  offered    3.1/s  sent    22  served    12  in flight    0  errors    3"
    )


def test_the_end_says_what_was_sent_but_not_served():
    assert client.summary(counted()) == (
        "sent 22, served 12, errors 3; sent but not served: 10\n"
        "no request was sent more than 2 ms after its time"
    )


def test_the_numbers_are_served_over_http_and_silent_clients_do_not_stop_them(monkeypatch):
    monkeypatch.setattr(client, "READ_TIMEOUT_S", 0.1)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    thread = threading.Thread(target=client.serve_statistics, args=(listener, counted()))
    thread.start()
    try:
        with (
            socket.create_connection(("127.0.0.1", port)),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/numRequests") as answer,
        ):
            assert answer.read() == b"22\n"
        with pytest.raises(HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/other")
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def start(*arguments, shell=""):
    command = [
        sys.executable,
        "-m",
        "labwright.components.workload.client",
        "--statistics-port",
        "0",
    ]
    if shell:
        command = ["sh", "-c", f'{shell}; exec "$@"', "sh", *command]
    return subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_the_seed_is_told_so_that_a_run_can_be_repeated():
    with server(answering(OK)) as served:
        target = f"127.0.0.1:{served.port}"
        with start(target, "--start-after", "0", "--duration", "0.2", "--drain", "20") as run:
            output = run.communicate()[0]
    assert "profile random, seed " in output
    assert "errors 0; sent but not served: 0" in output
    assert run.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_client_with_its_summary(number):
    with start("127.0.0.1:1", "--start-after", "60") as run:
        assert run.stdout.readline().startswith("the client starts")
        run.send_signal(number)
        output, errors = run.communicate()
    assert output.startswith("sent 0, served 0")
    assert (run.returncode, errors) == (0, "")


def test_an_interrupt_while_a_connection_is_closed_is_an_interrupt_and_keeps_the_counts(
    monkeypatch,
):
    def fresh_socket(family):
        return InterruptedWhenClosed(family, socket.SOCK_STREAM)

    class InterruptedWhenClosed(socket.socket):
        def close(self):
            super().close()
            raise KeyboardInterrupt

    with server(answering(OK)) as served:
        peer = client.peer_of(f"127.0.0.1:{served.port}")
        monkeypatch.setattr(peer, "fresh_socket", fresh_socket)
        load = Load(peer)
        with pytest.raises(KeyboardInterrupt):
            load.run(TEN, nothing)
    assert (load.requests, load.served, load.errors) == (1, 1, 0)


def test_a_client_of_which_every_request_fails_exits_1():
    options = ("--start-after", "0", "--duration", "0.1", "--seed", "7")
    with start("127.0.0.1:1", *options) as run:
        output = run.communicate()[0]
    assert "served 0, errors 1" in output
    assert run.returncode == 1


def test_a_client_that_may_open_no_more_files_says_so_and_goes_on():
    release = threading.Event()
    with server(lambda sock: release.wait(LIMIT_S)) as served:
        target = f"127.0.0.1:{served.port}"
        # Seeds whose first gap is so short are rare.
        seed = next(s for s in range(10_000) if client.profile.windows(s, 1)[0][0] <= 2)
        options = ("--start-after", "0", "--duration", "1.1", "--seed", str(seed))
        with start(target, *options, shell="ulimit -n 30") as run:
            output, errors = run.communicate()
        release.set()
    assert "exhausted: this machine cannot open one more connection: Too many open files" in output
    assert errors == ""
    assert run.returncode == 0


def test_a_port_that_is_taken_is_told_in_a_sentence():
    with socket.create_server(("", 0)) as taken:
        port = str(taken.getsockname()[1])
        with start("127.0.0.1", "--statistics-port", port) as run:
            _, errors = run.communicate()
    assert errors.startswith(f"client: port {port} cannot be had (Address already in use): stop")
    assert errors.count("\n") == 1
    assert run.returncode == 2


def test_a_reader_that_goes_away_ends_the_client_without_a_traceback():
    with start("127.0.0.1:1", "--start-after", "0", "--duration", "1.1") as run:
        run.stdout.close()
        assert run.stderr.read() == ""
        run.wait()


def test_connections_that_are_kept_are_used_again():
    def serve(sock):
        while sock.recv(4096):
            sock.sendall(OK)

    with server(serve) as served:
        load = Load(client.peer_of(f"127.0.0.1:{served.port}"), keep_alive=True)
        load.run([(20.0, 0.2)], nothing)
        load.drain(LIMIT_S)
        assert (load.served, load.errors) == (10, 0)
        assert len(set(served.clients)) < 10


def test_a_kept_connection_that_waits_for_an_answer_makes_no_request_wait():
    release = threading.Event()

    def serve(sock):
        sock.recv(4096)
        release.wait(LIMIT_S)

    with server(serve) as served:
        load = Load(client.peer_of(f"127.0.0.1:{served.port}"), keep_alive=True)
        load.run(TEN, nothing)
        assert (load.requests, load.in_flight) == (10, 10)
        release.set()


def test_a_kept_connection_that_the_server_closed_is_opened_anew_and_no_error():
    with server(answering(OK)) as served:  # closes after each answer, without a word
        load = Load(client.peer_of(f"127.0.0.1:{served.port}"), keep_alive=True)
        load.run([(30.0, 0.3)], nothing)
        load.drain(LIMIT_S)
        assert (load.served, load.errors, load.last_error) == (10, 0, "")


def test_a_server_that_closes_each_connection_is_believed():
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with server(answering(closing)) as served:
        load = Load(client.peer_of(f"127.0.0.1:{served.port}"), keep_alive=True)
        load.run(TEN, nothing)
        load.drain(LIMIT_S)
        assert len(set(served.clients)) == 10
    assert load.served == 10


def test_latency_is_counted_from_the_intended_start():
    told = []

    def serve(sock):
        sock.recv(4096)
        release.wait(LIMIT_S)
        sock.sendall(OK)

    release = threading.Event()
    with server(serve) as served:
        load = Load(client.peer_of(f"127.0.0.1:{served.port}"), answered=told.append)
        load.run(TEN, lambda _: None)
        release.set()
        load.drain(LIMIT_S)
    assert len(told) == 10
    # The first was due when the load began, and none was answered before its 100 ms were over.
    assert max(told) >= 0.1


def test_percentiles_are_those_of_the_answers():
    counted = latencies()
    assert counted.all_ms() == {}
    for milliseconds in range(1, 1001):
        counted.add(milliseconds / 1000)
    told = counted.all_ms()
    assert told["p50"] == pytest.approx(500, rel=0.001)
    assert told["p99"] == pytest.approx(990, rel=0.001)
    assert told["max"] == pytest.approx(1000, rel=0.001)
    assert counted.recent_ms() == told
    assert counted.recent_ms() == {}


def test_where_there_is_no_histogram_no_latency_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "hdrh.histogram", None)
    assert latencies() is None
    assert Record(counted(), None).latency_ms() == {}


def test_a_second_is_what_came_in_it_and_is_written_at_once():
    load, file = counted(), io.StringIO()
    record = Record(load, None, file)
    record.look(1)
    load.requests, load.served = 30, 20
    record.look(2)
    record.finish()
    assert [(row.second, row.sent, row.served, row.errors) for row in record.seconds] == [
        (1, 22, 12, 3),
        (2, 8, 8, 0),
    ]
    assert file.getvalue().splitlines()[1:] == ["1,3.096,22,12,3,0,,", "2,3.096,8,8,0,0,,"]


def test_the_graph_has_a_bar_for_each_second_and_sees_the_least():
    assert bars([0, 8, 4, 1], 8, 2) == [" █  ", " ██▂"]
    assert bars([1], 1000, 2) == [" ", "▁"]


@pytest.mark.parametrize("width", [80, 40])
def test_the_picture_says_what_there_is_to_see_and_fits(width):
    record = Record(counted(), None)
    for second in range(1, 31):
        record.look(second)
    console = Console(file=io.StringIO(), width=width)
    console.print(picture("10.0.2.15", counted(), record, width))
    drawn = console.file.getvalue()
    for word in ("10.0.2.15", "3.1/s", "offered", "in flight", "errors", "30 s"):
        assert word in drawn
    assert "…" not in drawn
    assert max(map(len, drawn.splitlines())) == width


def test_json_and_csv_tell_the_whole_load(tmp_path):
    file = tmp_path / "load.csv"
    with server(answering(OK)) as served:
        options = ["--start-after", "0", "--profile", "constant:20", "--duration", "1.2"]
        options += ["--drain", "20", "--json", "-", "--csv", str(file)]
        with start(f"127.0.0.1:{served.port}", *options) as run:
            output, said = run.communicate()
    told = json.loads(output)
    assert (told["schema"], told["sent"], told["served"]) == ("labwright/load/v1", 24, 24)
    assert sum(row["served"] for row in told["seconds"]) == 24
    assert set(told["latency_ms"]) == {"p50", "p90", "p99", "p99.9", "max"}
    assert "latency from the intended start" in said
    assert file.read_text().startswith("second,offered_per_s,sent,served")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--profile", "odd"), "odd is no profile"),
        (("--profile", "file:/nowhere"), "/nowhere cannot be read"),
        (("--duration", "0"), "--duration must be more than 0"),
        (("--start-after", "0", "--csv", "/nowhere/x"), "/nowhere/x cannot be written"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(arguments, says):
    with start("127.0.0.1:1", *arguments) as run:
        _, errors = run.communicate()
    assert says in errors
    assert "Traceback" not in errors
    assert run.returncode == 2
