"""What ``lab.toml`` can claim about a machine without Python: the kinds, and their keys.

Each kind is a struct: its first field has the kind's own name, its docstring says what is
claimed, and its fields say what each key means. ``labwright checks``, docs/checks.md and the
validation of lab.toml are all made from them. How a machine is looked at for each stands in
:mod:`labwright.checks.claims`.
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
"""``docker inspect --format '{{range .X}}...{{end}}'`` names no value of the lab."""


class Claim(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What all kinds have."""

    weight: Annotated[
        Number | None,
        Meta(description="the claim's share of the step's points, beside those of the others"),
    ] = None
    notice: Annotated[
        bool, Meta(description="costs nothing: where it does not hold, the report says so")
    ] = False
    until: Annotated[
        str,
        Meta(description="id of the step that undoes it: only the gate charges it, until then"),
    ] = ""
    hint: Annotated[str, Meta(description="what to do where it fails, before the step's own")] = ""

    EXAMPLE: ClassVar[str] = ""


class Group(Claim, kw_only=True):
    """Several claims of which any, all or none must hold."""

    how: Literal["any", "all", "none"]
    claims: list[Claim]


Contains: TypeAlias = Annotated[
    Texts | None, Meta(description="text that stands in it; a list: all of them")
]
Lacks: TypeAlias = Annotated[
    Texts | None, Meta(description="text that does not stand in it; a list: none of them")
]
Matches: TypeAlias = Annotated[
    Texts | None,
    Meta(description="a regular expression (Python's; `^` and `$` are of a line) found in it"),
]
Equals: TypeAlias = Annotated[
    str | None, Meta(description="all of it, but for line ends at the end")
]
Absent: TypeAlias = Annotated[bool, Meta(description="claims that there is none")]
Netns: TypeAlias = Annotated[str, Meta(description="the network namespace it is in (wants root)")]
Persistent: TypeAlias = Annotated[bool, Meta(description="it is also configured for the next boot")]
Owner: TypeAlias = Annotated[
    str, Meta(description="who owns it, as for chown: `user`, `user:group` or `:group`")
]
Mode: TypeAlias = Annotated[
    str, Meta(description="its permissions in octal, `0644`", pattern="^[0-7]{3,4}$")
]


class Command(Claim):
    """A command, which must change nothing, ends and prints as it should."""

    command: Annotated[str, Meta(description="run by sh, as the user who is graded")]
    status: Annotated[
        int | list[int], Meta(description="the exit status, or those that are right")
    ] = 0
    equals: Equals = None
    contains: Contains = None
    lacks: Lacks = None
    matches: Matches = None
    timeout: Annotated[int, Meta(description="seconds it may take", ge=1, le=120)] = 10

    EXAMPLE = 'command = "sudo -n nginx -t"'


class File(Claim):
    """A file is there, with this content, mode and owner; a link counts as what it leads to."""

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
    """A directory is there, with this mode, owner and content."""

    directory: Annotated[str, Meta(description="its path; `~/` is the home of the user")]
    absent: Absent = False
    mode: Mode = ""
    owner: Owner = ""
    holds: Annotated[
        Texts | None, Meta(description="names of what is in it; a list: all of them")
    ] = None

    EXAMPLE = 'directory = "/srv/site", owner = "www-data", holds = "index.html"'


class Port(Claim):
    """A program of the machine listens on a port."""

    port: Annotated[int, Meta(description="the port", ge=1, le=65535)]
    absent: Absent = False
    protocol: Annotated[Literal["tcp", "udp"], Meta(description="`tcp` or `udp`")] = "tcp"
    address: Annotated[
        Texts | None,
        Meta(
            description="it listens on this address and no other: an address, `localhost`, or "
            "`any` for all of the machine's; a list: each of them"
        ),
    ] = None
    by: Annotated[str, Meta(description="the program that listens")] = ""
    netns: Netns = ""

    EXAMPLE = 'port = 8080, address = "localhost", by = "nginx"'


class Http(Claim):
    """A request that the machine makes to itself gets the right answer."""

    http: Annotated[str, Meta(description="the URL", pattern="^https?://")]
    status: Annotated[int | list[int], Meta(description="the status, or those that are right")] = (
        200
    )
    host: Annotated[str, Meta(description="the virtual host that is asked for")] = ""
    method: Annotated[str, Meta(description="of the request", pattern="^[A-Z]+$")] = "GET"
    headers: Annotated[
        dict[str, str], Meta(description="headers of the answer, and what each contains")
    ] = msgspec.field(default_factory=dict)
    equals: Equals = None
    contains: Contains = None
    lacks: Lacks = None
    matches: Matches = None
    verify: Annotated[bool, Meta(description="whether a certificate must be trusted")] = False
    netns: Netns = ""

    EXAMPLE = 'http = "http://localhost/", host = "blog.example", contains = "My blog"'


class Service(Claim):
    """A service of systemd runs now and at boot, or does not."""

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
    arguments: Annotated[str, Meta(description="text that stands in its command line")] = ""
    count: Annotated[int | None, Meta(description="how many there are, exactly")] = None

    EXAMPLE = 'process = "gunicorn", owner = "www-data", arguments = "--workers 2"'


class Package(Claim):
    """A package of the distribution is installed (dpkg, rpm, apk or pacman)."""

    package: Annotated[str, Meta(description="its name")]
    absent: Absent = False
    version: Annotated[
        str, Meta(description="what its version begins with, or `>= 1.18` for at least this one")
    ] = ""

    EXAMPLE = 'package = "nginx", version = ">= 1.18"'


class Program(Claim):
    """A program can be run by its name."""

    program: Annotated[str, Meta(description="its name")]
    absent: Absent = False
    path: Annotated[str, Meta(description="where it is found")] = ""

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
    members: Annotated[Texts | None, Meta(description="users that are in it")] = None

    EXAMPLE = 'group = "developers", members = ["ann", "bob"]'


class Mount(Claim):
    """Something is mounted."""

    mount: Annotated[str, Meta(description="where")]
    absent: Absent = False
    source: Annotated[str, Meta(description="what is mounted there: a device or a directory")] = ""
    fstype: Annotated[str, Meta(description="the type of its file system")] = ""
    options: Annotated[Texts | None, Meta(description="options that it has: `ro`")] = None
    persistent: Annotated[bool, Meta(description="it is in /etc/fstab, too")] = False

    EXAMPLE = 'mount = "/data", fstype = "ext4", options = "noexec", persistent = true'


class Sysctl(Claim):
    """A parameter of the kernel has a value."""

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
    """A network interface is there, is up and has addresses."""

    interface: Annotated[str, Meta(description="its name")]
    absent: Absent = False
    up: Annotated[bool | None, Meta(description="whether it is up")] = None
    address: Annotated[
        Texts | None, Meta(description="an address that it has, with its length: `10.0.0.1/24`")
    ] = None
    type: Annotated[str, Meta(description="what it is: `veth`, `bridge`, `vlan`, `dummy`")] = ""
    bridge: Annotated[str, Meta(description="the bridge (or bond) that it is in")] = ""
    mtu: int | None = None
    netns: Netns = ""

    EXAMPLE = 'interface = "br0", type = "bridge", up = true, address = "10.0.0.1/24"'


class Namespace(Claim):
    """A network namespace has a name (`ip netns`)."""

    namespace: Annotated[str, Meta(description="the name")]
    absent: Absent = False

    EXAMPLE = 'namespace = "left"'


class Firewall(Claim):
    """The firewall has a rule (iptables or nftables, whoever wrote it), or a chain's policy."""

    firewall: Annotated[
        Literal["accept", "drop", "reject", "masquerade", "snat", "dnat", "redirect"],
        Meta(description="what it does with a packet"),
    ]
    chain: Annotated[
        Literal["input", "output", "forward", "prerouting", "postrouting"],
        Meta(description="which packets pass it: `input`, `output`, `forward`, ..."),
    ]
    absent: Absent = False
    policy: Annotated[bool, Meta(description="it is the policy of the chain, not a rule")] = False
    protocol: Annotated[str, Meta(description="`tcp`, `udp`, `icmp`")] = ""
    dport: Annotated[int | None, Meta(description="the port that packets go to")] = None
    source: Annotated[str, Meta(description="where packets come from: address or network")] = ""
    destination: Annotated[str, Meta(description="where packets go: address or network")] = ""
    into: Annotated[str, Meta(description="the interface that packets come in by")] = ""
    out_of: Annotated[str, Meta(description="the interface that packets leave by")] = ""
    to: Annotated[str, Meta(description="of snat, dnat, redirect: address, port or both")] = ""
    netns: Netns = ""

    EXAMPLE = 'firewall = "accept", chain = "input", protocol = "tcp", dport = 8080'


class Cron(Claim):
    """Cron runs a command: in a user's table, /etc/crontab or /etc/cron.d."""

    cron: Annotated[str, Meta(description="text that stands in the command")]
    absent: Absent = False
    schedule: Annotated[str, Meta(description="when: `*/5 * * * *` or `@daily`")] = ""
    owner: Annotated[str, Meta(description="whose table; the user's who is graded if empty")] = ""

    EXAMPLE = 'cron = "backup.sh", schedule = "0 3 * * *"'


class Timer(Claim):
    """A timer of systemd is active."""

    timer: Annotated[str, Meta(description="the unit, with or without `.timer`")]
    absent: Absent = False
    running: Annotated[bool | None, Meta(description="whether it is active now")] = True
    enabled: Annotated[bool | None, Meta(description="whether it starts at boot")] = None
    schedule: Annotated[str, Meta(description="text that stands in its times: `OnCalendar=`")] = ""

    EXAMPLE = 'timer = "backup", enabled = true, schedule = "*-*-* 03:00:00"'


class Environment(Claim):
    """A variable of the environment has a value after a login."""

    environment: Annotated[str, Meta(description="its name", pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
    absent: Absent = False
    equals: Equals = None
    contains: Contains = None
    lacks: Lacks = None
    matches: Matches = None
    owner: Annotated[str, Meta(description="who logs in; the user who is graded if empty")] = ""

    EXAMPLE = 'environment = "PATH", contains = "/opt/tools/bin"'


class Image(Claim):
    """Docker has an image."""

    image: Annotated[str, Meta(description="its name, with or without a tag")]
    absent: Absent = False
    exposes: Annotated[Texts | None, Meta(description="ports that it exposes: `80/tcp`")] = None
    runs: Annotated[str, Meta(description="text in its entry point and command")] = ""

    EXAMPLE = 'image = "my-site:1.0", exposes = "80/tcp"'


class Container(Claim):
    """A container of Docker is there, in this state."""

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
    networks: Annotated[Texts | None, Meta(description="networks that it is in")] = None
    volumes: Annotated[
        Texts | None, Meta(description="what it has mounted, and where: `data:/var/lib/x`")
    ] = None
    variables: Annotated[dict[str, str], Meta(description="variables of its environment")] = (
        msgspec.field(default_factory=dict)
    )
    restart: Annotated[str, Meta(description="its restart policy: `always`")] = ""
    healthy: Annotated[bool | None, Meta(description="what its health check says")] = None
    status: Annotated[int | None, Meta(description="the exit status of one that ended")] = None
    says: Annotated[Texts | None, Meta(description="text that it has printed")] = None

    EXAMPLE = 'container = "web", from_image = "my-site", publishes = "8080:80"'


class Network(Claim):
    """Docker has a network."""

    network: Annotated[str, Meta(description="its name")]
    absent: Absent = False
    driver: Annotated[str, Meta(description="`bridge`, `macvlan`, ...")] = ""
    subnet: Annotated[str, Meta(description="its addresses: `172.30.0.0/16`")] = ""
    internal: Annotated[bool | None, Meta(description="whether it has no way out")] = None
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
    """A claim of lab.toml is wrong; ``place`` says where in its table."""

    def __init__(self, message: str, place: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.place = place


def kind_of(table: Mapping[str, Any]) -> str:
    """Return the key that says what a claim is about.

    :raises ClaimError: it has none, or several.
    """
    found = [key for key in table if key in KINDS or key in GROUPS]
    if len(found) == 1:
        return found[0]
    said = f"it has {' and '.join(map(repr, found))}" if found else "it has none of these keys"
    raise ClaimError(
        f"a claim is about one thing: {said}; there are: {', '.join((*KINDS, *GROUPS))}"
    )


def with_values(table: Any, values: Mapping[str, Any]) -> Any:
    """Return a claim's table with ``{{name}}`` replaced by the lab's value of that name.

    A text that is nothing but one name takes the value as it is, a number for instance.

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
