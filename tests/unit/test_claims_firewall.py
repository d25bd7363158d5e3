"""A firewall's rules are found whoever wrote them, and in whichever chain of their own."""

from __future__ import annotations

import json

import pytest

from .claim_machine import Answering
from .test_claims import outcome

NONE = (127, "", "sh: 1: not found")
PLAIN = """\
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -m comment --comment "ssh -j DROP" -j ACCEPT
-A INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT
-A INPUT -s 10.0.0.0/8 -p udp -m udp --dport 53 -j ACCEPT
-A INPUT ! -s 10.0.0.0/8 -p tcp -m tcp --dport 25 -j DROP
-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN SYN -j DROP
-A INPUT -j DROP
-A INPUT -p tcp -m tcp --dport 9090 -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.1.0.2:80
-A POSTROUTING -s 10.1.0.0/24 -o enp0s3 -j MASQUERADE
COMMIT
"""
UFW = """\
*filter
:INPUT DROP [0:0]
:ufw-before-input - [0:0]
:ufw-user-input - [0:0]
-A INPUT -j ufw-before-input
-A ufw-before-input -j ufw-user-input
-A ufw-user-input -p tcp -m tcp --dport 8080 -j ACCEPT
COMMIT
"""


def nft(*rules: list, hook: str = "input", policy: str = "drop") -> str:
    chain = {"family": "inet", "table": "filter", "name": "in", "hook": hook, "policy": policy}
    own = [{"rule": {"family": "inet", "table": "filter", "chain": "in", "expr": e}} for e in rules]
    return json.dumps({"nftables": [{"metainfo": {}}, {"chain": chain}, *own]})


def match(key: str, value: object, protocol: str = "tcp", op: str = "==") -> dict:
    left = {"payload": {"protocol": protocol, "field": key}}
    return {"match": {"op": op, "left": left, "right": value}}


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"firewall": "accept", "protocol": "tcp", "dport": 22}, ""),
        ({"firewall": "accept", "protocol": "tcp", "dport": 443}, ""),
        ({"firewall": "accept", "dport": 53, "source": "10.0.0.0/8"}, ""),
        ({"firewall": "accept", "dport": 53, "source": "10.1.0.0/16"}, "there is none"),
        ({"firewall": "drop", "policy": True}, ""),
        ({"firewall": "accept", "policy": True}, "policy of input to be accept | it is drop"),
        ({"firewall": "accept", "protocol": "udp", "dport": 22}, "there is none"),
        ({"firewall": "drop", "dport": 25, "source": "10.0.0.0/8"}, "there is none"),
        ({"firewall": "accept", "into": "lo"}, ""),
        ({"firewall": "accept", "dport": 22, "absent": True}, "there is: `-A INPUT"),
        ({"firewall": "accept", "dport": 9090}, "there is none"),
        ({"firewall": "dnat", "chain": "prerouting", "dport": 8080, "to": "10.1.0.2:80"}, ""),
        ({"firewall": "dnat", "chain": "prerouting", "to": "10.1.0.3:80"}, "there is none"),
        ({"firewall": "masquerade", "chain": "postrouting", "out_of": "enp0s3"}, ""),
        ({"firewall": "masquerade", "chain": "postrouting", "source": "10.1.0.0/24"}, ""),
    ],
)
def test_rules_of_iptables(table, says):
    table = {"chain": "input", **table}
    found = outcome(table, {"iptables-save": PLAIN, "ip6tables": NONE, "nft": NONE})
    assert says in found if says else not found


def test_a_rule_in_a_chain_that_input_jumps_to_counts_for_input():
    table = {"firewall": "accept", "chain": "input", "dport": 8080}
    assert not outcome(table, {"iptables-save": UFW, "nft": NONE})
    alone = UFW.replace("-A INPUT -j ufw-before-input\n", "")
    assert "there is none" in outcome(table, {"iptables-save": alone, "nft": NONE})


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ([match("dport", 8080), {"counter": {}}, {"accept": None}], ""),
        ([match("dport", {"set": [80, 8080]}), {"accept": None}], ""),
        ([match("dport", {"range": [8000, 9000]}), {"accept": None}], ""),
        ([match("dport", 8080, "udp"), {"accept": None}], "there is none"),
        ([match("dport", 8080), {"drop": None}], "there is none"),
        ([match("dport", 8080, op="!="), {"accept": None}], "there is none"),
    ],
)
def test_rules_of_nftables(rules, says):
    table = {"firewall": "accept", "chain": "input", "protocol": "tcp", "dport": 8080}
    found = outcome(table, {"tables-save": NONE, "nft -j": nft(rules)})
    assert says in found if says else not found
    policy = {"firewall": "drop", "chain": "input", "policy": True}
    assert not outcome(policy, {"tables-save": NONE, "nft -j": nft(rules)})


def test_a_firewall_that_only_root_may_see_is_nobodys_zero():
    denied = (1, "", "sudo: a password is required")
    found = outcome({"firewall": "accept", "chain": "input"}, {"sudo": denied})
    assert found == "broken: the firewall could not be checked: only root can see it"
    found = outcome({"firewall": "accept", "chain": "input"}, {})
    assert "neither iptables nor nft is installed" in found


def test_all_programs_are_asked_in_one_visit():
    from labwright.checks import claims

    machine = Answering({"tables-save": PLAIN, "nft": NONE})
    list(claims.hold(machine, [claims.Firewall("accept", "input", dport=22)]))
    assert len(machine.visits) == 1
