"""Optional packages (extras), and the message that names the missing one."""

from __future__ import annotations

from importlib.util import find_spec

from labwright.errors import SetupError

EXTRAS = {
    "allure": "allure",
    "distributed": "dask",
    "etcd3gw": "store",
    "consul": "store",
    "h11": "components",
    "hdrh": "components",
    "openpyxl": "xlsx",
    "prometheus_client": "components",
    "spellchecker": "author",
    "starlette": "live",
    "testcontainers": "deploy",
    "uvicorn": "components",
    "websockets": "live",
}
"""Maps a top-level module to the extra of labwright that installs it."""


def require(module: str, purpose: str) -> None:
    """Check that a module of an extra is installed.

    :param purpose: the subject of the message, such as "--alluredir".
    :raises SetupError: it is not installed; the message says what to install.
    """
    if find_spec(module) is None:
        raise SetupError(_sentence(module, purpose))


def explain(problem: ModuleNotFoundError) -> SetupError | None:
    """Return the error for a missing package; None if a module of labwright itself is missing."""
    module = (problem.name or "").partition(".")[0]
    if module in EXTRAS:
        return SetupError(_sentence(module, "this command"))
    if module in ("", "labwright"):
        return None
    return SetupError(
        f"the Python package {module}, which labwright needs, is missing: install labwright "
        "again, with pip or pipx as before; in a checkout, run ./labwright"
    )


def _sentence(module: str, purpose: str) -> str:
    extra = EXTRAS[module]
    return (
        f"{purpose} needs the Python package {module}, which is not installed: "
        f"pip install 'labwright[{extra}]'"
    )
