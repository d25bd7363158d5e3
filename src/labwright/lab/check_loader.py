"""Loads a lab's own checks: ``checks.py`` beside its ``lab.toml``."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from labwright.errors import DefinitionError

if TYPE_CHECKING:
    from types import ModuleType

MODULE = "checks"
"""The module's name in ``check = "checks.function"``."""


def load(folder: Path) -> ModuleType:
    """Return the module of a lab's own checks; it is reloaded when the file has changed.

    :raises ModuleNotFoundError: the lab has none.
    :raises DefinitionError: the file cannot be loaded, with its line.
    """
    path = folder / f"{MODULE}.py"
    if not path.is_file():
        raise ModuleNotFoundError(f"there is no {path}")
    # With a unique name, since several labs can be loaded, each with its checks.
    source = path.read_bytes()
    key = hashlib.sha256(str(path).encode() + b"\0" + source).hexdigest()[:16]
    name = f"labwright_checks_{key}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"{path} is not a module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as problem:  # noqa: BLE001  an author's file can raise anything
        del sys.modules[name]
        message = f"it cannot be loaded: {type(problem).__name__}: {problem}"
        raise DefinitionError(path, _line(problem, path), " ".join(message.split())) from None
    return module


def _line(problem: BaseException, path: Path) -> int:
    """Return the line of the file at which the error occurred, or 1."""
    if isinstance(problem, SyntaxError) and problem.lineno and problem.filename == str(path):
        return problem.lineno
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(problem.__traceback__)
        if Path(frame.filename) == path and frame.lineno
    ]
    return lines[-1] if lines else 1
