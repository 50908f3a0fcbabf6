"""The texts of a workload's statements: with their values as literals, and as parameters."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from tests.bench.index_advice.wild.wild_case import Called, Wild

# As often as the most frequent statement is run; the others in proportion, but once at least.
_MOST_RUNS = 10
_SLOT = re.compile(r"\{([A-Za-z_]\w*)\}")


@dataclass(frozen=True, slots=True)
class Use:
    """A statement with one set of values, and how often it is run."""

    called: Called
    number: int
    values: Mapping[str, object]
    runs: int

    @property
    def text(self) -> str:
        """The statement with literals."""
        return _SLOT.sub(self._as_literal, self.called.sql)

    @property
    def bound(self) -> tuple[str, dict[str, Any]]:
        """The statement with psycopg's parameters, and their values."""
        text = _SLOT.sub(self._as_parameter, self.called.sql.replace("%", "%%"))
        return text, {name: _adapted(value) for name, value in self.values.items()}

    @property
    def is_write(self) -> bool:
        """Tell whether it changes rows, so that it is run after those that do not."""
        return (
            re.search(r"\b(insert|update|delete|merge)\b(?!\s+skip)", self._bare, re.I) is not None
        )

    @property
    def _bare(self) -> str:
        text = re.sub(r"'[^']*'", "''", self.called.sql)
        return re.sub(r"\bfor\s+(no\s+key\s+)?update\b", "", text, flags=re.I)

    def _as_literal(self, slot: re.Match[str]) -> str:
        name = slot[1]
        return literal(self.values[name]) if name in self.values else slot[0]

    def _as_parameter(self, slot: re.Match[str]) -> str:
        return f"%({slot[1]})s" if slot[1] in self.values else slot[0]


def uses(case: Wild) -> Iterator[Use]:
    """Yield each statement with each set of its values."""
    most = max(s.calls for s in case.statements)
    for called in case.statements:
        runs = max(1, round(called.calls * min(1.0, _MOST_RUNS / most)))
        for number, values in enumerate(called.values or ({},), 1):
            yield Use(called, number, values, runs)


def literal(value: object) -> str:
    """Return a value as a client writes it into a statement, without casts."""
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case int() | float() | Decimal():
            return str(value)
        case list() | tuple():
            return f"ARRAY[{', '.join(map(literal, value))}]"
        case dict():
            return _quoted(json.dumps(value))
        case str() | date() | datetime() | time() | timedelta() | UUID():
            return _quoted(str(value))
    raise TypeError(f"no literal for {value!r}")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _adapted(value: object) -> object:
    return (
        Jsonb(value)
        if isinstance(value, dict)
        else list(value)
        if isinstance(value, tuple)
        else value
    )
