"""Samples: what adds up, what is a gap, and what a real server shows. No server, except where a fixture says so."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from pgwatch_wed.facts import LockWait
from pgwatch_wed.facts import file as snapshot_file
from pgwatch_wed.gather.rounds import Repetition, rounds
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.history import runs
from pgwatch_wed.history.store import open_store
from pgwatch_wed.postgres.sampling import Recorder, SampledSession
from pgwatch_wed.progress import silent
from pgwatch_wed.target import sampler as sampling
from pgwatch_wed.target.collect import collect
from tests import servers
from tests.conftest import StartServer
from tests.psql import psql
from tests.test_analyse import SERVER

T0 = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PROGRAM = str(Path(sys.executable).with_name("db-analyze"))


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def session(pid: int, state: str = "active", wait: str | None = None, query: int | None = 7) -> SampledSession:  # fmt: skip
    event = {"Lock": "relation", "Client": "ClientRead"}.get(wait or "")
    return SampledSession(pid, None, "shop", "app", "web", "client backend", state, wait, event, query, T0)  # fmt: skip


def waiting(pid: int, *behind: int, since: float | None = 0, mode: str = "ShareLock", **more: object) -> LockWait:  # fmt: skip
    start = None if since is None else at(since)
    known: dict[str, object] = {"locktype": "transactionid", "relation_oid": 9, "relation": "public.t"}  # fmt: skip
    return LockWait(pid, behind, mode=mode, database_oid=1, wait_start=start, **{**known, **more})  # type: ignore[arg-type]


def recorder() -> Recorder:
    return Recorder(SERVER, SECOND, T0)


def sampled(record: Recorder, times: list[float], *sessions: SampledSession, elapsed: float | None = None) -> None:  # fmt: skip
    last = 0.0
    for t in times:
        record.activity(
            sessions, at(t), timedelta(seconds=t - last if elapsed is None else elapsed)
        )
        last = t


# What adds up


def test_a_session_that_is_seen_each_second_was_active_all_the_time() -> None:
    record = recorder()
    sampled(record, [1, 2, 3, 4, 5], session(1), session(2), session(3, "idle", "Client"))
    found = record.take()
    assert [(m.samples, m.covered_seconds, m.gap_seconds) for m in found.minutes] == [(5, 5.0, 0.0)]
    by_state = {a.state: (a.samples, a.seconds, a.query_id) for a in found.activity}
    assert by_state == {"active": (10, 10.0, 7), "idle": (5, 5.0, None)}


def test_time_is_kept_by_the_minute_and_nothing_is_counted_twice() -> None:
    record = recorder()
    sampled(record, [float(n) for n in range(1, 91)], session(1))
    first = record.take()
    assert [a.seconds for a in first.activity] == [29.0, 60.0, 1.0]
    sampled(record, [91], session(1), elapsed=1)
    assert [a.seconds for a in record.take().activity] == [1.0]
    assert record.take() == ((), (), (), 0)


def test_background_processes_without_work_are_not_counted() -> None:
    record = recorder()
    idle = session(9, wait="Activity")._replace(backend_type="checkpointer", state=None)
    sampled(record, [1, 2], idle)
    assert record.take().activity == ()


# Gaps


def test_what_was_not_sampled_is_a_gap_with_its_reason_and_not_nothing() -> None:
    record = recorder()
    sampled(record, [1, 2], session(1))
    record.failed("the connection was lost")
    record.failed("could not connect")
    record.activity([session(1)], at(200), timedelta(seconds=198))
    minutes = record.take().minutes
    assert [m.gap_seconds for m in minutes] == [28.0, 60.0, 60.0, 49.0]
    assert [m.samples for m in minutes] == [2, 0, 0, 1]
    assert sum(m.covered_seconds + m.gap_seconds for m in minutes) == 200
    assert {m.reason for m in minutes} == {"the connection was lost"}


def test_a_slow_look_or_two_is_no_gap() -> None:
    record = recorder()
    sampled(record, [1, 2.9, 4], session(1))
    (minute,) = record.take().minutes
    assert (minute.covered_seconds, minute.gap_seconds, minute.reason) == (4.0, 0.0, "")


@pytest.mark.parametrize(
    ("seen", "elapsed", "gap"),
    [(500, 1, 498), (-500, 1, 0), (2, 500, 499), (1, 1, 0)],
    ids=["the machine slept", "the server's clock went back", "the server stalled", "same time"],
)
def test_clocks_that_disagree_make_no_time(seen: float, elapsed: float, gap: float) -> None:
    record = recorder()
    record.activity([session(1)], at(1), SECOND)
    record.activity([session(1)], at(seen), timedelta(seconds=elapsed))
    found = record.take()
    assert sum(m.gap_seconds for m in found.minutes) == gap
    assert all(m.covered_seconds >= 0 for m in found.minutes)
    assert sum(a.seconds for a in found.activity) <= 2


def test_a_sampler_that_is_stuck_when_it_is_asked_says_so() -> None:
    record = recorder()
    sampled(record, [1], session(1))
    (minute,) = record.take(at(20)).minutes
    assert (minute.covered_seconds, minute.gap_seconds) == (1.0, 19.0)
    assert minute.reason == "no sample was taken"
    assert sum(m.gap_seconds for m in record.take(at(25)).minutes) == 5


# Who blocked whom


def look(record: Recorder, t: float, sessions: list[SampledSession], *waits: LockWait, elapsed: float = 1) -> None:  # fmt: skip
    covered = record.activity(sessions, at(t), timedelta(seconds=elapsed))
    if waits:
        record.locks(sessions, waits, at(t), covered)
    else:
        record.nobody_waits(at(t))


IDLE = session(1, "idle in transaction", "Client", 11)
A, B, C = (session(n, wait="Lock", query=20 + n) for n in (2, 3, 4))


def test_everybody_in_a_chain_waits_for_its_head() -> None:
    record = recorder()
    for t in (1, 2, 3):
        look(record, t, [IDLE, A, B], waiting(2, 1), waiting(3, 2))
    (episode,) = record.take().episodes
    assert (episode.pid, episode.state, episode.query_id) == (1, "idle in transaction", 11)
    assert (episode.blocked_seconds, episode.most_blocked, episode.depth) == (6.0, 2, 2)
    assert episode.longest_seconds == 3.0
    assert episode.blocked_query_ids == (22, 23)


def test_a_session_that_waits_for_two_is_not_counted_twice() -> None:
    record = recorder()
    other = session(5, query=50)
    for t in (1, 2):
        look(record, t, [IDLE, other, A], waiting(2, 1, 5))
    episodes = record.take().episodes
    assert sorted(e.query_id or 0 for e in episodes) == [11, 50]
    assert sum(e.blocked_seconds for e in episodes) == 2.0


def test_those_behind_ddl_are_told_apart() -> None:
    record = recorder()
    waits = (
        waiting(2, 1, mode="AccessExclusiveLock", locktype="relation"),
        waiting(3, 2, mode="AccessShareLock", locktype="relation"),
    )
    look(record, 1, [IDLE, A, B], *waits)
    by_mode = {e.mode: (e.queued_mode, e.queued_query_id, e.pid) for e in record.take().episodes}
    assert by_mode == {
        "AccessExclusiveLock": (None, None, 1),
        "AccessShareLock": ("AccessExclusiveLock", 22, 1),
    }


def test_in_a_deadlock_each_waits_for_the_other_and_it_ends() -> None:
    record = recorder()
    look(record, 1, [A, B, C], waiting(2, 3), waiting(3, 2), waiting(4, 3))
    look(record, 2, [A, B, C])
    found = record.take().episodes
    assert sum(e.blocked_seconds for e in found) == 3.0
    assert {e.pid for e in found} == {2, 3}


def test_prepared_transactions_have_no_pid() -> None:
    record = recorder()
    look(record, 1, [A], waiting(2, 0, blocked_by_prepared=("gid 1",)))
    (episode,) = record.take().episodes
    assert (episode.gid, episode.pid, episode.state) == ("gid 1", None, None)


def test_a_wait_that_goes_on_lasted_through_the_gap() -> None:
    record = recorder()
    look(record, 1, [IDLE, A], waiting(2, 1, since=0.5))
    look(record, 61, [IDLE, A], waiting(2, 1, since=0.5), elapsed=60)
    (episode,) = record.take().episodes
    assert (episode.blocked_seconds, episode.longest_seconds) == (61.0, 60.5)


def test_a_wait_that_began_in_the_gap_or_whose_begin_is_unknown_counts_once() -> None:
    for since in (60.5, None):
        record = recorder()
        look(record, 1, [IDLE, A], waiting(2, 1, since=0.5 if since else None))
        look(record, 61, [IDLE, A], waiting(2, 1, since=since), elapsed=60)
        (episode,) = record.take().episodes
        assert episode.blocked_seconds == 2.0


def test_an_episode_ends_with_a_minute_without_it() -> None:
    record = recorder()
    for t in (1, 2, *range(3, 70), 70):
        look(record, t, [IDLE, A], *((waiting(2, 1),) if t in (1, 2, 70) else ()))
    assert [e.blocked_seconds for e in record.take().episodes] == [2.0, 1.0]


def test_too_many_kinds_are_left_out_and_counted() -> None:
    record = recorder()
    look(record, 1, [session(n, query=n) for n in range(2_500)])
    found = record.take()
    assert (len(found.activity), found.left_out) == (2_000, 500)


# When


def test_rounds_begin_at_their_times() -> None:
    assert list(Repetition(60, 180).offsets()) == [0, 60, 120, 180]
    assert list(Repetition(60, 179).offsets()) == [0, 60, 120]
    assert list(Repetition(None, 600).offsets()) == [600]
    endless = Repetition(60, None).offsets()
    assert [next(endless) for _ in range(3)] == [0, 60, 120]


def test_a_round_that_is_late_is_skipped_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[float] = []

    def slow(*_: object) -> tuple[object]:
        taken.append(time.monotonic())
        time.sleep(0.5)
        return (object(),)

    monkeypatch.setattr("pgwatch_wed.gather.run.gather", slow)
    found = list(rounds("", Wanted(), Repetition(0.2, 1.0), None, silent))
    skipped = [r.number for r in found if r.failure]
    assert len(skipped) >= 2
    assert all("skipped" in r.failure for r in found if r.failure)
    assert len(taken) == len(found) - len(skipped)
    assert [r.number for r in found] == [1, 2, 3, 4, 5, 6]


# On servers


def test_sessions_are_sampled_and_our_own_are_not(every_pg: servers.Server, every_db: str) -> None:
    psql(every_db, "create extension pg_stat_statements")
    with psycopg.connect(every_db, application_name="app") as busy:
        busy.execute("select 1")
        with sampling.sampling(every_db, 0.1) as sampler:
            time.sleep(1)
            snapshot = sampler.add_to(collect(every_db))
    assert sum(m.samples for m in snapshot.sampled_minutes) >= 5
    mine = [a for a in snapshot.activity_minutes if a.state == "idle in transaction"]
    covered = sum(m.covered_seconds for m in snapshot.sampled_minutes)
    assert sum(a.seconds for a in mine) == pytest.approx(covered, abs=0.01)
    assert all(a.state in ("idle in transaction", None) or a.backend_type != "client backend" for a in snapshot.activity_minutes)  # fmt: skip
    has_ids = {a.query_id is not None for a in mine}
    assert has_ids == {every_pg.version >= 14}
    assert snapshot_file.loads(snapshot_file.dumps(snapshot)).activity_minutes == snapshot.activity_minutes  # fmt: skip


def test_what_cannot_be_seen_is_said(every_pg: servers.Server, every_db: str) -> None:
    with (
        every_pg.role() as nobody,
        psycopg.connect(every_db, autocommit=True, application_name="app") as busy,
    ):
        name = busy.info.dbname
        busy.execute("set compute_query_id = off" if every_pg.version >= 14 else "select 1")
        with (
            sampling.sampling(every_pg.dsn(name, nobody), 0.1) as blind,
            sampling.sampling(every_db, 0.1) as seeing,
        ):
            busy.execute("select pg_sleep(0.6)")
            unseen, seen = (s.add_to(collect(d)) for s, d in ((blind, every_pg.dsn(name, nobody)), (seeing, every_db)))  # fmt: skip
    assert "GRANT pg_read_all_stats" in unseen.missing["lock_episodes"].mend
    assert unseen.activity_minutes == ()
    why = seen.missing["activity_minutes:left-out"].reason
    assert ("compute_query_id" in why) is (every_pg.version >= 14)
    assert ("PostgreSQL 14" in why) is (every_pg.version < 14)


def test_a_server_that_is_away_is_a_gap(start_pg: StartServer) -> None:
    server = start_pg({})
    assert server.local
    with sampling.sampling(server.dsn(), 0.1) as sampler:
        time.sleep(0.5)
        server.local.halt("immediate")
        time.sleep(1)
        server.local.boot()
        time.sleep(1.5)
        snapshot = sampler.add_to(collect(server.dsn()))
    gap = sum(m.gap_seconds for m in snapshot.sampled_minutes)
    assert 0.8 <= gap <= 5
    assert any("the connection was lost" in m.reason for m in snapshot.sampled_minutes)


def run(*args: str) -> "subprocess.Popen[str]":
    env = {**os.environ, "COLUMNS": "80"}
    return subprocess.Popen([PROGRAM, "collect", *args], stderr=-1, stdout=-1, text=True, env=env)


def test_each_round_has_its_file_and_the_samples_since_the_last(db: str, tmp_path: Path) -> None:
    done = run(db, "-o", f"{tmp_path}/new/", "--every", "1s", "--for", "2s", "--samples", "200ms")
    _, said = done.communicate(timeout=60)
    files = sorted((tmp_path / "new").iterdir())
    assert (done.returncode, len(files), said.count("written: ")) == (0, 3, 3), said
    first, *others = map(snapshot_file.load, files)
    assert "sampled_minutes" in first.missing
    for snapshot in others:
        assert sum(m.samples for m in snapshot.sampled_minutes) in range(2, 12)
        assert "missing_indexes" in snapshot.missing


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_keeps_what_there_is(db: str, tmp_path: Path, number: int, status: int) -> None:  # fmt: skip
    file = tmp_path / "s.json.zst"
    going = run(db, "-o", str(file), "--for", "10m", "--samples", "200ms")
    with psycopg.connect(db, autocommit=True) as look:
        for _ in range(200):
            row = look.execute("select count(*) from pg_stat_activity where application_name = 'pgwatch_wed' and datname = current_database()").fetchone()  # fmt: skip
            if row and row[0]:
                break
            time.sleep(0.05)
    time.sleep(1)
    going.send_signal(number)
    _, said = going.communicate(timeout=30)
    assert going.returncode == status, said
    snapshot = snapshot_file.load(file)
    assert sum(m.samples for m in snapshot.sampled_minutes) >= 3
    assert snapshot.missing["tables"].reason == "the run was interrupted"


def test_only_if_nothing_was_read_it_is_an_error(tmp_path: Path) -> None:
    done = run(f"host={tmp_path} dbname=x", "-o", f"{tmp_path}/new/", "--every", "1s", "--for", "1s", "--samples", "200ms")  # fmt: skip
    _, said = done.communicate(timeout=60)
    assert done.returncode == 3
    assert said.count("could not connect") == 2
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--samples", "1s"], "--samples requires a length of time"),
        (["--for", "10m"], "--for requires --every or --samples"),
        (["--samples", "5s", "--every", "2s"], "--samples must be shorter"),
        (["--every", "soon"], "is not a time such as 60s"),
        (["--every", "1ms"], "is not within"),
    ],
)
def test_options_that_make_no_sense_are_refused(args: list[str], said: str, tmp_path: Path) -> None:
    done = run("-o", str(tmp_path / "x"), *args)
    _, error = done.communicate(timeout=30)
    assert done.returncode == 2
    assert said in error


def test_rounds_are_kept_in_the_history(db: str, tmp_path: Path) -> None:
    url = str(tmp_path / "history.sqlite3")
    done = run(db, "--every", "1s", "--for", "1s", "--samples", "200ms", "--history", url)
    _, said = done.communicate(timeout=60)
    assert (done.returncode, said.count("of the history")) == (0, 2), said
    with open_store(url).reading() as connection:
        _, newest = sorted(runs.listed(connection), key=lambda r: r.taken_at)
        (snapshot,) = runs.read(connection, newest)
    assert snapshot.sampled_minutes
    done = run("--every", "1s", "--history", url)
    _, said = done.communicate(timeout=60)
    assert done.returncode == 2
    assert "put TARGET first" in said
