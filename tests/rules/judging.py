"""What the tests of rules share: run SQL as an application would, judge one rule, run its remedy."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import pglast
import psycopg

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Report, Verdict
from pgwatch_wed.gather.enrichment import put
from pgwatch_wed.rules import rule
from pgwatch_wed.target import plans
from pgwatch_wed.target.collect import collect
from tests import nulls


def run(dsn: str, *statements: str, times: int = 1, args: Sequence[Any] = ()) -> None:
    """Execute statements one by one, each a top-level statement of a client."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for _ in range(times):
            for statement in statements:
                connection.execute(statement.encode(), args or None)
        settle(connection)


def settle(connection: psycopg.Connection[Any]) -> None:
    """Make this session's counters known to others."""
    if connection.info.server_version >= 150_000:
        connection.execute("select pg_stat_force_next_flush()")


def judged(snapshot: Snapshot, rule_id: str, **limits: Any) -> Report:
    """Judge a snapshot by one rule, with a window of nothing where it has one."""
    known = {f.name for f in fields(rule(rule_id).limits)}
    assert set(limits) <= known, f"{rule_id} knows {known}"
    config = Config(only=(rule_id,), window_days=0, limits={rule_id: limits})
    report = analyse([snapshot], config)
    if report.findings:
        nulls.stands(rule_id, snapshot, config)
    for finding in report.findings:
        for step in finding.remedy:
            assert pglast.parse_sql(step.sql), step.sql
            assert step.lock
            if not step.undo.startswith("--"):
                assert pglast.parse_sql(step.undo), step.undo
    return report


def found(dsn: str, rule_id: str, **limits: Any) -> tuple[Finding, ...]:
    """Collect, judge, and return the findings."""
    return judged(collect(dsn), rule_id, **limits).findings


def verdict(dsn: str, rule_id: str, **limits: Any) -> Verdict:
    """Collect, judge, and return the verdict."""
    return judged(collect(dsn), rule_id, **limits).verdicts[0].verdict


def texts(findings: Sequence[Finding]) -> list[str]:
    """Return the statements that findings are about."""
    return [f.evidence["query"] for f in findings]


def with_plans(dsn: str) -> Snapshot:
    """Collect, and plan the statements."""
    snapshot = collect(dsn)
    return put(snapshot, statement_plans=plans.statement_plans(dsn, snapshot, 30))


def apply(dsn: str, findings: Sequence[Finding]) -> None:
    """Run every remedy as printed."""
    _execute(dsn, [step.sql for f in findings for step in f.remedy])


def undo(dsn: str, findings: Sequence[Finding]) -> None:
    """Run every way back as printed."""
    _execute(dsn, [step.undo for f in findings for step in reversed(f.remedy)])


def _execute(dsn: str, scripts: Sequence[str]) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for script in scripts:
            is_comment = all(line.startswith("--") for line in script.splitlines())
            for statement in () if is_comment else pglast.split(script):
                connection.execute(statement.encode())
