"""A machine on which an orchestrator runs, simulated: Docker, Gorb, the kernel, and a load.

The program is a student's: it is executed as it is, with ``http.client``, ``time`` and ``open``
in the place of the real ones. Time is simulated, too, and passes only while the program waits
for something; so two minutes take a fraction of a second and are the same each time.
"""

from __future__ import annotations

import builtins
import json
import math
import types
from dataclasses import dataclass, field

from labwright.components.workload import probe
from labwright.machines.machine import CommandResult, Machine

STEP_S = 0.02
BEFORE_S = 25.0
"""Seconds for which the program has run when the load begins."""
WORK_S = 0.5
SAMPLE_S = 0.2
HEAD = "IP Virtual Server version 1.2.1 (size=4096)\nTCP  0A00020F:115C rr\n"


class Over(BaseException):
    """The simulated time is over."""


class Restarted(BaseException):
    """The program was ended by a signal, and is to be started again."""


@dataclass
class Request:
    """A request of the load."""

    intended_s: float
    end_s: float | None = None
    status: int | None = None
    error: str = ""


@dataclass
class Container:
    """A container of the image ``server``."""

    id: str
    name: str
    address: str
    state: str = "created"
    listens_at: float = math.inf
    queue: list[Request] = field(default_factory=list)
    ready_at: float = 0.0
    """When its first request in the queue is answered."""


@dataclass
class Timing:
    """How long things take on the machine, in seconds."""

    create: float = 0.6
    start: float = 1.2
    listen: float = 1.0
    remove: float = 0.7
    ask: float = 0.05
    boot: float = 2.0
    """Until the program runs again after a restart."""


class World:
    """The machine, and the program that runs on it."""

    def __init__(self, sources, timing=None):
        """Take the program: file name -> text."""
        self.sources = sources
        self.timing = timing or Timing()
        self.now = -BEFORE_S
        self.containers, self.events = {}, []
        self.backends = {}
        self.samples, self.asked = [], {}
        self.requests, self.due, self.phases = [], [], []
        self.commands, self.done = [], []
        self.end_s = self.last_s = 0.0
        self.crashed = ""
        self.before = ""
        """The kernel's table before the load."""
        self._turn = self._made = 0
        self._restart_at = self._kill_at = None
        self._next_sample = 0.0

    def run(self, task):
        """Run the program under a load, and return what the probe would."""
        start = 0.0
        due = 0.0
        for gap_ms, seconds in task["gaps_ms"]:
            self.phases.append((1000 / gap_ms, start, start + seconds))
            start += seconds
            while due < start - 1e-9:
                self.requests.append(Request(due))
                due += gap_ms / 1000
        self.due = [one.intended_s for one in self.requests]
        self.end_s = task["watch_s"]
        self.last_s = max(self.end_s, self.due[-1] + task["drain_s"])
        self.commands = sorted((one["after_s"], one["run"]) for one in task["commands"])
        try:
            while True:
                self._once()
                self.advance(self.timing.boot)
        except Over:
            pass
        for request in self.requests:
            if request.status is None:
                request.error = request.error or "timeout"
        return {
            "started_at": 1000.0,
            "requests": [vars(one) for one in self.requests],
            "watch": {
                "samples": self.samples,
                "cut": False,
                "unseen": [],
                "asked": self.asked,
                "commands": self.done,
            },
        }

    def _once(self):
        try:
            Program(self).main()
        except Restarted:
            return
        except SystemExit as ended:
            self.crashed = str(ended)
        except Exception as problem:  # noqa: BLE001  whatever a student's program may do
            self.crashed = f"{type(problem).__name__}: {problem}"
        while True:  # nothing runs any more
            try:
                self.advance(1.0)
            except Restarted:
                return

    def advance(self, seconds):
        """Let time pass."""
        until = self.now + seconds
        while self.now < until:
            self.now = round(self.now + STEP_S, 6)
            self._work()
            if self.now >= self.last_s or (self.now >= self.end_s and not self._pending()):
                raise Over
        if self._restart_at is not None and self.now >= self._restart_at:
            self._restart_at = None
            raise Restarted

    def _pending(self):
        return any(one.status is None and not one.error for one in self.requests)

    def _work(self):
        while self.due and self.due[0] <= self.now:
            self._arrives(self.requests[len(self.requests) - len(self.due)])
            self.due.pop(0)
        for one in self.containers.values():
            while one.state == "running" and one.queue and one.ready_at <= self.now:
                answered = one.queue.pop(0)
                answered.end_s, answered.status = self.now, 200
                one.ready_at = self.now + WORK_S
        while self.commands and self.commands[0][0] <= self.now:
            if not self._happens(*self.commands.pop(0)):
                break
        if self.now >= self._next_sample:
            self._next_sample += SAMPLE_S
            text = self.table()
            if not self.samples or self.samples[-1][1] != text:
                self.samples.append([self.now, text])
        if self.now < 0:
            self.before = self.table()

    def _arrives(self, request):
        serving = [b for b in self.backends.values() if b[2] > 0]
        if not serving:
            request.error = "refused"
            return
        address, port, _ = serving[self._turn % len(serving)]
        self._turn += 1
        at = self._at(address)
        if at is None:
            request.error = "timeout"
        elif at.listens_at > self.now or port != 4444:
            request.error = "refused"
        else:
            if not at.queue:
                at.ready_at = self.now + WORK_S
            at.queue.append(request)

    def _happens(self, after, run):
        row = {"after_s": self.now, "took_s": 1.0, "status": 0, "output": ""}
        if "restart" in run:
            self._restart_at = self.now + 0.2
        else:
            serving = [b[0] for b in self.backends.values() if b[2] > 0]
            if len(serving) < 4 and self.now < after + 10 and self._kill_at is None:
                self.commands.insert(0, (after, run))
                return False
            self._kill_at = self._kill_at or self.now + 2
            if self.now < self._kill_at:
                self.commands.insert(0, (after, run))
                return False
            row["took_s"] += self.now - after
            victims = [self._at(address) for address in serving if self._at(address)]
            if victims:
                self.ends(victims[0])
                row["output"] = f"killed {victims[0].id} {victims[0].address}\n"
            else:
                row = {**row, "status": 1, "output": "no server took part"}
        self.done.append({**row, "after_s": after})
        return True

    def ends(self, container):
        """A container's program ends: what it had is lost."""
        if container.state == "running":
            self._event("die", container)
        container.state = "exited"
        self._lose(container)

    def _lose(self, container):
        for request in container.queue:
            request.error = "timeout"
        container.queue = []

    def _event(self, what, container):
        self.events.append((self.now, what, container.name, container.id))

    def table(self):
        """Write the kernel's table."""
        rows = ""
        for address, port, weight in self.backends.values():
            digits = "".join(f"{int(part):02X}" for part in address.split("."))
            rows += f"  -> {digits}:{port:04X} Masq {weight} {len(self._queue(address))} 0\n"
        return HEAD + rows

    def _queue(self, address):
        at = self._at(address)
        return at.queue if at else []

    def _at(self, address):
        running = (c for c in self.containers.values() if c.state == "running")
        return next((c for c in running if c.address == address), None)

    def numbers(self, path):
        """Return one of the client's numbers, or None if no client runs."""
        rate = next((r for r, start, end in self.phases if start <= self.now < end), None)
        if rate is None:
            return None
        self.asked[path] = self.asked.get(path, 0) + 1
        sent = len(self.requests) - len(self.due)
        answered = [one.end_s for one in self.requests if one.status == 200]
        return {
            "/requestRate": rate,
            "/responseRate": float(sum(self.now - 1 < at for at in answered)),
            "/numRequests": sent,
            "/numResponses": len(answered),
        }[path]

    def docker(self, method, path, body):
        """Answer as the Docker Engine does."""
        route, _, query = path.partition("?")
        words = route.strip("/").split("/")
        self.advance(self.timing.ask)
        if words[1] == "json":
            networks = lambda c: {"Networks": {"bridge": {"IPAddress": c.address}}}  # noqa: E731
            return 200, [
                {"Names": [f"/{c.name}"], "State": c.state, "NetworkSettings": networks(c)}
                for c in self.containers.values()
            ]
        if words[1] == "create":
            return self._create(query.partition("name=")[2])
        container = self.containers.get(words[1])
        if container is None:
            return 404, {"message": "no such container"}
        return self._do(method, words[2:], container)

    def _create(self, name):
        if name in self.containers:
            return 409, {"message": "the name is in use"}
        self.advance(self.timing.create)
        self._made += 1
        self.containers[name] = Container(f"id{self._made}", name, "")
        self._event("create", self.containers[name])
        return 201, {}

    def _free_address(self):
        """Return the lowest that no container has which runs, as Docker does."""
        taken = {c.address for c in self.containers.values() if c.state == "running"}
        return next(a for a in (f"172.17.0.{n}" for n in range(2, 99)) if a not in taken)

    def _do(self, method, words, container):
        if method == "DELETE":
            self.advance(self.timing.remove)
            self.ends(container)
            self._event("destroy", container)
            self.containers.pop(container.name, None)
            return 204, None
        if words == ["start"] and container.state != "running":
            self.advance(self.timing.start)
            container.address = self._free_address()
            container.state, container.listens_at = "running", self.now + self.timing.listen
            self._event("start", container)
            return 204, None
        if words == ["stop"]:
            self.advance(self.timing.remove)
            self.ends(container)
            return 204, None
        address = {"IPAddress": container.address if container.state == "running" else ""}
        networks = {"NetworkSettings": {"Networks": {"bridge": address}}}
        return 200, {"State": {"Status": container.state}, **networks}

    def gorb(self, method, path, body):
        """Answer as Gorb does."""
        self.advance(self.timing.ask)
        name = path.removeprefix("/service/0").strip("/")
        if not name:
            return 200, {"backends": list(self.backends)}
        known = self.backends.get(name)
        if method == "PUT":
            if known:
                return 409, None
            self.backends[name] = [body["host"], body["port"], body.get("weight") or 100]
            return 200, None
        if known is None:
            return 404, None
        if method == "GET":
            return 200, {"options": {"host": known[0], "port": known[1], "weight": known[2]}}
        if method == "PATCH":
            known[2] = body.get("weight", 0)
        else:
            del self.backends[name]
            for container in self.containers.values():
                if container.address == known[0]:
                    self._lose(container)
        return 200, None

    def heartbeat(self, address):
        """Answer as a server does."""
        self.advance(self.timing.ask)
        for container in self.containers.values():
            listens = container.state == "running" and container.listens_at <= self.now
            if container.address == address and listens:
                return 200, "tick"
        raise ConnectionRefusedError(111, "Connection refused")


class Connection:
    """``http.client.HTTPConnection``, to the simulated machine."""

    world: World

    def __init__(self, host, port=None, timeout=None):
        self.host, self.port = host, port

    def connect(self):
        """Do nothing: a subclass that does is one to Docker's socket."""

    def request(self, method, path, body=None, headers=None):
        world, body = self.world, json.loads(body) if body else None
        if type(self).connect is not Connection.connect:
            self._answer = world.docker(method, path, body)
        elif self.port == 4672:
            self._answer = world.gorb(method, path, body)
        elif self.port == 5555:
            world.advance(world.timing.ask)
            value = world.numbers(path)
            if value is None:
                raise ConnectionRefusedError(111, "Connection refused")
            self._answer = 200, value
        else:
            self._answer = world.heartbeat(self.host)

    def getresponse(self):
        status, body = self._answer
        text = "" if body is None else json.dumps(body)
        return types.SimpleNamespace(status=status, read=lambda: text.encode())

    def close(self):
        pass


class Program:
    """The program's modules, with the simulated machine in the place of the real one."""

    def __init__(self, world):
        self._world = world
        self._loaded = {}
        connection = type("HTTPConnection", (Connection,), {"world": world})
        # A subclass overrides `connect`: it is told from the class that it is made of.
        connection.connect = Connection.connect
        client = types.SimpleNamespace(HTTPConnection=connection, HTTPException=ValueError)
        self._fakes = {
            "http": types.SimpleNamespace(client=client),
            "time": types.SimpleNamespace(
                sleep=world.advance, monotonic=lambda: world.now + 1e6, time=lambda: world.now + 1e9
            ),
            "signal": types.SimpleNamespace(SIGTERM=15, signal=lambda *_: None),
        }

    def main(self):
        """Run it until it ends."""
        self._module("orchestrator")

    def _module(self, name):
        if name not in self._loaded:
            module = types.ModuleType(name)
            module.__dict__["__builtins__"] = {
                **vars(builtins),
                "__import__": self._import,
                "open": self._open,
                "print": lambda *_, **__: None,
            }
            self._loaded[name] = module
            source = self._world.sources[f"{name}.py"]
            exec(compile(source, f"{name}.py", "exec"), module.__dict__)
        return self._loaded[name]

    def _import(self, name, *arguments):
        top = name.partition(".")[0]
        if f"{name}.py" in self._world.sources:
            return self._module(name)
        return self._fakes.get(top) or __import__(name, *arguments)

    def _open(self, path, *arguments, **named):
        assert path == "/proc/net/ip_vs", path
        import io

        return io.StringIO(self._world.table())


class SimulatedMachine(Machine):
    """Answers the questions of the checks from a simulated world."""

    target = "a simulated machine"

    def __init__(self, world):
        self.world = world

    def ask_probe(self, task, timeout):
        """Run the load."""
        answer = {"probe": probe.PROBE, "result": self.world.run(json.loads(task))}
        return CommandResult("probe", 0, json.dumps(answer), "", 0.0)

    def execute(self, command, *, timeout, stdin=b"", limit=0):
        """Answer ``docker events`` and ``docker ps``."""
        if "events" in command:
            rows = [
                {
                    "timeNano": int((1000 + at) * 1e9),
                    "Action": what,
                    "id": id,
                    "Actor": {"Attributes": {"name": name}},
                }
                for at, what, name, id in self.world.events
                if at >= 0
            ]
        else:
            rows = [
                {"ID": c.id, "Names": c.name, "Image": "server", "State": c.state}
                for c in self.world.containers.values()
            ]
        return CommandResult(command, 0, "\n".join(map(json.dumps, rows)), "", 0.0)

    def docker_socket(self):
        raise AssertionError("nobody asks for it")
