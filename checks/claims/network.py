"""Checks claims about ports, HTTP answers, routes, interfaces and network namespaces."""

from __future__ import annotations

import ipaddress
import re
import shlex
from typing import TYPE_CHECKING, Any

from labwright.checks.claims.inspection import (
    Ask,
    Inspection,
    as_json,
    as_list,
    as_run,
    evidence,
    in_netns,
    inspects,
    quoted,
    require,
    require_text,
    said,
    unseen,
)
from labwright.errors import CheckFailed, MachineError
from labwright.lab.claims import Http, Interface, Namespace, Port, Route

if TYPE_CHECKING:
    from labwright.machines.machine import CommandResult

HTTP_S = 8
"""Seconds that a server has to answer."""
_NO_ANSWER = {
    7: "the connection is refused",
    28: f"there was no answer within {HTTP_S} s",
    35: "the TLS handshake failed",
    52: "the connection was closed without an answer",
    55: "the connection was lost",
    56: "the connection was lost",
    60: "its certificate is not trusted",
}
"""Exit statuses of curl that are caused by the server."""


@inspects(Port)
def port(claim: Port) -> Inspection:
    """Find the programs that listen on a port."""
    option = {"tcp": "t", "udp": "u"}[claim.protocol]
    name = f"port {claim.port}" + (f"/{claim.protocol}" if claim.protocol == "udp" else "")
    asked = f"ss -Hlnp{option}"
    result = yield from in_netns(asked, claim.netns, name)
    if not result.ok:
        raise unseen(name, result)
    found = _listeners(result.stdout, claim.port)
    if found and claim.by and any("users:" not in row for _, row in found):
        (again,) = yield Ask((f"sudo -n {asked}",))
        if not again.ok:
            raise MachineError(f"only root can see which program listens on {name}")
        found = _listeners(again.stdout, claim.port)
    rows = "\n".join(row for _, row in found)
    yield evidence(f"who listens on {name}", as_run(asked, claim.netns), rows or "nobody")
    if claim.absent:
        require(not found, f"nobody to listen on {name}", f"somebody does: {quoted(rows)}")
        return
    require(found, f"a program that listens on {name}", "none does")
    if claim.by:
        programs = set(re.findall(r'\(\("?([^",]+)', rows)) | set(
            re.findall(r'"([^"]+)",pid', rows)
        )
        require(
            claim.by in programs,
            f"{claim.by} to listen on {name}",
            f"{' and '.join(sorted(programs)) or 'something else'} does",
        )
    if claim.address is not None:
        _require_addresses(name, [address for address, _ in found], as_list(claim.address))


def _listeners(text: str, number: int) -> list[tuple[str, str]]:
    """Return the address and the row of each socket that listens on a port."""
    found = []
    for row in text.splitlines():
        fields = row.split()
        address, _, at = fields[3].rpartition(":") if len(fields) > 3 else ("", "", "")
        if at == str(number):
            found.append((address.strip("[]").partition("%")[0], row.strip()))
    return found


def _require_addresses(name: str, addresses: list[str], wanted: list[str]) -> None:
    kinds = {address: _kinds(address) for address in addresses}
    for one in wanted:
        require(
            any(one in kind for kind in kinds.values()),
            f"a program that listens on {name} of {_place(one)}",
            f"it listens on {' and '.join(map(_place, addresses))}",
        )
    for address, kind in kinds.items():
        require(
            kind & set(wanted),
            f"{name} to be open on {' and '.join(map(_place, wanted))} alone",
            f"it is open on {_place(address)}",
        )


def _kinds(address: str) -> set[str]:
    if address in ("*", "0.0.0.0", "::"):  # noqa: S104
        return {address, "any"}
    local = address.startswith("127.") or address == "::1"
    return {address, "localhost"} if local else {address}


def _place(address: str) -> str:
    every = "any", "*", "0.0.0.0", "::"  # noqa: S104
    return "every address" if address in every else address


@inspects(Http)
def http(claim: Http) -> Inspection:
    """Make a request with curl, from the machine itself."""
    how = ["--head"] if claim.method == "HEAD" else []
    how += ["--request", claim.method] if claim.method not in ("GET", "HEAD") else []
    how += ["--header", f"Host: {claim.host}"] if claim.host else []
    how += ["--insecure"] if claim.http.startswith("https") and not claim.verify else []
    own = ["curl", "-q", "--noproxy", "*", "-sS", "-i", "--max-time", str(HTTP_S)]
    what = f"{claim.http}" + (f" of the host {claim.host}" if claim.host else "")
    result = yield from in_netns(shlex.join([*own, *how, claim.http]), claim.netns, what)
    ran = as_run(shlex.join(["curl", "-i", *how, claim.http]), claim.netns)
    yield evidence(f"what {what} answers", ran, said(result))
    if result.exit_status in _NO_ANSWER:
        raise CheckFailed(f"an answer from {what}", _NO_ANSWER[result.exit_status])
    if not result.ok and not result.truncated:
        raise unseen(what, result)
    status, headers, body = _answer(result, what)
    right = claim.status if isinstance(claim.status, list) else [claim.status]
    require(
        status in right,
        f"{what} to answer with the status {' or '.join(map(str, right))}",
        f"it answered with {status}",
    )
    for name, text in claim.headers.items():
        value = headers.get(name.lower())
        require(
            value is not None and text in value,
            f"the header `{name}: {text}` from {what}",
            f"it says `{quoted(value)}`" if value is not None else "it sends no such header",
        )
    require_text(
        f"what {what} answers",
        body,
        equals=claim.equals,
        contains=claim.contains,
        lacks=claim.lacks,
        matches=claim.matches,
        truncated=result.truncated,
    )


def _answer(result: CommandResult, what: str) -> tuple[int, dict[str, str], str]:
    """Return status, headers and body from the output of curl."""
    rest = result.stdout.replace("\r\n", "\n")
    while True:
        head, _, rest = rest.partition("\n\n")
        lines = head.split("\n")
        found = re.match(r"HTTP/[\d.]+ (\d{3})", lines[0])
        if not found:
            raise MachineError(f"{what}: curl printed no answer: {quoted(result.stdout)}")
        if not found[1].startswith("1"):  # 100 Continue comes before the answer
            break
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        key = name.strip().lower()
        headers[key] = ", ".join(filter(None, (headers.get(key), value.strip())))
    return int(found[1]), headers, rest


@inspects(Route)
def route(claim: Route) -> Inspection:
    """Check a route of the main routing table."""
    family = " -6" if ":" in claim.route + claim.via else ""
    asked = f"ip{family} -j route show table main"
    what = f"the route to {claim.route}"
    result = yield from in_netns(asked, claim.netns, what)
    table = [row for row in as_json(result, what) if isinstance(row, dict)]
    here = [row for row in table if _network(row.get("dst")) == _network(claim.route)]
    plain = "\n".join(map(_route, table))
    yield evidence(what, as_run(f"ip{family} route", claim.netns), plain or "there are no routes")
    where = f" in {claim.netns}" if claim.netns else ""
    if claim.absent:
        require(
            not here,
            f"no route to {claim.route}{where}",
            f"there is: {_route(here[0])}" if here else "",
        )
        return
    require(here, f"a route to {claim.route}{where}", "there is none")
    for key, wanted, words in (
        ("gateway", claim.via, "by way of"),
        ("dev", claim.device, "through"),
    ):
        if wanted:
            require(
                any(row.get(key) == wanted for row in here),
                f"the route to {claim.route}{where} to go {words} {wanted}",
                f"it is `{_route(here[0])}`",
            )


def _network(text: object) -> object:
    if text in ("default", "0.0.0.0/0", "::/0"):
        return "default"
    try:
        return ipaddress.ip_network(str(text), strict=False)
    except ValueError:
        return text


def _route(row: dict[str, Any]) -> str:
    via = f" via {row['gateway']}" if row.get("gateway") else ""
    return f"{row.get('dst')}{via} dev {row.get('dev')}"


@inspects(Interface)
def interface(claim: Interface) -> Inspection:
    """Check an interface and its addresses."""
    what = f"the interface {claim.interface}"
    result = yield from in_netns("ip -j -d addr show", claim.netns, what)
    links = [link for link in as_json(result, what) if isinstance(link, dict)]
    found = next((link for link in links if link.get("ifname") == claim.interface), None)
    where = f" in {claim.netns}" if claim.netns else ""
    names = ", ".join(str(link.get("ifname")) for link in links)
    asked = as_run(f"ip -d addr show {claim.interface}", claim.netns)
    if found is None:
        yield evidence(f"{what}{where}", asked, f"there are: {names}")
        require(claim.absent, f"{what}{where}", f"there is none; there are {names}")
        return
    addresses = [
        f"{one.get('local')}/{one.get('prefixlen')}" for one in found.get("addr_info") or []
    ]
    state = "up" if "UP" in (found.get("flags") or []) else "down"
    kind = (found.get("linkinfo") or {}).get("info_kind", "")
    master = found.get("master", "")
    facts = (state, kind, f"in {master}" if master else "", f"mtu {found.get('mtu')}", *addresses)
    yield evidence(f"{what}{where}", asked, " ".join(filter(None, facts)))
    require(not claim.absent, f"no interface {claim.interface}{where}", "it is there")
    if claim.up is not None:
        wanted = "up" if claim.up else "down"
        require(state == wanted, f"{what}{where} to be {wanted}", f"it is {state}")
    for address in as_list(claim.address):
        bare = [one.partition("/")[0] for one in addresses]
        require(
            address in addresses or address in bare,
            f"{what}{where} to have the address {address}",
            f"it has {' and '.join(addresses) or 'none'}",
        )
    for key, wanted_text, has in (("kind", claim.type, kind), ("bridge", claim.bridge, master)):
        if wanted_text:
            require(
                has == wanted_text,
                f"{what}{where} to be {'a' if key == 'kind' else 'in'} {wanted_text}",
                f"it is {has or 'none'}" if key == "kind" else f"it is in {has or 'no bridge'}",
            )
    if claim.mtu is not None:
        mtu = found.get("mtu")
        require(mtu == claim.mtu, f"{what}{where} to have the mtu {claim.mtu}", f"it is {mtu}")


@inspects(Namespace)
def namespace(claim: Namespace) -> Inspection:
    """Check a named network namespace."""
    (result,) = yield Ask(("ls -1 /run/netns",))
    if not result.ok and "No such file" not in result.stderr:
        raise unseen("the network namespaces", result)
    names = result.stdout.split("\n") if result.ok else []
    yield evidence("the network namespaces", "ip netns list", result.stdout or "there are none")
    there = claim.namespace in names
    if claim.absent:
        require(not there, f"no network namespace {claim.namespace}", "it is there")
    else:
        has = quoted(result.stdout) or "none"
        require(there, f"a network namespace {claim.namespace}", f"there is none; there are: {has}")
