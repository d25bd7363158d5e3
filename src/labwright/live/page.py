"""The student's page: the lab's document with the state of each step, and terminals."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import zlib
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from labwright import text
from labwright.errors import LabwrightError
from labwright.grading import step_check
from labwright.grading.watch import MachineGone
from labwright.lab.document import Document
from labwright.live.assets import paths, policy, static_file, template
from labwright.live.document import PICTURES, sections
from labwright.live.state import State, changing_note
from labwright.live.terminals import Terminals
from labwright.outcome import Outcome
from labwright.reports import html, wording
from labwright.reports.pictures import picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.websockets import WebSocket

    from labwright.grading.watch import Event, Watch
    from labwright.lab.model import Lab, Step
    from labwright.live.state import StepState
    from labwright.reports.svg import Picture
    from labwright.score import Score, StepResult

SENTENCE_LIMIT = 2000
"""Maximum characters shown of a sentence that can quote the target."""
TYPED_LIMIT = 1 << 16
"""Maximum characters in one message of typed text."""
BYE_S = 8.0
"""Seconds to wait for a page to come back after it said that it is being closed (a reload)."""
LOST_S = 1800.0
"""The same after a lost connection: the computer may be asleep."""
MALFORMED = (ValueError, KeyError, TypeError, OverflowError, RecursionError)
"""Errors caused by a malformed message; the connection is then closed."""


class Page:
    """The page of one lab on one machine; several browser windows can show it."""

    def __init__(
        self,
        lab: Lab,
        target: str,
        shell: Callable[[], list[str]] | None = None,
    ) -> None:
        """Create the page; call :meth:`begin` in the event loop.

        :param shell: returns the arguments of a program that is a shell on the machine. None: the
            page is read-only, without terminals and buttons.
        """
        self.lab, self.target = lab, target
        self.watch: Watch | None = None
        self.state = State(lab, self.changed)
        self.terminals = Terminals(shell, self._changed) if shell else None
        self.report: Score | None = None
        self.file_of: Callable[[Score], tuple[str, str]] = lambda score: (
            f"{lab.name}-score.json",
            score.to_json(),
        )
        """Makes the file to hand in from a score; returns its name and text."""
        self.problem = ""
        """The error that ended the watch."""
        self.no_terminal = ""
        """Why the last terminal could not be opened."""
        self._document = Document.of(lab)
        self.on_left: Callable[[], None] = lambda: None
        """Called some time after the last browser window was closed."""
        self._pages: set[asyncio.Event] = set()
        self._finishing = self._opened_first = False
        self._leaving: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def routes(self) -> list[BaseRoute]:
        """Return the page's routes."""
        routes: list[BaseRoute] = [
            Route("/", self._show),
            Route("/static/{name:path}", static_file),
            Route("/lab/{name:path}", self._picture),
            Route("/picture/{id}/{number:int}", self._drawn),
            WebSocketRoute("/live", self._live),
            Route("/report", self._report),
        ]
        if self.terminals:
            routes += [
                WebSocketRoute("/terminal/{number:int}", self._terminal),
                Route("/hand-in", self._hand_in),
                Route("/bye", self._bye, methods=["POST"]),
            ]
        return routes

    def app(self) -> Starlette:
        """Return the page as an ASGI application."""
        return Starlette(routes=self.routes())

    def begin(self) -> None:
        """Remember the running event loop, in which the page is served."""
        self._loop = asyncio.get_running_loop()

    def handle(self, event: Event) -> None:
        """Process an event of the watch; callable from any thread."""
        if isinstance(event, MachineGone):
            self._finishing = False
        self.state.handle(event)

    def graded(self, score: Score) -> None:
        """Take a score of all steps; callable from any thread."""
        self.report, self._finishing = score, False
        self.changed()

    def ended(self, problem: str) -> None:
        """Show that the watch has ended, and why; callable from any thread."""
        self.problem = problem
        self.changed()

    def changed(self) -> None:
        """Update the open pages; callable from any thread."""
        if self._loop and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):  # the loop was closed in the meantime
                self._loop.call_soon_threadsafe(self._changed)

    def _changed(self) -> None:
        for page in self._pages:
            page.set()

    async def _show(self, request: Request) -> Response:
        nonce = secrets.token_urlsafe(16)
        known = [step.id for step in self.lab.steps]
        shown = template("page.html").render(
            lab=self.lab,
            target=self.target,
            hidden="hidden" in request.query_params,
            sections=sections("\n".join(self._document.source), known),
            steps={step.id: step for step in self.lab.steps},
            terminals=self.terminals is not None,
            nonce=nonce,
            **paths(request),
        )
        rules = policy(nonce, request.headers["host"])
        return HTMLResponse(shown, headers={"Content-Security-Policy": rules})

    async def _picture(self, request: Request) -> Response:
        folder = self.lab.folder.resolve()
        try:
            path = (folder / request.path_params["name"]).resolve()
            there = folder in path.parents and path.suffix in PICTURES and path.is_file()
        except (OSError, ValueError):  # not a possible file name
            there = False
        if not there:
            return Response(status_code=404)
        # An SVG that is opened directly must not run scripts, either.
        return FileResponse(
            path, headers={"Content-Security-Policy": "default-src 'none'; sandbox"}
        )

    async def _drawn(self, request: Request) -> Response:
        """Serve the chart of a step's evidence as an SVG file."""
        known = self.state.steps.get(request.path_params["id"])
        drawn = _pictures(known.result) if known else []
        number = request.path_params["number"]
        if number >= len(drawn):
            return Response(status_code=404)
        rules = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
        return Response(
            drawn[number].file(),
            media_type="image/svg+xml",
            headers={"Content-Security-Policy": rules},
        )

    async def _live(self, socket: WebSocket) -> None:
        await socket.accept()
        changed = asyncio.Event()
        changed.set()
        self._pages.add(changed)
        if self._leaving:
            self._leaving.cancel()
            self._leaving = None
        if self.terminals and not self._opened_first:
            self._opened_first = True
            await self._open_terminal()
        telling = asyncio.create_task(self._tell(socket, changed))
        try:
            while True:
                await self._carry_out(await socket.receive_json())
        except (WebSocketDisconnect, *MALFORMED):
            pass
        finally:
            telling.cancel()
            self._pages.discard(changed)
            if not self._pages and not self._leaving:
                self._leave_after(LOST_S)

    async def _tell(self, socket: WebSocket, changed: asyncio.Event) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                await changed.wait()
                changed.clear()
                await socket.send_text(json.dumps(self._as_data()))

    async def _carry_out(self, request: Any) -> None:
        """Carry out a request of a page."""
        if not isinstance(request, dict) or not self.watch or not self.terminals:
            return
        what = request.get("do")
        if what == "traffic":
            self.watch.send_traffic()
        elif what == "examine":
            self.watch.examine()
        elif what == "finish":
            self._finishing = True
            self.watch.grade()
            self._changed()
        elif what == "open":
            await self._open_terminal()
        elif what == "close" and isinstance(request.get("number"), int):
            await self.terminals.close(request["number"])

    async def _open_terminal(self) -> None:
        if self.terminals:
            try:
                await self.terminals.open()
                self.no_terminal = ""
            except LabwrightError as problem:
                self.no_terminal = str(problem)
            self._changed()

    async def _terminal(self, socket: WebSocket) -> None:
        terminal = self.terminals.get(socket.path_params["number"]) if self.terminals else None
        await socket.accept()
        if terminal is None:
            await socket.close(4404)
            return
        kept, viewer = terminal.show()

        async def send() -> None:
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await socket.send_bytes(kept)  # also if empty: the page waits for this message
                while data := await viewer.get():
                    await socket.send_bytes(data)
                await socket.close(4410)

        sending = asyncio.create_task(send())
        try:
            while True:
                message = await socket.receive_json()
                if "typed" in message:
                    await terminal.type(str(message["typed"])[:TYPED_LIMIT])
                else:
                    terminal.resize(int(message["columns"]), int(message["rows"]))
        except (WebSocketDisconnect, *MALFORMED):
            pass
        finally:
            sending.cancel()
            terminal.leave(viewer)

    async def _report(self, _: Request) -> Response:
        if not self.report:
            return Response("There is no report yet.\n", 404)
        shown = await asyncio.to_thread(html.render, self.report)
        # The sandbox gives the report its own origin, so that even a script in it could not
        # act for this page.
        return HTMLResponse(shown, headers={"Content-Security-Policy": "sandbox allow-scripts"})

    async def _hand_in(self, _: Request) -> Response:
        if not self.report:
            return Response("There is nothing to hand in yet.\n", 404)
        try:
            name, body = await asyncio.to_thread(self.file_of, self.report)
        except LabwrightError as problem:
            return Response(f"The file cannot be made: {text.visible(str(problem))}\n", 503)
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(body, headers=headers, media_type="application/json")

    async def _bye(self, _: Request) -> Response:
        """Note that a page is being closed or reloaded."""
        self._leave_after(BYE_S)
        return Response(status_code=204)

    def _leave_after(self, seconds: float) -> None:
        if self._leaving:
            self._leaving.cancel()
        self._leaving = asyncio.get_running_loop().call_later(seconds, self._leave)

    def _leave(self) -> None:
        self._leaving = None
        if not self._pages:
            self.on_left()

    def _as_data(self) -> dict[str, Any]:
        """Return the state as plain data; the page inserts it as text, never as HTML."""
        state = self.state
        return {
            "points": wording.number(state.points),
            "most": wording.number(state.max_points),
            "passed": state.passed,
            "next": state.next,
            "gone": _shown(self.problem or state.gone),
            "traffic": _shown(state.busy.why) if state.busy and state.busy.traffic else "",
            "sends_traffic": bool(self.watch and self.watch.sends_traffic),
            "busy": state.busy is not None,
            "finishing": self._finishing,
            "report": self.report is not None,
            "no_terminal": _shown(self.no_terminal),
            "terminals": self.terminals.numbers if self.terminals else [],
            "steps": {id: self._step(id, step) for id, step in state.steps.items()},
        }

    def _step(self, id: str, known: StepState) -> dict[str, Any]:
        step, result = self.lab.step(id), known.result
        data: dict[str, Any] = {
            "outcome": known.outcome,
            "points": wording.number(result.points if result else 0),
            "unsettled": _shown(known.unsettled),
            "changing": changing_note(step.wait_s) if known.changing else "",
            "sends": bool(self.watch and id in self.watch.sends_traffic),
            "reason": "",
            "expected": "",
            "actual": "",
            "hints": [],
            # The checksum changes the URL when the picture changes, so that it is reloaded.
            "pictures": [
                {
                    "at": f"picture/{id}/{n}?{zlib.crc32(drawn.svg.encode())}",
                    "words": _shown(drawn.words),
                }
                for n, drawn in enumerate(_pictures(result))
            ],
        }
        if result is None:
            return data
        if result.outcome is Outcome.FAILED:
            data |= {"expected": _shown(result.expected), "actual": _shown(result.actual)}
            data["hints"] = _stages(result.hint)
        elif result.outcome is not Outcome.PASSED:
            blocked = result.outcome is Outcome.BLOCKED and step.needs
            data["reason"] = self._first(step) if blocked else _shown(result.reason)
        return data

    def _first(self, step: Step) -> str:
        """Return a sentence that names the steps that must pass before this one."""
        missing = [n for n in step.needs if self.state.steps[n].outcome != Outcome.PASSED]
        if not missing:
            return "The steps before it pass. Checking it sends requests through the service."
        return f"First: {'; '.join(text.line(self.lab.step(need).title) for need in missing)}"


def _pictures(result: StepResult | None) -> list[Picture]:
    """Return the charts of a step's evidence."""
    return [drawn for piece in (result.evidence if result else ()) if (drawn := picture(piece))]


def _stages(hint: str) -> list[str]:
    """Return the parts of a hint, which are shown one after another."""
    if not hint:
        return []
    short = step_check.shown_hint(hint, "short")
    rest = hint[len(short) :].strip()
    return [_shown(piece) for piece in (short, rest) if piece]


def _shown(sentence: str) -> str:
    return text.excerpt(sentence, SENTENCE_LIMIT)
