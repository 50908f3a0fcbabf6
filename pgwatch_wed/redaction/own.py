"""PostgreSQL's own names, of all supported versions, which reveal nothing about a database.

``own.txt`` is extended by ``python -m tools.own_names CONNINFO…``; besides PostgreSQL's names it
contains those of well-known extensions.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("own.txt")
_SECTION = re.compile(r"^\[(\w+)\]$", re.MULTILINE)


def is_own(kind: str, name: str) -> bool:
    """Tell whether PostgreSQL, or a well-known extension, uses a name.

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
