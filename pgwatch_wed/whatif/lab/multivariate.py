"""How PostgreSQL stores extended statistics: bytes ⇄ what they tell.

The types have no input functions, so the lab's superuser writes their bytes. Those of a target are always decoded and
encoded anew: columns may have other numbers in the lab, and bytes of others are not trusted.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_NDISTINCT = (0xA352BFA4, 1)
_DEPENDENCIES = (0xB4549A2C, 1)
_HEADER = struct.Struct("=III")
_DOUBLE = struct.Struct("=d")
_INT = struct.Struct("=i")
_SHARES = struct.Struct("=dd")
_MOST = 8  # columns and expressions of one object


class StatisticsError(ValueError):
    """The bytes are not what this version of PostgreSQL stores."""


@dataclass(frozen=True, slots=True)
class Group:
    """Columns, by number, with their number of distinct combinations or the degree of the dependency of the last."""

    columns: tuple[int, ...]
    value: float


def read_distinct(data: bytes) -> list[Group]:
    """Return the numbers of distinct combinations."""
    return _read(data, _NDISTINCT, _INT)


def read_dependencies(data: bytes) -> list[Group]:
    """Return the degrees of functional dependencies; the last column depends on those before."""
    return _read(data, _DEPENDENCIES, struct.Struct("=h"))


def write_distinct(groups: Sequence[Group]) -> bytes:
    """Return what PostgreSQL stores for numbers of distinct combinations."""
    return _written(groups, _NDISTINCT, _INT)


def write_dependencies(groups: Sequence[Group]) -> bytes:
    """Return what PostgreSQL stores for functional dependencies."""
    return _written(groups, _DEPENDENCIES, struct.Struct("=h"))


def numbered(groups: Sequence[Group], numbers: Mapping[int, int]) -> list[Group]:
    """Return groups with other column numbers; those of expressions are negative and remain."""
    try:
        return [
            Group(tuple(n if n < 0 else numbers[n] for n in group.columns), group.value)
            for group in groups
        ]
    except KeyError:
        raise StatisticsError("a column is not in the lab") from None


def with_shares(data: bytes, width: int, shares: Sequence[tuple[float, float]]) -> bytes:
    """Return a list of common values with other frequencies and base frequencies, in its order."""
    entry = width * 3 + _SHARES.size
    begin = len(data) - entry * len(shares)
    if begin < 0:
        raise StatisticsError("the list is too short")
    changed = bytearray(data)
    for place, pair in enumerate(shares):
        _SHARES.pack_into(changed, begin + place * entry + width, *pair)
    return bytes(changed)


def _read(data: bytes, kind: tuple[int, int], count: struct.Struct) -> list[Group]:
    try:
        *found, items = _HEADER.unpack_from(data)
        if tuple(found) != kind:
            raise StatisticsError("it is in another format")
        groups, at = [], _HEADER.size
        for _ in range(items):
            (value,) = _DOUBLE.unpack_from(data, at)
            (width,) = count.unpack_from(data, at + _DOUBLE.size)
            if not 1 < width <= _MOST:
                raise StatisticsError("it is in another format")
            at += _DOUBLE.size + count.size
            groups.append(Group(struct.unpack_from(f"={width}h", data, at), value))
            at += 2 * width
    except struct.error as error:
        raise StatisticsError(str(error)) from None
    return groups


def _written(groups: Sequence[Group], kind: tuple[int, int], count: struct.Struct) -> bytes:
    parts = [_HEADER.pack(*kind, len(groups))]
    for group in groups:
        width = len(group.columns)
        parts += [_DOUBLE.pack(group.value), count.pack(width)]
        parts.append(struct.pack(f"={width}h", *group.columns))
    return b"".join(parts)
