"""Traffic through a balancer that no machine has: each request takes half a second."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

INTERFACE = "10.0.2.15"
CONNECTIONS = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n"
WORK = "Response sent after 500 ms\n"
WORK_S = 0.5


def due_times(task: dict) -> list[float]:
    """Return when the requests of a probe's load are due, in seconds."""
    if task["task"] == "traffic":
        return [0.001 * n for n in range(task["count"])]
    due, at, end = [], 0.0, 0.0
    for gap, window in task["gaps_ms"]:
        end += window * 1000
        while at < end:
            due.append(at / 1000)
            at += gap
    return due


@dataclass
class Balancer:
    """Hands each connection to the next of its servers."""

    order: Sequence[str] = ("server2", "server1")
    turn: int = 0
    port: int = 40000
    done: dict[str, list[float]] = field(default_factory=lambda: {"server1": [], "server2": []})
    """When each server had answered, in seconds since the epoch."""

    def send(self, due: Sequence[float], addresses: dict[str, str]) -> tuple[float, list, str]:
        """Return when it began, the requests, and the kernel's table of connections."""
        started, free = time.time(), dict.fromkeys(self.done, 0.0)
        rows, table = [], [CONNECTIONS]
        for n, at in enumerate(due, 1):
            server = self.order[self.turn % len(self.order)]
            self.turn += 1
            self.port += 1
            free[server] = max(free[server], at) + WORK_S
            self.done[server].append(started + free[server])
            last = int(addresses[server].rpartition(".")[2])
            table.append(
                f"TCP 0A00020F {self.port:04X} 0A00020F 115C AC1100{last:02X} 115C "
                "TIME_WAIT       118\n"
            )
            row = {"n": n, "local_address": INTERFACE, "local_port": self.port, "start_s": at}
            row |= {"connected_s": at, "end_s": free[server], "status": 200, "bytes": len(WORK)}
            rows.append({**row, "body": WORK, "error": "", "detail": "", "intended_s": at})
        return started, rows, "".join(table)
