"""Collections of facts as bytes, column by column: what comes back, and what is refused."""

import json
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pgwatch_wed.errors import SnapshotError
from pgwatch_wed.facts import FileSize, IndexUsage, Table, columns
from pgwatch_wed.facts.fields import fact_types, field_types
from tests.reports import blank
from tests.test_properties import EASY, rows_of

NOW = datetime(2026, 11, 1, 12, 30, 15, 123456, UTC)
KOLKATA = timezone(timedelta(hours=5, minutes=30))
LONG_AGO = timezone(-timedelta(minutes=17, seconds=32))
ODD_ZONE = timezone(timedelta(seconds=1, microseconds=5))


@dataclass(frozen=True, slots=True)
class Anything:
    """A fact with a field of every type."""

    number: int
    maybe: int | None
    share: float
    perhaps: float | None
    is_valid: bool
    word: str
    said: str | None
    at: datetime
    since: datetime | None
    numbers: tuple[int, ...]
    words: tuple[str, ...]
    shares: tuple[float, ...]
    usages: tuple[IndexUsage, ...]
    added: int = 7
    also: tuple[int, ...] = ()


def anything(number: int = 0, **values: Any) -> Anything:
    plain = blank(Anything, number=number, at=NOW.isoformat())
    return replace(plain, **values)


def document(rows: tuple[Any, ...]) -> Any:
    return json.loads(zstandard.ZstdDecompressor().decompress(columns.encode(rows)))


def written(edit: Callable[[dict[str, Any]], object], rows: tuple[Any, ...]) -> bytes:
    found = document(rows)
    edit(found)
    return json.dumps(found).encode()


def back(rows: tuple[Any, ...], kind: type = Anything) -> tuple[Any, ...]:
    data = columns.encode(rows)
    found = columns.decode(kind, data)
    assert found == rows
    # fold means nothing where the offset is fixed
    assert repr(found) == repr(rows).replace(", fold=1", "")
    assert columns.encode(found) == data
    return found


MANY: list[Callable[[int], dict[str, Any]]] = [
    lambda _: {},
    lambda n: {"number": 16384 + n * n, "maybe": None if n % 3 else n, "word": f"t_{n}"},
    lambda n: {"number": (-1) ** n * 2**63, "maybe": n % 2 or None, "word": "ab"[n % 2]},
    lambda n: {"number": n // 5, "share": n / 7, "perhaps": None if n % 2 else -1.5, "is_valid": n % 4 == 0},
    lambda n: {"share": (0.0, -0.0, 1e300, 5e-324)[n % 4], "perhaps": (None, -0.0, 0.0)[n % 3]},
    lambda n: {"said": (None, "", "\x00\x1b\"\\\u2028😀", "naïve" * n)[n % 4], "word": chr(0x4E00 + n)},
    lambda n: {"at": NOW + timedelta(microseconds=n), "since": None if n % 2 else NOW},
    lambda n: {"at": NOW.astimezone(KOLKATA) - timedelta(days=n), "since": NOW.astimezone(LONG_AGO)},
    lambda n: {"at": NOW.astimezone((KOLKATA, UTC)[n % 2]), "since": NOW.astimezone(ODD_ZONE)},
    lambda n: {"at": datetime(1970, 1, 1, tzinfo=KOLKATA), "since": datetime(9000, 12, 31, tzinfo=LONG_AGO)},
    lambda n: {"numbers": (1, 2, n), "words": ("", "é") * (n % 3), "shares": (0.0, -0.0) * (n % 2)},
    lambda n: {"numbers": ((), (1,), (2, 3))[n % 3], "words": (("a=1",), ())[n % 2], "also": (n,)},
    lambda n: {"usages": tuple(IndexUsage(i, n, 0, 0, NOW, 1, i, None) for i in range(n % 4))},
]  # fmt: skip


@pytest.mark.parametrize("make", MANY)
@pytest.mark.parametrize("count", [1, 2, 3, 50, 1000])
def test_rows_come_back_as_they_were(make: Callable[[int], dict[str, Any]], count: int) -> None:
    found = back(tuple(anything(**make(n)) for n in range(count)))
    assert [r.at.utcoffset() for r in found] == [
        anything(**make(n)).at.utcoffset() for n in range(count)
    ]


def test_none_is_nothing() -> None:
    assert columns.decode(Table, columns.encode(())) == ()


def test_more_values_than_there_are_characters() -> None:
    rows = tuple(FileSize(n % 60_000, n // 2) for n in range(130_000))
    assert columns.decode(FileSize, columns.encode(rows)) == rows


@settings(EASY, max_examples=150)
@given(rows=st.one_of([st.lists(rows_of(kind), max_size=9) for kind in fact_types().values()]))
def test_rows_of_every_kind_come_back(rows: list[Any]) -> None:
    if rows:
        back(tuple(rows), type(rows[0]))


def test_what_comes_back_is_as_frozen_as_what_went_in() -> None:
    row: FileSize
    (row,) = back((FileSize(1, 2),), FileSize)
    assert type(row) is FileSize
    assert hash(row) == hash(FileSize(1, 2))
    with pytest.raises(AttributeError):
        row.table_oid = 3  # type: ignore[misc]


def test_every_fact_can_be_made_without_its_constructor() -> None:
    for kind in fact_types().values():
        assert not hasattr(kind, "__post_init__"), kind
        assert "__dict__" not in dir(kind), kind
        assert fields(kind)[0].default is MISSING, f"{kind}: its number of rows must be provable"
        nested = [h for h in field_types(kind).values() if hasattr(h, "__dataclass_fields__")]
        assert not nested, "columns hold tuples of rows, not rows"


def test_unknown_columns_are_ignored_and_absent_ones_have_defaults() -> None:
    rows = tuple(anything(n) for n in range(9))

    def edit(found: Any) -> None:
        found["columns"]["invented_in_2030"] = {"a way": "that nobody knows"}
        del found["columns"]["added"], found["columns"]["also"]

    defaults = tuple(replace(row, added=7, also=()) for row in rows)
    assert columns.decode(Anything, written(edit, rows)) == defaults
    with pytest.raises(SnapshotError, match="word is missing"):
        columns.decode(Anything, written(lambda d: d["columns"].pop("word"), rows))


def test_whole_numbers_are_numbers() -> None:
    data = written(lambda d: d["columns"].update(share=[1, 2.5, -3], perhaps=[None, 0, 1]), THREE)
    found = columns.decode(Anything, data)
    assert repr([(r.share, r.perhaps) for r in found]) == "[(1.0, None), (2.5, 0.0), (-3.0, 1.0)]"


def test_not_a_number_is_none() -> None:
    rows = tuple(anything(n, perhaps=p) for n, p in enumerate((float("nan"), float("inf"), 1.0)))
    assert [r.perhaps for r in columns.decode(Anything, columns.encode(rows))] == [None, None, 1.0]


THREE = (anything(1), anything(2), anything(3))
NESTED = b'{"of":' * 500 + b"[1]" + b',"at":"!!!"}' * 500
WRONG: dict[str, tuple[Any, ...]] = {
    "number": (
        *([1, 2], [1, 2, 3, 4], [1, 2, None], [1, 2, 1.0], [1, 2, True], [1, 2, "3"], [1, 2, [3]]),
        *([1, 2, 1 << 65], [1, 2, -(1 << 65)], [1, 2, 10**400], [], {}, None, 3, "123", [[1, 2, 3]]),
        *({"steps": [1, 2, None]}, {"steps": [1, 1 << 64, 1 << 64]}, {"steps": [1, True, 1]}),
        *({"steps": "123"}, {"steps": [1, 1]}, {"steps": {"of": [1], "at": "!!!"}}),
        *({"of": [1], "at": "!!#"}, {"of": [1, 2], "at": "!#"}, {"of": [1], "at": [0, 0, 0]}),
        *({"of": [1, "2"], "at": "!!!"}, {"of": [], "at": "!!!"}, {"of": 1, "at": "!!!"}, {"at": "!!!"}),
        *({"some": [1, 2], "there": "110"}, {"some": [1, 2, 3], "there": "11"}),
        *({"microseconds": [1, 2, 3], "offset": 0}, {"counts": [1, 1, 1], "items": [1, 2, 3]}),
    ),
    "maybe": (
        *({"some": [1, 2], "there": "111"}, {"some": [1, 2, 3], "there": "110"}),
        *({"some": [1], "there": "1x0"}, {"some": [1, None], "there": "110"}, {"some": 1, "there": "100"}),
    ),
    "share": (
        *([1.0, 2.0, None], [1.0, 2.0, float("nan")], [1.0, 2.0, float("inf")], [1.0, 2.0, 1e308]),
        *([1.0, 2.0, True], [1.0, 2.0, "1"], [1.0, 2.0, 10**400], [1, 2, 10**305]),
    ),
    "is_valid": ([True, False, 1], [True, False, None], [True, False, "t"]),
    "word": (["a", "b", "\ud800"], ["a", "b", None], ["a", "b", 1], {"of": ["\udc00"], "at": "!!!"}),
    "at": (
        *(["2026-01-01T00:00:00"] * 3, ["9999-12-31T23:59:59+00:00"] * 3, ["soon"] * 3, [0, 0, 0]),
        {"microseconds": [0, 0, None], "offset": 0},
        {"microseconds": [0, 0, -1], "offset": 0},
        {"microseconds": [0, 0, 221876928000000000], "offset": 0},
        {"microseconds": [0, 0, 0], "offset": -3600},
        {"microseconds": [0, 0, 0.5], "offset": 0},
        *({"microseconds": [0, 0, 0], "offset": n} for n in (86_400, 1 << 64, 0.5, None, "0", True)),
        *({"microseconds": [0, 0, 0]}, {"microseconds": [0, 0], "offset": 0}, {"offset": 0}),
    ),
    "numbers": (
        *([[1], [2], [3]], {"counts": [1, 1, 1], "items": [1, 2]}, {"counts": [1, 1], "items": [1, 2]}),
        *({"counts": [2, 2, -1], "items": [1, 2, 3]}, {"counts": [1, 1, None], "items": [1, 2]}),
        *({"counts": [1, 1, 1], "items": [1, 2, "3"]}, {"counts": [1, 1, 1]}, {"items": [1, 2, 3]}),
        {"counts": [1 << 62, 0, 0], "items": [1]},
    ),
    "usages": (
        *([[], [], []], {"counts": [1, 0, 0], "items": []}, {"counts": [1, 0, 0], "items": {"rows": 1}}),
        {"counts": [1, 0, 0], "items": {"rows": 1, "columns": {"oid": [1]}}},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "column"), [(n, c) for n, cs in WRONG.items() for c in cs])
def test_a_column_that_cannot_be_is_refused(name: str, column: Any) -> None:
    with pytest.raises(SnapshotError, match=f"^x is corrupted: ({name}|NaN|Infinity)"):
        columns.decode(Anything, written(lambda d: d["columns"].update({name: column}), THREE), "x")


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"[]", b"null", b"7", b'"x"', b"{}", b'{"rows":1}', b"\xff\xfe", b"[" * 200_000),
        *(b'{"rows":%s,"columns":{}}' % n for n in (b"1", b"-1", b"true", b"1.0", b"9" * 5000)),
        *(b'{"rows":3,"columns":%s}' % c for c in (b"[]", b'"number"', b"null", b"3")),
        b'{"rows":99999999999,"columns":{"number":[1]}}',
        b'{"rows":3,"columns":{"number":%s}}' % NESTED,
        b'{"rows":3,"columns":{"number":%s}}' % (b'{"of":' * 5000 + b"[1]" + b',"at":"!!!"}' * 5000),
        b'{"rows":3,"columns":{"number":[1,2,NaN]}}',
    ],
)  # fmt: skip
def test_what_is_no_collection_is_refused(data: bytes) -> None:
    for each in (data, zstandard.compress(data)):
        with pytest.raises(SnapshotError, match=r"^x is "):
            columns.decode(Anything, each, "x")


def test_damaged_bytes_are_refused() -> None:
    data = columns.encode(tuple(anything(n, word=f"t_{n}") for n in range(100)))
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x55
        for each in (bytes(damaged), data[:place], data + data[: place + 1]):
            with pytest.raises(SnapshotError, match=r"^x is "):
                columns.decode(Anything, each, "x")


@pytest.mark.parametrize("length", [1 << 20, 1 << 33])
def test_what_is_small_does_not_become_large(length: int) -> None:
    zeros = zstandard.ZstdCompressor(level=3).compressobj(size=length)
    bomb = zeros.compress(bytes(1 << 20))
    with pytest.raises(SnapshotError, match=r"too large|truncated"):
        columns.decode(Anything, bomb, "x")
    large = {"of": ["x" * 100_000], "at": "!" * 100_000}
    with pytest.raises(SnapshotError, match="word: too large"):
        columns.decode(Anything, written(lambda d: d["columns"].update(word=large), THREE), "x")
