"""What a workload of the benchmark is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Called:
    """A statement as applications run it: ``{name}`` in ``sql`` stands for a value, quotes and all.

    ``values`` are sets of values that differ in selectivity as in life; ``calls`` is the weight of each.
    """

    name: str
    sql: str
    values: tuple[Mapping[str, object], ...] = ()
    calls: int = 1


@dataclass(frozen=True)
class Wild:
    """A database with its load and the indexes that a thoughtful DBA would create.

    ``schema`` is DDL with the existing indexes and extensions, ``load`` makes the data, the same in each run. ``settings`` are
    those of the database; ``role`` and names with a dot are those of the application's sessions. ``roles`` is run first.
    """

    name: str
    about: str
    schema: str
    load: str
    statements: tuple[Called, ...]
    expert: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    roles: str = ""
