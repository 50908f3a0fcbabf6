"""PostgreSQL's own names, of all supported versions: what they say about a database is nothing.

``own.txt`` grows by ``python -m tools.own_names CONNINFO…``; beside PostgreSQL's names it has those of
extensions that everybody knows.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("own.txt")
_SECTION = re.compile(r"^\[(\w+)\]$", re.MULTILINE)


def is_own(kind: str, name: str) -> bool:
    """Tell whether PostgreSQL, or an extension that everybody knows, calls something so.

    ``kind``: function, type, relation, opclass, access_method, extension, configuration, setting,
    option (a storage parameter).
    """
    return name in sections().get(kind, frozenset())


@cache
def sections() -> Mapping[str, frozenset[str]]:
    """Return the names by kind."""
    _, *parts = _SECTION.split(FILE.read_text(encoding="utf-8"))
    return {
        kind: frozenset(words.split()) for kind, words in zip(parts[::2], parts[1::2], strict=True)
    }
