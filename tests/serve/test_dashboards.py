"""Each expression of a dashboard, ours and that of postgres_exporter, is answered by a real Prometheus."""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from pgwatch_wed.cli import cli
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Replica, Slot
from pgwatch_wed.serve.collector.collector import Collector
from pgwatch_wed.serve.collector.settings import CollectorSettings
from pgwatch_wed.serve.dashboards.boards import all_dashboards
from pgwatch_wed.serve.metrics import of_other_parts
from pgwatch_wed.serve.metrics.exporter import COMPATIBLE_PAGE, PAGE, Exporter
from pgwatch_wed.serve.metrics.metric_registry import Metric
from pgwatch_wed.serve.metrics.settings import MetricsSettings
from pgwatch_wed.serve.state import Board, Family, Health, ProbeResult, Sample
from tests import servers
from tests.serve.replay import Query, replayed
from tests.serve.test_metrics import row

BEGIN = 1_760_000_000.0
ROUNDS = 6

# postgres_mixin/dashboards/postgres-overview.json of postgres_exporter
_SELECTED = 'datname=~".*",job=~".*",instance=~".*"'
_ALL = 'job=~".*",instance=~".*"'
OVERVIEW = (
    f"sum(irate(pg_stat_database_xact_commit{{{_SELECTED}}}[5m])) + sum(irate(pg_stat_database_xact_rollback{{{_SELECTED}}}[5m]))",
    *(
        f"sum(irate(pg_stat_database_tup_{name}{{{_SELECTED}}}[5m]))"
        for name in ("fetched", "returned", "inserted", "updated", "deleted")
    ),
    *(
        f"irate(pg_stat_bgwriter_buffers_{name}_total{{{_ALL}}}[5m])"
        for name in ("alloc", "backend_fsync", "backend", "clean", "checkpoint")
    ),
    f"sum(pg_stat_database_deadlocks{{{_SELECTED}}})",
    f"sum(pg_stat_database_conflicts{{{_SELECTED}}})",
    f"round(sum by (datname) (rate(pg_stat_database_blks_hit{{{_SELECTED}}}[5m])) / (sum by (datname)(rate(pg_stat_database_blks_hit{{{_SELECTED}}}[5m])) + sum by (datname)(rate(pg_stat_database_blks_read{{{_SELECTED}}}[5m])))*100,0.001)",
    f"pg_stat_database_numbackends{{{_SELECTED}}}",
    "pg_up",
    'pg_up{job=~".*"}',
    'pg_stat_database_tup_fetched{job=~".*",instance=~".*",datname!~"template.*|postgres"}',
)


@pytest.fixture(scope="module")
def prometheus(pg: servers.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Query]:
    """A Prometheus that has seen some minutes of a server with work, peers and an application."""
    with pg.database() as dsn:
        pages = list(_pages(dsn))
    with replayed(pages, tmp_path_factory.mktemp("prometheus")) as ask:
        yield ask


def _pages(dsn: str) -> Iterator[tuple[float, str]]:
    board, moment = Board(), [BEGIN]
    roomy = CollectorSettings(budget=1.0)
    collector = Collector(board, "shop", dsn, roomy, Config(), lambda: moment[0], lambda: moment[0])
    exporter = Exporter(board, MetricsSettings(), lambda: moment[0], is_compatible=True)
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute("create extension if not exists pg_stat_statements")
        session.execute("create table t (a int primary key, b int) with (autovacuum_enabled = off)")
        for number in range(ROUNDS):
            session.execute(
                "insert into t select i, 0 from generate_series(%s::int, %s::int) i",
                (number * 100 + 1, number * 100 + 100),
            )
            session.execute("update t set b = b + 1")
            session.execute("select pg_stat_force_next_flush()")
            collector.run_once()
            _with_peers(board, number)
            exporter.run_once()
            texts = (board.state.rendered[PAGE], board.state.rendered[COMPATIBLE_PAGE])
            yield moment[0], "".join(t.decode() for t in texts) + _application(number)
            moment[0] += 60
    collector._connection.close()


def _with_peers(board: Board, number: int) -> None:
    """Add what a lone server on this machine does not have."""
    collected = board.state.targets["shop"]
    assert collected.snapshot is not None
    standby = row(Replica, application_name="standby", replay_lag_bytes=8192, replay_lag_ms=5.0)
    slot = row(Slot, name="standby", retained_bytes=16_000_000, is_active=True)
    snapshot = replace(collected.snapshot, replicas=(standby,), slots=(slot,))
    at = BEGIN + 60 * number
    probe = ProbeResult("database", "postgres", Health.PASS, at, BEGIN, 15.0, 0.01, target="shop")
    others = tuple(_family(m, number) for m in of_other_parts.listed() if m.name in OTHERS)

    def change(state: Any) -> Any:
        targets = {"shop": replace(collected, snapshot=snapshot)}
        return replace(
            state,
            targets=targets,
            probes={"database": probe},
            families={**state.families, "others": others},
        )

    from pgwatch_wed.app import breakers

    breakers.breaker("peer")
    board.change(change)


OTHERS = frozenset(
    m.name for m in vars(of_other_parts).values() if isinstance(m, Metric) and m.source != "app"
)
VALUES = {"mode": ("idle", "busy"), "result": ("hit", "miss"), "target": ("shop",)}


def _family(metric: Metric, number: int) -> Family:
    labels: list[tuple[tuple[str, str], ...]] = [()]
    for label in metric.labels:
        labels = [
            (*before, (label, value)) for before in labels for value in VALUES.get(label, ("x",))
        ]
    value = 10.0 * number if metric.kind == "counter" else 10.0
    name = metric.full_name
    return Family(
        name, metric.kind, metric.help, tuple(Sample(name, each, value) for each in labels)
    )


def _application(number: int) -> str:
    """Return what the application exposes, as its side of this package names it."""
    import prometheus_client as client

    registry = client.CollectorRegistry()
    chance = random.Random(1)

    def count(name: str, **labels: str) -> None:
        made = client.Counter(name, "x", list(labels), registry=registry)
        (made.labels(**labels) if labels else made).inc(5 * number)

    def time_(name: str, buckets: tuple[float, ...] = (0.1, 0.5, 1.0), **labels: str) -> None:
        made = client.Histogram(name, "x", list(labels), buckets=buckets, registry=registry)
        each = made.labels(**labels) if labels else made
        for _ in range(5 * number):
            each.observe(chance.random())

    time_(
        "http_server_request_duration_seconds",
        http_request_method="GET",
        http_route="/",
        http_response_status_code="500",
    )
    for name in (
        "app_stripe_webhook_lag_seconds",
        "app_form_seconds",
        "app_pdf_processing_seconds",
    ):
        time_(name)
    count("app_payments", outcome="ok")
    count("app_stripe_webhooks", type="charge.succeeded", outcome="processed")
    count("app_forms_submitted", outcome="ok")
    count("app_pdf_processed", outcome="ok")
    count("app_pdf_pages")
    count("app_emails", outcome="sent")
    count("app_cache_operations", cache="sessions", operation="get", result="hit")
    count("app_auth_failures", reason="password")
    count("app_rate_limited", route="/login")
    made: bytes = client.generate_latest(registry)
    lines = made.decode().splitlines(keepends=True)
    return "".join(line for line in lines if "_created" not in line)


def test_each_expression_of_our_dashboards_returns_series(prometheus: Query) -> None:
    silent = []
    for dashboard in all_dashboards():
        for panel in dashboard.panels:
            for query in panel.queries:
                expression = query.expression.replace("$__rate_interval", "5m").replace(
                    "$target", ".*"
                )
                found = prometheus(expression)
                if not found or any(each["value"][1] == "NaN" for each in found):
                    silent.append((dashboard.title, panel.title, expression, found[:1]))
                for label in re.findall(r"{{(\w+)}}", query.legend):
                    assert all(label in each["metric"] for each in found), (panel.title, label)
    assert silent == []


def test_each_expression_of_the_dashboard_of_postgres_exporter_returns_series(
    prometheus: Query,
) -> None:
    assert len({n for e in OVERVIEW for n in re.findall(r"pg_\w+", e)}) == 18
    assert [e for e in OVERVIEW if not prometheus(e)] == []


def test_dashboards_can_be_provisioned(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["serve", "--print-dashboards", str(tmp_path)])
    assert done.exit_code == 0, done.output
    files = [Path(line) for line in done.output.splitlines()]
    documents = [json.loads(file.read_text()) for file in files]
    assert len({d["uid"] for d in documents}) == len(files) == 4
    for document in documents:
        assert "__inputs" not in document
        assert len(document["uid"]) <= 40
        assert document["templating"]["list"][0]["type"] == "datasource"
        ids = [panel["id"] for panel in document["panels"]]
        assert len(ids) == len(set(ids))
        places = {(p["gridPos"]["x"], p["gridPos"]["y"]) for p in document["panels"]}
        assert len(places) == len(ids)
        for panel in document["panels"]:
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["targets"]
