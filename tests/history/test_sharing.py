"""What the snapshots of a database have in common is listed once, and what siblings have in common is stored once."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from pgwatch_wed.errors import HistoryError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.history import (
    kept_findings,
    kept_verdicts,
    part_groups,
    retention,
    runs,
    snapshots,
    store,
)
from pgwatch_wed.history.schema import blobs, collections
from pgwatch_wed.history.schema import snapshots as snapshots_table
from pgwatch_wed.target.collect import collect
from tests.history.test_repack import move
from tests.history.test_retention import NOW, at
from tests.history.test_store import SHOP, judged
from tests.history.test_writers import of_cluster, store_run, what_nothing_needs
from tests.psql import psql


@pytest.fixture
def taken(db: str) -> Snapshot:
    psql(db, SHOP)
    psql(db, "".join(f"create table t{n} (id int primary key, a text);" for n in range(20)))
    psql(db, "select count(*) from orders where customer = 7")
    return collect(db)


def listed(opened: store.Store) -> list[int]:
    """Return how many parts are listed for each snapshot."""
    count = sa.select(sa.func.count(collections.c.name)).select_from(snapshots_table)
    mine = collections.c.snapshot_id == snapshots_table.c.id
    query = count.join(collections, mine, isouter=True).group_by(snapshots_table.c.id)
    with opened.reading() as connection:
        return list(connection.execute(query.order_by(snapshots_table.c.id)).scalars())


def test_others_take_over_what_they_shared_with_one_that_is_removed(
    history: store.Store, taken: Snapshot
) -> None:
    wanted = [at(taken, NOW + timedelta(hours=n), n + 1) for n in range(5)]
    wanted[2] = replace(wanted[2], columns=(), sequences=())  # it lacks what the first has
    wanted[3] = replace(wanted[3], missing={})
    stored = [store_run(history, each) for each in wanted]
    whole, *others = listed(history)
    assert max(others) < whole / 2
    for number in (0, 1, 3):
        with history.writing() as connection:
            retention._remove_parts(connection, retention._remove(connection, [stored[number].id]))
        with history.reading() as connection:
            left = {run.id: runs.read(connection, run) for run in runs.listed(connection)}
        for run, each in zip(stored, wanted, strict=True):
            assert left.get(run.id, (each,)) == (each,)
    assert what_nothing_needs(history) == set()
    assert len(left) == 2


def test_earlier_versions_find_all_parts(history: store.Store, taken: Snapshot) -> None:
    wanted = [at(taken, NOW + timedelta(hours=n), n + 1) for n in range(3)]
    for each in wanted:
        store_run(history, each)
    with history.writing() as connection:
        new = judged(taken)
        run, _ = runs.add(connection, new)
        assert run.verdicts is not None
        told = kept_verdicts.get(connection, run.verdicts)
    wanted.append(taken)
    move(history, "h0002")
    rows = listed(history)
    assert len(set(rows[:3])) == 1
    prefix = "pgwatch_wed_history." if history.place.kind == "server" else ""
    with history.reading() as connection:
        old = connection.exec_driver_sql(f"select count(*) from {prefix}verdicts").scalar()
    assert old == len(told) > 90
    move(history, "head")
    with history.reading() as connection:
        known = sorted(runs.listed(connection), key=lambda run: run.id)
        assert [runs.read(connection, run)[0] for run in known] == wanted
        assert known[-1].verdicts is not None
        assert kept_verdicts.get(connection, known[-1].verdicts) == told


def test_small_parts_that_change_are_one_blob(history: store.Store, taken: Snapshot) -> None:
    wide = replace(taken, table_activity=taken.table_activity * 2_000)
    wanted = [at(each, NOW + timedelta(hours=n), n + 1) for n, each in enumerate((taken, wide))]
    first, second = (store_run(history, each) for each in wanted)
    with history.reading() as connection:
        parts, later = (
            snapshots.addresses(connection, snapshots.of_run(connection, run.id)[0])
            for run in (first, second)
        )
        assert [runs.read(connection, run)[0] for run in (first, second)] == wanted
    groups = {part_groups.split(parts[name])[0] for name in parts if name in part_groups.GROUPED}
    assert len(groups) == 1
    own = {name for name, address in later.items() if not part_groups.split(address)[1]}
    assert "table_activity" in own
    assert "wal" not in own


def test_a_group_says_which_parts_it_holds() -> None:
    parts = {name: name.encode() * 3 for name in part_groups.GROUPED[::2]}
    content = part_groups.written(parts)
    assert part_groups.read(content) == parts
    addresses = {name: part_groups.address_in("0a" * 16, name) for name in parts}
    rows = part_groups.folded(addresses | {"tables": "0b" * 16, "wal": ""})
    assert len(rows) == 3
    assert part_groups.unfolded(rows) == addresses | {"tables": "0b" * 16, "wal": ""}
    with pytest.raises(HistoryError, match="damaged"):
        part_groups.read(b"[1]\n" + content)


def test_findings_of_a_run_are_kept_together_and_by_row_in_earlier_versions(
    history: store.Store, taken: Snapshot
) -> None:
    new = judged(taken)
    with history.writing() as connection:
        run, _ = runs.add(connection, new)
        told = kept_findings.of_run(connection, run.id)
    assert new.report is not None
    assert [f.finding_id for f in told] == sorted(f.id for f in new.report.findings)
    assert {f.title for f in told} == {f.title for f in new.report.findings}
    move(history, "h0003")
    prefix = "pgwatch_wed_history." if history.place.kind == "server" else ""
    with history.reading() as connection:
        rows = connection.exec_driver_sql(f"select count(*) from {prefix}findings").scalar()
        (group,) = connection.exec_driver_sql(
            f"select count(*) from {prefix}collections where name like ':group%%'"
            if prefix
            else "select count(*) from collections where name like ':group%'"
        ).one()
    assert (rows, group) == (len(told), 0)
    move(history, "head")
    with history.reading() as connection:
        assert kept_findings.of_run(connection, run.id) == told
        assert runs.read(connection, run) == (taken,)


def other_oids(snapshot: Snapshot) -> Snapshot:
    """Return a snapshot as if the same schema had been created somewhere else."""
    tables = {t.oid: t.oid + 7_000 + 3 * n for n, t in enumerate(snapshot.tables)}
    changed: dict[str, Any] = {
        "tables": tuple(replace(t, oid=tables[t.oid]) for t in snapshot.tables),
        "columns": tuple(
            replace(c, table_oid=tables.get(c.table_oid, c.table_oid)) for c in snapshot.columns
        ),
    }
    return replace(snapshot, **changed)


def test_siblings_are_stored_as_what_differs(history: store.Store, taken: Snapshot) -> None:
    store_run(history, of_cluster(replace(taken, tables=taken.tables[:1]), 3))
    first = store_run(history, of_cluster(taken, 1))
    second = store_run(history, other_oids(of_cluster(taken, 2)))
    assert first.cluster_id != second.cluster_id
    with history.reading() as connection:
        one, other = (
            snapshots.addresses(connection, snapshots.of_run(connection, run.id)[0])
            for run in (first, second)
        )
        sizes = {
            row.hash: (len(row.data), row.base) for row in connection.execute(sa.select(blobs))
        }
    assert one[":names"] == other[":names"]
    for name in ("columns", "tables"):
        assert one[name] != other[name]
        size, base = sizes[other[name]]
        assert base == one[name]
        assert size < sizes[one[name]][0] * 0.6
