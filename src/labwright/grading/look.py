"""A look: a cheap test whether a machine has changed since its steps were checked.

The questions of the checks and their answers are recorded. An outcome depends only on the
answers, so it holds while the answers stay the same. A look asks all questions again in one
task of the probe and compares the answers. Questions that cause load on the machine (slow
requests, traffic) are not asked again.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labwright.errors import ProbeError
from labwright.machines.recorded import CLOCK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from labwright.machines.machine import Machine
    from labwright.outcome import Observation

LOOK_S = 2.0
"""Time limit of each answer in seconds."""
WORK_S = 0.4
"""Seconds. A request that took longer loads the machine, so a look does not repeat it."""
MOST_COMMANDS = 20
SILENT_LOOKS = 3
"""Looks in a row without an answer that count as a change; a busy server may miss some."""
CONTAINERS = "/containers/json?all=1"
COUNTERS = re.compile(r"^(\s*->\s+\S+\s+\w+\s+\d+)\s+\d+\s+\d+\s*$", re.MULTILINE)
"""The two columns with numbers of connections in the kernel's table of IPVS services."""
_PROBE = re.compile(r"run exec python3 -I - (.*)", re.DOTALL)

Question = tuple[str, str]
"""A question's kind and subject, such as ``("url", "http://...")``."""


@dataclass
class Questions:
    """The questions of a look, and their last answers."""

    known: dict[Question, Any] = field(default_factory=dict)
    incomplete: bool = False
    """Whether a check asked a question that a look cannot repeat."""
    _silent: dict[Question, int] = field(default_factory=dict)

    def learn(self, observations: Iterable[Observation]) -> None:
        """Add the questions of the checks, with their answers."""
        before, self.known = self.known, {}
        self.incomplete = False
        if ("engine", CONTAINERS) in before:
            self.known["engine", CONTAINERS] = before["engine", CONTAINERS]
        for seen in observations:
            if seen.error:
                self.incomplete = True  # a look would not notice a change here
                continue
            found = _answers(seen)
            self.incomplete |= found is None
            self.known.update(found or {})
        self._silent = {q: n for q, n in self._silent.items() if q in self.known}

    def look(self, machine: Machine) -> tuple[set[Question], float]:
        """Ask again; return the questions with new answers, and the machine's time in seconds.

        :raises MachineError: the machine could not be asked.
        """
        if ("engine", CONTAINERS) not in self.known:
            self.known["engine", CONTAINERS] = None
        task = self._task()
        answer = machine.probe(task, timeout=3 * LOOK_S + 10)
        try:
            now = _seen(task, answer)
            took = float(answer["took_s"])
        except (AttributeError, KeyError, TypeError, ValueError) as problem:
            raise ProbeError(
                f"the probe on {machine.target} gave a malformed answer: {problem!r}"
            ) from None
        changed = {question for question, value in now.items() if self._is_news(question, value)}
        self.known.update({question: now[question] for question in changed})
        return changed, took

    def _is_news(self, question: Question, value: Any) -> bool:
        if value is not SILENCE:
            self._silent.pop(question, None)
            return bool(value != self.known.get(question))
        self._silent[question] = self._silent.get(question, 0) + 1
        return self._silent[question] == SILENT_LOOKS and self.known.get(question) is not SILENCE

    def _task(self) -> dict[str, Any]:
        names: dict[str, list[str]] = {}
        for kind, name in self.known:
            names.setdefault(kind, []).append(name)
        return {
            "task": "look",
            "requests": [{"url": url} for url in names.get("url", ())],
            "files": names.get("file", []),
            "interfaces": names.get("interface", []),
            "engine": names.get("engine", []),
            "commands": names.get("command", [])[:MOST_COMMANDS],
            "timeout": LOOK_S,
        }


class _Silence:
    def __repr__(self) -> str:
        return "no answer in time"


SILENCE = _Silence()
"""No answer in time. On a busy machine this does not mean that something has changed."""


def _seen(task: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[Question, Any]:
    """Return the answers of a look, by question."""
    urls = [request["url"] for request in task["requests"]]
    found: dict[Question, Any] = {
        ("url", url): _reply(reply) for url, reply in zip(urls, answer["replies"], strict=True)
    }
    for path in task["files"]:
        found["file", path] = _file(path, answer["files"][path])
    for name in task["interfaces"]:
        found["interface", name] = answer["addresses"][name]
    for path in task["engine"]:
        found["engine", path] = _engine(path, answer["engine"][path])
    for command in task["commands"]:
        printed = answer["commands"][command]
        found["command", command] = SILENCE if printed is None else tuple(printed)
    return found


def _answers(seen: Observation) -> dict[Question, Any] | None:
    """Return an observation's questions and answers; None if a look cannot repeat it."""
    kind, _, rest = seen.asked.partition(" ")
    if kind == "docker":
        what, *names = shlex.split(rest)
        if what == "image":
            return {("engine", f"/images/{names[0]}/json"): seen.answered or ""}
        return {}  # the list of containers is enough; their output changes all the time
    if seen.asked == CLOCK:
        return {}
    probe = _PROBE.fullmatch(seen.asked)
    if not probe:
        answered = seen.answered
        return {("command", rest): (answered["exit_status"], answered["stdout"])}
    try:
        task = json.loads(shlex.split(probe[1])[0])
        result = json.loads(seen.answered["stdout"])["result"]
        return _visited(task, result)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None


def _visited(task: dict[str, Any], result: Any) -> dict[Question, Any] | None:
    if task["task"] == "http":
        task, result = {"requests": task["requests"]}, {"replies": result}
    elif task["task"] != "visit":
        return None
    found: dict[Question, Any] = {}
    for request, reply in zip(task.get("requests") or (), result["replies"], strict=True):
        if set(request) != {"url"}:
            return None
        worked = reply["took_s"] is not None and reply["took_s"] >= WORK_S
        if not worked:
            found["url", request["url"]] = _reply(reply)
    for path in task.get("files") or ():
        found["file", path] = _file(path, result["files"][path])
    for name in task.get("interfaces") or ():
        found["interface", name] = result["addresses"][name]
    return found


def _reply(reply: Mapping[str, Any]) -> Any:
    if reply["error"] == "timeout":
        return SILENCE
    return reply["status"], reply["body"], reply["error"]


def _file(path: str, text: str | None) -> str | None:
    return text if text is None or path != "/proc/net/ip_vs" else COUNTERS.sub(r"\1", text)


def _engine(path: str, answer: Any) -> Any:
    if answer is None:
        return SILENCE
    status, body = answer
    try:
        told = json.loads(body)
        if path == CONTAINERS:
            return sorted(_container(each) for each in told)
        return told["Id"] if status == "200" else ""
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return status, body


def _container(told: Mapping[str, Any]) -> str:
    """Return the parts of a container's list entry that do not change by themselves."""
    networks = (told.get("NetworkSettings") or {}).get("Networks") or {}
    addresses = {name: (network or {}).get("IPAddress") for name, network in networks.items()}
    # Its age is included: sometimes only the age shows that it was restarted.
    young = "second" in str(told.get("Status"))
    kept = ("Names", "Id", "Image", "ImageID", "Command", "State")
    return json.dumps([[told.get(key) for key in kept], addresses, young], sort_keys=True)
