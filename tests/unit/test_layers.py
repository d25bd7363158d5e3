"""The data flows one way: the imports keep the layers of the house."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "labwright": ROOT / "src" / "labwright",
    "labwright.checks": ROOT / "checks",
    "labwright.fixtures": ROOT / "fixtures",
    "labwright.reports": ROOT / "reports",
    "labwright.labs": ROOT / "labs",
}

MAY_IMPORT = {
    # What stands lower knows nothing of what stands above it.
    "labwright.outcome": set(),
    "labwright.scratch": set(),
    "labwright.errors": {"outcome"},
    "labwright.course.document": {"errors"},
    "labwright.course.rules": {"course"},
    "labwright.course.cover": {"course", "lab"},
    "labwright.rehearsal": {"course", "errors", "lab", "machines", "outcome", "score"},
    "labwright.course": {"course", "definition", "errors", "lab"},
    "labwright.lab": {"errors"},
    "labwright.definition": {"course", "errors", "lab"},
    "labwright.score": {"errors", "outcome"},
    "labwright.machines": {
        *("errors", "machines", "outcome", "progress", "scratch", "system", "gorb"),
        "workload",
    },
    "labwright.checks": {"checks", "errors", "machines", "outcome"},
    "labwright.mistakes": {"errors", "lab", "outcome", "score"},
    "labwright.reports": {"errors", "lab", "mistakes", "outcome", "reports", "score"},
    "labwright.batch": {
        *("batch", "definition", "errors", "judge", "lab", "machines", "outcome"),
        *("plugin", "recorder", "reports", "scratch", "score"),
    },
    "labwright.conform": {"conform", "errors"},
    "labwright.gorb": {"gorb"},
    "labwright.workload": {"workload"},
    "labwright.judge": {"errors", "lab", "outcome", "own_checks", "score"},
    "labwright.own_checks": {"errors"},
    "labwright.labs": {"checks", "errors", "fixtures", "machines", "outcome"},
}
PYTEST_ALLOWED = (
    "labwright.plugin",
    "labwright.batch.turns",
    "labwright.fixtures",
    "labwright.labs",
)


def modules() -> dict[str, Path]:
    found = {}
    for package, folder in PACKAGES.items():
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join([package, *(p for p in parts if p != "__init__")])] = path
    return found


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
            assert node.level == 0, f"{path} imports relatively"
    return names


@pytest.mark.parametrize("layer", sorted(MAY_IMPORT))
def test_a_layer_imports_only_what_stands_below_it(layer):
    members = {
        name: path for name, path in modules().items() if (name + ".").startswith(layer + ".")
    }
    assert members, f"{layer} is gone: mend the table"
    for name, path in members.items():
        for imported in imports(path):
            parts = imported.split(".")
            if parts[0] == "labwright" and len(parts) > 1:
                allowed = MAY_IMPORT[layer] | {"__version__"}
                assert parts[1] in allowed, f"{name} imports {imported}"


def test_only_the_plugin_and_the_fixtures_import_pytest():
    for name, path in modules().items():
        if not name.startswith(PYTEST_ALLOWED):
            roots = {imported.split(".")[0] for imported in imports(path)}
            assert not roots & {"pytest", "_pytest"}, f"{name} imports pytest"
