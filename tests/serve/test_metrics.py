"""Metrics: what is collected, in Prometheus' text format, with counters that never fall."""

import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pgwatch_wed.config import Config
from pgwatch_wed.errors import UsageError
from pgwatch_wed.facts import Missing, Server, Snapshot, Statement, StatementsInfo
from pgwatch_wed.facts.fields import field_types
from pgwatch_wed.serve.causes.statement_times import StatementTimes
from pgwatch_wed.serve.collector.collector import Collector
from pgwatch_wed.serve.collector.settings import CollectorSettings
from pgwatch_wed.serve.metrics import metrics_page, settings
from pgwatch_wed.serve.metrics.exporter import COMPATIBLE_PAGE, PAGE, Exporter
from pgwatch_wed.serve.metrics.facts_for_metrics import SeenFacts
from pgwatch_wed.serve.metrics.metric_registry import Metric, all_metrics
from pgwatch_wed.serve.metrics.metrics_text import families, rendered
from pgwatch_wed.serve.metrics.series_limit import SeriesLimit, largest_share
from pgwatch_wed.serve.metrics.statement_families import StatementCounters
from pgwatch_wed.serve.metrics.sticky import StickyTop
from pgwatch_wed.serve.state import Board, Collected, Family, Health, ProbeResult, Reason, Sample
from tests import servers

ROOT = Path(__file__).parent.parent.parent
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
GAUGE = Metric("thing", "gauge", ("name",), "test", "A thing.")


def values(page: bytes) -> dict[str, float]:
    """Return the value of each series, by its line without the value."""
    lines = [line for line in page.decode().splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def row(kind: type, **given: Any) -> Any:
    """Return a fact with zeros and Nones for what is not given."""
    zero: dict[Any, Any] = {int: 0, float: 0.0, str: "", bool: False, datetime: NOON}
    made = {name: zero.get(hint) for name, hint in field_types(kind).items()}
    return kind(**{**made, **given})


# --- statements ---------------------------------------------------------------------------------------


def snapshot_of(statements: list[Statement], at: datetime, reset: datetime) -> Snapshot:
    server = row(Server, taken_at=at, version_num=170000, role_memberships=(), database="shop")
    info = row(StatementsInfo, stats_reset=reset, dealloc=0)
    return Snapshot("1", server, statements=tuple(statements), statements_info=(info,))


def entry(query_id: int, calls: int, since: datetime) -> Statement:
    made: Statement = row(
        Statement,
        query_id=query_id,
        is_toplevel=True,
        calls=calls,
        total_exec_ms=calls * 10.0,
        rows=calls,
        shared_blks_hit=calls * 2,
        stats_since=since,
    )
    return made


def counted(counters: StatementCounters) -> dict[str, float]:
    empty = snapshot_of([], NOON, NOON)
    return {
        labels[2]: value
        for metric, labels, value in counters.readings(SeenFacts("t", empty, {}))
        if metric.name == "statement_calls_total" and value is not None
    }


@pytest.mark.parametrize("seed", range(5))
def test_statement_counters_never_fall_and_add_up(seed: int) -> None:
    """Entries are evicted and come back, all are reset, and the server restarts."""
    chance = random.Random(seed)
    entries: dict[int, tuple[int, datetime]] = {}
    counters = StatementCounters()
    reset, happened, before = NOON, 0, dict[str, float]()
    for minute in range(120):
        at = NOON + timedelta(minutes=minute)
        if chance.random() < 0.05:
            entries, reset = {}, at - timedelta(seconds=1)
        for gone in [i for i in entries if chance.random() < 0.05]:
            del entries[gone]
        for query_id in range(60):
            calls = chance.randrange(1, 50) * (10 if query_id < 25 else 1)
            if chance.random() < 0.7:
                old, since = entries.get(query_id, (0, at - timedelta(seconds=30)))
                entries[query_id] = (old + calls, since)
                happened += calls if minute else 0
        rows = [entry(i, calls, since) for i, (calls, since) in entries.items()]
        counters.update(snapshot_of(rows, at, reset), at.timestamp())
        now = counted(counters)
        for series, value in before.items():
            assert now.get(series, value) >= value
        assert len(now) <= 21
        before = {**before, **now}
    assert sum(before.values()) == happened
    assert 5 < len(before) < 40


def test_the_same_reading_adds_nothing_and_a_missing_one_costs_nothing() -> None:
    counters = StatementCounters()
    first = snapshot_of([entry(1, 5, NOON)], NOON, NOON)
    counters.update(first, 0.0)
    lost = replace(first, statements=(), missing={"statements": Missing("locked")})
    counters.update(lost, 60.0)
    later = snapshot_of([entry(1, 9, NOON)], NOON + timedelta(minutes=2), NOON)
    for moment in (120.0, 135.0):
        counters.update(later, moment)
    assert counted(counters) == {"other": 4}


def test_a_series_is_born_at_zero() -> None:
    counters = StatementCounters()
    for minute in range(5):
        at = NOON + timedelta(minutes=minute)
        counters.update(snapshot_of([entry(7, 10 * minute, NOON)], at, NOON), at.timestamp())
        if minute == 3:
            assert counted(counters) == {"other": 30, "7": 0}
    assert counted(counters) == {"other": 30, "7": 10}


def test_nested_statements_and_ours_are_not_counted() -> None:
    ours = replace(entry(2, 50, NOON), text="select /* pgwatch_wed:sessions */ 1")
    nested = replace(entry(3, 60, NOON), is_toplevel=False)
    counters = StatementCounters()
    counters.update(snapshot_of([], NOON, NOON), 0.0)
    counters.update(snapshot_of([entry(1, 5, NOON), ours, nested], NOON, NOON), 60.0)
    assert counted(counters) == {"other": 5}


def test_who_is_at_the_top_enters_after_three_rounds_and_leaves_after_an_hour() -> None:
    top = StickyTop[str](most=1)
    assert [top.update({"a": 2, "b": 1}, t) for t in (0, 1, 2)] == [set(), set(), {"a"}]
    assert top.update({"b": 9}, 3) == {"a"}
    assert top.update({"b": 9}, 2 + 3599) == {"a"}
    assert top.update({"b": 9}, 2 + 3600) == {"b"}


# --- the text -----------------------------------------------------------------------------------------


def test_labels_are_escaped_and_values_that_are_no_numbers_left_out() -> None:
    nasty = 'a"b\\c\nd'
    made = families(
        [(GAUGE, (nasty,), 1.5), (GAUGE, ("nan",), float("nan")), (GAUGE, ("x",), None)]
    )
    page = rendered(made).decode()
    (family,) = text_string_to_metric_families(page)
    assert [(s.labels, s.value) for s in family.samples] == [({"name": nasty}, 1.5)]
    assert "nan" not in page.lower()


def test_two_things_of_one_name_are_one_series() -> None:
    page = rendered(families([(GAUGE, ("x",), 1), (GAUGE, ("x",), 2)])).decode()
    assert page.count("\npgwatch_wed_thing{") == 1


def test_a_broken_name_is_text_that_can_be_encoded() -> None:
    assert rendered(families([(GAUGE, ("x\udcff",), 1), (GAUGE, ("y" * 500,), 1)])).decode()


def test_the_largest_families_are_cut_and_what_is_cut_is_counted() -> None:
    def family(name: str, count: int, kind: str = "gauge") -> Family:
        labels = [(("n", str(i)),) for i in range(count)]
        return Family(name, kind, "h", tuple(Sample(name, each, 1.0) for each in labels))

    limit = SeriesLimit(100)
    cut = limit.apply(
        [family("a", 10), family("b", 500), family("c", 30), family("d", 12, "histogram")]
    )
    assert sum(len(f.samples) for f in cut) <= 100
    assert limit.dropped == {"a": 0, "b": 452, "c": 0, "d": 0}
    limit.apply([family("a", 10)])
    assert limit.dropped["b"] == 452
    assert largest_share(5000, {"a": 3}) == 5000


def test_statements_of_an_hour_are_compared_out_of_few_readings_also_after_the_clock_was_set() -> (
    None
):
    times = StatementTimes()

    def read(at: float, calls: int) -> None:
        times.remember(snapshot_of([entry(1, calls, NOON), entry(2, 5, NOON)], NOON, NOON), at)

    for minute in range(120):
        read(9000.0 + minute * 60, 100 * minute + 900 * max(0, minute - 117))
    assert len(times._readings) < 25
    grown = times.grown()
    assert grown is not None
    assert (grown.query_id, round(grown.calls_per_s_before, 2)) == (1, 1.67)
    assert grown.calls_per_s > 10
    read(300.0, 10**6)
    assert times.grown() is None


# --- probes -------------------------------------------------------------------------------------------


def probe(**given: Any) -> ProbeResult:
    default = ProbeResult("cache", "redis", Health.PASS, 100.0, 90.0, 15.0, 0.02)
    return replace(default, **given)


def exported(board: Board, now: float) -> dict[str, float]:
    exporter = Exporter(board, settings.MetricsSettings(), lambda: now)
    exporter.run_once()
    return values(board.state.rendered[PAGE])


def test_a_further_reading_of_a_probe_has_the_help_of_the_registry() -> None:
    board = Board()
    board.change(lambda s: replace(s, probes={"disk": probe(readings={"storage_free_bytes": 5.0})}))
    exported(board, 101.0)
    assert b"storage_free_bytes Free space that a probe saw." in board.state.rendered[PAGE]


def test_every_reason_of_a_failure_is_born_at_zero() -> None:
    board = Board()
    board.change(lambda s: replace(s, probes={"cache": probe()}))
    exporter = Exporter(board, settings.MetricsSettings(), lambda: 101.0)
    exporter.run_once()
    page = values(board.state.rendered[PAGE])
    who = 'probe="cache",kind="redis"'
    assert all(page[f'pgwatch_wed_probe_failures_total{{{who},reason="{r}"}}'] == 0 for r in Reason)
    assert page[f'pgwatch_wed_probe_duration_seconds_bucket{{{who},le="0.025"}}'] == 1
    failed = probe(status=Health.FAIL, at=115.0, reason=Reason.TIMEOUT, is_essential=True)
    board.change(lambda s: replace(s, probes={"cache": failed}))
    for _ in range(2):  # the same result is counted once
        exporter.run_once()
    page = values(board.state.rendered[PAGE])
    assert page[f'pgwatch_wed_probe_failures_total{{{who},reason="timeout"}}'] == 1
    assert page[f'pgwatch_wed_probe_up{{{who},essential="true"}}'] == 0
    assert page[f"pgwatch_wed_probe_last_pass_timestamp_seconds{{{who}}}"] == 100
    after_the_clock_was_set_back = replace(failed, at=60.0)
    board.change(lambda s: replace(s, probes={"cache": after_the_clock_was_set_back}))
    exporter.run_once()
    page = values(board.state.rendered[PAGE])
    assert page[f'pgwatch_wed_probe_failures_total{{{who},reason="timeout"}}'] == 2


def test_a_probe_that_is_too_old_is_unknown_and_neither_up_nor_down() -> None:
    board = Board()
    board.change(
        lambda s: replace(s, probes={"cache": probe(readings={"cache_memory_bytes": 5.0})})
    )
    page = exported(board, 100 + 3 * 15 + 1)
    assert page['pgwatch_wed_probe_status{probe="cache",kind="redis",status="unknown"}'] == 1
    assert not any(name.startswith(("pgwatch_wed_probe_up", "pgwatch_wed_cache")) for name in page)


# --- collected ----------------------------------------------------------------------------------------


@pytest.fixture
def collected(db: str) -> Iterator[tuple[Board, Collector]]:
    with psycopg.connect(db, autocommit=True) as session:
        session.execute("create extension if not exists pg_stat_statements")
    board = Board()
    roomy = CollectorSettings(budget=1.0)
    collector = Collector(board, "shop", db, roomy, Config(), lambda: 1000.0, lambda: 1000.0)
    collector.run_once()
    yield board, collector
    collector._connection.close()


def test_what_is_collected_is_exposed_and_promtool_has_nothing_to_say(
    collected: tuple[Board, Collector],
) -> None:
    board, _ = collected
    exporter = Exporter(board, settings.MetricsSettings(), lambda: 1001.0, is_compatible=True)
    exporter.run_once()
    page = board.state.rendered[PAGE]
    parsed = list(text_string_to_metric_families(page.decode()))
    names = {f.name for f in parsed}
    assert len(names) == len(parsed)
    ours = [m for m in all_metrics() if m.source not in OF_OTHER_PARTS]
    lacking = {m.full_name.removesuffix("_total") for m in ours} - names
    # what an empty primary without archiving, standbys, slots and breakers does not have
    assert not {n for n in lacking if not n.startswith(ABSENT)}
    listed = {m.full_name for m in all_metrics()}
    assert {f.name for maker in board.state.families.values() for f in maker} <= listed
    if promtool := shutil.which("promtool"):
        done = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert b"pg_up{" in board.state.rendered[COMPATIBLE_PAGE]


OF_OTHER_PARTS = ("host", "probes", "notify", "slo", "causes")
ABSENT = tuple(
    f"pgwatch_wed_{name}"
    for name in (
        *("archive_last", "breaker_", "probe_", "replica_lag", "replay_lag", "slot_", "table_"),
        "lock_table",
    )
)


def test_blocked_sessions_are_counted_once_and_their_age_is_the_servers(
    db: str, collected: tuple[Board, Collector]
) -> None:
    board, collector = collected
    mine = str(
        psycopg.conninfo.conninfo_to_dict(db)["dbname"]
    )  # others on the server may be blocked, too
    with psycopg.connect(db, autocommit=True) as setup:
        setup.execute("create table t (a int)")
    with psycopg.connect(db) as holder, psycopg.connect(db) as waiter:
        holder.execute("lock table t in access exclusive mode")
        waiter.execute("set lock_timeout = '20s'")
        waiting = waiter.pgconn
        waiting.send_query(b"select * from t")
        for _ in range(50):
            collector._due["moving"] = 0.0
            collector.run_once()
            page = exported(board, 1001.0)
            (blocked,) = [v for n, v in page.items() if "blocked_sessions" in n and mine in n]
            if blocked:
                break
        assert blocked == 1
        ages = [v for n, v in page.items() if "longest_block_seconds" in n and mine in n]
        assert 0 <= ages[0] < 30
        holder.rollback()
        while waiting.get_result():
            pass


def test_reading_does_not_look_like_rollbacks(pg: servers.Server, db: str) -> None:
    collector = Collector(
        Board(), "shop", db, CollectorSettings(), Config(), lambda: 1.0, lambda: 1.0
    )
    collector.run_once()
    collector._connection.close()
    with psycopg.connect(pg.dsn(), autocommit=True) as session:
        name = psycopg.conninfo.conninfo_to_dict(db)["dbname"]
        found = session.execute(
            "select xact_rollback from pg_stat_database where datname = %s", (name,)
        ).fetchone()
    assert found == (0,)


def test_nothing_of_a_target_remains_when_nobody_renews_it(
    collected: tuple[Board, Collector],
) -> None:
    board, _ = collected
    assert any("connections{" in name for name in exported(board, 1045.0))
    later = exported(board, 1046.0)
    assert not any("connections{" in name for name in later)
    assert any("collection_last_success_timestamp_seconds" in name for name in later)


def test_metrics_that_cannot_be_made_are_absent_and_not_old(
    collected: tuple[Board, Collector], caplog: pytest.LogCaptureFixture
) -> None:
    board, _ = collected
    exporter = Exporter(board, settings.MetricsSettings(), lambda: 1001.0)
    exporter.run_once()
    assert board.state.rendered[PAGE]
    shop = replace(board.state.targets["shop"], query_rows=None)  # type: ignore[arg-type]
    board.change(lambda s: replace(s, targets={"shop": shop}))
    exporter._survive()
    assert board.state.rendered[PAGE] == b""
    assert "collected" not in board.state.families
    assert "unexpected AttributeError" in caplog.text


def test_a_target_that_was_never_reached_has_what_says_so() -> None:
    board = Board()
    down = Collected("shop", None, failure="could not connect")
    board.change(lambda s: replace(s, targets={"shop": down}))
    exporter = Exporter(board, settings.MetricsSettings(), lambda: 1.0, is_compatible=True)
    exporter.run_once()
    assert b'pg_up{target="shop"} 0' in board.state.rendered[COMPATIBLE_PAGE]


# --- the registry -------------------------------------------------------------------------------------


def test_names_have_base_units() -> None:
    wrong = ("_ms", "_milliseconds", "_percent", "_kb", "_mb", "_pages", "_minutes")
    assert not [m.name for m in all_metrics() if m.name.endswith(wrong)]
    assert not [m.name for m in all_metrics() if not m.help.endswith(".")]


def test_no_label_is_a_text_or_a_user() -> None:
    labels = {label for m in all_metrics() for label in m.labels}
    assert not labels & {"query", "text", "user", "usename", "role", "client", "application_name"}


def test_the_page_of_metrics_is_that_of_the_registry() -> None:
    written = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert written == metrics_page.page(), "make docs"


@pytest.mark.parametrize("table", [{"series": "many"}, {"series": True}, {"series": 1}, {"top": 3}])
def test_wrong_settings_name_file_and_key(table: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"file: serve\.metrics"):
        settings.parse(table, "file")
