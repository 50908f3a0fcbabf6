"""Snapshot files: whole or refused in one line, whatever somebody did to them."""

import json
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, get_origin

import pytest
import zstandard
from click.testing import CliRunner

from pgwatch_wed.analyse import analyse
from pgwatch_wed.cli import cli
from pgwatch_wed.config import Config
from pgwatch_wed.errors import SnapshotError, UsageError
from pgwatch_wed.facts import (
    Cause,
    FileSize,
    IndexUsage,
    Missing,
    Snapshot,
    columns,
    fact_names,
    fields,
)
from pgwatch_wed.facts import file as snapshot_file
from pgwatch_wed.render import rendering as render
from pgwatch_wed.target.collect import collect
from tests.formats import TEXTUAL
from tests.psql import psql
from tests.snapshot_documents import (
    Edit,
    document,
    edited,
    edited_row_by_row,
    lines,
    row_by_row,
    unpacked,
)
from tests.test_cli import db_analyze
from tools import example

OLD = Path(__file__).parent / "snapshots" / "format1.json.zst"


@pytest.fixture(scope="module")
def snapshot(server_pool: Any) -> Snapshot:
    from tests import servers

    with server_pool.get(servers.default()).database() as dsn:
        psql(dsn, "create table t (id int primary key, doc text); create index t_doc on t (doc);")
        return collect(dsn)


@pytest.fixture(scope="module")
def large(snapshot: Snapshot) -> Snapshot:
    """One with collections that are stored apart from the others."""
    sizes = tuple(FileSize(n, n**3) for n in range(10_000))
    usages = tuple(IndexUsage(n, n**2, 1, 2, None, 3, 4, None) for n in range(30_000))
    found = replace(snapshot, file_sizes=sizes, index_usage=usages)
    assert snapshot_file.dumps(found).count(b"\x28\xb5\x2f\xfd") == 3
    return found


@pytest.fixture(scope="module")
def many_facts() -> Snapshot:
    """The demo's snapshot, of which many rules have something to say."""
    return example.snapshot()


@pytest.fixture(scope="module")
def old() -> Snapshot:
    """One that the last version with format 1 wrote: of a primary with a standby, every fact, zones and causes."""
    return snapshot_file.load(OLD)


def test_a_file_loads_again_to_the_same_bytes(snapshot: Snapshot, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "s.json.zst"
    snapshot_file.save(snapshot, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = snapshot_file.load(path)
    assert again == snapshot
    assert snapshot_file.dumps(again) == path.read_bytes()


def test_large_collections_come_back(large: Snapshot) -> None:
    data = snapshot_file.dumps(large)
    assert snapshot_file.loads(data) == large
    assert snapshot_file.dumps(snapshot_file.loads(data)) == data


def test_a_file_that_was_cut_off_anywhere_is_refused(large: Snapshot) -> None:
    data = snapshot_file.dumps(large)
    for size in {0, 1, 4, 5, 9, 40, *range(50, len(data), max(len(data) // 60, 1))}:
        with pytest.raises(SnapshotError, match=r"truncated|not a snapshot"):
            snapshot_file.loads(data[:size])
    text = unpacked(data)
    for size in range(1, len(text), max(len(text) // 60, 1)):
        with pytest.raises(SnapshotError):
            snapshot_file.loads(text[:size])


def test_a_file_with_a_flipped_byte_is_refused(large: Snapshot) -> None:
    data = bytearray(snapshot_file.dumps(large))
    for place in range(0, len(data), max(len(data) // 200, 1)):
        damaged = bytearray(data)
        damaged[place] ^= 0x55
        with pytest.raises(SnapshotError):
            snapshot_file.loads(bytes(damaged))


ANYWHERE: list[tuple[Edit, str]] = [
    (lambda d: d.update(format=99), "format 99"),
    (lambda d: d.update(what="something else"), "not a db-analyze snapshot"),
    (lambda d: d.pop("server"), "corrupted"),
    (lambda d: d["server"].update(version_num="eighteen"), "corrupted"),
    (lambda d: d["server"].update(taken_at="yesterday"), "corrupted"),
    (lambda d: d["server"].update(role="\ud800"), "corrupted"),
    (lambda d: d.update(server=None), "corrupted"),
    (lambda d: d.update(tool_version="\ud800"), "corrupted"),
    (lambda d: d.update(tool_version=7), "corrupted"),
    (lambda d: d.update(measured_since="2026-01-01T00:00:00"), "corrupted"),
    (lambda d: d.update(facts=None), "corrupted"),
    (lambda d: d["facts"].update(tables=[1, 2]), "corrupted"),
    (lambda d: d["facts"].update(tables={"columns": ["oid"], "rows": [[1]]}), "corrupted"),
    (lambda d: d["facts"].update(tables={"columns": {"oid": [1]}, "rows": 1}), "corrupted"),
    (lambda d: d.update(missing={"tables": "no"}), "corrupted"),
    (lambda d: d.update(missing={"tables": ["\udc00", ""]}), "corrupted"),
    (lambda d: d.update(missing={"\udc00": ["", ""]}), "corrupted"),
    (lambda d: d.update(missing={"tables": ["", 1]}), "corrupted"),
    (lambda d: d.update(missing=[]), "corrupted"),
    (lambda d: d.update(causes=[]), "corrupted"),
    (lambda d: d["causes"].update(exact_bloat=["denied", None]), "corrupted"),
]


@pytest.mark.parametrize(("edit", "said"), ANYWHERE)
@pytest.mark.parametrize("write", [edited, edited_row_by_row])
def test_a_file_that_somebody_edited_wrongly_is_refused(
    snapshot: Snapshot, write: Callable[[Snapshot, Edit], bytes], edit: Edit, said: str
) -> None:
    with pytest.raises(SnapshotError, match=f"^x .*{said}"):
        snapshot_file.loads(write(snapshot, edit), "x")


def test_a_row_that_is_too_short_or_a_column_of_another_length_is_refused(
    snapshot: Snapshot,
) -> None:
    for data in (
        edited_row_by_row(snapshot, lambda d: d["facts"]["tables"]["rows"][0].pop()),
        edited(snapshot, lambda d: d["facts"]["tables"]["columns"].update(oid=[])),
    ):
        with pytest.raises(SnapshotError, match=r"^x .*corrupted"):
            snapshot_file.loads(data, "x")


def test_lengths_that_somebody_edited_are_refused(large: Snapshot) -> None:
    data = snapshot_file.dumps(large)
    (head, *_) = unpacked(data).splitlines()
    parts = data[-sum(p.get("bytes", 0) for p in json.loads(head)["facts"].values()) :]
    for length in (0, -1, 1, 10**9, 10**30, 1.5, "1", None, True):
        changed = json.loads(head)
        changed["facts"]["file_sizes"]["bytes"] = length
        with pytest.raises(SnapshotError, match=r"^x .*corrupted"):
            snapshot_file.loads(zstandard.compress(json.dumps(changed).encode()) + parts, "x")
    for rest in (b"", parts[:-1], parts[1:], b"x" + parts, parts + b"x", parts + parts):
        with pytest.raises(SnapshotError, match=r"^x .*(corrupted|truncated)"):
            snapshot_file.loads(zstandard.compress(head) + rest, "x")
    assert snapshot_file.loads(zstandard.compress(head) + parts) == large


def test_parts_that_are_large_together_are_refused(large: Snapshot) -> None:
    claim = zstandard.ZstdCompressor(level=1).compressobj(size=1 << 31)
    part = claim.compress(bytes(1 << 20))
    facts = {name: {"bytes": len(part)} for name in ("tables", "indexes", "columns")}
    head = document(large) | {"facts": facts}
    with pytest.raises(SnapshotError, match="too large"):
        snapshot_file.loads(zstandard.compress(json.dumps(head).encode()) + part * 3)


def test_a_file_that_was_unpacked_can_be_read(large: Snapshot, many_facts: Snapshot) -> None:
    none: dict[str, Any] = dict.fromkeys(fact_names(), ())
    for each in (large, many_facts, replace(large, **none)):
        assert snapshot_file.loads(unpacked(snapshot_file.dumps(each))) == each


# --- format 1 -----------------------------------------------------------------------------------


def test_names_that_are_made_of_others_are_not_repeated(many_facts: Snapshot) -> None:
    written = document(many_facts)["facts"]
    assert written["index_usage"]["columns"]["oid"] == {"as": "indexes"}
    definitions = written["index_definitions"]["columns"]["definition"]["spelled"]
    assert "orders" not in json.dumps(definitions)
    assert snapshot_file.loads(snapshot_file.dumps(many_facts)) == many_facts


@pytest.mark.parametrize("name", ["\x01", "a\x02_\x01_idx", "", "x" * 9000, 'In"dex'])
def test_odd_names_come_back(many_facts: Snapshot, name: str) -> None:
    tables = tuple(
        replace(t, name=name) if not n % 3 else t for n, t in enumerate(many_facts.tables)
    )
    indexes = tuple(replace(i, name=f"{name}_{i.name}") for i in many_facts.indexes)
    odd = replace(many_facts, tables=tables, indexes=indexes)
    assert snapshot_file.loads(snapshot_file.dumps(odd)) == odd


def test_a_file_without_links_is_read(many_facts: Snapshot) -> None:
    plain = document(many_facts)
    for fact in plain["facts"]:
        plain["facts"][fact] = columns.document(getattr(many_facts, fact))
    assert snapshot_file.loads(lines(plain)) == many_facts


@pytest.mark.parametrize("column", [{"as": "indexes"}, {"as": 7}, {"as": "tables", "x": 1}])
def test_links_to_what_is_not_there_are_refused(many_facts: Snapshot, column: object) -> None:
    def edit(found: dict[str, Any]) -> None:
        del found["facts"]["indexes"]
        found["facts"]["index_usage"]["columns"]["oid"] = column

    with pytest.raises(SnapshotError, match="corrupted"):
        snapshot_file.loads(edited(many_facts, edit))


def test_a_file_in_format_1_is_read_whole(old: Snapshot) -> None:
    stored = json.loads(unpacked(OLD.read_bytes()))
    assert stored["format"] == 1
    said = row_by_row(old)
    roles = said["facts"]["roles"]  # the only one that has got a column since
    assert roles["columns"].pop() == "is_monitoring"
    assert [row.pop() for row in roles["rows"]] == [False]
    assert said == stored
    assert [n for n in stored["facts"] if not getattr(old, n)] == []
    assert len(stored["facts"]) > 50


def test_a_file_in_format_1_says_what_it_said(old: Snapshot) -> None:
    """What stands there in plain words, not only that writing it again gives the same."""
    session, other = old.sessions[:2]
    assert session.application_name == 'naïve \x1b[2J\x00 \u2028 😀 "quoted" \\ '
    assert session.backend_start is not None
    assert session.backend_start.isoformat() == "2026-11-26T06:20:19.902605+05:30"
    assert other.backend_start is not None
    assert other.backend_start.isoformat() == "2026-11-26T00:32:47.906697-00:17:32"
    assert [n.node for n in old.nodes] == ["standby.example"]
    assert [type(u) for u in old.nodes[0].usages] == [IndexUsage] * 4
    assert old.missing["recovery"].cause is Cause.DENIED
    assert old.missing["recovery"].said == "permission denied"
    assert old.missing["subscriptions"] == Missing("a reason")
    assert old.measured_since is not None
    assert old.statements[0].stats_since is not None
    assert any(i.columns == (1,) for i in old.indexes)


def test_a_file_in_format_1_becomes_one_in_format_2_that_says_the_same(old: Snapshot) -> None:
    data = snapshot_file.dumps(old)
    again = snapshot_file.loads(data)
    assert again == old
    assert row_by_row(again) == row_by_row(old)
    assert document(old)["format"] == 2
    assert snapshot_file.dumps(again) == data


def test_a_file_in_format_1_without_causes_has_those_that_the_advice_tells(old: Snapshot) -> None:
    found = snapshot_file.loads(edited_row_by_row(old, lambda d: d.pop("causes"))).missing
    assert found["recovery"].cause is Cause.DENIED
    assert found["subscriptions"].cause is Cause.OTHER


def test_what_a_later_version_added_to_format_1_is_left_out(old: Snapshot) -> None:
    def add(changed: dict[str, Any]) -> None:
        table = changed["facts"]["tables"]
        table["columns"].append("invented_in_2030")
        for row in table["rows"]:
            row.append("something")
        changed["facts"]["inventions"] = {"columns": ["a"], "rows": [[1]]}

    assert snapshot_file.loads(edited_row_by_row(old, add)) == old


# --- values -------------------------------------------------------------------------------------


# Values of the right JSON type that no server ever gave: with some one can reckon, with others not.
ODD = {
    "int": -(2**63),
    "float": -1e100,
    "datetime": "1970-01-01T00:00:00+00:00",
    "str": "\x00\x1b[2J",
}
IMPOSSIBLE = {
    "int": (10**400, True, 1.5, "1", None),
    "float": (1e308, float("nan"), float("inf"), True, None),
    "datetime": ("9999-12-31T23:59:59+00:00", "2026-01-01T00:00:00", "soon", 0),
    "str": ("\ud800", 1, None),
}
PLACES = {
    "int": ("tables", "pages"),
    "float": ("tables", "rows"),
    "datetime": ("sessions", "backend_start"),
    "str": ("tables", "name"),
}


def with_value(snapshot: Snapshot, fact: str, name: str, value: Any) -> bytes:
    """Return a file in which this value stands in every row of a column."""

    def write(changed: dict[str, Any]) -> None:
        table = changed["facts"][fact]
        count: int = table["rows"]
        values: Any = [value] * count
        if isinstance(value, list):
            values = {"counts": [len(value)] * count, "items": value * count}
        table["columns"][name] = values

    return edited(snapshot, write)


def with_value_row_by_row(snapshot: Snapshot, fact: str, name: str, value: Any) -> bytes:
    """Return the same in format 1."""

    def write(changed: dict[str, Any]) -> None:
        table = changed["facts"][fact]
        place = table["columns"].index(name)
        for row in table["rows"]:
            row[place] = value

    return edited_row_by_row(snapshot, write)


def odd_columns(snapshot: Snapshot) -> Iterator[tuple[str, str, Any]]:
    """Name every column that has rows, with the odd value of its type."""
    for fact, kind in fields.fact_types().items():
        for name, hint in fields.field_types(kind).items():
            value = next((v for word, v in ODD.items() if word in str(hint)), None)
            if value is not None and getattr(snapshot, fact):
                yield fact, name, [value] if get_origin(hint) is tuple else value


@pytest.mark.slow
def test_a_file_with_odd_values_in_a_column_is_judged(many_facts: Snapshot) -> None:
    """Whatever stands there: a report; no exception, neither of a rule nor of what prints it."""
    outcomes = Counter(
        outcome(with_value(many_facts, fact, name, value), f"{fact}.{name}")
        for fact, name, value in odd_columns(many_facts)
    )
    assert outcomes.pop("judged") > 200
    assert set(outcomes) <= {"refused"}


@pytest.mark.parametrize(("word", "value"), [(w, v) for w, vs in IMPOSSIBLE.items() for v in vs])
def test_a_value_that_cannot_be_is_refused(many_facts: Snapshot, word: str, value: Any) -> None:
    fact, name = PLACES[word]
    for write in (with_value, with_value_row_by_row):
        assert outcome(write(many_facts, fact, name, value), name) == "refused"


def outcome(data: bytes, what: str) -> str:
    """Read, judge and report a file; say how that ended."""
    try:
        snapshot = snapshot_file.loads(data)
    except SnapshotError:
        return "refused"
    try:
        report = analyse([snapshot], Config(window_days=0))
        render.text(report, verbose=True)
        render.document("html", report, (snapshot,))
    except Exception as error:  # noqa: BLE001 - the test's own subject
        return f"{what}: {error!r:.200}"
    return "judged"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("taken_at", "2026-01-01T00:00:00"),
        ("taken_at", "0001-01-01T00:00:00+00:00"),
        ("taken_at", "9999-12-31T23:59:59+00:00"),
        ("started_at", "9999-12-31T23:59:59+00:00"),
        ("block_size", 0),
        ("block_size", -8192),
        ("version_num", -1),
        ("version_num", 10**30),
        ("version_num", True),
    ],
)
def test_a_server_that_somebody_edited_is_refused_or_judged(
    many_facts: Snapshot, name: str, value: Any
) -> None:
    data = edited(many_facts, lambda d: d["server"].update({name: value}))
    assert outcome(data, name) in ("refused", "judged")


def test_what_a_newer_minor_version_adds_is_left_out(snapshot: Snapshot) -> None:
    def add(changed: dict[str, Any]) -> None:
        changed["facts"]["tables"]["columns"]["invented_in_2030"] = {"a": "way that nobody knows"}
        changed["facts"]["inventions"] = "anything"

    assert snapshot_file.loads(edited(snapshot, add)) == snapshot


def test_a_file_that_unpacks_without_end_is_refused() -> None:
    zeros = zstandard.ZstdCompressor(level=3).compressobj()
    bomb = zeros.compress(bytes(1 << 20)) + zeros.flush()
    with pytest.raises(SnapshotError, match="too large"):
        snapshot_file.loads(bomb)


def test_nested_beyond_measure_is_refused() -> None:
    with pytest.raises(SnapshotError):
        snapshot_file.loads(b"[" * 200_000)


def test_the_program_says_it_in_one_line(snapshot: Snapshot, tmp_path: Path) -> None:
    data = snapshot_file.dumps(snapshot)
    (tmp_path / "cut").write_bytes(data[: len(data) // 2])
    (tmp_path / "other").write_bytes(b"PK\x03\x04 this is no snapshot")
    (tmp_path / "newer").write_bytes(edited(snapshot, lambda d: d.update(format=99)))
    for name in ("cut", "other", "newer", "absent"):
        done = db_analyze("report", str(tmp_path / name), "-o", str(tmp_path / "out"))
        assert done.returncode == 3, name
        assert len(done.stderr.strip().splitlines()) <= 2
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_two_moments_of_a_database_are_never_one_report(
    snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    taken, hour = snapshot.server.taken_at, timedelta(hours=1)
    for name, change in {
        "new": {},
        "old": {"taken_at": taken - hour},
        "renamed": {"taken_at": taken - hour, "database": "was"},
        "copy": {},
        "elsewhere": {"system_identifier": "7"},
    }.items():
        server = replace(snapshot.server, **change)  # type: ignore[arg-type]
        snapshot_file.save(replace(snapshot, server=server), tmp_path / name)

    def said(*arguments: str) -> str:
        done = CliRunner().invoke(cli, ["report", *arguments])
        assert isinstance(done.exception, UsageError), done.output
        assert not (tmp_path / "db-analysis-results").exists()
        return str(done.exception)

    for pair in (("new", "old"), ("old", "new")):
        assert f"new ({taken:%Y-%m-%d %H:%M:%S}) are two snapshots of database" in said(*pair)
        for command in ("report new --since old", "report new --baseline old", "diff old new"):
            assert f"`{command}`" in said(*pair)
    assert "two snapshots" in said("new", "renamed")
    assert "new and copy are the same snapshot" in said("new", "copy")
    assert "different servers" in said("new", "elsewhere")
    for option in ("--since", "--baseline"):
        told = said("new", option, "old", option, "renamed")
        assert f"use {option} once for each database" in told


def test_hostile_names_stay_names(snapshot: Snapshot, tmp_path: Path) -> None:
    hostile = "../../../escaped\n\x1b[2J<script>alert(1)</script>"
    tables = tuple(replace(t, name=hostile, schema=hostile) for t in snapshot.tables)
    server = replace(snapshot.server, database=hostile, address=hostile, version=hostile)
    path = tmp_path / "s.json.zst"
    snapshot_file.save(replace(snapshot, tables=tables, server=server), path)
    out = tmp_path / "a" / "b" / "out"
    wanted = [word for name in TEXTUAL for word in ("--format", name)]
    done = db_analyze("report", str(path), "-o", str(out), *wanted)
    assert done.returncode == 0, done.stderr
    assert len(list(out.iterdir())) == len(TEXTUAL)
    assert {p.name for p in tmp_path.iterdir()} == {"a", "s.json.zst"}
    assert "\x1b[2J" not in done.stdout
    (page,) = out.glob("*.html")
    assert "<script>alert" not in page.read_text(encoding="utf-8")
