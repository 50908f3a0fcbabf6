"""A collection of facts as bytes: JSON, column by column, compressed with zstd.

``{"rows": 3, "columns": {"oid": …, "kind": …}}``. The same rows always give the same bytes, as long as zstd is of the
same version. Columns that this version does not know are ignored; those that are absent must have a default. A
column is written in the shortest of these ways:

``[1, null, 2]``                              its values;
``{"steps": [16384, 6, 6]}``                  integers: each is that much more than the one before;
``{"of": ["r", "p"], "at": "!!#"}``           distinct values, and for each row the character of its value;
``{"some": [7, 9], "there": "0110"}``         values, and for each row whether it has one or is null;
``{"microseconds": [1, 2, 3], "offset": 0}``  timestamps since 1970 in one time zone, its offset in seconds;
``{"counts": [1, 0, 2], "items": [4, 5, 6]}`` tuples: the length of each, and the items of all of them.

Every way contains an entry for each row: what is small cannot claim to be large. Checks are of whole columns.
"""

import gc
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields, make_dataclass
from datetime import datetime, timedelta, timezone
from functools import cache
from itertools import accumulate, chain, compress, islice, pairwise, repeat
from math import copysign, isfinite
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from pgwatch_wed.errors import SnapshotError
from pgwatch_wed.facts.documents import MAX_BYTES, pack, parsed, text, unpack
from pgwatch_wed.facts.fields import field_types
from pgwatch_wed.facts.ranges import (
    EPOCH,
    FIRST_MOMENT,
    LARGEST,
    LAST_MOMENT,
    MICROSECOND,
    moment,
    scalar,
)

# Printable characters that JSON writes as they are; one-byte ones first.
_CODES = "".join(c for c in map(chr, (*range(0x21, 0x7F), *range(0xA1, 0xD800))) if c not in '"\\')
_WRONG = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)


def encode(rows: tuple[Any, ...]) -> bytes:
    """Return the bytes of a collection; its rows are all of one kind."""
    return pack(text(document(rows)))


@dataclass(frozen=True, slots=True)
class WantedRows:
    """Which rows are wanted: those for whose values of some fields the test is true."""

    fields: tuple[str, ...]
    test: Callable[..., bool]


def decode(
    kind: type, data: bytes, name: str = "facts", where: WantedRows | None = None
) -> tuple[Any, ...]:
    """Return the rows, or only some; raise :class:`SnapshotError` for bytes that are not a collection of such facts."""
    return rows_of(kind, read_document(data, name), name, where)


def read_document(data: bytes, name: str) -> Any:
    """Return what a collection is written as."""
    written = unpack(data, name)
    try:
        found, rest = parsed(written)
    except (ValueError, RecursionError) as error:
        raise SnapshotError(f"{name} is corrupted or truncated: {error}") from None
    if rest.strip():
        raise SnapshotError(f"{name} is corrupted: something follows it")
    return found


def rows_of(
    kind: type, found: Any, name: str = "facts", where: WantedRows | None = None
) -> tuple[Any, ...]:
    """Return the rows of a document; raise :class:`SnapshotError` if it is not one of such facts."""
    with without_garbage_collector():
        try:
            return _rows(kind, found, where)
        except _WRONG as error:
            raise SnapshotError(f"{name} is corrupted: {error}") from error


@contextmanager
def without_garbage_collector() -> Iterator[None]:
    """Do not look for garbage among 100,000 objects that are only just being made."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


# --- writing ------------------------------------------------------------------------------------


def document(rows: Collection[Any]) -> dict[str, Any]:
    """Return a collection as a document."""
    kind: Any = type(next(iter(rows), None))
    hints = field_types(kind) if rows else {}
    columns = {n: _column(hint, list(map(attrgetter(n), rows))) for n, hint in hints.items()}
    return {"rows": len(rows), "columns": columns}


def column_of(values: list[Any], hint: Any) -> Any:
    """Return a column of numbers or strings as a document."""
    return _shortest(values, hint)


def values_of(hint: Any, column: Any) -> list[Any]:
    """Return the values of a column."""
    return _read(hint, column)


def _column(hint: Any, values: list[Any]) -> Any:
    hint, _ = _optional(hint)
    if get_origin(hint) is tuple:
        return _tuples(get_args(hint)[0], values)
    if hint is datetime:
        return _moments(values)
    if hint is float and not all(map(isfinite, filter(None, values))):
        values = [v if v is None or isfinite(v) else None for v in values]
    return _shortest(values, hint)


def _shortest(values: list[Any], hint: Any) -> Any:
    """Choose the shortest way to write numbers or strings."""
    distinct = dict.fromkeys(values)
    if hint is float and 0 in distinct and any(v == 0 and copysign(1, v) < 0 for v in values):
        return values  # -0.0 equals 0.0, but is another value
    ways: list[Any] = [values]
    if _pays(distinct, values):
        ways = [_coded(_shortest([*distinct], hint), distinct, values), *ways]
    if len(distinct) == 1:
        return ways[0]
    if None in distinct:
        ways.append(_where_there(values, hint))
    elif hint is int:
        ways.append({"steps": [*values[:1], *(b - a for a, b in pairwise(values))]})
    return min(ways, key=_size)


def _where_there(values: list[Any], hint: Any) -> dict[str, Any]:
    some = [v for v in values if v is not None]
    return {"some": _shortest(some, hint), "there": "".join("01"[v is not None] for v in values)}


def _size(way: Any) -> int:
    return len(text(way))


def _pays(distinct: Collection[Any], values: Collection[Any]) -> bool:
    return 0 < len(distinct) <= min(len(values) // 2, len(_CODES))


def _coded(of: Any, distinct: Iterable[Any], values: Iterable[Any]) -> dict[str, Any]:
    code_of = dict(zip(distinct, _CODES, strict=False))
    return {"of": of, "at": "".join(map(code_of.__getitem__, values))}


def _moments(values: list[datetime | None]) -> Any:
    offsets = {v.utcoffset() for v in values if v is not None} or {timedelta()}
    offset = offsets.pop()
    if offsets or offset is None or offset.microseconds:
        return _shortest([v and v.isoformat() for v in values], str)
    since = [None if v is None else (v - EPOCH) // MICROSECOND for v in values]
    return {"microseconds": _shortest(since, int), "offset": offset // timedelta(seconds=1)}


def _tuples(each: Any, values: list[tuple[Any, ...] | None]) -> Any:
    flat = _flat(each, values)
    if each not in (bool, int, str):  # others may be equal but not the same
        return flat
    distinct = dict.fromkeys(values)
    if not _pays(distinct, values):
        return flat
    return min(flat, _coded(_flat(each, [*distinct]), distinct, values), key=_size)


def _flat(each: Any, values: list[tuple[Any, ...] | None]) -> dict[str, Any]:
    items = list(chain.from_iterable(v for v in values if v is not None))
    counts = [None if v is None else len(v) for v in values]
    is_row = hasattr(each, "__dataclass_fields__")
    return {
        "counts": _shortest(counts, int),
        "items": document(items) if is_row else _column(each, items),
    }


# --- reading ------------------------------------------------------------------------------------

Values = list[Any]


def _rows(kind: type, found: Any, where: WantedRows | None = None) -> tuple[Any, ...]:
    count, columns = found["rows"], found["columns"]
    if type(count) is not int or count < 0:
        raise TypeError(f"{count!r:.40} is not a number of rows")
    if not count:
        return ()
    values = [_field(f, hint, columns, count) for f, hint in _fields(kind)]
    if where is not None:
        values = _chosen(kind, values, where, count)
    rows = list(map(_unfrozen(kind), *values))
    for row in rows:
        row.__class__ = kind
    return tuple(rows)


def _chosen(
    kind: type, values: list[Iterable[Any]], where: WantedRows, count: int
) -> list[Iterable[Any]]:
    place = {field.name: number for number, (field, _) in enumerate(_fields(kind))}
    tested = (values[place[name]] for name in where.fields)
    are_wanted = list(map(where.test, *tested))[:count]
    return [list(compress(column, are_wanted)) for column in values]


@cache
def _fields(kind: type) -> tuple[tuple[Any, Any], ...]:
    hints = field_types(kind)
    return tuple((f, hints[f.name]) for f in fields(kind))


@cache
def _unfrozen(kind: type) -> type:
    """Return a class with the same slots that is not frozen: its rows are made five times as fast."""
    return make_dataclass(f"Unfrozen{kind.__name__}", [f.name for f in fields(kind)], slots=True)


def _field(field: Any, hint: Any, columns: dict[str, Any], count: int) -> Iterable[Any]:
    if field.name not in columns:
        return repeat(_default(field), count)
    try:
        values = _read(hint, columns[field.name])
    except _WRONG as error:
        raise ValueError(f"{field.name}: {error}") from error
    if len(values) != count:
        raise ValueError(f"{field.name} has {len(values)} values instead of {count}")
    return values


def _default(field: Any) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    if field.default is MISSING:
        raise ValueError(f"{field.name} is missing")
    return field.default


def _read(hint: Any, column: Any) -> Values:
    """Return a column's values, all of the type and in range."""
    match column:
        case {"of": of, "at": str(codes)}:
            return _read_coded(_read(hint, of), codes)
        case {"some": some, "there": str(there)}:
            return _read_some(hint, some, there)
    hint, is_optional = _optional(hint)
    if get_origin(hint) is tuple:
        return _read_tuples(get_args(hint)[0], is_optional, column)
    if hint is datetime:
        return _read_moments(is_optional, column)
    if hint is int and isinstance(column, dict):
        column = list(accumulate(_of_type(int, False, column["steps"])))
    return _checked(hint, is_optional, column)


def _read_coded(distinct: Values, codes: str) -> Values:
    value_of = dict(zip(_CODES, distinct, strict=False))
    lengths = {c: len(v) for c, v in value_of.items() if isinstance(v, str | tuple)}
    longest = max(lengths.values(), default=0)
    if longest * len(codes) > MAX_BYTES:
        length = sum(lengths.get(c, 0) * times for c, times in Counter(codes).items())
        if length > MAX_BYTES:
            raise ValueError("too large")
    if len(value_of) == 1 and codes.count(_CODES[0]) == len(codes):
        return distinct * len(codes)
    return list(map(value_of.__getitem__, codes))


def _read_some(hint: Any, some: Any, there: str) -> Values:
    hint, is_optional = _optional(hint)
    values = _read(hint, some)
    count = there.count("1")
    if not is_optional or count != len(values) or count + there.count("0") != len(there):
        raise ValueError(f"{len(values)} values where there should be {count}, or none null")
    rest = iter(values)
    return [next(rest) if is_there == "1" else None for is_there in there]


def _optional(hint: Any) -> tuple[Any, bool]:
    return (get_args(hint)[0], True) if isinstance(hint, UnionType) else (hint, False)


def _of_type(hint: type, is_optional: bool, column: Any) -> Values:
    """Check the types of all values; integers are numbers, too."""
    if type(column) is not list:
        raise TypeError(f"{column!r:.40} is not a column")
    values: Values = column
    kinds = set(map(type, values))
    if is_optional:
        kinds.discard(NoneType)
    if hint is float and int in kinds:
        values = [float(v) if type(v) is int else v for v in values]
        kinds.discard(int)
    if kinds - {hint}:
        odd = next(v for v in values if type(v) is not hint and not (is_optional and v is None))
        raise TypeError(f"{odd!r:.40} is not {hint.__name__}")
    return values


def _checked(hint: type, is_optional: bool, column: Any) -> Values:
    values = _of_type(hint, is_optional, column)
    there = [v for v in values if v is not None] if is_optional else values
    if hint is str:
        together = "".join(there)
        together.isascii() or together.encode()  # a lone surrogate could not be written back
    elif there:
        _within(there, -LARGEST[hint], LARGEST[hint])
    return values


def _within(values: Values, lowest: float, highest: float) -> None:
    for extreme in (min(values), max(values)):
        if not lowest <= extreme <= highest:
            raise ValueError(f"{extreme!r:.40} is out of range")


def _read_moments(is_optional: bool, column: Any) -> Values:
    if not isinstance(column, dict) or "microseconds" not in column:
        texts = _read(str | None if is_optional else str, column)
        return [None if v is None else moment(v) for v in texts]
    offset = timedelta(seconds=scalar(int, column["offset"]))
    zone, shift = timezone(offset), offset // MICROSECOND
    since = _read(int | None if is_optional else int, column["microseconds"])
    some = [v for v in since if v is not None]
    if some:
        _within(some, FIRST_MOMENT - shift, LAST_MOMENT - shift)
    epoch = EPOCH.astimezone(zone)
    found = dict(
        zip(some, map(epoch.__add__, map(timedelta, repeat(0), repeat(0), some)), strict=True)
    )
    found[None] = None
    return list(map(found.__getitem__, since))


def _read_tuples(each: Any, is_optional: bool, column: dict[str, Any]) -> Values:
    counts = _read(int | None if is_optional else int, column["counts"])
    items: Collection[Any]
    if hasattr(each, "__dataclass_fields__"):
        items = _rows(each, column["items"])
    else:
        items = _read(each, column["items"])
    some = [v for v in counts if v is not None]
    if sum(some) != len(items) or min(some, default=0) < 0:
        raise ValueError(f"{len(items)} items instead of {sum(some)}")
    rest = iter(items)
    return [None if n is None else tuple(islice(rest, n)) for n in counts]
