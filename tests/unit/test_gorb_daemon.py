"""The daemon starts quickly or says in one sentence why not, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from labwright.components.gorb import __main__ as daemon
from labwright.components.gorb.addresses import first_address, listen
from labwright.components.gorb.flags import FlagError, Flags, HelpWanted, parse
from labwright.components.gorb.problems import StartError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="IPVS is Linux's")

IN_MEMORY = """
import os, sys, types
from labwright.components.gorb.ipvs_memory import MemoryIpvs
os.geteuid = lambda: 0
sys.modules["labwright.components.gorb.ipvs_kernel"] = types.SimpleNamespace(KernelIpvs=MemoryIpvs)
from labwright.components.gorb.__main__ import main
from labwright.components.gorb.signals import heed_while_starting
heed_while_starting()
sys.exit(main())
"""
"""The daemon as a process of its own, over a table in memory: no root, no ip_vs."""


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        ("", Flags()),
        ("-f -i enp0s3", Flags(f=True, i="enp0s3")),
        ("--f --i=enp0s3 -l :80 -v", Flags(f=True, i="enp0s3", l=":80", v=True)),
        ("-f=false -i eth1", Flags(i="eth1")),
        ("-v words -f", Flags(v=True)),
        ("-- -f", Flags()),
        ("-c http://x:8500 -vipi lo", Flags(c="http://x:8500", vipi="lo")),
        (
            "-store etcd://a,etcd://b --store-sync-time=5 -store-service-path s",
            Flags(store="etcd://a,etcd://b", store_sync_time=5, store_service_path="s"),
        ),
    ],
)
def test_flags_are_read_as_go_reads_them(line, flags):
    assert parse(line.split()) == flags


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("-x", "flag provided but not defined: -x"),
        ("-i", "flag needs an argument: -i"),
        ("-f=maybe", 'invalid boolean value "maybe" for -f: parse error'),
        ("---f", "bad flag syntax: ---f"),
        ("-store-sync-time x", 'invalid value "x" for flag -store-sync-time: parse error'),
    ],
)
def test_flags_that_are_wrong_are_refused_in_gos_words(line, error):
    with pytest.raises(FlagError) as refused:
        parse(line.split())
    assert str(refused.value) == error


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("-adopt -f", "-adopt takes over what -f removes"),
        ("-adopt -store etcd://x", "-adopt and -store contradict each other"),
        ("-store-sync-time 0", "-store-sync-time must be 1 second or more"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(line, says):
    with pytest.raises(StartError, match=says):
        parse(line.split())


def test_help_is_no_error(capsys):
    with pytest.raises(HelpWanted):
        parse(["-h"])
    assert daemon.main(["-h"]) == 0
    assert "-i string" in capsys.readouterr().err


def test_a_wrong_flag_shows_the_usage(capsys):
    assert daemon.main(["-x"]) == 2
    assert "Usage of gorb" in capsys.readouterr().err


def sentence_of(arguments, capsys):
    assert daemon.main(arguments) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("gorb: ")
    return last


def test_it_says_that_it_needs_root(monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "takes root" in sentence_of(["-i", "lo"], capsys)


def test_it_says_that_there_is_no_such_device(monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    said = sentence_of(["-i", "nope7"], capsys)
    assert "no network device nope7" in said
    assert "lo" in said


def test_it_says_that_the_port_is_taken_and_touches_nothing(monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    # Whoever imported it would be the next to flush the table.
    monkeypatch.setitem(sys.modules, "labwright.components.gorb.ipvs_kernel", None)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = sentence_of(["-f", "-i", "lo", "-l", f"127.0.0.1:{port}"], capsys)
    assert f"port {port} is taken" in said


@pytest.mark.parametrize("endpoint", ["4672", ":x", ":70000", "", "host:"])
def test_an_endpoint_that_is_none_is_refused(endpoint):
    with pytest.raises(StartError, match=r"is not \[HOST\]:PORT"):
        listen(endpoint)


def test_a_name_that_nobody_has_cannot_be_listened_on():
    with pytest.raises(StartError, match="cannot listen on"):
        listen("192.0.2.1:80")


def test_without_a_host_it_listens_on_every_address():
    with listen(":0") as listener:
        port = listener.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_answers_do_not_wait_for_acknowledgements():
    with listen("127.0.0.1:0") as listener:
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_devices_first_address_is_its_ipv4():
    assert first_address("lo") == "127.0.0.1"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_and_removes_its_services(number):
    command = [sys.executable, "-c", IN_MEMORY, "-f", "-i", "lo", "-l", "127.0.0.1:0", "-v"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if "setting up HTTP server" in line:
                break
        process.send_signal(number)
        rest = process.stderr.read()
    assert process.returncode == 0
    assert "shutting down IPVS context" in rest
    assert "Traceback" not in rest


def test_it_answers_as_a_process_of_its_own():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", IN_MEMORY, "-i", "lo", "-l", f"127.0.0.1:{port}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if "setting up HTTP server" in line:
                break
        url = f"http://127.0.0.1:{port}/service"
        put = urllib.request.Request(f"{url}/0", b'{"port":4444}', method="PUT")
        with urllib.request.urlopen(put, timeout=10), urllib.request.urlopen(url) as answer:
            assert json.load(answer) == ["0"]
        process.terminate()
        rest = process.stderr.read()
    assert "removing virtual service [0] from 127.0.0.1:4444" in rest


LEAN = """
import sys
import labwright.components.gorb.api, labwright.components.gorb.ipvs_kernel
import labwright.components.gorb.server
labwright.components.gorb.server.make_server(None)
print(sorted({"click", "uvicorn.main", "prometheus_client"} & set(sys.modules)))
import uvicorn
print(uvicorn.run.__name__, uvicorn.Server.__name__)
"""


def test_it_imports_little_and_leaves_the_packages_whole_for_others():
    command = [sys.executable, "-c", LEAN]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "run Server"]
