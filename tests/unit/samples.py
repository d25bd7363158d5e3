"""Scores as they come out of the gorb lab, for the tests of what is made of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from labwright.outcome import Evidence, Outcome
from labwright.score import Score, StepResult

from .sample_lab import STEPS, evidence_of, load, sequence, split

__all__ = ["STEPS", "load", "sequence", "split"]


def all_passed() -> Score:
    """Return a score of 100 of 100."""
    steps = tuple(
        StepResult(
            id=id,
            title=title,
            part=part,
            points=points,
            max_points=points,
            outcome=Outcome.PASSED,
            needs=needs,
            reason="",
            expected="",
            actual="",
            hint="",
            evidence=evidence_of(id),
            duration_s=18.4 if id == "client-overload" else 0.18,
            file="lab.md",
            line=line,
        )
        for id, title, part, points, needs, line in STEPS
    )
    return Score(
        lab="gorb",
        title="Balance two servers with Gorb and IPVS",
        target="vm:a",
        started="2024-03-09T10:15:02+00:00",
        finished="2024-03-09T10:15:33.500000+00:00",
        steps=steps,
        labwright="0.1.0",
        seed=7,
    )


def changed(score: Score, id: str, **values: Any) -> Score:
    """Return the score with one step's values changed; a step that is not passed earns 0."""
    if values.get("outcome", Outcome.PASSED) is not Outcome.PASSED:
        values = {"points": 0.0, **values}
    steps = tuple(replace(step, **values) if step.id == id else step for step in score.steps)
    return replace(score, steps=steps)


def _block(score: Score, blocked: dict[str, str]) -> Score:
    titles = {step.id: step.title for step in score.steps}
    for id, by in blocked.items():
        score = changed(
            score,
            id,
            outcome=Outcome.BLOCKED,
            reason=f"needs {by} ({titles[by]}), which did not pass",
            evidence=(),
            duration_s=0.0,
        )
    return score


def server2_stopped() -> Score:
    """Return the score after ``docker stop server2``."""
    score = changed(
        all_passed(),
        "server2-running",
        outcome=Outcome.FAILED,
        reason="server2 does not run",
        expected="the container server2 to be running",
        actual="it exited with status 0, 41 seconds ago",
        hint="Start it with `docker start server2`, or make it with "
        "`docker run --detach --name server2 server`.",
        evidence=(
            Evidence(
                "The container server2 is running",
                "docker inspect server2",
                '[\n    {\n        "Name": "/server2",\n        "State": {"Status": "exited", '
                '"ExitCode": 0, "FinishedAt": "2024-03-09T10:14:21Z"}\n    }\n]',
            ),
        ),
    )
    return _block(
        score,
        {
            "server2-registered": "server2-running",
            "requests-succeed": "server2-registered",
            "split-round-robin": "requests-succeed",
            "client-overload": "requests-succeed",
            "client-split": "client-overload",
        },
    )


def not_round_robin() -> Score:
    """Return the score of a service that is scheduled by weight, one of them higher."""
    return changed(
        all_passed(),
        "split-round-robin",
        outcome=Outcome.FAILED,
        reason="the requests do not alternate",
        expected="each request to go to the other server than the one before",
        actual="request 4 went to server1 again, and request 9 was not answered",
        hint="The service's method must be `rr` and both backends must have weight 100: "
        "see `cat /proc/net/ip_vs`.",
        evidence=(
            Evidence(
                "The kernel's connection table attributes each request to a server",
                "cat /proc/net/ip_vs_conn",
                "11 of 12 local ports found",
                sequence("121121210121", failed=(9,)),
            ),
            Evidence(
                "server1 has handled about half of them",
                "docker logs server1 | grep --count 'Response sent'",
                "7",
                split(7, 4, 0.0),
            ),
        ),
    )


def ssh_broken() -> Score:
    """Return the score of a machine that was lost half way."""
    score = changed(
        all_passed(),
        "service-created",
        outcome=Outcome.BROKEN,
        reason="no connection to vm:a: kex_exchange_identification: read: Connection reset by peer",
        evidence=(),
        duration_s=10.02,
    )
    return _block(
        score,
        {
            "server1-registered": "service-created",
            "server2-registered": "service-created",
            "requests-succeed": "server1-registered",
            "split-round-robin": "requests-succeed",
            "client-overload": "requests-succeed",
            "client-split": "client-overload",
        },
    )


NASTY = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>'\"&amp;</pre></style>"
    "\x1b[2J\x1b[31mred\x1b]0;title\x07 \x00null \u202eright to left\u2066 \ud800half "
    '\ufffe\uffff \x9b31m [bold]markup[/bold] =HYPERLINK("http://x") {{ 7*7 }} ]]> \r\n%0A'
)


def hostile() -> Score:
    """Return a score in which the target wrote all that it could think of."""
    piece = Evidence(NASTY, NASTY, NASTY * 3, {"kind": "odd", NASTY: [NASTY, float("1e300")]})
    score = all_passed()
    for number, step in enumerate(score.steps):
        if number % 3 == 0:
            score = changed(
                score,
                step.id,
                outcome=Outcome.FAILED,
                reason=NASTY,
                expected=NASTY,
                actual=NASTY,
                hint=NASTY + " `code` ` odd",
                evidence=(piece, *step.evidence),
            )
    drawn = sequence()
    for request in drawn["requests"]:
        request["server"] = NASTY if request["n"] % 2 else "server1"
    drawn["servers"] = [NASTY, "server1"]
    shares = {"kind": "split", "counts": {NASTY: 6, "x": 6}, "share": {NASTY: 0.5}}
    return replace(
        changed(
            score,
            "split-round-robin",
            outcome=Outcome.FAILED,
            reason=NASTY,
            evidence=(
                Evidence("drawn", data=drawn),
                Evidence("shared", data={**shares, "low": 0.4, "high": 0.6, "tolerance": 0.1}),
            ),
        ),
        target=NASTY,
        title=NASTY,
    )


MALFORMED: tuple[dict[str, Any], ...] = (
    {"kind": "sequence"},
    {"kind": "sequence", "servers": 5, "requests": [{"n": 1}]},
    {"kind": "sequence", "servers": ["a"], "requests": "many"},
    {"kind": "sequence", "servers": ["a"], "requests": [1, 2]},
    {"kind": "sequence", "servers": [], "requests": []},
    {"kind": "load", "bin_s": 0, "capacity_per_s": 4, "requests": [{"intended_s": 1}]},
    {"kind": "load", "bin_s": 1e-9, "capacity_per_s": 4, "requests": [{"intended_s": 1}]},
    {"kind": "load", "bin_s": 1, "capacity_per_s": 4, "requests": [{"intended_s": float("inf")}]},
    {"kind": "load", "bin_s": 1, "capacity_per_s": float("nan"), "requests": [{"intended_s": 1}]},
    {"kind": "load", "bin_s": 1, "capacity_per_s": 4, "requests": [{"intended_s": "soon"}]},
    {"kind": "split", "counts": [], "share": {}, "low": 0, "high": 1},
    {"kind": "split", "counts": {"a": -1}, "share": {}, "low": 0, "high": 1},
    {"kind": "split", "counts": {"a": 1}, "share": {}, "low": 0.6, "high": 0.4},
    {"kind": ["sequence"]},
    {"kind": "hologram", "of": "a request"},
)


def malformed() -> Score:
    """Return a score with data of evidence that cannot be drawn."""
    pieces = tuple(Evidence(f"piece {n}", data=data) for n, data in enumerate(MALFORMED, 1))
    return changed(all_passed(), "split-round-robin", evidence=pieces)


def huge() -> Score:
    """Return a score with a mebibyte of output, a very long line and many requests."""
    many = "".join(f"line {n}: the same thing over and over\n" for n in range(30_000))
    pieces = (
        Evidence("A mebibyte of lines", "cat /var/log/syslog", many[: 1 << 20]),
        Evidence("One long line", "cat /dev/zero", "0" * 300_000),
        Evidence("Many requests", "curl", "", sequence("12" * 150)),
    )
    return changed(
        all_passed(),
        "requests-succeed",
        outcome=Outcome.FAILED,
        reason="too much",
        expected="little",
        actual="much " * 5_000,
        hint="Less.",
        evidence=pieces,
    )


def nothing() -> Score:
    """Return a score of no steps at all."""
    return replace(all_passed(), steps=())


EVERY_KIND = {
    "all passed": all_passed,
    "server2 stopped": server2_stopped,
    "not round-robin": not_round_robin,
    "ssh broken": ssh_broken,
    "hostile": hostile,
    "huge": huge,
    "malformed": malformed,
    "nothing": nothing,
}
