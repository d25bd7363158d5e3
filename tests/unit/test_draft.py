"""A lab is drafted from a document as it is, and passes cover."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from labwright.cli import main
from labwright.gate import stages
from labwright.gate.draft import draft
from labwright.gate.proposed_claims import proposed
from labwright.lab.document import Document
from labwright.lab.shell import typed

TUTORIAL = """\
---
title: A web server
---

## Prepare

You need a machine with Docker.

1. Make a folder and a page in it:

   ```
   ann@pc:~$ mkdir -p site
   ann@pc:~$ echo hello > site/index.html
   ```

2. Start the server:

   ```bash
   docker run -d --name web -p 8080:80 nginx:1.27
   ```

   ```
   4f5e6d7c8b9a
   ```

3. Repeat step 2 for the other page.

## Configure

Write this into `/etc/site.conf`:

```nginx
server {
}
```

Restart it with `docker restart web`. Open http://localhost:8080 in a browser.

Look at what it says:

```sh
docker logs web
```
"""


@pytest.fixture
def tutorial(tmp_path: Path) -> Path:
    path = tmp_path / "tutorial.md"
    path.write_text(TUTORIAL, encoding="utf-8")
    return path


def test_a_draft_has_a_step_for_each_thing_that_is_done_with_what_it_implies(tutorial):
    definition = tomllib.loads(draft(tutorial, "web").definition)
    assert [(step["id"], step["points"]) for step in definition["step"]] == [
        ("make-a-folder-and-a-page", 50),
        ("start-the-server", 50),
    ]
    assert [step["claim"] for step in definition["step"]] == [
        [{"directory": "~/site"}, {"file": "~/site/index.html"}],
        [{"container": "web", "publishes": ["8080:80"]}],
    ]
    waived = [entry["id"] for entry in definition["waived"]]
    assert waived == ["repeat-step-2-for-the-other", "look-at-what-it-says"]
    assert definition["block"] == [{"begins": "server {", "file": "/etc/site.conf"}]
    assert definition["prose"][0]["perform"] == ["docker restart web"]


def test_a_draft_normalises_prompts_and_languages_in_a_copy(tutorial):
    text = draft(tutorial, "web").document
    assert "   ```console\n   $ mkdir -p site\n   $ echo hello > site/index.html\n" in text
    assert "   ```text\n   4f5e6d7c8b9a" in text
    assert "<!-- step: make-a-folder-and-a-page -->\n1. Make a folder" in text
    assert tutorial.read_text() == TUTORIAL


def test_what_is_left_to_decide_is_listed_with_its_line(tutorial):
    undecided = "\n".join(draft(tutorial, "web").undecided)
    assert "line 26: the step 'repeat-step-2-for-the-other'" in undecided
    assert "'Open http://localhost:8080 in a browser.'" in undecided


@pytest.mark.parametrize(
    ("command", "claims"),
    [
        ("systemctl enable --now x", [{"service": "x", "running": True, "enabled": True}]),
        ("sudo apt-get install -y nginx curl", [{"package": "nginx"}, {"package": "curl"}]),
        ("sudo useradd --create-home ann", [{"user": "ann"}]),
        ("sudo usermod -aG docker ann", [{"user": "ann", "groups": ["docker"]}]),
        ("sudo ip netns add left", [{"namespace": "left"}]),
        ("sudo ip link add v0 type veth peer name v1", [{"interface": "v0", "type": "veth"}]),
        ("sudo ip addr add 10.1.0.1/24 dev v0", [{"interface": "v0", "address": "10.1.0.1/24"}]),
        ("ip route add 10.2.0.0/24 via 10.1.0.2", [{"route": "10.2.0.0/24", "via": "10.1.0.2"}]),
        ("sudo sysctl -w net.ipv4.ip_forward=1", [{"sysctl": "net.ipv4.ip_forward", "value": 1}]),
        ("chmod 640 /etc/x", [{"file": "/etc/x", "mode": "0640"}]),
        ("docker network create back", [{"network": "back"}]),
        ("docker build -t app:1 .", [{"image": "app:1"}]),
        ("python3 -m http.server 8080 &", [{"port": 8080}]),
        ("touch notes\nrm notes", []),
        ("mkdir a; touch a/b; rm -rf a", []),
        ('echo x > "$FILE"', []),
        ("ls -l | grep x >/dev/null", []),
    ],
)  # fmt: skip
def test_a_command_implies_what_it_leaves_behind(tmp_path, command, claims):
    page = tmp_path / "page.md"
    page.write_text(f"```sh\n{command}\n```\n")
    entries = typed(Document.read(page))
    assert proposed(entries[:1], entries[1:]) == claims


def test_a_lab_is_made_of_a_document_and_passes_cover(tutorial, tmp_path, capsys):
    folder = tmp_path / "web"
    assert main(["new", str(folder), "--from", str(tutorial)]) == 0
    assert "left to decide" in capsys.readouterr().err
    assert stages.run_cover(stages.read(str(folder), folder)).findings == ()


def test_a_document_without_commands_is_one_sentence(tmp_path, capsys):
    page = tmp_path / "notes.md"
    page.write_text("# Notes\n\nServers are nice.\n")
    assert main(["new", str(tmp_path / "notes"), "--from", str(page)]) == 2
    assert "contains no command" in capsys.readouterr().err
    assert main(["new", str(tmp_path / "none"), "--from", str(tmp_path / "none.md")]) == 2
    assert not (tmp_path / "notes").exists()
