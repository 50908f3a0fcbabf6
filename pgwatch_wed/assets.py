"""The only code that knows where sql/, alembic/ and reports/ are: a checkout or a wheel."""

from functools import cache
from pathlib import Path

from pgwatch_wed.errors import Error

_PACKAGE = Path(__file__).resolve().parent


@cache
def asset(name: str) -> Path:
    """Return the folder ``name`` (``sql``, ``alembic``, ``reports`` or ``docs``)."""
    for root in (_PACKAGE / "_assets", _PACKAGE.parent):
        if (root / name).is_dir():
            return root / name
    raise Error(f"the installation is incomplete: {name}/ is missing", "reinstall pgwatch-wed")


def text(name: str, *parts: str) -> str:
    """Read one file below the folder ``name`` as UTF-8 text."""
    return asset(name).joinpath(*parts).read_text(encoding="utf-8")
