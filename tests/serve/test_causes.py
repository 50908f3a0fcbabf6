"""An alert names its cause: planted on a real server, and never a wrong one with certainty."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from pgwatch_wed.config import Config
from pgwatch_wed.findings import Grade
from pgwatch_wed.serve.causes.cause_finder import CauseFinder
from pgwatch_wed.serve.causes.seekers import Scene, suspects
from pgwatch_wed.serve.causes.suspect import Suspect
from pgwatch_wed.serve.state import Alert, Board, Collected, Health, ProbeResult, Reason
from pgwatch_wed.target.collect import collect
from tests import servers
from tests.serve import planting
from tests.serve.planting import Planter, planter

# What a planted incident has not had the time for.
SECONDS = Config(
    limits={
        "lock-long-transaction": {
            "min_age": timedelta(seconds=0.5),
            "min_idle": timedelta(seconds=60),
        },
        "lock-idle-in-transaction": {"min_idle": timedelta(seconds=0.5)},
        "vacuum-horizon": {"min_held": timedelta(seconds=1), "min_idle": timedelta(seconds=1)},
        "replication-slot-retention": {"min_retained_bytes": 1_000_000},
    }
)
SETTINGS = {
    "max_connections": "40",
    "max_prepared_transactions": "5",
    "archive_mode": "on",
    "archive_command": "true",
    "wal_level": "replica",
    "track_activities": "on",
}
TOPICS = (
    "query_time", "http", "locks", "idle_in_transaction", "long_transaction", "connections", "wraparound", "dead_tuples",
    "slots", "archive", "replication", "disk", "deadlocks", "checksums", "database",
)  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[servers.Server]:
    server = servers.start(servers.embedded_spec(), SETTINGS)
    yield server
    server.stop()


@pytest.fixture
def planted(server: servers.Server) -> Iterator[Planter]:
    with server.database() as dsn, planter(dsn) as it:
        yield it


def alert(topic: str, **labels: str) -> Alert:
    given = {"severity": "critical", "topic": topic, "target": "shop", **labels}
    return Alert("X", tuple(given.items()), (), "firing", 1.0, 0.0, 0.0)


def first(scene: Scene) -> Suspect:
    return suspects(scene)[0]


@pytest.mark.parametrize(
    ("plant", "topic", "labels"),
    [
        (planting.idle_blocker, "query_time", {}),
        (planting.ddl_queue, "locks", {}),
        (planting.prepared, "locks", {}),
        (planting.many_idle, "connections", {}),
        (planting.connections_by_lock, "connections", {}),
        (planting.idle_in_transaction, "idle_in_transaction", {}),
        (planting.long_transaction, "long_transaction", {}),
        (planting.abandoned_slot, "slots", {"slot": "old_standby"}),
        (planting.abandoned_slot, "disk", {}),
        (planting.horizon, "dead_tuples", {}),
        (planting.autovacuum_off, "dead_tuples", {}),
        (planting.archive_fails, "archive", {}),
    ],
    ids=lambda it: getattr(it, "__name__", str(it)),
)
def test_the_planted_cause_is_named_first(
    planted: Planter, plant: planting.Plant, topic: str, labels: dict[str, str]
) -> None:
    expected = plant(planted)
    time.sleep(0.7)  # alerts take longer
    snapshot = collect(planted.dsn)
    found = first(Scene(alert(topic, **labels), snapshot, config=SECONDS))
    assert expected in found.title or (
        found.object is not None and expected in found.object.name
    ), found
    assert found.grade in (Grade.A, Grade.B) or topic == "disk", found
    assert all(not isinstance(v, str) or "update " not in v for v in found.evidence.values())


def collected(planted: Planter, at: float) -> Collected:
    return Collected("shop", collect(planted.dsn), {"activity": at})


def shown(board: Board, facts: Collected, *alerts: Alert) -> None:
    board.change(lambda s: replace(s, targets={"shop": facts}, alerts=alerts or s.alerts))


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (["select count(*), pg_sleep(0.05) from jobs"] * 8, "a call"),
        (["select max(id) from jobs where v = 7"] * 300, "calls a second"),
        (["select count(*) from jobs a, jobs b where a.v <> b.v"], "did not run before"),
    ],
)
def test_the_statement_whose_time_grew_is_named(
    planted: Planter, after: list[str], words: str
) -> None:
    planted.run(
        "create table jobs (id int, v int); insert into jobs select g, g % 10 from generate_series(1, 3000) g"
    )
    usual = [
        "select count(*), pg_sleep(0.001) from jobs",
        "select max(id) from jobs where v = 7",
    ] * 4
    board, clock = Board(), [0.0]
    finder = CauseFinder(board, monotonic=lambda: clock[0])
    with planted.session("app", autocommit=True) as app:
        app.execute("create extension if not exists pg_stat_statements")
        for at, statements in ((1000.0, usual), (1300.0, usual), (1600.0, after)):
            for sql in statements:
                app.execute(sql.encode())
            shown(board, collected(planted, at), alert("query_time", database=app.info.dbname))
            clock[0] += 60
            finder.run_once()
    planted.session("check")
    (cause, *_others) = board.state.alerts[0].causes
    assert words in cause.title
    assert cause.grade in (Grade.B, Grade.C)  # how much of all time it is decides
    (series,) = board.state.families["causes"][0].samples
    assert dict(series.labels)["alertname"] == "X"
    # what was found stays when the evaluator writes the alert anew, and when the facts tell nothing any more
    shown(board, replace(collected(planted, 1600.0), snapshot=None))
    clock[0] += 60
    finder.run_once()
    assert board.state.alerts[0].causes[0] == cause


def probe(reason: Reason) -> ProbeResult:
    return ProbeResult("database", "postgresql", Health.FAIL, 0, 0, 15, reason=reason)


def test_a_refused_connection_is_told_by_what_the_probe_saw_and_who_had_the_connections(
    planted: Planter,
) -> None:
    many = planting.many_idle(planted)
    snapshot = collect(planted.dsn)
    full = first(Scene(alert("database_refuses"), snapshot, probe=probe(Reason.LIMIT)))
    assert many in full.title
    refused = first(Scene(alert("database_refuses"), snapshot, probe=probe(Reason.AUTH)))
    assert (refused.grade, refused.kind) == (Grade.A, "probe-auth")
    assert first(Scene(alert("database"), snapshot, probe=probe(Reason.TIMEOUT))).grade is None
    assert first(Scene(alert("database"), None, probe=None)).grade is None


def test_of_several_databases_the_cause_is_what_the_probe_of_that_one_saw() -> None:
    board = Board()
    finder = CauseFinder(board, monotonic=lambda: 0.0)
    shop = replace(probe(Reason.REFUSED), name="database-shop", kind="postgres", target="shop")
    crm = replace(shop, name="database-crm", target="crm", reason=Reason.DNS)
    missing = replace(shop, name="crm", target="wiki", reason=Reason.CONDITION, detail="no such")
    probes = {p.name: p for p in (crm, shop, missing)}
    asked = (
        alert("database"),
        alert("database_refuses", target="crm"),
        alert("service", target="wiki", probe="crm"),
        alert("database", target="elsewhere"),
    )
    board.change(lambda s: replace(s, probes=probes, alerts=asked))
    finder.run_once()
    kinds = [a.causes[0].kind for a in board.state.alerts]
    assert kinds == ["probe-refused", "probe-dns", "probe-condition", "unknown"]
    assert board.state.alerts[2].causes[0].title == "no such"


@pytest.mark.parametrize("is_busy", [False, True])
def test_a_healthy_server_has_no_cause_that_is_certain(planted: Planter, is_busy: bool) -> None:
    if is_busy:
        planted.run(
            "create table t (id int primary key, v int); insert into t select g, 0 from generate_series(1, 20000) g"
        )
        for name in ("web", "web", "jobs", "report", "admin"):
            planted.session(name, autocommit=True).execute("update t set v = v + 1 where id < 500")
        planted.session("open").execute("select 1")
    snapshot = collect(planted.dsn)
    for topic in TOPICS:
        found = first(Scene(alert(topic), snapshot))
        assert found.grade not in (Grade.A, Grade.B), (topic, found)


def test_of_thousands_of_alerts_all_get_their_turn_a_few_at_a_time() -> None:
    board, clock = Board(), [0.0]
    many = tuple(alert("locks", table=str(n)) for n in range(50))
    board.change(lambda s: replace(s, alerts=many))
    finder = CauseFinder(board, monotonic=lambda: clock[0])
    told = []
    for clock[0] in (0.0, 1.0, 2.0, 3.0):
        finder.run_once()
        told.append(sum(bool(a.causes) for a in board.state.alerts))
    assert told == [20, 40, 50, 50]
