"""Importing a few modules of a large package without all that its ``__init__`` imports.

The package ``uvicorn`` imports everything it has when it is imported. The daemon needs a few
of its modules, and starts on emulated processors where a hundred
milliseconds of imports are a second.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType


def postpone_init(package: str) -> ModuleType:
    """Return a package whose ``__init__`` runs when something of its own is asked for.

    Until then its modules can be imported alone. To everybody else it is the package as it
    always was; one that has been imported already stays as it is.
    """
    if package in sys.modules:
        return sys.modules[package]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    module = importlib.util.module_from_spec(spec)
    loader = spec.loader

    def initialise_for(name: str) -> Any:
        # Import machinery and debuggers ask any module for such names.
        if name.startswith("__") or "__getattr__" not in vars(module):
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name)
        # `from package import module` asks for the name before it imports the module.
        if importlib.util.find_spec(f"{package}.{name}") is not None:
            return importlib.import_module(f"{package}.{name}")
        del vars(module)["__getattr__"]
        loader.exec_module(module)
        return getattr(module, name)

    # A module's own __getattr__ is asked for names that it does not have (PEP 562).
    vars(module)["__getattr__"] = initialise_for
    sys.modules[package] = module
    return module
