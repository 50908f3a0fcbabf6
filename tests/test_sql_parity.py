"""One truth in two languages: on every scenario, the installed functions say what the rules say."""

import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgwatch_wed import install
from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import parse
from pgwatch_wed.findings import Finding, Report, Verdict
from pgwatch_wed.target.collect import collect
from tests.installing import connect, run
from tests.psql import psql
from tests.servers import Server
from tests.test_scenarios import BAD, FOLDER, GOOD, PREPARE, cases, fits

pytestmark = pytest.mark.spread(1)

ALARMS = {"info", "warning", "critical"}
# The column with the status, the view or function, a condition, and the metric of the summary.
COUNTERPARTS = {
    "vacuum-dead-tuples": ("vacuum_status", "get_table_stats()", "true", "tables_with_dead_tuples"),
    "vacuum-disabled": ("autovacuum_status", "get_table_stats()", "true", "autovacuum_disabled"),
    "analyze-never": (
        *("analyze_status", "get_table_stats()"),
        *("has_statistics is not true and analyze_status <> 'ok'", "never_analyzed"),
    ),
    "analyze-stale": (
        *(
            "analyze_status",
            "get_table_stats()",
            "has_statistics is not false",
            "outdated_statistics",
        ),
    ),
    "index-unused": ("status", "index_usage_stats", "true", "unused_indexes"),
    "index-invalid": (
        *("case when is_valid or is_building or is_partitioned then 'ok' else 'warning' end",),
        *("index_usage_stats", "true", "invalid_indexes"),
    ),
}
SCENARIOS = ["clean", *cases([*BAD, *GOOD])]


@dataclass
class Said:
    """What a rule or an installed object says: alarms with their severity, and whether it is unsure."""

    alarms: dict[str, str]
    is_unsure: bool


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_installed_functions_agree_with_the_rules(
    name: str, every_pg: Server, every_db: str
) -> None:
    prepare(name, every_pg, every_db)
    install.upgrade(every_db, "public")
    # autovacuum may run between the two readings, and before 15 counts are reported late
    for _ in range(5):
        report = judged(every_db)
        said = {rule: by_rule(report, rule) for rule in COUNTERPARTS}
        both = both_ways(every_db)
        right = {rule: (said[rule], expected(both[rule][0])) for rule in COUNTERPARTS}
        aside = serving_foreign_keys(every_db)
        if without(both, aside) == without(right, aside):
            break
        time.sleep(1)
    assert without(both, aside) == without(right, aside)


Both = dict[str, tuple[Said, tuple[int | None, str]]]

# The only difference: which of several indexes serves a foreign key well enough is told by statistics and
# collations, at which the rule looks and the view does not; its column `reason` names the key.
FOREIGN_KEYS = """
select n.nspname || '.' || c.relname
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_namespace n on n.oid = c.relnamespace
where exists (
    select from pg_constraint k
    join pg_attribute own on own.attrelid = k.conrelid and own.attnum = any(k.conkey)
    join pg_attribute a on a.attrelid = i.indrelid and a.attname = own.attname and a.attnum = any(i.indkey)
    where k.contype = 'f'
        and (k.conrelid = i.indrelid or k.conrelid in (select pg_partition_ancestors(i.indrelid))))
"""


def serving_foreign_keys(db: str) -> set[str]:
    with connect(db) as c:
        return {name for (name,) in c.execute(FOREIGN_KEYS.encode()).fetchall()}


def without(both: Both, names: set[str]) -> Both:
    said, total = both["index-unused"]
    alarms = {name: status for name, status in said.alarms.items() if name not in names}
    return {**both, "index-unused": (Said(alarms, said.is_unsure and not names), total)}


def both_ways(db: str) -> Both:
    """Return of each rule what its function or view says of each object, and the summary of all."""
    with connect(db) as c:
        c.execute("set pgwatch_wed.unused_window = '0 days'")
        query = "select metric, value, status from wedsync_performance_summary"
        total = {metric: (value, status) for metric, value, status in c.execute(query).fetchall()}
        return {
            rule: (by_sql(c, column, source, condition), whole(*total[metric]))
            for rule, (column, source, condition, metric) in COUNTERPARTS.items()
        }


def prepare(name: str, server: Server, db: str) -> None:
    path = Path(FOLDER) / name
    if name == "clean":
        psql(db, PREPARE)
        return
    if not fits(path, server.version):
        pytest.skip("the feature is not in this server")
    psql(db, PREPARE + path.read_text(encoding="utf-8"))
    run(db, "select pg_sleep(0.6)")  # before 15, what was counted is reported later


def judged(db: str) -> Report:
    config = parse({"only": list(COUNTERPARTS), "window": 0}, "parity")
    return analyse([collect(db)], config)


def by_rule(report: Report, rule: str) -> Said:
    (verdict,) = [v for v in report.verdicts if v.rule == rule]
    found = [f for f in report.findings if f.rule == rule]
    return Said(
        {label(f): f.severity.value for f in found},
        verdict.verdict is Verdict.UNKNOWN,
    )


def label(finding: Finding) -> str:
    return f"{finding.object.schema}.{finding.object.name}"


def by_sql(c: psycopg.Connection[Any], column: str, source: str, condition: str) -> Said:
    name = "indexrelname" if source == "index_usage_stats" else "relname"
    query = f"select schemaname || '.' || {name}, {column} from {source} where {condition}"
    found: dict[str, str] = dict(c.execute(query.encode()).fetchall())
    alarms = {name: status for name, status in found.items() if status in ALARMS}
    return Said(alarms, not alarms and "unknown" in found.values())


def whole(value: Decimal | None, status: str) -> tuple[int | None, str]:
    return None if value is None else int(value), status


def expected(said: Said) -> tuple[int | None, str]:
    """Return what the summary must say, given the alarms."""
    if said.is_unsure:
        return None, "unknown"
    worst = min(said.alarms.values(), key=("critical", "warning", "info").index, default="ok")
    return len(said.alarms), worst
