"""SSH servers that behave like machines on which the gorb lab was done, or tried.

    python recorded_machines.py STATE ...

prints a JSON list of ports, one for each state, and serves until its input ends. What a
grader asks is answered by its meaning, with what a lab machine answered; ids and keys are
each machine's own. A state is one of ``right``, ``paced`` (right, and requests take the
time that they say), ``stopped`` (server2), ``stalled`` (no command ever ends), ``refused``
(no key is good), ``hostile`` (floods and escapes), ``python`` (has none) and ``lost`` (hangs
up in the middle of the traffic, once).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
import struct
import sys
import time
from pathlib import Path

import asyncssh

# A program of its own, which pytest does not start.
sys.path.insert(0, str(Path(__file__).parents[1]))
from traffic import CONNECTIONS, INTERFACE, WORK, Balancer, due_times

ADDRESSES = {"server1": "172.17.0.2", "server2": "172.17.0.3"}
TABLE = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A00020F:115C rr
  -> AC110003:115C      Masq    100    0          0
  -> AC110002:115C      Masq    100    0          0
"""
SERVICE = {
    "options": {
        "host": INTERFACE,
        "port": 4444,
        "protocol": "tcp",
        "method": "rr",
        "flags": "",
        "persistent": False,
    },
    "health": 1,
    "backends": ["0", "1"],
}
VERSION = {"Version": "20.10.24+dfsg1", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}


class Machine:
    """What one machine is and remembers."""

    def __init__(self, number: int, state: str) -> None:
        self.number, self.state = number, state
        self.balancer = Balancer()
        self.lose = state == "lost"

    def hash(self, of: str) -> str:
        return hashlib.sha256(f"{self.number} {of}".encode()).hexdigest()

    # The Docker Engine.

    def engine(self, path: str) -> tuple[int, bytes]:
        path = re.sub(r"^/v[0-9.]+", "", path)
        if path == "/version":
            return 200, json.dumps(VERSION).encode()
        if path == "/info":
            return 200, json.dumps({"ID": self.hash("engine")[:30]}).encode()
        if path.startswith("/containers/json"):
            found = [self.container(name) for name in ("gorb", "server1", "server2")]
            rows = [
                {"Id": c["Id"], "Names": [c["Name"]], "Image": c["Config"]["Image"]} for c in found
            ]
            return 200, json.dumps(rows).encode()
        if match := re.match(r"/containers/([^/]+)/logs.*since=([0-9.]+)", path):
            name = next(n for n in ADDRESSES if match[1] in (n, self.hash(n)))
            return 200, self.console(name, float(match[2]))
        if match := re.match(r"/containers/([^/]+)/json", path):
            for name in ("gorb", "server1", "server2"):
                if match[1] in (name, self.hash(name)):
                    return 200, json.dumps(self.container(name)).encode()
        if re.match(r"/images/kobolog/gorb(:latest)?/json", path):
            body = {"Id": "sha256:" + "8e4f" * 16, "RepoTags": ["kobolog/gorb:latest"]}
            return 200, json.dumps(body).encode()
        return 404, b'{"message": "no such thing"}'

    def container(self, name: str) -> dict:
        gorb = name == "gorb"
        stopped = name == "server2" and self.state == "stopped"
        network = "host" if gorb else "bridge"
        return {
            "Id": self.hash(name),
            "Name": f"/{name}",
            "Path": "gorb" if gorb else "server",
            "Args": ["-f", "-i", "enp0s3"] if gorb else [],
            "State": {"Status": "exited" if stopped else "running", "ExitCode": 0},
            "Config": {"Image": "kobolog/gorb" if gorb else "server", "Tty": False},
            "HostConfig": {"NetworkMode": "host" if gorb else "default", "Privileged": gorb},
            "NetworkSettings": {
                "Networks": {network: {"IPAddress": "" if stopped else ADDRESSES.get(name, "")}}
            },
        }

    def console(self, name: str, since: float) -> bytes:
        lines = [b"Response sent\n" for at in self.balancer.done[name] if at >= since]
        return b"".join(struct.pack(">BxxxL", 1, len(line)) + line for line in lines)

    # The probe.

    def probe(self, task: dict) -> dict:
        answer = getattr(self, task["task"])(task)
        return {"probe": "labwright/probe/v1", "result": answer}

    def clock(self, task: dict) -> dict:
        boot = self.hash("boot")
        boot_id = "-".join((boot[:8], boot[8:12], boot[12:16], boot[16:20], boot[20:32]))
        now = {"epoch": time.time(), "monotonic": time.monotonic()}
        return {**now, "boot_id": boot_id, "machine": self.hash("machine")}

    def http(self, task: dict) -> list:
        return [self.reply(request["url"]) for request in task["requests"]]

    def visit(self, task: dict) -> dict:
        now = time.time()
        return {
            "started_at": now,
            "replies": [self.reply(request["url"]) for request in task["requests"]],
            "files": {path: self.file(path) for path in task["files"]},
            "addresses": {key: [INTERFACE] for key in task["interfaces"]},
        }

    def look(self, task: dict) -> dict:
        engine = {}
        for path in task["engine"]:
            status, body = self.engine(path)
            engine[path] = [str(status), body.decode()]
        commands = {command: [0, ""] for command in task["commands"]}
        return {**self.visit(task), "engine": engine, "commands": commands, "took_s": 0.01}

    def file(self, path: str) -> str | None:
        return TABLE if path == "/proc/net/ip_vs" else None

    def reply(self, url: str) -> dict:
        _, _, rest = url.partition("//")
        authority, _, path = rest.partition("/")
        took, body = 0.002, None
        if authority.endswith(":4672"):
            body = self.gorb(f"/{path}")
        elif path == "heartbeat":
            body = "tick\n"
        elif path == "doWork":
            body, took = WORK, 0.503
        return {
            "status": 404 if body is None else 200,
            "headers": {"connection": "close"},
            "body": body or "",
            "error": "",
            "detail": "",
            "took_s": took,
        }

    def gorb(self, path: str) -> str | None:
        if path == "/service":
            return '[\n\t"0"\n]'
        if path == "/service/0":
            return json.dumps(SERVICE, indent="\t")
        if match := re.fullmatch("/service/0/([01])", path):
            host = list(ADDRESSES.values())[int(match[1])]
            options = {"host": host, "port": 4444, "weight": 100, "method": "nat"}
            metrics = {"status": 0, "health": 1, "uptime": 131}
            return json.dumps({"options": options, "metrics": metrics}, indent="\t")
        return None

    def traffic(self, task: dict) -> dict:
        started, rows, table = self.balancer.send(due_times(task), ADDRESSES)
        before = {"/proc/net/ip_vs": TABLE, "/proc/net/ip_vs_conn": CONNECTIONS}
        after = {**before, "/proc/net/ip_vs_conn": table}
        return {"started_at": started, "requests": rows, "before": before, "after": after}

    load = traffic


class Server(asyncssh.SSHServer):
    """The SSH server of a machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def begin_auth(self, username: str) -> bool:
        return self._machine.state == "refused"

    def public_key_auth_supported(self) -> bool:
        return True

    def unix_connection_requested(self, dest_path: str):
        async def serve(reader, writer) -> None:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                status, body = self._machine.engine(head.split()[1].decode())
                kind = "application/json" if body[:1] in (b"{", b"[") else "text/plain"
                writer.write(
                    f"HTTP/1.1 {status} OK\r\nContent-Type: {kind}\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )

        async def guarded(reader, writer) -> None:
            ends = (asyncssh.Error, asyncio.IncompleteReadError, OSError)
            with contextlib.closing(writer), contextlib.suppress(*ends):
                await serve(reader, writer)

        return guarded


def decoded(command: str) -> str:
    """Return the script in a command, as the shell's printf would."""
    return re.sub(r"\\0([0-7]{3})", lambda found: chr(int(found[1], 8)), command)


async def run(machine: Machine, process: asyncssh.SSHServerProcess) -> None:
    """Answer a command, by what it means."""
    # Only the process that holds the connection has no mark with a process group.
    script = decoded(process.command or "")
    nonce = re.search(r"labwright ([0-9a-f]{16})", script)
    holds = "cat >/dev/null" in script
    if machine.state == "stalled" and not holds:
        await asyncio.sleep(3600)
    if nonce:
        process.stdout.write(f"labwright-{nonce[1]}\n")
        process.stderr.write(f"labwright-{nonce[1]}\n")
    if holds:
        await process.stdin.read()
        process.exit(0)
        return
    inner = script
    if "labwright=$DOCKER_HOST" in script:
        process.stdout.write("host=unix:///var/run/docker.sock\nthere=yes\nwritable=yes\n")
    if "python3" not in inner:
        process.exit(0)
    elif machine.state == "python":
        process.stderr.write("sh: 1: exec: python3: not found\n")
        process.exit(127)
    elif machine.state == "hostile":
        nonce = re.search(r'"labwright-%s" % "([0-9a-f]+)"', script)
        process.stdout.write(f"labwright-{nonce[1]} 0\n")
        process.stdout.write('{"probe":"\x1b]0;owned\x07' + "A" * 300_000)
        process.exit(0)
    else:
        nonce = re.search(r'"labwright-%s" % "([0-9a-f]+)"', script)
        process.stdout.write(f"labwright-{nonce[1]} 0\n")
        await process.stdin.readexactly(int(await process.stdin.readline()))
        async for line in process.stdin:
            await do(machine, json.loads(line), process)
        process.exit(0)


async def do(machine: Machine, task: dict, process: asyncssh.SSHServerProcess) -> None:
    """Do one of the probe's tasks."""
    if machine.lose and task["task"] == "traffic":
        machine.lose = False
        process.channel.get_connection().abort()
        return
    answer = machine.probe(task)
    if machine.state == "paced" and task["task"] in ("traffic", "load"):
        await asyncio.sleep(max(row["end_s"] for row in answer["result"]["requests"]))
    process.stdout.write(json.dumps(answer, separators=(",", ":")) + "\n")


async def serve(states: list[str]) -> None:
    """Listen on a port for each state, tell the ports, and serve until the input ends."""
    ports = []
    for number, state in enumerate(states):
        machine = Machine(number, state)

        async def handle(process: asyncssh.SSHServerProcess, machine: Machine = machine) -> None:
            with contextlib.suppress(asyncssh.Error, OSError):
                await run(machine, process)

        listener = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda machine=machine: Server(machine),
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            process_factory=handle,
        )
        ports.append(listener.get_port())
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1:]))
