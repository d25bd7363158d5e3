"""A machine in this process on which the gorb lab can be done, undone and done wrong.

It answers what a grader asks by its meaning, from the little that it holds: containers, an
image, a module of the kernel, and what Gorb was told. No grader of ours writes to it.
"""

from __future__ import annotations

import json
import time
from functools import cached_property

from labwright.errors import HostUnreachable
from labwright.machines.engine import Engine
from labwright.machines.machine import CommandResult, Machine

from .traffic import INTERFACE, WORK, Balancer, due_times

HEAD = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n"


class PretendedMachine(Machine):
    """Begins as a student finds it: two servers run, and nothing else is done."""

    target = "pretended"

    def __init__(self) -> None:
        self.containers = {"server1": "172.17.0.2", "server2": "172.17.0.3"}
        self.stopped: set[str] = set()
        self.image = self.ip_vs = self.gorb = False
        self.service: dict | None = None
        self.service_id = "0"
        self.look_s = 0.01
        self.down: set[str] = set()
        """Backends that Gorb's pulse has found down, and not yet up again."""
        self.backends: dict[str, str] = {}
        self.balancer = Balancer()
        self.counters = 0
        self.asked: list[str] = []
        self.closed = 0
        self.gone = ""

    # What the student does.

    def do_all(self) -> PretendedMachine:
        """Do the whole lab, as the document says."""
        self.ip_vs = self.image = self.gorb = True
        self.create_service()
        self.register("0", "server1")
        self.register("1", "server2")
        return self

    def create_service(self, method: str = "rr") -> None:
        self.service = {"host": INTERFACE, "port": 4444, "protocol": "tcp", "method": method}

    def register(self, backend: str, server: str) -> None:
        self.backends[backend] = self.containers[server]

    # What the grader asks.

    def execute(self, command, *, timeout, stdin=b"", limit=1 << 20) -> CommandResult:
        self.require_there(f"run {command}")
        return CommandResult(command, 0, "6.1.0-9-amd64\n" if "uname" in command else "", "", 0.0)

    def ask_probe(self, task: str, timeout: float) -> CommandResult:
        asked = json.loads(task)
        self.require_there(asked["task"])
        result = getattr(self, f"_{asked['task']}")(asked)
        said = json.dumps({"probe": "labwright/probe/v1", "result": result})
        return CommandResult(task, 0, said + "\n", "", 0.0)

    def docker_socket(self) -> str:
        raise HostUnreachable("nobody should ask a pretended machine for its socket")

    def login_shell(self) -> list[str]:
        return ["bash", "--norc", "--noprofile"]

    def close(self) -> None:
        self.closed += 1

    @cached_property
    def engine(self) -> Engine:
        return _PretendedEngine(self)

    def require_there(self, asked: str) -> None:
        if self.gone:
            raise HostUnreachable(self.gone)
        self.asked.append(asked)

    def _visit(self, task: dict) -> dict:
        return {
            "started_at": time.time(),
            "replies": [self._reply(request["url"]) for request in task["requests"]],
            "files": {path: self.file(path) for path in task["files"]},
            "addresses": {name: [INTERFACE] for name in task["interfaces"]},
        }

    def _look(self, task: dict) -> dict:
        engine = {path: self._engine(path) for path in task["engine"]}
        commands = {command: [0, ""] for command in task["commands"]}
        return {**self._visit(task), "engine": engine, "commands": commands, "took_s": self.look_s}

    def _clock(self, task: dict) -> dict:
        return {"epoch": time.time(), "monotonic": 1.0, "boot_id": "", "machine": ""}

    def _engine(self, path: str) -> list:
        if path.startswith("/images/"):
            return ["200", json.dumps({"Id": "sha256:1"})] if self.image else ["404", "{}"]
        return ["200", json.dumps([self._listed(name) for name in self.names()])]

    def names(self) -> list[str]:
        return [*self.containers, *(["gorb"] if self.gorb else [])]

    def _listed(self, name: str) -> dict:
        running = name not in self.stopped
        address = self.containers.get(name, "") if running else ""
        return {
            "Id": name,
            "Names": [f"/{name}"],
            "State": "running" if running else "exited",
            "Status": "Up 5 minutes" if running else "Exited (0) 2 minutes ago",
            "NetworkSettings": {"Networks": {"bridge": {"IPAddress": address}}},
        }

    def container(self, name: str) -> dict | None:
        if name not in self.names():
            return None
        gorb, running = name == "gorb", name not in self.stopped
        return {
            "name": name,
            "status": "running" if running else "exited",
            "image": "kobolog/gorb" if gorb else "server",
            "addresses": [self.containers[name]] if running and not gorb else [],
            "network_mode": "host" if gorb else "bridge",
            "privileged": gorb,
            "arguments": ["-f", "-i", "enp0s3"] if gorb else [],
        }

    def file(self, path: str) -> str | None:
        if path != "/proc/net/ip_vs" or not self.ip_vs:
            return None
        rows = [HEAD]
        if self.service:
            rows.append(f"TCP  0A00020F:115C {self.service['method']}\n")
            for id, address in sorted(self.backends.items(), key=lambda row: row[1], reverse=True):
                weight = 0 if id in self.down else 100
                number = int(address.rpartition(".")[2])
                counters = f"{self.counters:<10} {self.counters}"
                rows.append(f"  -> AC1100{number:02X}:115C      Masq    {weight:<7}{counters}\n")
        return "".join(rows)

    def _reply(self, url: str) -> dict:
        authority, _, path = url.partition("//")[2].partition("/")
        host, _, port = authority.rpartition(":")
        status, body, took = 404, "", 0.002
        if port == "4672":
            body = self._gorb(f"/{path}") if self.gorb else None
        else:
            names = [n for n, a in self.containers.items() if a == host and n not in self.stopped]
            body = None if not names else "tick\n" if path == "heartbeat" else WORK
            took = 0.503 if body == WORK else took
        if body:
            status = 200
        refused = body is None
        return {
            "status": None if refused else status,
            "headers": {},
            "body": body or "",
            "error": "refused" if refused else "",
            "detail": "",
            "took_s": None if refused else took,
        }

    def _gorb(self, path: str) -> str:
        _, _, service, backend = [*path.split("/"), "", "", ""][:4]
        if not service:
            return json.dumps([self.service_id] if self.service else [])
        if not self.service or service != self.service_id:
            return ""
        if not backend:
            return json.dumps({"options": self.service, "backends": list(self.backends)})
        if backend not in self.backends:
            return ""
        options = {"host": self.backends[backend], "port": 4444, "weight": 100, "method": "nat"}
        metrics = {"status": 1 if backend in self.down else 0, "health": 0.5}
        return json.dumps({"options": options, "metrics": metrics})

    def _traffic(self, task: dict) -> dict:
        started, rows, table = self.balancer.send(due_times(task), self.containers)
        before = {"/proc/net/ip_vs": self.file("/proc/net/ip_vs"), "/proc/net/ip_vs_conn": ""}
        after = {**before, "/proc/net/ip_vs_conn": table}
        return {"started_at": started, "requests": rows, "before": before, "after": after}

    _load = _traffic


class _PretendedEngine(Engine):
    """The Docker Engine of a pretended machine."""

    def __init__(self, machine: PretendedMachine) -> None:
        super().__init__(machine)
        self._pretended = machine

    def ask(self, what, *arguments):
        machine = self._pretended
        machine.require_there(f"docker {what}")
        if what == "container":
            return machine.container(*arguments)
        if what == "containers":
            return {name: machine.container(name)["image"] for name in machine.names()}
        if what == "image":
            return "sha256:1" if machine.image else None
        if what == "images":
            return ["kobolog/gorb:latest"] if machine.image else []
        name, since, _ = arguments
        return "Response sent\n" * sum(at >= (since or 0) for at in machine.balancer.done[name])
