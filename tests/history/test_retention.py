"""How long runs and series are kept."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from pgwatch_wed import clock
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.fleet import traits, visit_log
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.visits import Visit, VisitEnding
from pgwatch_wed.history import condense, measures, remembered, retention, runs, series, store
from pgwatch_wed.history.blobs import get as stored_bytes
from pgwatch_wed.history.schema import baselines, blobs, chores, clusters, collections, snapshots
from pgwatch_wed.history.schema import runs as runs_table
from pgwatch_wed.target.collect import collect
from tests.history.test_store import SHOP
from tests.psql import psql

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)


@pytest.fixture
def taken(db: str) -> Snapshot:
    psql(db, SHOP)
    psql(db, "select count(*) from orders where customer = 7")
    return collect(db)


def at(taken: Snapshot, moment: datetime, calls: int = 1) -> Snapshot:
    """Return a snapshot as if it had been taken at another time, with so many calls by then."""
    old = datetime(2020, 1, 1, tzinfo=UTC)
    counted = [
        replace(
            s,
            calls=calls,
            rows=calls * 2,
            total_exec_ms=calls * 3.0,
            mean_exec_ms=3.0,
            stddev_exec_ms=2.0,
            shared_blks_hit=calls * 5,
            stats_since=old,
            minmax_stats_since=old,
            max_exec_ms=7.0,
            min_exec_ms=1.0,
        )
        for s in taken.statements
        if "orders where" in (s.text or "")
    ]
    info = tuple(replace(i, stats_reset=old) for i in taken.statements_info)
    server = replace(taken.server, taken_at=moment, started_at=old)
    tables = tuple(replace(t, pages=calls) for t in taken.tables)
    dated: dict[str, Any] = {
        fact: tuple(replace(row, stats_reset=old) for row in getattr(taken, fact))
        for fact in ("checkpoints", "wal", "archiver", "slru", "io", "databases")
    }
    return replace(
        taken,
        server=server,
        statements=tuple(counted),
        statements_info=info,
        tables=tables,
        **dated,
    )


def fill(history: store.Store, taken: Snapshot, moments: Sequence[datetime]) -> None:
    with history.writing() as connection:
        for number, moment in enumerate(sorted(moments), 1):
            runs.add(connection, runs.NewRun([at(taken, moment, number)]))


def kept(history: store.Store) -> list[datetime]:
    with history.reading() as connection:
        return [run.taken_at for run in reversed(runs.listed(connection))]


def test_all_then_daily_then_monthly(history: store.Store, taken: Snapshot) -> None:
    def ago(**span: float) -> datetime:
        return NOW - timedelta(**span)

    recent = [NOW, ago(hours=1), ago(hours=2), ago(hours=47)]
    days = [ago(days=10, hours=1), ago(days=10), ago(days=11)]
    long_ago = [ago(days=150, hours=6), ago(days=150), ago(days=1500)]
    fill(history, taken, [*recent, *days, *long_ago])
    with history.writing() as connection:
        connection.execute(
            baselines.insert().values(cluster_id=1, name="first", run_id=1, set_at=NOW, note="")
        )
        done = retention.prune(connection, NOW, retention.Retention())
    assert (done.runs, done.left) == (2, 0)
    gone = {ago(days=10, hours=1), ago(days=150, hours=6)}
    assert set(kept(history)) == {*recent, *days, *long_ago} - gone
    with history.reading() as connection:
        for run in runs.listed(connection):
            assert runs.read(connection, run)  # nothing that another needs was removed
        used = sa.union(
            sa.select(collections.c.hash),
            sa.select(snapshots.c.server),
            sa.select(runs_table.c.report).where(runs_table.c.report.is_not(None)),
        )
        assert set(connection.execute(sa.select(blobs.c.hash)).scalars()) == set(
            connection.execute(used).scalars()
        )


def test_one_call_removes_a_bounded_number(history: store.Store, taken: Snapshot) -> None:
    moments = [NOW - timedelta(days=5, minutes=n) for n in range(8)]
    fill(history, taken, [NOW, *moments])
    with history.writing() as connection:
        done = retention.prune(connection, NOW, retention.Retention(), batch=3)
    assert (done.runs, done.left) == (3, 4)


def test_what_one_run_looks_at_is_bounded_and_all_clusters_have_their_turn(
    history: store.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"system_identifier": None, "first_seen": NOW}
    with history.writing() as connection:
        many = [{**row, "label": f"db{number}"} for number in range(5)]
        connection.execute(clusters.insert(), many)
        ids = list(connection.execute(sa.select(clusters.c.id)).scalars())
        for number, cluster_id in enumerate(ids):
            for age in (0, 5, 6, 7):  # of one day, two are due
                moment = NOW - timedelta(days=age > 0 and 5, hours=age)
                values = {"cluster_id": cluster_id, "taken_at": moment, "label": ""}
                values |= {
                    "fingerprint": f"{number} {age}",
                    "tool_version": "",
                    "server_version": "",
                }
                connection.execute(runs_table.insert().values(**values))
        monkeypatch.setattr(retention, "_SHARE", 2)
        for first in range(5):
            monkeypatch.setattr(random, "randrange", lambda _, at=first: at)
            (share,) = retention.shares(connection, 2)
            assert list(share) == [ids[first], ids[(first + 1) % 5]]
        assert [len(share) for share in retention.shares(connection, 5)] == [2, 2, 1]
        done = retention.prune(connection, NOW, retention.Retention(), 3, share)
        assert (done.runs, done.left) == (3, 1)
        left = {run.cluster_id for run in runs.listed(connection)}
        assert left == set(ids)
    monkeypatch.setattr(remembered, "_LOOKED_AT", 2)
    monkeypatch.setattr(random, "randrange", lambda _: 1)
    remembered.tidy(history, 1)
    assert len(kept(history)) == 20 - 3 - 1
    with history.writing() as connection:
        connection.execute(chores.delete())
    remembered.tidy(history, 20)
    assert len(kept(history)) == 10


def test_a_clock_that_is_ahead_removes_nothing(history: store.Store, taken: Snapshot) -> None:
    fill(history, taken, [NOW, NOW - timedelta(hours=1)])
    with history.writing() as connection:
        later = NOW + timedelta(days=9999)
        assert retention.prune(connection, later, retention.Retention()).runs == 0


def test_a_limit_of_the_size_removes_the_oldest(history: store.Store, taken: Snapshot) -> None:
    moments = [NOW - timedelta(minutes=n) for n in range(10)]
    fill(history, taken, moments)
    with history.writing() as connection:
        limit = retention.size_bytes(connection) * 9 // 10
        done = retention.prune(connection, NOW, retention.Retention(max_bytes=limit))
    assert done.runs >= 1
    assert kept(history) == sorted(moments)[done.runs :]


def test_runs_over_a_fleet_are_thinned_like_runs(history: store.Store, taken: Snapshot) -> None:
    def walk(moment: datetime, name: str) -> int:
        with history.writing() as connection:
            run = visit_log.begin(connection, [Member("a", ())], moment, {"inventory": name})
            own = traits.put(connection, traits.Traits(version=f"17.{run.id}"))
            ended = Visit(run.id, "a", ending=VisitEnding.DONE, ended_at=moment, traits=own)
            visit_log.end(connection, ended)
        return run.id

    fill(history, taken, [NOW])
    days = [NOW - timedelta(days=10, hours=hours) for hours in (2, 1)]
    walks = [walk(moment, name) for moment in (*days, NOW) for name in ("one", "other")]
    with history.writing() as connection:
        retention.prune(connection, NOW, retention.Retention())
    with history.reading() as connection:
        left = visit_log.runs_of_fleet(connection)
        assert sorted(run.id for run in left) == walks[2:]
        for run in left:
            (visit,) = visit_log.visits(connection, run.id)
            assert visit.traits is not None
            assert traits.get(connection, visit.traits).version == f"17.{run.id}"
        parts = [content for _, content in all_blobs(connection)]
    own = [part for part in parts if b'"version": "17.' in part]
    assert len(own) == 4


def all_blobs(connection: sa.Connection) -> list[tuple[str, bytes]]:
    hashes = connection.execute(sa.select(blobs.c.hash)).scalars().all()
    return [(each, stored_bytes(connection, each)) for each in hashes]


def test_of_many_runs_one_tidies_up(history: store.Store, taken: Snapshot) -> None:
    fill(history, taken, [NOW, *(NOW - timedelta(days=5, minutes=n) for n in range(8))])
    remembered.tidy(history, 3)
    remembered.tidy(history, 3)
    assert len(kept(history)) == 9 - 3
    with history.writing() as connection:  # later
        connection.execute(chores.update().values(begun_at=NOW - timedelta(days=1)))
    remembered.tidy(history)
    assert len(kept(history)) == 2


def test_a_history_of_many_clusters_that_are_read_one_by_one_does_not_grow_for_ever(
    history: store.Store, taken: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [NOW - timedelta(days=5, minutes=n) for n in range(8)]
    fill(history, taken, [*old, *(NOW - timedelta(minutes=n) for n in range(3))])
    with history.writing() as connection:
        last = NOW - timedelta(minutes=30)
        connection.execute(chores.insert().values(name="tidy", begun_at=last))
    monkeypatch.setattr(clock, "now", lambda: NOW)
    remembered.tidy(history, 1)
    assert len(kept(history)) == 11 - 2 * 3


def test_of_runs_whose_clocks_differ_a_little_one_tidies_up(
    history: store.Store, taken: Snapshot
) -> None:
    fill(history, taken, [NOW, *(NOW - timedelta(days=5, minutes=n) for n in range(4))])
    remembered.tidy(history, 1)
    with history.writing() as connection:  # on a machine whose clock is ahead
        connection.execute(chores.update().values(begun_at=clock.now() + timedelta(seconds=30)))
    remembered.tidy(history, 1)
    assert len(kept(history)) == 4
    with history.writing() as connection:  # a clock that was days ahead holds up nobody
        connection.execute(chores.update().values(begun_at=clock.now() + timedelta(days=3)))
    remembered.tidy(history, 1)
    assert len(kept(history)) == 3


def test_series_of_long_ago_are_kept_by_the_day(history: store.Store, taken: Snapshot) -> None:
    midnight = NOW.replace(hour=0) - timedelta(days=60)
    moments = [midnight + timedelta(hours=h) for h in (-24, 3, 8, 20)]
    fill(history, taken, [*moments, NOW])
    with history.reading() as connection:
        before = series.of_all_statements(connection, 1)
    with history.writing() as connection:
        assert condense.condense(connection, NOW) == 1
        assert condense.condense(connection, NOW) == 0
    with history.reading() as connection:
        (points,) = series.of_all_statements(connection, 1).values()
        between = series.intervals_of(connection, 1)
        (size,) = (
            s
            for s in measures.read(connection, 1, 1, "table_bytes")
            if s.subject.name == "public.orders"
        )
    (hours,) = before.values()
    assert len(hours) == 4
    assert [(p.began_at, p.ended_at) for p in points] == [
        (moments[0], moments[3]),
        (moments[3], NOW),
    ]
    assert points[0].calls == sum(p.calls for p in hours[:3]) == 3
    assert points[0].exec_ms == pytest.approx(9.0)
    # three calls with a standard deviation of 2 each
    assert points[0].squares_ms2 == pytest.approx(3 * 2.0**2)
    assert (points[0].min_ms, points[0].max_ms) == (hours[0].min_ms, hours[0].max_ms)
    assert [(i.calls, i.ended_at) for i in between] == [(3, moments[3]), (1, NOW)]
    assert [p.value for p in size.points if p.at == moments[3]] == [4 * 8192]


def test_so_many_days_are_added_up_at_a_time_and_no_others_are_read(
    history: store.Store, taken: Snapshot
) -> None:
    midnight = NOW.replace(hour=0) - timedelta(days=60)
    fill(history, taken, [midnight + timedelta(hours=h) for h in (-50, -30, 3, 8, 27, 32)] + [NOW])
    with history.writing() as connection:
        due = [day for _, _, day in condense._divided(connection, NOW, 9)]
        assert due == [midnight, midnight + timedelta(days=1)]
        assert condense.condense(connection, NOW, 1) == 1
        assert condense._divided(connection, NOW, 9) == [(1, 1, due[1])]
        assert [condense.condense(connection, NOW) for _ in range(2)] == [1, 0]
    with history.reading() as connection:
        ends = [each.ended_at for each in series.intervals_of(connection, 1)]
    assert ends[-3:] == [midnight + timedelta(hours=8), midnight + timedelta(hours=32), NOW]


def test_series_end_with_their_months(history: store.Store, taken: Snapshot) -> None:
    moments = [NOW - timedelta(days=d) for d in (1300, 1290, 1, 0)]
    fill(history, taken, moments)
    with history.writing() as connection:
        retention.prune(connection, NOW, retention.Retention())
    with history.reading() as connection:
        (points,) = series.of_all_statements(connection, 1).values()
    assert [p.ended_at for p in points] == [NOW - timedelta(days=1), NOW]
