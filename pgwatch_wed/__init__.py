"""PostgreSQL performance analysis whose advice you can trust.

What ``__all__`` names is public, and imported when it is first used; see docs/library.md. Everything
else may change in any version.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgwatch_wed.library import Config as Config
    from pgwatch_wed.library import Report as Report
    from pgwatch_wed.library import Snapshot as Snapshot
    from pgwatch_wed.library import analyse as analyse
    from pgwatch_wed.library import collect as collect
    from pgwatch_wed.library import render as render

__version__ = "0.1.0"
__all__ = ["Config", "Report", "Snapshot", "analyse", "collect", "render"]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> Any:
        """Import what is public."""
        if name in __all__:
            return getattr(import_module("pgwatch_wed.library"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keeps public names: `analyse` and `render` are also modules, which importing would put in their place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in __all__ or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
