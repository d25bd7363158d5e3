"""Twenty single edits of the gorb lab's document, each of which makes it wrong.

An edit is what stood there, what stands there now, and the beginning of the line at which
the gate must point: as it is after the edit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    name: str
    old: str
    new: str
    at: str
    """How the right line begins, its white space aside; of the first such line after `after`."""
    after: str = ""

    def apply(self, text: str) -> str:
        assert text.count(self.old) == 1, f"{self.name}: found {text.count(self.old)} times"
        return text.replace(self.old, self.new)

    def line(self, text: str) -> int:
        """Return the right line's number in the edited text."""
        lines = text.splitlines()
        start = next((n for n, row in enumerate(lines) if self.after in row), 0)
        found = [n for n, row in enumerate(lines) if row.strip().startswith(self.at) and n >= start]
        assert found, f"{self.name}: no line begins with {self.at!r}"
        return found[0] + 1


def step(text: str, id: str) -> str:
    """Return a step of the document with its mark, as it stands in it."""
    found = re.search(rf"<!-- step: {id} -->\n.*?(?=<!-- step|^#)", text, re.DOTALL | re.MULTILINE)
    assert found
    return found[0]


def edits(text: str) -> list[Edit]:
    """Return the twenty edits; some are made of the text."""
    modprobe, pull = step(text, "ip-vs-available"), step(text, "gorb-image-present")
    split = step(text, "split-round-robin")
    return [
        Edit(
            "a typo in a path",
            "4672/service/0/1",
            "4672/servcie/0/1",
            "http://localhost:4672/s",
            "server2-registered",
        ),
        Edit(
            "a wrong port in a command",
            '"$IP_ADDR\\", \\"port\\": 4444',
            '"$IP_ADDR\\", \\"port\\": 4445',
            '--data "{',
            "service-created",
        ),
        Edit(
            "a wrong port in the text",
            "answers on port 4672. In",
            "answers on port 4673. In",
            "Gorb now answers",
        ),
        Edit("a step deleted", pull, "", "3. Run Gorb"),
        Edit("a step deleted that stood last", split, "", "### Test with the client"),
        Edit("two steps swapped", modprobe + pull, pull + modprobe, "2. Download"),
        Edit("a method changed", '\\"method\\": \\"rr\\"', '\\"method\\": \\"wrr\\"', '--data "{'),
        Edit(
            "an option left out",
            "--privileged --net=host -it kobolog",
            "--privileged -it kobolog",
            "docker run --rm --name gorb",
        ),
        Edit("another program", "sudo modprobe ip_vs", "sudo modprobe -r ip_vs", "sudo modprobe"),
        Edit("sudo left out", "sudo modprobe ip_vs", "modprobe ip_vs", "modprobe"),
        Edit(
            "an instruction added in prose",
            "IPVS hides the servers behind",
            "Restart Docker before you go on. IPVS hides the servers behind",
            "Restart Docker",
        ),
        Edit(
            "an instruction hidden within a sentence",
            "`service/0/1` in the place of",
            "`service/0/1` (once you have removed backend 0) in the place of",
            "3. Register",
        ),
        Edit(
            "a command added to a block",
            "   docker logs server1 2>/dev/null | grep --count "
            '"Response sent"\n   docker logs server2 2>/dev/null | grep --count "Response sent"\n'
            "   ```\n\n### Test",
            '   docker logs server1 2>/dev/null | grep --count "Response sent"\n'
            '   docker logs server2 2>/dev/null | grep --count "Response sent"\n'
            "   docker rm --force server2\n   ```\n\n### Test",
            "docker rm --force",
        ),
        Edit(
            "a block of commands added",
            "### Test by hand\n",
            "### Test by hand\n\n```sh\nsudo ipvsadm --clear\n```\n",
            "sudo ipvsadm",
        ),
        Edit(
            "a variable misspelt",
            '"http://$IP_ADDR:4444/doWork"',
            '"http://$IP_PORT:4444/doWork"',
            'curl --fail-with-body "http://$IP_PORT',
        ),
        Edit(
            "single quotes around a variable",
            '"http://$IP_ADDR:4672/service/0"',
            "'http://$IP_ADDR:4672/service/0'",
            "'http",
        ),
        Edit(
            "expected output changed",
            "}}' server2\n172.17.0.3",
            "}}' server2\n172.17.0.4",
            "172.17.0.4",
        ),
        Edit(
            "a step's id changed",
            "<!-- step: server1-registered -->",
            "<!-- step: server1-added -->",
            "2. Register `server1`",
        ),
        Edit(
            "the mark of a step removed",
            "<!-- step: service-created -->\n",
            "",
            "1. Create service",
        ),
        Edit("a number of parts changed", "Part (3/3)", "Part (3/4)", "## Part (3/4)"),
    ]
