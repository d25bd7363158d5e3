"""The class board: which students are stuck, at which step, and since when."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from labwright import text
from labwright.grading.watch import MachineBack, MachineGone, StepChanged
from labwright.lab.edition import edition
from labwright.live.assets import paths, policy, static_file, template
from labwright.live.page import Page
from labwright.outcome import Outcome
from labwright.reports import wording
from labwright.score import step_from_dict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.websockets import WebSocket

    from labwright.batch.student import Student
    from labwright.batch.task import Task
    from labwright.lab.model import Lab

WORKERS = 8
"""Number of processes that visit machines, so that a slow machine delays only some others."""
REFRESH_S = 1.0
"""Minimum seconds between two updates of the board."""
END_S = 5.0


class Row:
    """One student on the board."""

    def __init__(self, lab: Lab, student: Student, number: int) -> None:
        self.student, self.number = student, number
        self.page = Page(lab, student.target)
        self.moved = time.time()
        """Time of the last change, in seconds since the epoch."""
        self.visits = 0
        self.cpu_s = 0.0
        """CPU time of all visits in seconds, without ssh's."""

    def handle(self, what: str, body: Any) -> None:
        """Process a visitor's report."""
        if what == "step":
            result = step_from_dict(body[0])
            known = self.page.state.steps.get(result.id)
            if known is None:
                return
            if known.result and known.result.outcome != result.outcome:
                self.moved = time.time()
            self.page.handle(StepChanged(result, str(body[1]), bool(body[2])))
        elif what == "gone":
            self.page.handle(MachineGone(str(body)))
        elif what == "back":
            self.page.handle(MachineBack())
        elif what == "visited":
            self.visits += 1
            self.cpu_s += float(body)

    @property
    def stuck(self) -> str:
        """The id of the next step; empty if all steps pass that do not need traffic."""
        state = self.page.state
        return "" if not state.next or state.steps[state.next].outcome == "waiting" else state.next

    @property
    def help(self) -> tuple[int, float]:
        """The sort key by need for help: students who have been stuck longest come first."""
        gone = bool(self.page.state.gone)
        return (0 if self.stuck and not gone else 1 if gone else 2, self.moved)

    def as_data(self) -> dict[str, Any]:
        """Return the row as plain data for the page."""
        state = self.page.state
        stuck = state.steps.get(self.stuck)
        why = stuck.result.actual or stuck.result.reason if stuck and stuck.result else ""
        return {
            "number": self.number,
            "name": text.line(self.student.name or self.student.id, 60),
            "points": wording.number(state.points),
            "outcomes": [state.steps[step.id].outcome for step in state.lab.steps],
            "next": self.stuck,
            "why": text.line(state.gone or why, 200),
            "gone": bool(state.gone),
            "seen": self.visits > 0,
            "quiet_min": int((time.time() - self.moved) / 60),
        }


class Board:
    """The board of a class; any number of browsers can show it."""

    def __init__(self, lab: Lab, students: Sequence[Student], tasks: Sequence[Task]) -> None:
        """Prepare the board; nobody is visited yet."""
        self.lab = lab
        self.rows = {s.id: Row(_edition(lab, s), s, n) for n, s in enumerate(students, 1)}
        self._tasks = list(tasks)
        self._workers: list[subprocess.Popen[str]] = []
        self.problem = ""

    def app(self) -> Starlette:
        """Return the board as an ASGI application."""
        pages = [
            Mount(f"/student/{row.number}", routes=row.page.routes()) for row in self.rows.values()
        ]
        return Starlette(
            routes=[
                Route("/", self._show),
                Route("/static/{name:path}", static_file),
                WebSocketRoute("/live", self._live),
                *pages,
            ]
        )

    def begin(self) -> None:
        """Start the visits; call it in the event loop."""
        for row in self.rows.values():
            row.page.begin()
        for n in range(min(WORKERS, len(self._tasks))):
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "labwright.live.visitor"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            self._workers.append(process)
            share = [task.to_json() for task in self._tasks[n::WORKERS]]
            assert process.stdin  # noqa: S101
            process.stdin.write(json.dumps(share) + "\n")
            process.stdin.flush()
            for read in (self._listen, self._complain):
                threading.Thread(target=read, args=(process,), daemon=True).start()

    def end(self) -> None:
        """End all visitor processes."""
        for process in self._workers:
            if process.stdin:
                with contextlib.suppress(OSError):
                    process.stdin.close()
        for process in self._workers:
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(END_S)

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout  # noqa: S101
        for line in process.stdout:
            id, what, body = json.loads(line)
            if id in self.rows:
                self.rows[id].handle(what, body)

    def _complain(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr  # noqa: S101
        said = process.stderr.read()[-2000:].strip()
        if said:
            self.problem = f"a visitor ended: {said.splitlines()[-1]}"

    async def _show(self, request: Request) -> Response:
        nonce = secrets.token_urlsafe(16)
        shown = template("board.html").render(
            lab=self.lab, students=len(self.rows), **paths(request)
        )
        rules = policy(nonce, request.headers["host"])
        return HTMLResponse(shown, headers={"Content-Security-Policy": rules})

    async def _live(self, socket: WebSocket) -> None:
        await socket.accept()

        async def tell() -> None:
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                while True:
                    await socket.send_text(json.dumps(self.as_data()))
                    await asyncio.sleep(REFRESH_S)

        telling = asyncio.create_task(tell())
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await socket.receive_text()
        telling.cancel()

    def as_data(self) -> dict[str, Any]:
        """Return the board as plain data for the page."""
        rows = sorted(self.rows.values(), key=lambda row: row.help)
        failures: Counter[tuple[str, str]] = Counter()
        for row in rows:
            known = row.page.state.steps.get(row.stuck)
            if known and known.result and known.outcome == Outcome.FAILED:
                failures[row.stuck, text.line(known.result.actual, 160)] += 1
        common = failures.most_common(1)
        return {
            "rows": [row.as_data() for row in rows],
            "common": [*common[0][0], common[0][1]] if common else None,
            "problem": text.line(self.problem, 200),
        }


def _edition(lab: Lab, student: Student) -> Lab:
    """Return a student's edition of the lab."""
    own = student.settings and lab.variants
    return edition(lab.folder, student.settings) if own else lab
