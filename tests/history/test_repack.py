"""Histories that an earlier version wrote: what they tell is told after the migration, and after going back and forth."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import zstandard
from alembic import command

from pgwatch_wed.cli.checked import checked
from pgwatch_wed.cli.remembering import acknowledged_before
from pgwatch_wed.config import Config
from pgwatch_wed.errors import HistoryError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.history import (
    measures,
    migrate,
    part_groups,
    retention,
    runs,
    series,
    snapshots,
    store,
)
from pgwatch_wed.history.schema import blobs
from tests.reports import server

FIRST = Path(__file__).parent / "stores" / "first.sqlite3.zst"
"""Four runs, an hour apart, with one report; written by the version whose migration was h0001."""


@pytest.fixture
def first_file(tmp_path: Path) -> Path:
    path = tmp_path / "first.sqlite3"
    path.write_bytes(zstandard.ZstdDecompressor().decompress(FIRST.read_bytes()))
    return path


@pytest.fixture
def first(first_file: Path) -> Iterator[store.Store]:
    opened = store.open_store(str(first_file))
    yield opened
    opened.close()


def told(connection: sa.Connection) -> dict[str, Any]:
    """Return all that the series and the runs of the only database tell."""
    known = series.known_statements(connection, 1)
    every = list(reversed(runs.listed(connection)))
    return {
        "statements": [series.of_statement(connection, s.id) for s in known],
        "numbers": [measures.read(connection, 1, 1, kind) for kind in KINDS],
        "runs": [runs.read(connection, r) for r in every],
        "reports": [runs.document(connection, r) for r in every],
    }


KINDS = (
    *("table_bytes", "indexes_bytes", "live_rows", "dead_rows", "relations_bytes"),
    *("sequence_value", "xid_age", "connections", "wal_position"),
    *("table_writes", "table_seq_rows", "sessions"),
)


def move(opened: store.Store, revision: str) -> None:
    """Bring a history to another revision, forth or back."""
    with opened.engine.connect() as plain:
        connection = plain.execution_options(pgwatch_wed_writes=True)
        with connection.begin():
            config = migrate._config()
            config.attributes["connection"] = connection
            go = command.upgrade if revision == "head" else command.downgrade
            go(config, revision)


def values(connection: sa.Connection, kind: str, name: str = "") -> list[float | None]:
    (found,) = [
        s
        for s in measures.read(connection, 1, 1, kind)
        if s.subject.name in (name, f"public.{name}")
    ]
    return [p.value for p in found.points]


def test_what_the_first_version_wrote_is_told(first: store.Store) -> None:
    with first.reading() as connection:
        (work,) = series.of_all_statements(connection, 1).values()
        assert [(p.calls, p.rows, p.blocks) for p in work] == [
            (7, 7, 154),
            (9, 9, 198),
            (11, 11, 242),
        ]
        assert values(connection, "table_bytes", "orders") == [90112, *[180224] * 3]
        assert values(connection, "table_bytes", "later") == [0, None]
        assert values(connection, "table_writes", "orders") == [2000, 0, 0]
        assert values(connection, "table_seq_rows", "orders") == [28000, 36000, 44000]
        assert values(connection, "relations_bytes") == [155648, 286720, 294912, 286720]
        assert values(connection, "connections") == [1, 1, 1, 1]
        assert values(connection, "wal_position") == [24990832, 25271024, 25292248, 25294272]
        every = runs.listed(connection)
        read = [runs.read(connection, r)[0] for r in reversed(every)]
        document = runs.document(connection, every[0])
    assert [s.calls for snapshot in read for s in snapshot.statements] == [
        1,
        5,
        1,
        12,
        1,
        21,
        32,
        1,
    ]
    assert all(s.text for snapshot in read for s in snapshot.statements)
    assert document is not None
    assert document["target"]["label"] == "local/postgres"


def test_what_only_reads_upgrades_nothing(first_file: Path) -> None:
    before = first_file.read_bytes()
    with store.unchanged(str(first_file)) as opened, opened.reading() as connection:
        assert len(runs.listed(connection)) == 4
    read = Snapshot(tool_version="0", server=server())
    assert acknowledged_before((read,), Config(), {"history_url": str(first_file)}) == Config()
    found = checked(read, Config(), str(first_file), asks=True)
    assert not [v for v in found.verdicts if "history" in v.reason]
    assert first_file.read_bytes() == before
    assert list(first_file.parent.iterdir()) == [first_file]


def test_a_server_with_an_older_history_is_left_as_it_is(history_db: str) -> None:
    with store.unchanged(history_db) as new, new.reading() as connection:
        assert not runs.listed(connection)
    opened = store.Store(store.place(history_db), store._engine(store.place(history_db)))
    assert migrate.form_of(opened.engine) is migrate.StoredForm.NONE, "no tables were created"
    migrate.upgrade(opened.engine)
    move(opened, "h0001")
    with (
        pytest.raises(HistoryError, match="older version"),
        store.unchanged(history_db),
    ):
        pass
    assert migrate.form_of(opened.engine) is migrate.StoredForm.OLDER
    store.open_store(history_db).close()
    with store.unchanged(history_db) as now:
        assert migrate.form_of(now.engine) is migrate.StoredForm.CURRENT


def test_a_folder_is_no_history_to_read(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="is a directory"), store.unchanged(str(tmp_path)):
        pass


def test_going_back_and_forth_loses_nothing(first: store.Store, history: store.Store) -> None:
    with first.reading() as connection:
        every = [runs.read(connection, r) for r in reversed(runs.listed(connection))]
    for read in every:
        with history.writing() as connection:
            runs.add(connection, runs.NewRun(read))
    with history.reading() as connection:
        before = told(connection)
        assert connection.execute(sa.select(blobs.c.hash).where(blobs.c.base.is_not(None))).all()
    move(history, "h0001")
    prefix = "pgwatch_wed_history." if history.place.kind == "server" else ""
    with history.reading() as connection:
        calls = connection.exec_driver_sql(f"select sum(calls) from {prefix}statement_intervals")
        assert calls.scalar() == 7 + 9 + 11
        sizes = connection.exec_driver_sql(
            f"select value from {prefix}measures m join {prefix}series s on s.id = m.series_id"
            " where kind = 'table_bytes' and object_name = 'public.orders' order by taken_at"
        )
        assert [row[0] for row in sizes] == [90112, 180224]
    move(history, "head")
    with history.reading() as connection:
        assert told(connection) == before


def later(snapshot: Snapshot, hours: int) -> Snapshot:
    """Return the same some hours later, with a server process of its own."""
    moment = snapshot.now + hours * (snapshot.now - snapshot.server.started_at)
    pid = snapshot.server.backend_pid + hours
    return replace(snapshot, server=replace(snapshot.server, taken_at=moment, backend_pid=pid))


def test_what_others_are_compressed_against_is_kept_and_then_goes(first: store.Store) -> None:
    with first.reading() as connection:
        (newest,) = runs.read(connection, runs.listed(connection)[0])
    wide = [
        replace(
            newest,
            statements=tuple(
                replace(newest.statements[0], query_id=n * 7919, calls=n + (n == hours))
                for n in range(500, 0, -1)
            ),
        )
        for hours in range(4)
    ]
    with first.writing() as connection:
        for hours, each in enumerate(wide, 1):
            runs.add(connection, runs.NewRun([later(each, hours)]))
    with first.reading() as connection:
        patches = connection.execute(sa.select(blobs.c.hash).where(blobs.c.base.is_not(None)))
        assert patches.all()
        most_recent = runs.listed(connection)[0]
        before = runs.read(connection, most_recent)
    with first.writing() as connection:
        ids = [r.id for r in runs.listed(connection) if r.id != most_recent.id]
        retention._remove_parts(connection, retention._remove(connection, ids))
    with first.reading() as connection:
        assert runs.read(connection, most_recent) == before
        (kept,) = snapshots.of_run(connection, most_recent.id)
        parts = snapshots.addresses(connection, kept).values()
        addresses = {*(part_groups.split(part)[0] for part in parts), kept.server}
        # what the one that is left needs, and nothing else
        assert set(connection.execute(sa.select(blobs.c.hash)).scalars()) == addresses


def test_a_damaged_series_is_one_line(first: store.Store) -> None:
    with sqlite3.connect(first.place.value) as raw:
        raw.execute("update statement_work set data = x'00'")
        raw.execute("update numbers set data = substr(data, 1, length(data) - 3)")
    raw.close()
    with first.reading() as connection:
        with pytest.raises(HistoryError, match="damaged"):
            series.of_all_statements(connection, 1)
        with pytest.raises(HistoryError, match="damaged"):
            measures.read(connection, 1, 1, "table_bytes")
