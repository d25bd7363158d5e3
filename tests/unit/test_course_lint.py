"""Each rule of the lint finds what breaks a document, and lets be what does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from labwright.gate.lint import RULES, lint
from labwright.lab.document import Document


@pytest.fixture
def found(tmp_path: Path):
    """Return a function that lints a text: rule, line and suggestion of each finding."""

    def look(text: str, before: str = "") -> list[tuple[str, int]]:
        page, earlier = tmp_path / "page.md", tmp_path / "earlier.md"
        page.write_text(text, encoding="utf-8")
        earlier.write_text(before, encoding="utf-8")
        findings = lint(Document.read(page), [Document.read(earlier)] if before else [])
        return [(f.rule.removeprefix("lint/"), f.line) for f in findings]

    return look


def block(*lines: str, language: str = "sh") -> str:
    return "\n".join(["# Title", "", f"```{language}", *lines, "```", ""])


@pytest.mark.parametrize(
    ("rule", "line", "wrong", "right"),
    [
        ("undefined-variable", 4, 'echo "$NAME"', 'NAME=x; echo "$NAME"'),
        ("undefined-variable", 4, "curl -f $ADR", "ADR=x curl -f y; read ADR; curl -f $ADR"),
        ("variable-in-single-quotes", 4, "curl -f -d '{\"a\": \"$HOME\"}' x", "awk '{print $1}' x"),
        ("broken-continuation", 4, "curl -f \\  ", "curl -f \\\n  x"),
        ("blocks-terminal", 4, "docker run -p 1:1 x:1", "docker run -d -p 1:1 x:1"),
        ("blocks-terminal", 4, "docker run -it x:1 -f -i lo", "docker run --rm x:1 --version"),
        ("blocks-terminal", 4, "python3 -m http.server", "python3 -m http.server &"),
        ("blocks-terminal", 4, "ping x", "ping -c 3 x"),
        ("machine-specific", 4, "ping -c 1 192.168.7.9", "ping -c 1 127.0.0.1"),
        ("machine-specific", 4, "ip address show eth0", "ip address show lo"),
        ("curl-hides-errors", 4, "curl -X PUT http://localhost/x", "curl http://localhost/x"),
        ("curl-hides-errors", 4, "curl -s http://localhost/x", "curl -sSf http://localhost/x"),
        ("deprecated-command", 4, "ifconfig", "ip address"),
        ("deprecated-command", 4, "docker-compose up -d", "docker compose up -d"),
        ("deprecated-command", 4, "sudo brctl show", "bridge link"),
        ("deprecated-command", 4, "sudo netstat -tlnp", "sudo ss -tlnp"),
        ("dropped-option", 4, "docker inspect -f '{{.NetworkSettings.IPAddress}}' x",
         "docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' x"),
        ("dropped-option", 4, "docker inspect -f='{{ .NetworkSettings.Gateway }}' x", "docker ps"),
        ("dropped-option", 4, "ssh-keygen -t dsa", "ssh-keygen -t ed25519"),
        ("dropped-option", 4, "helm init", "helm version"),
        ("root-without-sudo", 4, "modprobe ip_vs", "sudo modprobe ip_vs"),
        ("root-without-sudo", 4, "ip link set lo up", "ip link show lo"),
        ("unpinned-image", 4, "docker pull nginx", "docker pull nginx:1.27"),
        ("unpinned-image", 4, "docker pull h:5000/n:latest", "docker pull h:5000/n:1"),
        ("unpinned-image", 4, "docker run -d vault", "docker build -t vault .\ndocker run vault"),
        ("unmade-container", 4, "docker logs a", "docker run -d --name a x:1\ndocker logs a"),
        ("unmade-file", 4, "bash run.sh", "curl -fo run.sh http://x/\nbash run.sh"),
        ("unmade-file", 4, "go run a/b.go &", "git clone http://x/a\ngo run a/b.go &"),
        ("output-among-commands", 5, "ip address\nlo ...", "ip address"),
    ],
)  # fmt: skip
def test_a_rule_about_commands_finds_the_wrong_one_only(found, rule, line, wrong, right):
    assert (rule, line) in found(block(*wrong.split("\n")))
    assert rule not in {name for name, _ in found(block(*right.split("\n")))}


@pytest.mark.parametrize(
    ("rule", "line", "wrong", "right"),
    [
        ("skipped-heading", 3, "# A\n\n### B\n", "# A\n\n## B\n"),
        ("numbering", 5, "# A\n\n1. Go.\n\n1) Go.\n", "# A\n\n1. Go.\n2. Go.\n"),
        (
            "numbering",
            5,
            "# A\n\n1. Go.\n<!-- x -->\n3. Go.\n",
            "# A\n\n1. Go.\n<!-- x -->\n2. Go.\n",
        ),
        ("part-count", 5, "# A\n\n## Part (1/2)\n\n## Part (2/3)\n", "## Part (1/1)\n"),
        ("part-count", 7, "# A\n\n## (1/3): x\n\n## (2/3): x\n\n## (3/3)\n", "# A\n"),
        ("broken-link", 3, "# A\n\n[x](gone.md)\n", "# A\n\n[x](page.md)\n"),
        ("broken-link", 3, "# A\n\n[x](#none)\n", "# A\n\n[x](#a)\n"),
        ("broken-link", 3, "# A\n\n[x][y]\n", "# A\n\n[x][y]\n\n[y]: http://example.org\n"),
        ("fence-language", 3, block("ls", language=""), block("ls")),
        ("command-not-shown", 3, "# A\n\n1. Modify the previous command.\n", "# A\n\n1. Go.\n"),
        ("spelling", 3, "# A\n\nPermorm it.\n", "# A\n\nPerform it.\n"),
        ("name", 3, "# A\n\nUse docker, says Docker.\n", "# A\n\nUse Docker and `docker`.\n"),
        ("doubled-word", 3, "# A\n\nIt is is.\n", "# A\n\nIt is.\n"),
    ],
)
def test_a_rule_about_the_text_finds_the_wrong_one_only(found, rule, line, wrong, right):
    assert (rule, line) in found(wrong)
    assert rule not in {name for name, _ in found(right)}


def test_a_variable_that_looks_like_another_is_said_to(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(block("IP_ADDR=$(hostname)", 'curl -f "http://$IP_PORT"'))
    (finding,) = lint(Document.read(page))
    assert (finding.line, finding.column) == (5, 17)
    assert "looks like $IP_ADDR" in finding.message


@pytest.mark.parametrize(
    "text",
    [
        "# A\n\nThe kubeconfig of nginx on macOS is in etcd.\n",
        "# A\n\nMininet's author, Lantz, wrote tutorials.\n",
        "# A\n\nSee /etc/crontab, the todo-list and `kubelt`: kubelt.\n",
        "# A\n\n1. Go.\n1. Go.\n1. Go.\n",
        "# A\n\n1. Go.\n2. Go.\n\nThen, on the other one:\n\n1. Go.\n2. Go.\n",
        block("ip addr add 10.9.8.1/24 dev br0", "ping -c 1 10.9.8.2").replace("ip", "sudo ip"),
        block("docker run --rm alpine:3 id", "docker run hello-world", "docker run -it debian:12"),
        block("curl https://example.org/", "echo 'export A=$HOME/b' >> ~/.bashrc"),
        block("apt install x").replace("# Title", "# Title\n\nBecome root first."),
        "# A\n\n[x](#b) [y]({{URL}}) [z](/docs/z)\n\n<a name='b'></a>\n",
        "---\ntitle: A\n---\n\n## B\n\n## C\n",
        "# A\n\nDans ce cas, il faut redémarrer les anciens conteneurs.\n",
    ],
)
def test_what_is_right_as_it_is_has_no_finding(found, text):
    assert found(text) == []


def test_a_command_that_is_gone_is_told_once_with_all_its_lines(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(block("ifconfig", "ip link", "ifconfig lo"))
    (finding,) = lint(Document.read(page))
    assert (finding.line, finding.suggestion) == (4, "use ip address")
    assert "(also in line 6)" in finding.message


def test_a_container_that_was_removed_is_not_there(found):
    script = ("docker run -d --name a x:1", "docker rm --force a", "docker logs a")
    assert found(block(*script)) == [("unmade-container", 6)]


def test_what_a_required_document_makes_is_there(found):
    before = block("docker run -d --name a x:1")
    assert found(block("docker logs a"), before) == []
    assert found(block("docker logs a")) == [("unmade-container", 4)]


def test_a_command_that_keeps_the_terminal_may_do_so_when_the_text_says_it(found):
    text = (
        "# A\n\n1. Run it. It stays in the foreground:\n\n   ```sh\n   docker run -it x:1\n   ```\n"
    )
    assert found(text) == []


def test_output_in_a_session_is_no_command(found):
    assert found(block("$ ip link", "1: eth0 192.168.1.7 ...", language="console")) == []


def test_a_finding_is_suppressed_where_it_stands_with_a_reason(found):
    comment = "<!-- lint: ignore deprecated-command: It is the lesson. -->\n\n"
    fence = "```sh\nmount x y\n```\n"
    text = f"# A\n\n## B\n\n{comment}{fence}\n## C\n\n{fence}"
    text = text.replace("deprecated-command", "root-without-sudo")
    assert found(text) == [("root-without-sudo", 14)]


@pytest.mark.parametrize(
    "comment",
    [
        "<!-- lint: ignore deprecated-command -->",
        "<!-- lint: ignore nonsense: Because. -->",
        "<!-- lint: ignore deprecated-command: Nothing here does that. -->",
    ],
)
def test_a_suppression_without_reason_rule_or_use_is_a_finding(found, comment):
    assert found(f"# A\n\n{comment}\n") == [("suppression", 3)]


def test_every_rule_says_why_and_is_documented():
    text = (Path(__file__).parents[2] / "docs" / "gate.md").read_text(encoding="utf-8")
    for name, rule in RULES.items():
        assert rule.why.endswith((".", ")")), name
        assert f"`{name}`" in text, name


def test_a_document_with_the_defects_of_many_has_them_all_found(found):
    text = """\
# A lab

## Part (1/2) Begin

1. Download docker image, Docker's own
   ```
   docker pull some/balancer:latest
   ```
2. Run it
   ```
   docker run --rm --name b -it some/balancer -i enp0s3
   ```

## Part (2/2): End

```
$ docker inspect web1
        "IPAddress": "172.17.0.2"
```

Here `ADDR=10.0.2.15`
```
ifconfig enp0s3
enp0s3 ...
```

1. Create it
   ```
   curl -i -d '{"host": "$ADDR"}' http://$ADDR:1
   ```
2. Modify the previous command to register the other one

#### Test

1. Permorm requests
   ```
   curl -X POST http://$ADRR:2/
   ```
2. Start the client
   ```
   go run client/main.go
   ```
"""
    assert {name for name, _ in found(text)} == {
        "blocks-terminal",
        "command-not-shown",
        "curl-hides-errors",
        "deprecated-command",
        "fence-language",
        "machine-specific",
        "name",
        "output-among-commands",
        "part-count",
        "skipped-heading",
        "spelling",
        "undefined-variable",
        "unmade-container",
        "unmade-file",
        "unpinned-image",
        "variable-in-single-quotes",
    }


LABS = Path(__file__).parents[2] / "labs"


@pytest.mark.parametrize(
    "path", sorted(LABS.rglob("*.toml")), ids=lambda p: f"{p.parts[-3]}/{p.name}"
)
def test_neither_a_lab_nor_its_mistakes_use_what_current_systems_have_dropped(path):
    gone = r"\.NetworkSettings\.(IPAddress|Gateway)|\b(docker-compose|brctl|ifconfig|netstat)\b"
    assert not re.findall(gone, path.read_text())
