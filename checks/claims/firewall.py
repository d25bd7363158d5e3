"""Checks claims about the firewall; rules of iptables and nftables are read into one form.

A rule counts for a chain if packets of that chain can reach it: ufw, firewalld and Docker have
their rules in their own chains, to which other chains jump. A rule does not count if it comes after
a rule of its chain that drops, rejects or accepts everything.
"""

from __future__ import annotations

import ipaddress
import json
import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labwright.checks.claims.inspection import (
    Ask,
    Inspection,
    as_run,
    evidence,
    inspects,
    refused,
    require,
)
from labwright.errors import CheckFailed, MachineError
from labwright.lab.claims import Firewall

if TYPE_CHECKING:
    from collections.abc import Iterator

HOOKS = ("input", "output", "forward", "prerouting", "postrouting")
_FINAL = ("accept", "drop", "reject", "masquerade", "snat", "dnat", "redirect")


@dataclass
class Rule:
    """One rule, with the keys of :class:`~labwright.lab.claims.Firewall`."""

    text: str
    verdict: str = ""
    jump: str = ""
    protocol: str = ""
    dports: set[tuple[int, int]] = field(default_factory=set)
    source: list[str] = field(default_factory=list)
    destination: list[str] = field(default_factory=list)
    into: str = ""
    out_of: str = ""
    to: str = ""
    other: bool = False
    """Whether it has a condition that these fields cannot express."""

    @property
    def unconditional(self) -> bool:
        """Whether it matches every packet."""
        conditions = (self.protocol, self.dports, self.source, self.destination)
        return not any((*conditions, self.into, self.out_of, self.other))


@dataclass
class Chain:
    """A chain with its rules; a base chain also has a netfilter hook and a policy."""

    rules: list[Rule] = field(default_factory=list)
    hook: str = ""
    policy: str = ""


Table = dict[str, Chain]


@inspects(Firewall)
def firewall(claim: Firewall) -> Inspection:
    """Ask iptables-save and nft as root, if they are installed."""
    inside = f"ip netns exec {shlex.quote(claim.netns)} " if claim.netns else ""
    programs = ("iptables-save", "ip6tables-save", "nft -j list ruleset")
    asked = [
        f'if [ "$(id -u)" = 0 ]; then {inside}{one}; else sudo -n {inside}{one}; fi'
        for one in programs
    ]
    answers = yield Ask(tuple(asked))
    four, six, nft = answers
    if any("Cannot open network namespace" in one.stderr for one in answers):
        raise CheckFailed(f"a network namespace {claim.netns}", "there is none")
    if not four.ok and not nft.ok:
        there = [one for one in (four, nft) if "not found" not in one.stderr]
        why = there[0].stderr if there else "neither iptables nor nft is installed"
        why = "only root can see it" if there and refused(there[0]) else " ".join(why.split())
        raise MachineError(f"the firewall could not be checked: {why[:200]}")
    tables: list[Table] = []
    for save in (four, six):
        tables += _iptables(save.stdout) if save.ok else ()
    tables += _nft(nft.stdout) if nft.ok else ()
    base = [
        (table, chain) for table in tables for chain in table.values() if chain.hook == claim.chain
    ]
    rules = [rule for table, chain in base for rule in _reached(table, chain)]
    policies = sorted({chain.policy for _, chain in base if chain.policy})
    seen = [f"policy {policy}" for policy in policies] + [rule.text for rule in rules]
    ran = as_run("iptables-save; nft list ruleset", claim.netns)
    yield evidence(f"the firewall, {claim.chain}", ran, "\n".join(seen) or "there are no rules")
    what = _words(claim)
    if claim.policy:
        holds = claim.firewall in policies
        has = f"it is {' and '.join(policies) or 'accept'}"
        require(holds != claim.absent, f"{'not ' * claim.absent}{what}", has)
        return
    found = [rule for rule in rules if _fits(rule, claim)]
    has = f"there is: `{found[0].text}`" if found else "there is none"
    require(bool(found) != claim.absent, f"{'no' if claim.absent else 'a'} {what}", has)


def _words(claim: Firewall) -> str:
    if claim.policy:
        return f"the policy of {claim.chain} to be {claim.firewall}"
    parts = [f"rule in {claim.chain} to {claim.firewall}", claim.protocol]
    parts += [f"port {claim.dport}"] if claim.dport is not None else []
    for words, value in (
        ("from", claim.source),
        ("to", claim.destination),
        ("in by", claim.into),
        ("out by", claim.out_of),
        ("->", claim.to),
    ):
        parts += [f"{words} {value}"] if value else []
    return " ".join(filter(None, parts))


def _fits(rule: Rule, claim: Firewall) -> bool:
    port = claim.dport
    return (
        rule.verdict == claim.firewall
        and (not claim.protocol or rule.protocol == claim.protocol)
        and (port is None or any(low <= port <= high for low, high in rule.dports))
        and (not claim.source or _within(claim.source, rule.source))
        and (not claim.destination or _within(claim.destination, rule.destination))
        and (not claim.into or rule.into == claim.into)
        and (not claim.out_of or rule.out_of == claim.out_of)
        and (not claim.to or claim.to in (rule.to, rule.to.partition(":")[0], f":{rule.to}"))
    )


def _within(wanted: str, networks: list[str]) -> bool:
    def network(text: str) -> object:
        try:
            return ipaddress.ip_network(text, strict=False)
        except ValueError:
            return text

    return network(wanted) in map(network, networks)


def _reached(table: Table, chain: Chain, seen: frozenset[int] = frozenset()) -> Iterator[Rule]:
    """Yield the rules that packets of a chain can reach, in order."""
    if id(chain) in seen:
        return
    for rule in chain.rules:
        if rule.jump in table:
            yield from _reached(table, table[rule.jump], seen | {id(chain)})
        else:
            yield rule
            if rule.unconditional and rule.verdict in _FINAL:
                return


def _iptables(text: str) -> list[Table]:
    """Parse the output of iptables-save."""
    tables: list[Table] = []
    for line in text.splitlines():
        if line.startswith("*"):
            tables.append({})
        elif line.startswith(":") and tables:
            name, policy = [*line[1:].split(), ""][:2]
            hook = name.lower() if name.lower() in HOOKS and name.isupper() else ""
            tables[-1][name] = Chain([], hook, policy.lower().strip("-"))
        elif line.startswith("-A ") and tables:
            try:
                words = shlex.split(line)
            except ValueError:
                continue
            tables[-1].setdefault(words[1], Chain()).rules.append(_iptables_rule(line, words[2:]))
    return tables


_TAKE_ONE = {
    *("-p", "--dport", "--dports", "-s", "-d", "-i", "-o", "-j", "-g", "-m", "--comment"),
    *("--to-destination", "--to-source", "--to-ports", "--reject-with"),
}


def _iptables_rule(line: str, words: list[str]) -> Rule:
    rule = Rule(line)
    negated = False
    left = iter(words)
    for word in left:
        value = next(left, "") if word in _TAKE_ONE else ""
        if word == "!" or word not in _TAKE_ONE:
            rule.other = True
        elif not negated:
            _iptables_part(rule, word, value)
        negated = word == "!"
    return rule


def _iptables_part(rule: Rule, option: str, value: str) -> None:
    """Add an option of iptables to a rule."""
    if option == "-p":
        rule.protocol = value
    elif option in ("--dport", "--dports"):
        rule.dports |= {_ports(one) for one in value.split(",")}
    elif option == "-s":
        rule.source = value.split(",")
    elif option == "-d":
        rule.destination = value.split(",")
    elif option == "-i":
        rule.into = value
    elif option == "-o":
        rule.out_of = value
    elif option in ("-j", "-g"):
        known = value.lower() in _FINAL and value.isupper()
        rule.verdict, rule.jump = (value.lower(), "") if known else ("", value)
    elif option.startswith("--to-"):
        rule.to = value


def _ports(text: str) -> tuple[int, int]:
    numbers = [int(number) for number in re.findall(r"\d+", text)] or [-1]
    return numbers[0], numbers[-1]


def _nft(text: str) -> list[Table]:
    """Parse the output of ``nft -j list ruleset``."""
    try:
        entries = json.loads(text)["nftables"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return []
    tables: dict[tuple[str, str], Table] = {}
    for entry in entries:
        chain, rule = entry.get("chain"), entry.get("rule")
        if isinstance(chain, dict):
            table = tables.setdefault((chain.get("family", ""), chain.get("table", "")), {})
            table[chain.get("name", "")] = Chain(
                [], str(chain.get("hook", "")), str(chain.get("policy", ""))
            )
        elif isinstance(rule, dict):
            table = tables.setdefault((rule.get("family", ""), rule.get("table", "")), {})
            table.setdefault(rule.get("chain", ""), Chain()).rules.append(_nft_rule(rule))
    return list(tables.values())


def _nft_rule(entry: dict[str, Any]) -> Rule:
    rule = Rule("")
    words = []
    for part in entry.get("expr") or []:
        for name, value in part.items():
            words.append(_nft_part(rule, name, value))
    rule.text = " ".join(filter(None, words))
    return rule


def _nft_part(rule: Rule, name: str, value: Any) -> str:
    """Add an expression of nft to a rule, and return it in words."""
    if name == "match":
        left, right = value.get("left") or {}, value.get("right")
        return _nft_match(rule, left, right, str(value.get("op", "==")))
    if name in ("accept", "drop", "reject", "masquerade", "redirect", "snat", "dnat"):
        rule.verdict = name
        if isinstance(value, dict):
            address, port = value.get("addr", ""), value.get("port", "")
            rule.to = f"{address}{':' if address and port else ''}{port}"
        return f"{name} {rule.to}".strip()
    if name in ("jump", "goto"):
        rule.jump = str((value or {}).get("target", ""))
        return f"{name} {rule.jump}"
    if name not in ("counter", "log", "comment", "xt"):
        rule.other = True
    if name == "xt":
        rule.other = True
        target = str((value or {}).get("name", ""))
        if (value or {}).get("type") == "target" and target.lower() in _FINAL:
            rule.verdict = target.lower()
        return f"xt {target}"
    return "" if name == "counter" else name


def _nft_match(rule: Rule, left: dict[str, Any], right: Any, op: str) -> str:
    payload, meta = left.get("payload") or {}, left.get("meta") or {}
    values = _nft_values(right)
    field_name, key = payload.get("field", ""), meta.get("key", "")
    protocol = str(payload.get("protocol", ""))
    shown = ", ".join(values)
    if op == "!=":
        rule.other = True
    elif field_name == "dport":
        rule.protocol = protocol if protocol in ("tcp", "udp") else rule.protocol
        rule.dports |= {_ports(one) for one in values}
    elif field_name == "saddr":
        rule.source = values
    elif field_name == "daddr":
        rule.destination = values
    elif field_name in ("protocol", "nexthdr") or key == "l4proto":
        rule.protocol = values[0] if len(values) == 1 else rule.protocol
        rule.other = rule.other or len(values) != 1
    elif key in ("iifname", "iif"):
        rule.into = shown
    elif key in ("oifname", "oif"):
        rule.out_of = shown
    else:
        rule.other = True
    name = f"{protocol} {field_name}".strip() or str(key) or next(iter(left), "")
    return f"{name} {'!= ' if op == '!=' else ''}{shown}"


def _nft_values(right: Any) -> list[str]:
    if isinstance(right, list):
        return [text for one in right for text in _nft_values(one)]
    if not isinstance(right, dict):
        return [str(right)]
    if "set" in right:
        return _nft_values(right["set"])
    if "prefix" in right:
        prefix = right["prefix"]
        return [f"{prefix.get('addr')}/{prefix.get('len')}"]
    if "range" in right:
        return ["-".join(map(str, right["range"]))]
    return [json.dumps(right)]
