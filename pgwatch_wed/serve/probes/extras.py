"""Packages that only some probes need."""

import importlib
from typing import Any

from pgwatch_wed.errors import UsageError
from pgwatch_wed.origin import pip_install


def needed(module: str, extra: str) -> Any:
    """Import a module of an extra; raise UsageError that says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UsageError(
            f"the package {module.partition('.')[0]} is not installed",
            pip_install(extra),
        ) from None
