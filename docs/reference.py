"""Makes the reference pages of this folder from the code: ``python docs/reference.py``."""

from __future__ import annotations

import ast
import inspect
import json
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import structs

from labwright import outcome, score
from labwright.checks import catalogue
from labwright.lab import definition_tables
from labwright.lab.claims import GROUPS

if TYPE_CHECKING:
    from types import ModuleType

DOCS = Path(__file__).parent
ROWS = "| key | type | meaning |\n| --- | --- | --- |\n"
CHECKS = """\
# The checks

<!-- Made by `python docs/reference.py`. -->

What a step asks for is checked in one of two ways. Where it is of a kind that many labs have,
`lab.toml` states it as a **claim**, without Python. Where it is not, `check` names a function:
of those at the end of this page, or one of the lab's own
([course-author.md](course-author.md#checks-of-your-own)).

```toml
[[step]]
id = "site-answers"
title = "The site answers"
points = 20

[[step.claim]]
service = "nginx"
running = true

[[step.claim]]
http = "http://localhost:{{port}}/"
contains = "Welcome"
```

All claims of a step must hold. One is about one thing: the key of that name says which.
`{{port}}` is the value `port` of `[values]`, so that `--set` changes it everywhere.

- **It holds, fails, or could not be checked.** A program that is missing on the machine, a
  question that only root may ask, a command that does not end: the step is *broken*, nobody's
  zero. What is asked as the user is asked again with `sudo -n` where the user may not look.
- **All claims of a step are looked at together**, in a visit to the machine or two, and what
  was run and seen is the step's evidence.
- **`any`, `all` and `none`** hold lists of claims:

  ```toml
  [[step.claim]]
  any = [
    { file = "/etc/nginx/conf.d/blog.conf" },
    { file = "/etc/nginx/sites-enabled/blog" },
  ]
  ```

- **Partial points**: where each claim has a `weight`, the step is worth the share of those that
  hold; it has failed all the same, and what needs it is blocked. With `points = 20`:

  ```toml
  [[step.claim]]
  port = 8080
  weight = 3

  [[step.claim]]
  file = "/srv/site/index.html"
  mode = "0644"
  weight = 1
  ```

- **`notice = true`**: worth knowing, and free.
- **`until = "STEP"`**: a later step of the document undoes it. The gate charges it when the
  document has just come to it. On a student's machine it is looked at and not charged; what
  lasts is what counts, so a step that is worth points needs a claim without `until`, too.
- **`wait = "30s"`** of the step: the claims are repeated until they hold or the time is over.

In Python: `from labwright.checks.claims import File, Port, hold`, and in a check
`yield from hold(machine, [File("/srv/site/index.html"), Port(8080, by="nginx")])`.
"""


LAB_TOML = """\
# lab.toml

<!-- Made by `python docs/reference.py`. -->

`lab.toml` says of every step of the document what it is worth, how it is checked and how it is
performed. [For course authors](course-author.md) has the way to it, [the gate](gate.md) says
what it wants of it, and [the checks](checks.md) are what a step can claim.

An unknown key, a duplicate id, a circle of needs, a step of the document without a definition
or the reverse: one sentence with file and line, exit status 2.
"""
SCORE = """\
# The keys of a score

<!-- Made by `python docs/reference.py`. -->

`score.json` is a `labwright/score/v1` document. [The score's format](score-format.md) says how
to read it. All keys are always written; a document of an earlier version may lack `cause` and
`notices`.
"""
TABLES = {
    "LabTable": "The whole file",
    "StepTable": "`[[step]]`",
    "CommandTable": "A table of `perform`",
    "MachineTable": "`[machine]`",
    "FileTable": "`[machine.files]`",
    "ImageTable": "`[[image]]`",
    "PerformTable": "`[perform]`",
    "WaivedTable": "`[[waived]]`",
    "ProseTable": "`[[prose]]`",
    "BlockTable": "`[[block]]`",
    "TypedTable": "`[[typed]]`",
    "VariantsTable": "`[variants]`",
}
EXAMPLES = {
    "CommandTable": """\
[[step]]
id = "gorb-running"
title = "Gorb runs"
points = 10
check = "gorb.answers"
perform = [
  "mkdir -p logs",
  { run = "python3 -m http.server", terminal = "web", ready = "curl --fail localhost:8000" },
]
""",
    "StepTable": """\
[[step]]
id = "site-answers"
title = "The site answers"
points = 20
needs = ["nginx-installed"]
wait = "10s"
hint = "Look at `journalctl -u nginx`."

[[step.claim]]
http = "http://localhost:{{port}}/"
contains = "Welcome"

[[step]]
id = "nginx-installed"
title = "nginx is installed"
points = 10

[[step.claim]]
package = "nginx"
""",
    "FileTable": """\
[machine.files]
"/etc/motd" = "Welcome to the lab."
"/etc/site.conf" = { content = "port = 80", mode = "0640", owner = "root:adm" }
""",
    "MachineTable": """\
[machine]
modules = ["ip_vs"]
packages = ["nginx"]
setup = "systemctl disable nginx"
""",
    "PerformTable": """\
[perform]
prelude = "IP=10.0.2.15"

[perform.varies]
"172.17.0.2" = '172\\.17\\.\\d+\\.\\d+'
""",
    "ImageTable": """\
[[image]]
name = "example/server"
folder = "images/server"
""",
    "WaivedTable": """\
[[waived]]
id = "server-addresses"
reason = "It only reads; a wrong address fails the step that registers it."
""",
    "BlockTable": """\
[[block]]
begins = "server {"
file = "/etc/nginx/sites-available/site.conf"
""",
    "ProseTable": """\
[[prose]]
says = "open a second one for the rest of the lab"
reason = "Each program that stays in the foreground has a terminal of its own."
""",
    "TypedTable": """\
[[typed]]
step = "gorb-running"
begins = "docker run --rm --name gorb"
ready = "curl --silent --fail http://localhost:4672/service"
""",
    "VariantsTable": """\
[values]
service_port = 4444
scheduler = "rr"

[variants.values]
service_port = { from = 4400, to = 4499 }
scheduler = ["rr", "wrr"]
""",
    "LabTable": """\
language = "en"

[values]
port = 80

[states]
prepared = []
""",
}
DERIVED = {
    "seed": ("number or null", ""),
    "schema": ("text", "Always `labwright/score/v1`."),
    "points": ("number", ""),
    "max_points": ("number", ""),
    "graded": ("true or false", ""),
}
"""Keys of a score's JSON that are no fields; what they mean stands at the properties."""


def checks() -> str:
    """Return the page of the checks."""
    parts = [CHECKS, "## Keys of every claim\n", parameters(catalogue.common())]
    parts.append(
        f"`{'`, `'.join(GROUPS)}` have them, too; the claims within them have `hint` only.\n"
    )
    parts.append("## Claims\n")
    for entry in catalogue.claims():
        parts += [f"### `{entry.name}`\n", f"{entry.says}\n", parameters(entry.parameters)]
        parts.append(f"```toml\n{entry.example}\n```\n")
    parts.append("## Checks in Python\n")
    parts.append("They are named by `check`, and take their values from `with` and `[values]`.\n")
    for entry in catalogue.checks():
        parts += [f"### `{entry.name}`\n", f"{entry.says}\n", f"```toml\n{entry.example}\n```\n"]
        if entry.parameters:
            values = ", ".join(f"`{p.name}` ({p.type})" for p in entry.parameters)
            parts.append(f"Values: {values}.\n")
    return "\n".join(parts)


def parameters(found: tuple[catalogue.Parameter, ...]) -> str:
    """Return a table of a claim's keys."""
    return ROWS + "".join(
        row(p.name, p.type, p.meaning + (" (required)" if p.required else "")) for p in found
    )


def lab_toml() -> str:
    """Return the page of lab.toml."""
    parts = [LAB_TOML]
    for name, heading in TABLES.items():
        kind = getattr(definition_tables, name)
        parts += [f"## {heading}\n", f"{inspect.getdoc(kind)}\n", ROWS + "".join(keys(kind))]
        parts.append(f"```toml\n{EXAMPLES[name]}```\n")
    return "\n".join(parts)


def score_reference() -> str:
    """Return the page of the score's keys."""
    parts = [SCORE, "## The score\n", ROWS + "".join(row(*about) for about in score_keys())]
    for heading, kind in (
        ("A step: `steps`", score.StepResult),
        ("Evidence of a step: `evidence`", outcome.Evidence),
        ("What a step asked of the machine: `observations`", outcome.Observation),
    ):
        parts += [f"## {heading}\n", ROWS + "".join(keys(kind, required=False))]
    return "\n".join(parts)


def score_keys() -> list[tuple[str, str, str]]:
    """Return the keys of a score, their types and meanings, in the order of its JSON."""
    written = json.loads(score.Score("", "", "", "", "", ()).to_json())
    types, meanings = typing.get_type_hints(score.Score), meanings_of(score.Score)
    found = []
    for key in written:
        kind, meaning = DERIVED.get(key, ("", ""))
        meaning = meaning or meanings.get(key) or str(inspect.getdoc(getattr(score.Score, key)))
        found.append((key, kind or in_words(types[key]), meaning))
    return found


def schema() -> str:
    """Return the JSON Schema of the score with the meanings of the code."""
    path = DOCS / "score.schema.json"
    body = json.loads(path.read_text(encoding="utf-8"))
    step, evidence = body["$defs"]["step"], body["$defs"]["evidence"]
    observation = step["properties"]["observations"]["items"]
    described = [
        (body, {key: meaning for key, _, meaning in score_keys()}),
        (step, meanings_of(score.StepResult)),
        (evidence, meanings_of(outcome.Evidence)),
        (observation, meanings_of(outcome.Observation)),
    ]
    for part, meanings in described:
        for key, meaning in meanings.items():
            part["properties"][key]["description"] = meaning
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def keys(kind: type[Any], *, required: bool = True) -> list[str]:
    """Return a row for each key of a table, with what the code says of it."""
    types, meanings = typing.get_type_hints(kind), meanings_of(kind)
    names = getattr(kind, "__struct_encode_fields__", tuple(meanings))
    defaults = {f.encode_name: f.default for f in structs.fields(kind)} if required else {}
    return [
        row(name, in_words(types[field]), meanings[field] + default_in_words(defaults.get(name)))
        for field, name in zip(meanings, names, strict=True)
    ]


def default_in_words(default: Any) -> str:
    """Return what stands behind the meaning of a key."""
    if default is msgspec.NODEFAULT:
        return " (required)"
    return f" (default: `{default}`)" if isinstance(default, str) and default else ""


def meanings_of(kind: type[Any]) -> dict[str, str]:
    """Return what stands in a class below each of its fields."""
    source = ast.parse(inspect.getsource(typing.cast("ModuleType", inspect.getmodule(kind))))
    (found,) = (n for n in source.body if isinstance(n, ast.ClassDef) and n.name == kind.__name__)
    meanings = {}
    for field, below in zip(found.body, found.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            said = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            if not said:
                raise SystemExit(f"say below {kind.__name__}.{field.target.id} what it means")
            meanings[field.target.id] = " ".join(str(below.value.value).split())
    return meanings


def in_words(annotation: Any) -> str:
    """Return a type as people say it who do not write Python."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return "anything"
    if origin in (list, tuple):
        return f"list of {in_words(inner[0])}"
    if origin is dict or str(getattr(annotation, "__module__", "")).startswith("labwright"):
        return "text" if annotation is outcome.Outcome else "table"
    if inner:
        return " or ".join(dict.fromkeys(filter(None, map(in_words, inner))))
    return catalogue.type_in_words(annotation)


def row(key: str, kind: str, meaning: str) -> str:
    """Return a row of a table in Markdown."""
    escaped = meaning.replace("|", "\\|")
    return f"| `{key}` | {kind} | {escaped} |\n"


PAGES = {
    "checks.md": checks,
    "lab-toml.md": lab_toml,
    "score-reference.md": score_reference,
    "score.schema.json": schema,
}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (DOCS / name).write_text(make().rstrip("\n") + "\n", encoding="utf-8")
