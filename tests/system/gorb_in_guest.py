"""The daemon in Docker on a lab machine, for the tests of it there."""

from __future__ import annotations

import json

from labwright.checks.kernel import TABLE, parse_table

DEVICE = "10.0.2.15"
RUN = "docker run {more} --privileged --net=host -t kobolog/gorb {flags}"
URL = "http://127.0.0.1:4672"
READY = f"curl --silent --fail --retry 60 --retry-delay 1 --retry-connrefused {URL}/service"
BATCH = 64
NO_PULSE = {"type": "none", "interval": "10h"}


class Gorb:
    """The daemon, asked from the machine itself, and the kernel's table beside it."""

    def __init__(self, machine):
        self.machine = machine

    def ask(self, *requests):
        """Make requests in order; each is (method, path) or (method, path, body)."""
        tasks = [
            {"method": method, "url": URL + path, "body": json.dumps(body[0]) if body else ""}
            for method, path, *body in requests
        ]
        # The probe takes a bounded number at a time.
        batches = (tasks[at : at + BATCH] for at in range(0, len(tasks), BATCH))
        return [reply for batch in batches for reply in self.machine.http(batch)]

    def statuses(self, *requests):
        return [reply.status for reply in self.ask(*requests)]

    def table(self):
        """Return the kernel's services by protocol, address and port."""
        services = parse_table(self.machine.read(TABLE))
        return {(one.protocol, one.address, one.port): one for one in services}


def start(machine, flags):
    assert machine.run(RUN.format(more="--detach --name gorb", flags=flags), timeout=60).ok
    return json.loads(machine.run(READY, timeout=90).stdout)


def remove(machine, how):
    assert machine.run(f"docker {how} gorb && docker rm gorb", timeout=60).ok


def backend(host: str, **options) -> dict:
    return {"host": host, "port": 4444, "pulse": NO_PULSE} | options
