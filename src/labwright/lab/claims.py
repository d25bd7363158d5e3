"""The kinds of claims in ``lab.toml``, with their keys.

Each kind is a struct: its first field has the name of the kind, its docstring is the claim, and
the annotations of its fields explain the keys. ``labwright checks``, docs/checks.md and the
validation of lab.toml are made from them. :mod:`labwright.checks.claims` checks the claims.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Meta

if TYPE_CHECKING:
    from collections.abc import Mapping

Texts: TypeAlias = str | list[str]
Number: TypeAlias = int | float

_VALUE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_DOCKERS_WORDS = {"end", "else", "break", "continue"}
"""For example ``docker inspect --format '{{range .X}}...{{end}}'``: not a value of the lab."""


class Claim(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The keys of all kinds."""

    weight: Annotated[
        Number | None,
        Meta(description="the claim's share of the step's points, relative to the other claims"),
    ] = None
    notice: Annotated[
        bool, Meta(description="costs no points: if it does not hold, the report has a notice")
    ] = False
    until: Annotated[
        str,
        Meta(description="id of the later step that undoes it; only the gate requires it before"),
    ] = ""
    hint: Annotated[str, Meta(description="what to do if it fails; default: the step's hint")] = ""

    EXAMPLE: ClassVar[str] = ""


class Group(Claim, kw_only=True):
    """Several claims, of which any, all or none must hold."""

    how: Literal["any", "all", "none"]
    claims: list[Claim]


Contains: TypeAlias = Annotated[
    Texts | None, Meta(description="text that it contains; a list: all of them")
]
Lacks: TypeAlias = Annotated[
    Texts | None, Meta(description="text that it does not contain; a list: none of them")
]
Matches: TypeAlias = Annotated[
    Texts | None,
    Meta(description="a regular expression (Python's; `^` and `$` are of a line) found in it"),
]
Equals: TypeAlias = Annotated[
    str | None, Meta(description="its whole content, without newlines at the end")
]
Absent: TypeAlias = Annotated[bool, Meta(description="claims that it does not exist")]
Netns: TypeAlias = Annotated[str, Meta(description="the network namespace it is in (needs root)")]
Persistent: TypeAlias = Annotated[bool, Meta(description="it is also configured for the next boot")]
Owner: TypeAlias = Annotated[
    str, Meta(description="its owner, as for chown: `user`, `user:group` or `:group`")
]
Mode: TypeAlias = Annotated[
    str, Meta(description="its permissions in octal, `0644`", pattern="^[0-7]{3,4}$")
]


class Command(Claim):
    """A command has the right exit status and output. It must not change anything."""

    command: Annotated[str, Meta(description="run by sh, as the user who is graded")]
    status: Annotated[
        int | list[int], Meta(description="the right exit status, or a list of right ones")
    ] = 0
    equals: Equals = None
    contains: Contains = None
    lacks: Lacks = None
    matches: Matches = None
    timeout: Annotated[int, Meta(description="time limit in seconds", ge=1, le=120)] = 10

    EXAMPLE = 'command = "sudo -n nginx -t"'


class File(Claim):
    """A file exists, with this content, mode and owner; a link counts as its target."""

    file: Annotated[str, Meta(description="its path; `~/` is the home of the user")]
    absent: Absent = False
    equals: Equals = None
    contains: Contains = None
    lacks: Lacks = None
    matches: Matches = None
    mode: Mode = ""
    owner: Owner = ""
    links_to: Annotated[str, Meta(description="it is a symbolic link with this target")] = ""

    EXAMPLE = 'file = "/etc/motd", contains = "Welcome", mode = "0644", owner = "root:root"'


class Directory(Claim):
    """A directory exists, with this mode, owner and content."""

    directory: Annotated[str, Meta(description="its path; `~/` is the home of the user")]
    absent: Absent = False
    mode: Mode = ""
    owner: Owner = ""
    holds: Annotated[
        Texts | None, Meta(description="name of an entry in it; a list: all of them")
    ] = None

    EXAMPLE = 'directory = "/srv/site", owner = "www-data", holds = "index.html"'


class Port(Claim):
    """A program on the machine listens on a port."""

    port: Annotated[int, Meta(description="the port", ge=1, le=65535)]
    absent: Absent = False
    protocol: Annotated[Literal["tcp", "udp"], Meta(description="`tcp` or `udp`")] = "tcp"
    address: Annotated[
        Texts | None,
        Meta(
            description="it listens on this address and no other: an address, `localhost`, or "
            "`any` for all addresses of the machine; a list: each of them"
        ),
    ] = None
    by: Annotated[str, Meta(description="the program that listens")] = ""
    netns: Netns = ""

    EXAMPLE = 'port = 8080, address = "localhost", by = "nginx"'


class Http(Claim):
    """An HTTP request that is made on the machine itself gets the right answer."""

    http: Annotated[str, Meta(description="the URL", pattern="^https?://")]
    status: Annotated[int | list[int], Meta(description="the right status, or a list of them")] = (
        200
    )
    host: Annotated[str, Meta(description="the virtual host: the Host header")] = ""
    method: Annotated[str, Meta(description="the request's method", pattern="^[A-Z]+$")] = "GET"
    headers: Annotated[
        dict[str, str], Meta(description="headers of the answer, each with a text that it contains")
    ] = msgspec.field(default_factory=dict)
    equals: Equals = None
    contains: Contains = None
    lacks: Lacks = None
    matches: Matches = None
    verify: Annotated[bool, Meta(description="whether a certificate must be trusted")] = False
    netns: Netns = ""

    EXAMPLE = 'http = "http://localhost/", host = "blog.example", contains = "My blog"'


class Service(Claim):
    """A systemd service runs now and starts at boot, or does not."""

    service: Annotated[str, Meta(description="the unit, with or without `.service`")]
    absent: Absent = False
    running: Annotated[bool | None, Meta(description="whether it is active now")] = None
    enabled: Annotated[bool | None, Meta(description="whether it starts at boot")] = None
    owner: Annotated[str, Meta(description="the user it runs as: `User=` of the unit")] = ""

    EXAMPLE = 'service = "nginx", running = true, enabled = true'


class Process(Claim):
    """A process runs."""

    process: Annotated[str, Meta(description="its program's name, without a path")]
    absent: Absent = False
    owner: Annotated[str, Meta(description="the user that it runs as")] = ""
    arguments: Annotated[str, Meta(description="text in its command line")] = ""
    count: Annotated[int | None, Meta(description="the exact number of processes")] = None

    EXAMPLE = 'process = "gunicorn", owner = "www-data", arguments = "--workers 2"'


class Package(Claim):
    """A package of the distribution is installed (dpkg, rpm, apk or pacman)."""

    package: Annotated[str, Meta(description="its name")]
    absent: Absent = False
    version: Annotated[
        str, Meta(description="the beginning of its version, or `>= 1.18` as a minimum")
    ] = ""

    EXAMPLE = 'package = "nginx", version = ">= 1.18"'


class Program(Claim):
    """A program can be run by its name."""

    program: Annotated[str, Meta(description="its name")]
    absent: Absent = False
    path: Annotated[str, Meta(description="the path where it is found")] = ""

    EXAMPLE = 'program = "htop"'


class User(Claim):
    """A user exists, and is in these groups."""

    user: Annotated[str, Meta(description="the name")]
    absent: Absent = False
    uid: int | None = None
    groups: Annotated[Texts | None, Meta(description="groups that the user is in")] = None
    home: Annotated[str, Meta(description="the home directory")] = ""
    shell: Annotated[str, Meta(description="the login shell")] = ""

    EXAMPLE = 'user = "deploy", groups = ["www-data"], shell = "/bin/bash"'


class UserGroup(Claim):
    """A group of users exists, with these members."""

    group: Annotated[str, Meta(description="the name")]
    absent: Absent = False
    gid: int | None = None
    members: Annotated[Texts | None, Meta(description="users in it")] = None

    EXAMPLE = 'group = "developers", members = ["ann", "bob"]'


class Mount(Claim):
    """Something is mounted on a directory."""

    mount: Annotated[str, Meta(description="where")]
    absent: Absent = False
    source: Annotated[str, Meta(description="the mounted device or directory")] = ""
    fstype: Annotated[str, Meta(description="the type of its file system")] = ""
    options: Annotated[Texts | None, Meta(description="options that it has: `ro`")] = None
    persistent: Annotated[bool, Meta(description="it is in /etc/fstab, too")] = False

    EXAMPLE = 'mount = "/data", fstype = "ext4", options = "noexec", persistent = true'


class Sysctl(Claim):
    """A kernel parameter has a value."""

    sysctl: Annotated[str, Meta(description="its name, with dots")]
    value: Annotated[int | str, Meta(description="its value")]
    persistent: Annotated[
        bool, Meta(description="it is set in /etc/sysctl.conf or /etc/sysctl.d, too")
    ] = False
    netns: Netns = ""

    EXAMPLE = 'sysctl = "net.ipv4.ip_forward", value = 1, persistent = true'


class Module(Claim):
    """The kernel has a module, loaded or built in."""

    module: Annotated[str, Meta(description="its name")]
    absent: Absent = False
    persistent: Annotated[
        bool, Meta(description="it is in /etc/modules or /etc/modules-load.d, too")
    ] = False

    EXAMPLE = 'module = "br_netfilter", persistent = true'


class Route(Claim):
    """The main routing table has a route."""

    route: Annotated[str, Meta(description="its destination: a network, an address or `default`")]
    absent: Absent = False
    via: Annotated[str, Meta(description="the gateway")] = ""
    device: Annotated[str, Meta(description="the interface")] = ""
    netns: Netns = ""

    EXAMPLE = 'route = "10.2.0.0/24", via = "10.1.0.1", netns = "left"'


class Interface(Claim):
    """A network interface exists, is up and has addresses."""

    interface: Annotated[str, Meta(description="its name")]
    absent: Absent = False
    up: Annotated[bool | None, Meta(description="whether it is up")] = None
    address: Annotated[
        Texts | None, Meta(description="an address that it has, with prefix length: `10.0.0.1/24`")
    ] = None
    type: Annotated[str, Meta(description="its type: `veth`, `bridge`, `vlan`, `dummy`")] = ""
    bridge: Annotated[str, Meta(description="the bridge (or bond) that it is in")] = ""
    mtu: int | None = None
    netns: Netns = ""

    EXAMPLE = 'interface = "br0", type = "bridge", up = true, address = "10.0.0.1/24"'


class Namespace(Claim):
    """A named network namespace exists (`ip netns`)."""

    namespace: Annotated[str, Meta(description="the name")]
    absent: Absent = False

    EXAMPLE = 'namespace = "left"'


class Firewall(Claim):
    """The firewall (iptables or nftables) has a rule, or a chain has a policy."""

    firewall: Annotated[
        Literal["accept", "drop", "reject", "masquerade", "snat", "dnat", "redirect"],
        Meta(description="its action for a packet"),
    ]
    chain: Annotated[
        Literal["input", "output", "forward", "prerouting", "postrouting"],
        Meta(description="the chain of its packets: `input`, `output`, `forward`, ..."),
    ]
    absent: Absent = False
    policy: Annotated[bool, Meta(description="the claim is about the chain's policy")] = False
    protocol: Annotated[str, Meta(description="`tcp`, `udp`, `icmp`")] = ""
    dport: Annotated[int | None, Meta(description="the destination port of packets")] = None
    source: Annotated[str, Meta(description="the source address or network of packets")] = ""
    destination: Annotated[str, Meta(description="the destination address or network")] = ""
    into: Annotated[str, Meta(description="the interface by which packets arrive")] = ""
    out_of: Annotated[str, Meta(description="the interface by which packets leave")] = ""
    to: Annotated[str, Meta(description="of snat, dnat, redirect: address, port or both")] = ""
    netns: Netns = ""

    EXAMPLE = 'firewall = "accept", chain = "input", protocol = "tcp", dport = 8080'


class Cron(Claim):
    """Cron runs a command: in a user's table, /etc/crontab or /etc/cron.d."""

    cron: Annotated[str, Meta(description="text in the command")]
    absent: Absent = False
    schedule: Annotated[str, Meta(description="when: `*/5 * * * *` or `@daily`")] = ""
    owner: Annotated[str, Meta(description="the table's user; default: the graded user")] = ""

    EXAMPLE = 'cron = "backup.sh", schedule = "0 3 * * *"'


class Timer(Claim):
    """A systemd timer is active."""

    timer: Annotated[str, Meta(description="the unit, with or without `.timer`")]
    absent: Absent = False
    running: Annotated[bool | None, Meta(description="whether it is active now")] = True
    enabled: Annotated[bool | None, Meta(description="whether it starts at boot")] = None
    schedule: Annotated[str, Meta(description="text in its times: `OnCalendar=`")] = ""

    EXAMPLE = 'timer = "backup", enabled = true, schedule = "*-*-* 03:00:00"'


class Environment(Claim):
    """An environment variable has a value after a login."""

    environment: Annotated[str, Meta(description="its name", pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
    absent: Absent = False
    equals: Equals = None
    contains: Contains = None
    lacks: Lacks = None
    matches: Matches = None
    owner: Annotated[str, Meta(description="the user who logs in; default: the graded user")] = ""

    EXAMPLE = 'environment = "PATH", contains = "/opt/tools/bin"'


class Image(Claim):
    """Docker has an image."""

    image: Annotated[str, Meta(description="its name, with or without a tag")]
    absent: Absent = False
    exposes: Annotated[Texts | None, Meta(description="ports that it exposes: `80/tcp`")] = None
    runs: Annotated[str, Meta(description="text in its entry point and command")] = ""

    EXAMPLE = 'image = "my-site:1.0", exposes = "80/tcp"'


class Container(Claim):
    """A Docker container exists, in this state."""

    container: Annotated[str, Meta(description="its name")]
    absent: Absent = False
    state: Annotated[
        Literal["running", "exited", "created", "paused", "restarting", "dead", "any"],
        Meta(description="`running`, `exited`, `paused`, ...; `any` if it does not matter"),
    ] = "running"
    from_image: Annotated[str, Meta(description="the image it was made from")] = ""
    publishes: Annotated[
        Texts | None,
        Meta(description="ports it publishes: `8080:80`, `127.0.0.1:8080:80`, `53:53/udp`"),
    ] = None
    networks: Annotated[Texts | None, Meta(description="its networks")] = None
    volumes: Annotated[Texts | None, Meta(description="its mounts: `data:/var/lib/x`")] = None
    variables: Annotated[dict[str, str], Meta(description="its environment variables")] = (
        msgspec.field(default_factory=dict)
    )
    restart: Annotated[str, Meta(description="its restart policy: `always`")] = ""
    healthy: Annotated[bool | None, Meta(description="the result of its health check")] = None
    status: Annotated[int | None, Meta(description="its exit status, if it has ended")] = None
    says: Annotated[Texts | None, Meta(description="text that it has printed")] = None

    EXAMPLE = 'container = "web", from_image = "my-site", publishes = "8080:80"'


class Network(Claim):
    """Docker has a network."""

    network: Annotated[str, Meta(description="its name")]
    absent: Absent = False
    driver: Annotated[str, Meta(description="`bridge`, `macvlan`, ...")] = ""
    subnet: Annotated[str, Meta(description="its addresses: `172.30.0.0/16`")] = ""
    internal: Annotated[bool | None, Meta(description="whether it has no external access")] = None
    holds: Annotated[Texts | None, Meta(description="containers that run in it")] = None

    EXAMPLE = 'network = "front", subnet = "172.30.0.0/16", holds = ["web"]'


class Volume(Claim):
    """Docker has a volume."""

    volume: Annotated[str, Meta(description="its name")]
    absent: Absent = False
    driver: Annotated[str, Meta(description="`local`, ...")] = ""

    EXAMPLE = 'volume = "site-data"'


KINDS: dict[str, type[Claim]] = {
    kind.__struct_fields__[0]: kind
    for kind in (
        *(Command, File, Directory, Port, Http, Service, Process, Package, Program, User),
        *(UserGroup, Mount, Sysctl, Module, Route, Interface, Namespace, Firewall, Cron, Timer),
        *(Environment, Image, Container, Network, Volume),
    )
}
GROUPS = ("any", "all", "none")
COMMON = Claim.__struct_fields__


class ClaimError(ValueError):
    """A claim of lab.toml is wrong; ``place`` is its place in the table."""

    def __init__(self, message: str, place: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.place = place


def kind_of(table: Mapping[str, Any]) -> str:
    """Return the key that names the kind of a claim.

    :raises ClaimError: the claim has no such key, or several.
    """
    found = [key for key in table if key in KINDS or key in GROUPS]
    if len(found) == 1:
        return found[0]
    said = f"it has {' and '.join(map(repr, found))}" if found else "it has none of these keys"
    raise ClaimError(
        f"a claim must have exactly one kind: {said}; the kinds are: {', '.join((*KINDS, *GROUPS))}"
    )


def with_values(table: Any, values: Mapping[str, Any]) -> Any:
    """Return a claim's table with ``{{name}}`` replaced by the lab's value of that name.

    A text with nothing else becomes the value with its type, such as a number.

    :raises ClaimError: the lab has no such value.
    """

    def value(name: str) -> Any:
        if name not in values:
            known = ", ".join(sorted(values)) or "none"
            raise ClaimError(f"[values] has no {name!r}, which a claim uses; it has: {known}")
        return values[name]

    if isinstance(table, str):
        if whole := _VALUE.fullmatch(table):
            return value(whole[1])
        return _VALUE.sub(
            lambda found: found[0] if found[1] in _DOCKERS_WORDS else str(value(found[1])), table
        )
    if isinstance(table, dict):
        return {key: with_values(item, values) for key, item in table.items()}
    if isinstance(table, list):
        return [with_values(item, values) for item in table]
    return table
