"""Parses command lines of ``docker``, as far as the gate needs it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.lab.shell import Call, Word

WITH_VALUE = frozenset(
    """
    --name -p --publish -v --volume -e --env --env-file --net --network --network-alias -w
    --workdir -u --user --entrypoint -h --hostname -m --memory --cpus --restart -l --label
    --mount --add-host --cap-add --cap-drop --device --log-driver --log-opt --platform --ip
    --link --dns --gpus --pull --security-opt --shm-size --stop-signal --stop-timeout
    --sysctl --tmpfs --ulimit --volumes-from --cidfile --expose --pid --ipc --userns
    --runtime -t --tag -f --file --build-arg --target --format --filter --time -n --tail
    --since --until --health-cmd --health-interval --cgroupns --group-add --init-path --checkpoint
    --checkpoint-dir --detach-keys --signal -s
    """.split()
)
_RUN_FLAGS = frozenset(
    """
    -d --detach -i --interactive -t --tty --rm --privileged --init --read-only -P --publish-all
    --no-healthcheck --oom-kill-disable --sig-proxy --disable-content-trust -q --quiet --help
    --use-api-socket
    """.split()
)
"""All options of ``run`` that take no value."""
_USERS = frozenset(
    """
    inspect logs exec stop start kill rm restart attach pause unpause wait top port commit
    update export diff stats rename
    """.split()
)
_SEVERAL = frozenset(
    """
    inspect stop start kill rm restart pause unpause wait stats
    """.split()
)
OFFICIAL = frozenset(
    """
    adminer almalinux alpine amazonlinux archlinux bash busybox caddy cassandra centos consul
    couchdb debian docker elasticsearch fedora ghost golang gradle grafana haproxy httpd influxdb
    jenkins joomla kibana kong logstash mariadb maven memcached mongo mongo-express mysql
    nextcloud nginx node openjdk php postgres python rabbitmq redis registry rockylinux ruby rust
    solr tomcat traefik ubuntu vault wordpress zookeeper
    """.split()
)
"""Images on Docker Hub whose names have no slash."""
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")


@dataclass(frozen=True)
class Run:
    """``docker run`` or ``docker create``."""

    call: Call
    image: Word | None
    name: str
    detached: bool
    interactive: bool
    removed_at_end: bool
    publishes: bool
    """Whether it publishes a port: then it is a server, and keeps running."""
    ports: tuple[str, ...]
    """The values of ``-p``."""
    entrypoint: bool
    """Whether it runs another program than the image's default."""
    arguments: tuple[Word, ...]


def action(call: Call) -> tuple[str, tuple[Word, ...]]:
    """Return the command of ``docker`` and its arguments; ``container run`` becomes ``run``."""
    words = [word for word in call.words if word.text not in ("container",)]
    if call.name not in ("docker", "podman") or not words:
        return "", ()
    if words[0].text == "image" and len(words) > 1 and words[1].text in ("pull", "build"):
        words = words[1:]
    return words[0].text, tuple(words[1:])


def run(call: Call) -> Run | None:
    """Return the container that a call runs or creates, or None."""
    name, words = action(call)
    if name not in ("run", "create"):
        return None
    given: dict[str, list[str]] = {}
    flags: set[str] = set()
    rest = list(words)
    while rest and rest[0].text.startswith("-"):
        word = rest.pop(0).text
        option, equals, value = word.partition("=")
        if equals:
            given.setdefault(option, []).append(value)
        elif option in _RUN_FLAGS:
            flags.add(option)
        elif re.fullmatch(r"-[A-Za-z]{2,}", option):
            flags.update(f"-{letter}" for letter in option[1:])
            if f"-{option[-1]}" not in _RUN_FLAGS and rest:
                given.setdefault(f"-{option[-1]}", []).append(rest.pop(0).text)
        elif rest:
            given.setdefault(option, []).append(rest.pop(0).text)
    detached = name == "create" or bool(flags & {"-d", "--detach"})
    ports = (*given.get("-p", ()), *given.get("--publish", ()))
    return Run(
        call,
        rest[0] if rest else None,
        given.get("--name", [""])[-1],
        detached or given.get("--detach") == ["true"],
        bool(flags & {"-i", "-t", "--interactive", "--tty"}),
        "--rm" in flags,
        bool(ports) or bool(flags & {"-P", "--publish-all"}),
        ports,
        "--entrypoint" in given,
        tuple(rest[1:]),
    )


def built_image(call: Call) -> str:
    """Return the name that ``docker build`` (or ``tag``) gives to an image, or ""."""
    name, words = action(call)
    if name == "tag":
        return words[-1].text if words else ""
    if name not in ("build", "buildx"):
        return ""
    for number, word in enumerate(words):
        option, equals, value = word.text.partition("=")
        if option in ("-t", "--tag"):
            return value if equals else words[number + 1].text if number + 1 < len(words) else ""
    return ""


def pulled_image(call: Call) -> Word | None:
    """Return the image that a call pulls, or None."""
    name, words = action(call)
    if name == "pull":
        return next((word for word in words if not word.text.startswith("-")), None)
    started = run(call)
    return started.image if started else None


def used_containers(call: Call) -> Iterator[Word]:
    """Yield the names of containers that must exist before a call."""
    name, words = action(call)
    if name == "cp":
        for word in words:
            container, colon, _ = word.text.partition(":")
            if colon and _NAME.fullmatch(container):
                yield word
        return
    if name not in _USERS:
        return
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word.text.startswith("-"):
            skip = word.text in WITH_VALUE and not (
                name in ("exec", "logs", "rm") and word.text in ("-t", "-f")
            )
        else:
            if word.literal and _NAME.fullmatch(word.text):
                yield word
            if name not in _SEVERAL:
                return
