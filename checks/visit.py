"""A visit: questions to a machine that are planned first and then asked in one round trip.

The first question that is needed sends all planned ones. So the answers are from the same moment
and cost one round trip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from labwright.errors import NotYet, ProbeError
from labwright.machines.machine import reply_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from labwright.machines.machine import Machine, Reply

T = TypeVar("T")

REPLY_S = 10.0
"""Seconds that a server has to answer."""


class Visit:
    """Answers to HTTP requests, files and addresses of a machine; each is asked for once."""

    def __init__(self, machine: Machine, *, patient: bool = True) -> None:
        """Prepare a visit; nothing is asked yet.

        :param patient: whether a check may wait for a state that comes by itself.
        """
        self._machine, self._patient = machine, patient
        self._planned: dict[tuple[str, str], None] = {}
        self._seen: dict[tuple[str, str], Any] = {}
        self.started_at = 0.0
        """The time of the last visit, in seconds since the epoch by the machine's clock."""

    def plan(
        self,
        *,
        urls: Iterable[str] = (),
        files: Iterable[str] = (),
        interfaces: Iterable[str] = (),
    ) -> None:
        """Plan questions, so that one visit can answer all of them."""
        kinds = {"url": urls, "file": files, "interface": interfaces}
        for kind, names in kinds.items():
            for name in names:
                if (kind, name) not in self._seen:
                    self._planned[kind, name] = None

    def forget(self, *urls: str) -> None:
        """Forget these answers, so that they are asked again."""
        for url in urls:
            self._seen.pop(("url", url), None)

    def look_again(self, *urls: str) -> None:
        """Forget all answers that can have changed; plan these URLs and the files again."""
        files = [name for kind, name in self._seen if kind == "file"]
        self._seen = {key: seen for key, seen in self._seen.items() if key[0] == "interface"}
        self._planned.clear()
        self.plan(urls=urls, files=files)

    def now(self) -> float:
        """Return the time in seconds; see :meth:`Machine.now`."""
        return self._machine.now()

    def pause(self, seconds: float) -> None:
        """Wait some seconds for the machine to change; see :meth:`Machine.pause`.

        :raises NotYet: this run does not wait.
        """
        if not self._patient:
            raise NotYet
        self._machine.pause(seconds)

    def refresh(self) -> None:
        """Forget all answers, and plan the same questions for the next visit."""
        self._planned |= dict.fromkeys(self._seen)
        self._seen.clear()

    def reply(self, url: str) -> Reply:
        """Return the result of a GET request that is made on the machine itself."""
        return self._look("url", url, reply_of)

    def file(self, path: str) -> str | None:
        """Return a file's text, or None if it does not exist."""
        return self._look("file", path, _text)

    def addresses(self, interface: str) -> list[str]:
        """Return an interface's IPv4 addresses, the main one first."""
        return self._look("interface", interface, _texts)

    def _look(self, kind: str, name: str, read: Callable[[Any], T]) -> T:
        if (kind, name) not in self._seen:
            self._planned[kind, name] = None
            self._ask()
        try:
            return read(self._seen[kind, name])
        except TypeError as problem:
            raise ProbeError(
                f"the probe on {self._machine.target} gave a malformed answer: {problem}"
            ) from None

    def _ask(self) -> None:
        names: dict[str, list[str]] = {"url": [], "file": [], "interface": []}
        for kind, name in self._planned:
            names[kind].append(name)
        task = {
            "task": "visit",
            "requests": [{"url": url} for url in names["url"]],
            "files": names["file"],
            "interfaces": names["interface"],
            "timeout": REPLY_S,
        }
        answer = self._machine.probe(task, timeout=REPLY_S + 20)
        try:
            self.started_at = float(answer["started_at"])
            found = {
                "url": dict(zip(names["url"], answer["replies"], strict=True)),
                "file": answer["files"],
                "interface": answer["addresses"],
            }
            seen = {(kind, name): found[kind][name] for kind, name in self._planned}
        except (KeyError, TypeError, ValueError) as problem:
            raise ProbeError(
                f"the probe on {self._machine.target} gave a malformed answer: {problem!r}"
            ) from None
        self._seen.update(seen)
        self._planned.clear()


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.80} is no list")
    return [str(_text(item)) for item in value]


def _text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{value!r:.80} is no text")
    return value
