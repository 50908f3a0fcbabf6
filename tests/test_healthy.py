"""A healthy database is left in peace: pgbench for a while, autovacuum on, PostgreSQL's defaults."""

import time

import pytest

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import parse
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.findings import Severity
from pgwatch_wed.target.collect import collect
from tests.psql import psql


@pytest.mark.slow
def test_a_healthy_database_gives_no_warning_and_no_critical() -> None:
    # fsync is the wheel's server's own economy; autovacuum comes sooner, so that the test is shorter
    with embedded.start({"fsync": "on", "autovacuum_naptime": "3s"}) as server:
        psql(server.dsn(), "create extension pg_stat_statements")
        server.run("pgbench", "-i", "-q", "-s", "3", "--foreign-keys")
        server.run("pgbench", "-T", "10", "-c", "3")
        time.sleep(5)
        snapshot = collect(server.dsn())
    for window in (0, 30):
        report = analyse([snapshot], parse({"window": window}, "test"))
        loud = [f for f in report.findings if f.severity is not Severity.INFO]
        assert [(f.rule, f.title) for f in loud] == []


def test_an_empty_database_has_nothing_to_say_about_its_objects(db: str) -> None:
    report = analyse([collect(db)], parse({"window": 0}, "test"))
    kinds = {"table", "index", "constraint", "sequence", "statement"}
    assert [f.title for f in report.findings if f.object.kind in kinds] == []
