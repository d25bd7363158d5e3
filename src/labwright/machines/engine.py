"""A machine's Docker Engine: its images, containers and their output."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from labwright.errors import CommandTimedOut, EngineRefused, HostUnreachable, MachineError

if TYPE_CHECKING:
    from collections.abc import Callable

    import docker

    from labwright.machines.docker_host import DockerHost

T = TypeVar("T")

TUPLES = ("arguments", "addresses", "capabilities")
"""The fields of a container that are lists in JSON."""
NEVER = "0001-01-01"
"""Docker's date for an event that has not happened: Go's zero time."""


@dataclass(frozen=True)
class Container:
    """A container as Docker describes it."""

    name: str
    status: str
    """``running``, ``exited``, ``paused`` ...; ``absent`` if the container does not exist."""
    image: str = ""
    """The image's name when the container was created."""
    image_id: str = ""
    addresses: tuple[str, ...] = ()
    """Its addresses, one for each network; empty if it does not run."""
    network_mode: str = ""
    privileged: bool = False
    capabilities: tuple[str, ...] = ()
    """Capabilities added to the default ones, such as ``NET_ADMIN``."""
    arguments: tuple[str, ...] = ()
    exit_status: int = 0
    ended_before: bool = False
    """Whether it has ended at least once; it may run again now."""

    @property
    def address(self) -> str:
        """Its address on the first of its networks; empty if it has none."""
        return self.addresses[0] if self.addresses else ""

    @property
    def running(self) -> bool:
        """Whether it runs and is not paused."""
        return self.status == "running"

    @property
    def absent(self) -> bool:
        """Whether there is no such container."""
        return self.status == "absent"

    @classmethod
    def of(cls, name: str, attributes: dict[str, Any]) -> Container:
        """Parse the output of ``docker inspect``.

        :raises MachineError: the output is malformed.
        """
        try:
            networks = attributes["NetworkSettings"].get("Networks") or {}
            host = attributes["HostConfig"]
            return cls(
                name=name,
                status=str(attributes["State"]["Status"]),
                image=str(attributes["Config"]["Image"]),
                image_id=str(attributes.get("Image", "")),
                addresses=tuple(
                    str(n["IPAddress"]) for n in networks.values() if n.get("IPAddress")
                ),
                network_mode=str(host.get("NetworkMode", "")),
                privileged=bool(host.get("Privileged")),
                capabilities=tuple(
                    str(name).removeprefix("CAP_") for name in host.get("CapAdd") or ()
                ),
                arguments=tuple(map(str, attributes.get("Args") or ())),
                exit_status=int(attributes["State"].get("ExitCode", 0)),
                ended_before=not str(attributes["State"].get("FinishedAt", NEVER)).startswith(
                    NEVER
                ),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as problem:
            raise MachineError(
                f"Docker's description of {name} is malformed: {problem!r}"
            ) from None


class HasDocker(Protocol):
    """What the Engine needs of a machine."""

    target: str

    @property
    def docker(self) -> docker.DockerClient:
        """A client for the machine's Docker Engine."""

    def find_docker_host(self) -> DockerHost:
        """Find the Engine's socket anew."""


class Engine:
    """The Docker Engine's API. A failure is never taken for an answer.

    After a question without an answer, all later questions fail at once.
    """

    def __init__(self, machine: HasDocker) -> None:
        self._machine = machine
        self._lost = ""

    def image_id(self, name: str) -> str | None:
        """Return an image's id, or None if the Engine has no such image."""
        found = self.ask("image", name)
        return None if found is None else str(found)

    def image_names(self) -> list[str]:
        """Return the names of all images, sorted."""
        return sorted(map(str, self.ask("images")))

    def container(self, name: str) -> Container:
        """Return the current state of a container."""
        found = self.ask("container", name)
        if found is None:
            return Container(name, "absent")
        lists = {key: tuple(found.get(key, ())) for key in TUPLES}
        try:
            return Container(**{**found, **lists})
        except TypeError as problem:
            raise MachineError(f"the record of {name} is malformed: {problem}") from None

    def containers(self) -> dict[str, str]:
        """Return the names of all containers, also stopped ones, with their images."""
        return dict(self.ask("containers"))

    def console(self, name: str, since: float | None = None, tail: int | None = None) -> str:
        """Return the output of a container; empty if the container does not exist.

        :param since: only output after this time, in seconds since the epoch (the machine's clock).
        :raises EngineRefused: the log cannot be read, since the logging driver keeps none.
        """
        return str(self.ask("console", name, since, tail) or "")

    def is_rootless(self) -> bool:
        """Whether the Engine runs without root; then its host network is not the machine's."""
        return bool(self.ask("rootless"))

    def ask(self, what: str, *arguments: Any) -> Any:
        """Ask one question. The answer is plain data; None means "not found".

        :raises EngineRefused: the Engine answered this question with an error.
        :raises MachineError: the Engine gave no valid answer.
        """
        import docker.errors
        import requests

        from labwright.machines.docker_client import AnswerTooLong

        if self._lost:
            raise MachineError(self._lost)
        asked = f"`{' '.join([what, *map(str, arguments[:1])])}`"
        try:
            self._reach()
            return QUESTIONS[what](self._machine, *arguments)
        except docker.errors.NotFound:
            return None
        except docker.errors.APIError as problem:
            # The Engine works; other questions may succeed.
            raise EngineRefused(
                f"the Docker Engine on {self._machine.target} refused the question {asked}: "
                f"{str(problem.explanation or problem)[:200]}"
            ) from problem
        except AnswerTooLong as problem:
            raise EngineRefused(
                f"the answer of the Docker Engine on {self._machine.target} to {asked} {problem}"
            ) from None
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as problem:
            raise EngineRefused(
                f"the Docker Engine on {self._machine.target} gave a malformed answer to {asked}: "
                f"{problem!r:.200}"
            ) from None
        except (docker.errors.DockerException, requests.RequestException, OSError) as problem:
            self._lost = self._diagnosis(problem)
            raise MachineError(self._lost) from problem

    def _reach(self) -> None:
        """Check that the Engine can be reached; a failure is remembered."""
        try:
            _ = self._machine.docker
        except (HostUnreachable, CommandTimedOut):
            raise
        except MachineError as problem:
            self._lost = str(problem)
            raise

    def _diagnosis(self, problem: Exception) -> str:
        """Return why the Engine gives no answer, as far as it can be found out."""
        where = self._machine.target
        try:
            seen = self._machine.find_docker_host().problem(where)
        except MachineError as other:
            seen = str(other)
        return seen or f"the Docker Engine on {where} gave no answer: {str(problem)[:200]}"


def _containers(machine: HasDocker) -> dict[str, str]:
    listed = machine.docker.api.containers(all=True)
    return {str(n).lstrip("/"): str(c["Image"]) for c in listed for n in c.get("Names") or []}


def _console(machine: HasDocker, name: str, since: float | None, tail: int | None) -> str:
    # The low-level API saves one request: it does not inspect the container first.
    text = machine.docker.api.logs(name, since=since, tail="all" if tail is None else tail)
    return bytes(text).decode(errors="backslashreplace")


QUESTIONS: dict[str, Callable[..., Any]] = {
    "image": lambda machine, name: str(machine.docker.images.get(name).id),
    "images": lambda machine: [
        tag for image in machine.docker.api.images() for tag in image.get("RepoTags") or []
    ],
    "container": lambda machine, name: asdict(
        Container.of(name, machine.docker.containers.get(name).attrs)
    ),
    "containers": _containers,
    "console": _console,
    "rootless": lambda machine: any(
        "rootless" in str(option) for option in machine.docker.api.info()["SecurityOptions"] or []
    ),
}
"""All questions, with the functions that answer them."""
