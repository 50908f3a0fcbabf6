"""Where DB time goes, from looks at sessions: pure. Some cases are those of public threads about tools that got it wrong."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Grade
from pgwatch_wed.load.load_model import Block
from pgwatch_wed.load.sampling.active_samples import (
    ActiveSamples,
    QueueHead,
    SampledStatement,
    SamplerCost,
    WaitName,
)
from pgwatch_wed.load.sampling.cause_ranking import CauseRanking, ranked_causes
from pgwatch_wed.load.sampling.load_causes import LoadCauseKind as Kind
from pgwatch_wed.load.sampling.look_times import batch_error, long_idles, looks_between
from pgwatch_wed.load.sampling.sampled_db_time import sampled_db_time
from pgwatch_wed.load.sampling.sampling_pace import SamplingPace
from pgwatch_wed.load.sampling.session_look import SeenProcess, SessionLook
from pgwatch_wed.load.sampling.statement_evidence import with_text, work_doubts
from pgwatch_wed.load.sampling.statement_names import StatementNames
from pgwatch_wed.load.sampling.time_flows import FlowBook
from pgwatch_wed.load.sampling.wait_kinds import wait_kind

OURS = 5


def process(pid: int, wait: str = "", state: str | None = "active", **more: Any) -> SeenProcess:
    """Return a session of the load; ``wait`` is such as IO:WalSync."""
    type_, _, event = wait.partition(":")
    row: dict[str, Any] = {
        "leader_pid": None,
        "database_oid": OURS,
        "application_name": "pgbench",
        "backend_type": "client backend",
        "query_id": None,
        "age_s": 0.2,
        "query": "update t set n = 1",
        "blocked_by": None,
    }
    return SeenProcess(
        pid=pid,
        state=state,
        wait_event_type=type_ or None,
        wait_event=event or None,
        **{**row, **more},
    )


def background(pid: int, wait: str, kind: str) -> SeenProcess:
    return process(pid, wait, None, backend_type=kind, database_oid=None, query=None)


def waiter(
    pid: int, *blocked_by: int, wait: str = "Lock:transactionid", **more: Any
) -> SeenProcess:
    return process(pid, wait, blocked_by=blocked_by, **more)


def samples(*looks: list[SeenProcess], each_s: float = 0.1, cores: int | None = 2) -> ActiveSamples:
    """Return what the looks add up to."""
    book = FlowBook(OURS, StatementNames(), cores)
    for number, processes in enumerate(looks):
        book.add(SessionLook(number * each_s, each_s, tuple(processes)))
    return ActiveSamples(
        seconds=book.seconds,
        looks=len(looks),
        interval_s=each_s,
        largest_gap_s=each_s,
        cost=SamplerCost(client=0.005, server=0.005, is_server_measured=True),
        mean_active=book.active_s / book.seconds,
        mean_in_transaction=book.in_transaction_s / book.seconds,
        mean_running=book.running_s / book.seconds,
        running_over_cores=book.waiting_for_core_s / book.running_s if book.running_s else 0.0,
        server_cores=cores,
        flows=book.flows,
        background=dict(book.background),
        statements=book.names.statements(),
        in_transit_s=book.in_transit_s,
    )


def block(seen: ActiveSamples) -> Block:
    order = SimpleNamespace(reconnects=False)
    return cast("Block", SimpleNamespace(samples=seen, order=order, seconds=seen.seconds))


def ranking(*processes: SeenProcess, **more: Any) -> CauseRanking:
    return ranked_causes([block(samples(*[list(processes)] * 30, **more))])


def shares(found: CauseRanking) -> dict[Kind, float]:
    return {c.kind: round(c.share, 3) for c in found.causes}


# Lock waits are charged to what the head of the queue does


def test_a_lock_wait_counts_for_what_the_root_blocker_does_and_the_lock_is_its_symptom() -> None:
    # the tuple lock's holder is itself waiting: naming it, as pg_activity#240 shows, names a victim
    found = ranking(
        process(1, "IO:WalSync", query="commit"),
        waiter(2, 1),
        waiter(3, 2, wait="Lock:tuple"),
        waiter(4, 2, 3, wait="Lock:tuple"),
    )
    assert shares(found) == {Kind.FLUSH: 1.0, Kind.ROW_LOCK: 0.75}
    assert [c.kind for c in found.causes] == [Kind.FLUSH, Kind.ROW_LOCK]
    assert found.causes[0].direct == pytest.approx(0.25)
    assert found.causes[1].symptom_of is Kind.FLUSH
    assert [q.text for q in found.causes[0].queries] == ["commit"]


def test_several_holders_share_what_waits_for_them() -> None:
    found = ranking(process(1, "IO:WalSync"), process(2), waiter(3, 1, 2, wait="Lock:relation"))
    assert shares(found)[Kind.FLUSH] == pytest.approx(0.5)
    assert shares(found)[Kind.TABLE_LOCK] == pytest.approx(0.333)


def test_an_idle_holder_is_its_client_for_a_moment_and_a_forgotten_transaction_after_a_second() -> (
    None
):
    # pgsentinel#8, sp_BlitzWho#820: a sampler of active sessions alone never shows the head of this queue
    idle = "idle in transaction"
    quick = ranking(process(1, "Client:ClientRead", idle, age_s=0.01), waiter(2, 1))
    assert shares(quick) == {Kind.CLIENT_ROUND_TRIPS: 1.0, Kind.ROW_LOCK: 1.0}
    long = ranking(process(1, "Client:ClientRead", idle, age_s=9.0), waiter(2, 1))
    assert long.causes[0].kind is Kind.IDLE_TRANSACTION
    other = process(
        1, "Client:ClientRead", idle, age_s=9.0, database_oid=6, application_name="psql"
    )
    outside = ranking(other, waiter(2, 1))
    assert outside.causes[0].kind is Kind.IDLE_TRANSACTION
    assert outside.causes[0].evidence["holders"] == {"psql": 1.0}


def test_who_blocks_nobody_while_idle_in_transaction_takes_no_db_time() -> None:
    seen = samples([process(1, "Client:ClientRead", "idle in transaction"), process(2)])
    assert seen.db_seconds == pytest.approx(0.1)
    assert seen.mean_active == pytest.approx(1)
    assert seen.mean_in_transaction == pytest.approx(2)


def test_a_deadlock_a_prepared_transaction_and_a_vanished_blocker_have_names_of_their_own() -> None:
    cycle = ranking(waiter(1, 2), waiter(2, 1))
    assert shares(cycle) == {Kind.ROW_LOCK: 1.0}
    prepared = ranking(waiter(1, 0))
    assert prepared.causes[0].kind is Kind.PREPARED_TRANSACTION
    assert shares(ranking(waiter(1, 99)))[Kind.NOT_EXPLAINED] == 1.0
    moved_on = ranking(waiter(1, 2), waiter(2))
    assert shares(moved_on)[Kind.NOT_EXPLAINED] == 1.0
    just_ended = ranking(waiter(1, 2), process(2, "Client:ClientRead", "idle"))
    assert shares(just_ended)[Kind.NOT_EXPLAINED] == 1.0
    vacuum = background(9, "Timeout:VacuumDelay", "autovacuum worker")
    assert ranking(vacuum, waiter(1, 9, wait="Lock:relation")).causes[0].kind is Kind.VACUUM


def test_a_lock_that_was_passed_on_counts_for_what_everybody_who_can_have_held_it_did() -> None:
    flushing = process(1, "IO:WalSync", query="commit", has_xid=True)
    passed_on = waiter(3, has_xid=True)  # when asked, it had got the lock
    behind = waiter(4, 3, wait="Lock:tuple", has_xid=True)
    found = ranking(flushing, process(2), passed_on, behind)
    assert shares(found)[Kind.FLUSH] == 0.75
    assert Kind.NOT_EXPLAINED not in shares(found)
    another = process(5, "IO:WalSync", query="end", has_xid=True)
    assert shares(ranking(flushing, another, passed_on))[Kind.FLUSH] == 1.0


def test_a_lock_that_was_passed_on_is_not_explained_where_its_holder_can_have_been_one_of_several() -> (
    None
):
    flushing, computing = process(1, "IO:WalSync", has_xid=True), process(2, has_xid=True)
    passed_on = waiter(3, has_xid=True)
    unknown = [
        (flushing, computing, passed_on),
        (flushing, process(9, state=None, backend_type=None), passed_on),  # it may hold it, too
        (flushing, waiter(3, wait="Lock:relation")),  # for which no transaction ID is needed
        (process(1, "IO:WalSync", has_xid=True, database_oid=6), passed_on),
    ]
    for processes in unknown:
        assert Kind.NOT_EXPLAINED in shares(ranking(*processes))


def test_a_session_lock_of_an_idle_session_is_seen() -> None:
    idle = process(1, "Client:ClientRead", "idle", age_s=3.0)
    found = ranking(idle, waiter(2, 1, wait="Lock:advisory"))
    assert found.causes[0].kind is Kind.IDLE_TRANSACTION


def test_waiters_that_nobody_asked_wait_for_the_same_as_those_that_were() -> None:
    crowd = [process(n, "Lock:tuple") for n in range(10, 30)]
    found = ranking(process(1, "IO:WalSync"), waiter(2, 1), waiter(3, 2, wait="Lock:tuple"), *crowd)
    assert shares(found)[Kind.FLUSH] == pytest.approx(1.0)


# What is no DB time: threads about tools that ranked it


def test_idle_sessions_and_their_client_read_are_left_out() -> None:
    # PerformanceMonitor#2630: 2,717,290 of 2,717,989 samples were ClientRead, "100% of the profile"
    idle = [process(n, "Client:ClientRead", "idle") for n in range(100, 200)]
    seen = samples([*idle, process(1, "IO:DataFileRead")])
    assert {flow.wait for flow in seen.flows} == {WaitName("IO", "DataFileRead")}
    assert seen.db_seconds == pytest.approx(0.1)


def test_state_and_wait_are_not_read_at_one_moment() -> None:
    # pg_wait_sampling#72: active with ClientRead is a session that has just finished, or a slow client
    seen = samples([process(1, "Client:ClientRead", age_s=0.001)])
    assert seen.db_seconds == 0
    assert seen.in_transit_s == pytest.approx(0.1)
    copying = samples([process(1, "Client:ClientRead", age_s=3.0, query="copy t from stdin")])
    assert copying.db_seconds == pytest.approx(0.1)


def test_idle_background_processes_do_not_lead_and_busy_ones_are_kept_apart() -> None:
    # PerformanceMonitor#2603: AutovacuumMain as the top wait of a healthy server, forever
    found = samples(
        [
            background(7, "IO:DataFileSync", "checkpointer"),
            background(8, "IO:WalSync", "walwriter"),
            background(9, "", "autovacuum worker"),
            process(1, "IO:DataFileRead"),
        ]
    )
    assert found.db_seconds == pytest.approx(0.1)
    assert {kind for kind, _ in found.background} == {
        "checkpointer",
        "walwriter",
        "autovacuum worker",
    }
    assert next(iter(found.flows.values())).in_checkpoint_s == pytest.approx(0.1)


def test_shares_are_of_db_time_not_of_waits() -> None:
    # pg_profile#93: 90 s of lock waits among 60,000 s of DB time were shown as 90%
    busy = [process(n) for n in range(10, 109)]
    rare = samples([*busy, process(1, "IO:WalSync")], *[[*busy, process(1)]] * 39)
    share = next(s.share for s in sampled_db_time([block(rare)]).symptoms if s.wait == "IO:WalSync")
    assert share == pytest.approx(1 / 4000)


def test_parallel_workers_are_not_further_sessions() -> None:
    # pgwatch2#37, pghero#258, pg_activity#68: one query appeared as many
    leader = process(1, "IPC:ExecuteGather")
    workers = [
        process(2, "IO:DataFileRead", leader_pid=1, backend_type="parallel worker"),
        process(3, "", leader_pid=1, backend_type="parallel worker"),
    ]
    found = ranking(leader, *workers)
    assert shares(found) == {Kind.IO_READ: 0.5, Kind.QUERY_CPU: 0.5}
    assert samples([leader, *workers]).mean_active == pytest.approx(1)
    waiting = ranking(leader, *workers, waiter(4, 1))
    assert shares(waiting)[Kind.IO_READ] == pytest.approx(0.5)


def test_no_wait_event_is_computing_only_as_far_as_there_are_cores() -> None:
    # pg_profile#155: "On CPU 97.5%" was read as waiting for the CPU
    few = ranking(process(1), process(2)).causes[0]
    assert few.kind is Kind.QUERY_CPU
    assert few.grade == "B"
    assert "waiting for a core" not in few.text
    many = ranking(*[process(n) for n in range(1, 9)]).causes[0]
    assert "at least 75% of the time without a wait event was waiting for a core" in many.text
    assert many.grade == "C"
    remote = ranking(process(1), cores=None).causes[0]
    assert "is not known" in remote.text


def test_this_tools_sessions_are_left_out_but_not_those_of_its_load() -> None:
    mine = process(1, application_name="pgwatch_wed sampler")
    load = process(2, application_name="pgwatch_wed stress 12ab")
    assert samples([mine, load]).mean_active == pytest.approx(1)


def test_sessions_of_other_databases_and_walsenders_are_no_load() -> None:
    # check_pgactivity#371: START_REPLICATION was the longest active query
    sender = process(1, "", backend_type="walsender", query="START_REPLICATION")
    assert samples([sender, process(2, database_oid=7)]).db_seconds == 0


# Time


def test_a_look_stands_for_the_time_since_the_one_before() -> None:
    book = FlowBook(OURS, StatementNames())
    book.add(SessionLook(1.0, 0.1, (process(1, "IO:WalSync"),)))
    book.add(SessionLook(3.0, 2.0, (process(1, "IO:DataFileRead"),)))
    by_wait = {flow.wait.event: spent.seconds for flow, spent in book.flows.items()}
    assert by_wait == {"WalSync": pytest.approx(0.1), "DataFileRead": pytest.approx(2.0)}


def test_looks_before_a_block_are_not_of_it() -> None:
    looks = [SessionLook(t, 1.0, ()) for t in (1.0, 2.0, 3.0, 4.0)]
    assert [(s.at, s.stands_for_s) for s in looks_between(looks, 1.5, 3.5)] == [
        (2.0, 0.5),
        (3.0, 1.0),
    ]


def test_the_error_of_a_mean_is_that_of_batches() -> None:
    steady = [(0.1, 4.0)] * 100
    assert batch_error(steady) == 0
    waves = [(0.1, float(n // 10 % 2)) for n in range(100)]
    assert batch_error(waves) == pytest.approx((0.25 * 10 / 9 / 10) ** 0.5)
    assert batch_error(steady[:5]) is None


def test_the_pace_keeps_within_a_hundredth_of_a_core() -> None:
    pace = SamplingPace()
    pace.learned(0.0004, 0.0003)
    assert pace.interval_s == pytest.approx(0.1)
    for _ in range(40):
        pace.learned(0.0018, 0.003)
    assert 0.003 / pace.interval_s <= 0.01


# Names and kinds


def test_a_statement_has_one_key_with_and_without_a_query_id_and_whatever_its_values() -> None:
    names = StatementNames()
    first = names.key(process(1, query="select * from t where id = 17 and name = 'x''y'"))
    assert names.key(process(1, query="select * from t where id = 4 and name = 'z'")) == first
    assert (
        names.key(process(1, query_id=77, query="select * from t where id = $1 and name = $2"))
        == first
    )
    assert names.key(process(1, query_id=77, query=None)) == first
    assert names.statements()[first].query_ids == (77,)
    assert "17" not in names.statements()[first].text


def test_a_text_that_was_sent_before_the_looks_that_count_is_not_lost() -> None:
    names = StatementNames()
    names.learn([SessionLook(0.0, 0.1, (process(1, query_id=77, query="select 1"),))])
    key = names.key(process(1, query_id=77, query=None))
    assert names.statements()[key].text == "select ?"


def test_a_wait_of_no_kind_is_named() -> None:
    (cause,) = ranking(process(1, "IPC:BgworkerShutdown")).causes
    assert cause.text == "100% of DB time is waiting for IPC:BgworkerShutdown."


def test_both_tables_charge_the_same_to_a_holder_outside_of_the_load() -> None:
    busy = process(1, "IO:DataFileRead", database_oid=6, application_name="psql")
    looks = [[busy, waiter(2, 1)]] * 30
    seen = block(samples(*looks))
    assert [c.kind for c in ranked_causes([seen]).causes] == [Kind.ROW_LOCK]
    assert [s.wait for s in sampled_db_time([seen]).charged] == ["psql: Lock:transactionid"]


def counted(requested: int = 0, **more: object) -> Snapshot:
    """Return a difference of snapshots with one statement, and tables a.t and b.t that were scanned."""
    statement = {
        "query_id": 77,
        "text": "select n from t where id = $1",
        "is_toplevel": True,
        "calls": 10,
        "rows": 10,
        "total_exec_ms": 1000.0,
        "total_plan_ms": 0.0,
        "temp_blks_read": 0,
        "temp_blks_written": 0,
        "jit_ms": 0.0,
        "wal_fpi": 0,
        "wal_bytes": 0,
    }
    tables = [SimpleNamespace(oid=o, schema=s, name="t") for o, s in ((1, "a"), (2, "b"))]
    scanned = SimpleNamespace(seq_scan=10, seq_tup_read=1_000_000)
    found = SimpleNamespace(
        statements=[SimpleNamespace(**{**statement, **more})],
        tables=tables,
        activity_by_oid={1: scanned, 2: scanned},
        checkpoints=(SimpleNamespace(requested=requested, timed=1),),
        server=SimpleNamespace(block_size=8192),
    )
    return cast("Snapshot", found)


def doubts(requested: int = 0, **more: object) -> list[tuple[Kind, str]]:
    statement = SampledStatement(key="k", text="", query_ids=(77,))
    return [(d.kind, d.concerns) for d in work_doubts(statement, counted(requested, **more))]


@pytest.mark.parametrize(
    ("images", "wal_bytes", "requested", "found"),
    [
        (4000, 33_000_000, 2, [(Kind.FULL_PAGE_IMAGES, "")]),
        (4000, 33_000_000, 0, []),  # checkpoints came by time
        (100, 900_000, 2, []),  # too few to take a second
        (4000, 90_000_000, 2, []),  # most of its WAL is something else
        (4000, 10_000_000, 2, [(Kind.FULL_PAGE_IMAGES, "")]),  # compressed
    ],
)
def test_whole_pages_in_wal_are_suspected_if_wal_brings_checkpoints_and_they_are_many(
    images: int, wal_bytes: int, requested: int, found: list[tuple[Kind, str]]
) -> None:
    update = "update t set n = n where id = $1"
    assert doubts(requested, text=update, wal_fpi=images, wal_bytes=wal_bytes) == found


def test_of_two_tables_of_one_name_only_the_one_that_a_statement_names_is_accused() -> None:
    assert doubts() == []
    assert doubts(text="select n from b.t where id = $1") == [(Kind.MISSING_INDEX, "b.t")]


def test_what_counters_suspect_has_a_lower_grade_than_what_was_seen() -> None:
    more: dict[str, Any] = {"jit_ms": 900.0, "total_plan_ms": 1000.0}
    found = [d for d, _ in doubts(**more)]
    assert found == [Kind.JIT, Kind.PLANNING]
    seen = [block(samples(*[[process(1, query_id=77, query="select 1")]] * 30))]
    delta = counted(**more)
    delta = cast(
        "Snapshot",
        SimpleNamespace(
            **vars(delta) | {"checkpoints": ()}, wal=(), database=None, io=(), missing={}
        ),
    )
    grades = {c.kind: c.grade for c in ranked_causes(seen, delta).causes}
    assert {grades[kind] for kind in found} == {Grade.C}


def test_a_statement_that_no_session_showed_has_the_text_that_was_counted() -> None:
    statement = SampledStatement(key="id 77", text="", query_ids=(77,))
    assert with_text(statement, counted()).text == "select n from t where id = $1"


@pytest.mark.parametrize(
    ("wait", "kind"),
    [
        ("IO:WALSync", Kind.FLUSH),  # until 16
        ("IO:WalSync", Kind.FLUSH),
        ("LWLock:WALWrite", Kind.FLUSH),
        ("LWLock:WALInsert", Kind.WAL_INSERT),
        ("IO:BufFileWrite", Kind.TEMP_FILES),
        ("Lock:tuple", Kind.ROW_LOCK),
        ("Lock:extend", Kind.IO_WRITE),
        ("LWLock:LockManager", Kind.LOCK_MANAGER),
        ("LWLock:BufferMapping", Kind.BUFFER_MAPPING),
        ("IPC:SyncRep", Kind.REPLICATION),
        ("LWLock:SomethingNew", Kind.OTHER),
    ],
)
def test_the_kind_of_a_wait(wait: str, kind: Kind) -> None:
    type_, _, event = wait.partition(":")
    assert wait_kind(WaitName(type_, event)) is kind


def test_an_interval_needs_three_blocks_and_contains_the_share() -> None:
    def seen(flushing: int) -> Block:
        rows = [process(n, "IO:WalSync" if n < flushing else "IO:DataFileRead") for n in range(10)]
        return block(samples(*[rows] * 30))

    one = ranked_causes([seen(6)]).causes[0]
    assert one.interval is None
    cause = next(
        c for c in ranked_causes([seen(5), seen(6), seen(7)]).causes if c.kind is Kind.FLUSH
    )
    assert cause.interval is not None
    low, high = cause.interval
    assert low < cause.share < high
    assert 0 <= low < 0.5


def test_nothing_is_ranked_without_looks_and_it_says_why() -> None:
    found = ranked_causes([block(samples([process(1)]))])
    assert found.causes == ()
    assert found.doubts == ("sessions were looked at only 1 time",)


def test_the_report_shows_both_lists() -> None:
    time = sampled_db_time([block(samples(*[[process(1, "IO:WalSync"), waiter(2, 1)]] * 4))])
    assert [s.wait for s in time.symptoms] == ["IO:WalSync", "Lock:transactionid"]
    assert [(s.wait, round(s.share, 3)) for s in time.charged] == [("IO:WalSync", 1.0)]
    assert time.charged[0].through == {"Lock:transactionid": pytest.approx(0.5)}
    assert sampled_db_time([]).missing


def test_holders_are_told_apart() -> None:
    seen = samples([process(1, "IO:WalSync"), waiter(2, 1), waiter(3, 0)])
    assert {flow.holder for flow in seen.flows} == {
        QueueHead.ITSELF,
        QueueHead.LOAD,
        QueueHead.PREPARED,
    }


def test_samples_that_disagree_with_the_servers_count_are_doubted() -> None:
    seen = samples(*[[process(1, "IO:WalSync")]] * 30)
    agreeing = replace(seen, counted_active=1.1, whole_active=1.0)
    assert not [d for d in ranked_causes([block(agreeing)]).doubts if "counted" in d]
    missed = replace(seen, counted_active=3.7, whole_active=2.3)
    assert [d for d in ranked_causes([block(missed)]).doubts if "3.7 active sessions" in d]


def test_a_holder_that_stays_idle_was_forgotten_from_the_beginning() -> None:
    def at(moment: float) -> SessionLook:
        idle = process(1, "Client:ClientRead", "idle in transaction", age_s=moment - 1.0)
        return SessionLook(moment, 0.5, (idle, waiter(2, 1)))

    looks = [at(1.5), at(2.0), at(2.5)]
    book = FlowBook(OURS, StatementNames(), long_idles=long_idles(looks, 1.0))
    for look in looks:
        book.add(look)
    assert {(f.is_long, round(s.seconds, 3)) for f, s in book.flows.items()} == {(True, 1.5)}


def test_a_worker_that_just_ended_is_not_hidden_from_the_role() -> None:
    ended = process(7, "", "active", backend_type=None)
    secret = process(8, "", None, backend_type=None)
    for others, hidden in ([ended], 0), ([ended, secret], 1):
        book = FlowBook(OURS, StatementNames(), 2)
        book.add(SessionLook(0.0, 0.1, tuple(others)))
        assert book.hidden == hidden
