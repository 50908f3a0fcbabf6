"""Facts row by row, as format 1 of snapshot files has them; it is only read."""

from collections.abc import Callable, Iterable
from dataclasses import fields
from datetime import datetime
from functools import cache, partial
from types import UnionType
from typing import Any, get_args, get_origin

from pgwatch_wed.facts.fields import fact_types, field_types
from pgwatch_wed.facts.ranges import moment, scalar

Read = Callable[[Any], Any]


def collections(facts: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Read the collections of a file; those that this version does not know are not read."""
    types = fact_types()
    return {
        name: tuple(row(types[name], table["columns"], values) for values in table["rows"])
        for name, table in facts.items()
        if name in types
    }


def row(kind: type, names: Iterable[str], values: Iterable[Any]) -> Any:
    """Build a fact from plain JSON values, checking each against its field's type."""
    pairs = zip(_readers(kind, tuple(names)), values, strict=True)
    return kind(**{name: read(value) for (name, read), value in pairs if read is not None})


def written(fact: Any) -> dict[str, Any]:
    """Return a fact as a JSON object."""
    return {f.name: plain(getattr(fact, f.name)) for f in fields(fact)}


def plain(value: Any) -> Any:
    """Return a field's value as JSON has it."""
    if isinstance(value, datetime):
        return value.isoformat()
    return [plain(v) for v in value] if isinstance(value, tuple) else value


@cache
def _readers(kind: type, names: tuple[str, ...]) -> tuple[tuple[str, Read | None], ...]:
    """Return how to read each named column; a column that this version does not know is not read."""
    types = field_types(kind)
    return tuple((name, reader(types[name]) if name in types else None) for name in names)


@cache
def reader(hint: Any) -> Read:
    """Return how to read a value of a type."""
    if isinstance(hint, UnionType):
        inner = reader(get_args(hint)[0])
        return lambda value: None if value is None else inner(value)
    if get_origin(hint) is tuple:
        each = reader(get_args(hint)[0])
        return lambda value: tuple(map(each, value))
    if hint is datetime:
        return moment
    if hasattr(hint, "__dataclass_fields__"):
        return lambda value: row(hint, value.keys(), value.values())
    return partial(scalar, hint)
