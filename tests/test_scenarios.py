"""bad.sql makes its rule fire and the advised remedy silences it; good.sql leaves it silent."""

import json
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pglast
import psycopg
import pytest
from _pytest.mark.structures import ParameterSet

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import parse
from pgwatch_wed.findings import Report, Verdict
from pgwatch_wed.rules import rule
from pgwatch_wed.target.collect import collect
from tests import nulls
from tests.psql import psql
from tests.servers import Server

pytestmark = pytest.mark.spread(1)

PREPARE = "create extension pg_stat_statements;\n"
FOLDER = Path(__file__).parent / "scenarios"
BAD = sorted(p.relative_to(FOLDER).as_posix() for p in FOLDER.glob("*/bad*.sql"))
GOOD = sorted(p.relative_to(FOLDER).as_posix() for p in FOLDER.glob("*/good*.sql"))


def directives(path: Path, name: str) -> list[str]:
    return re.findall(rf"^-- {name}: ?(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)


def fits(path: Path, version: int) -> bool:
    operators = {">=": version.__ge__, "<": version.__lt__, "==": version.__eq__}
    wanted = [w.split() for w in directives(path, "pg")]
    return all(operators[sign](int(number)) for sign, number in wanted)


def cases(names: Iterable[str]) -> list[ParameterSet]:
    """Return parameters that take their turn only among the servers which have the feature."""
    return [pytest.param(n, marks=needed(FOLDER / n), id=n) for n in names]


def needed(path: Path) -> list[pytest.MarkDecorator]:
    wanted = directives(path, "pg")
    return [pytest.mark.pg(",".join(wanted))] if wanted else []


def settled(server: Server, holds: Callable[[], Report], right: Callable[[Report], bool]) -> Report:
    """Judge; before 15 the statistics collector may take its time, so look again for a while."""
    report = holds()
    for _ in range(20 if server.version < 15 else 0):
        if right(report):
            break
        time.sleep(0.25)
        report = holds()
    return report


def labels(report: Report) -> list[str]:
    return sorted(f.object.label for f in report.findings)


def judged(db: str, path: Path) -> Report:
    rule_id = path.parent.name
    limits = [json.loads(text) for text in directives(path, "limits")]
    config = parse(
        {"only": [rule_id], "window": 0, "rules": {rule_id: limits[0]} if limits else {}}, path.name
    )
    snapshot = collect(db)
    report = analyse([snapshot], config)
    if report.findings:
        nulls.stands(rule_id, snapshot, config)
    return report


def run_remedies(db: str, report: Report) -> None:
    with psycopg.connect(db, autocommit=True) as connection:
        for finding in report.findings:
            for step in finding.remedy:
                for statement in pglast.split(step.sql):
                    connection.execute(statement.encode())
        connection.execute("select pg_sleep(0.01)")


def parses(report: Report) -> None:
    for finding in report.findings:
        for step in finding.remedy:
            assert pglast.parse_sql(step.sql), f"{finding.rule}: {step.sql}"
            assert step.lock, f"{finding.rule}: {step.sql} does not name its lock"
            if step.undo and not step.undo.startswith("--"):
                pglast.parse_sql(step.undo)


@pytest.mark.parametrize("name", cases(BAD))
def test_the_fault_is_found_and_the_remedy_silences_it(
    name: str, every_pg: Server, every_db: str
) -> None:
    path = FOLDER / name
    if not fits(path, every_pg.version):
        pytest.skip("the feature is not in this server")
    psql(every_db, PREPARE + path.read_text(encoding="utf-8"))
    expected = sorted(directives(path, "expect"))
    report = settled(every_pg, lambda: judged(every_db, path), lambda r: labels(r) == expected)
    assert labels(report) == expected
    parses(report)
    if directives(path, "remedy"):
        return
    assert all(f.remedy for f in report.findings), "no remedy, and no reason why"
    run_remedies(every_db, report)
    after = settled(every_pg, lambda: judged(every_db, path), lambda r: not r.findings)
    assert labels(after) == []


@pytest.mark.parametrize("name", cases(GOOD))
def test_the_traps_stay_silent(name: str, every_pg: Server, every_db: str) -> None:
    path = FOLDER / name
    if not fits(path, every_pg.version):
        pytest.skip("the feature is not in this server")
    psql(every_db, PREPARE + path.read_text(encoding="utf-8"))
    reasons = directives(path, "unknown")
    right = Verdict.UNKNOWN if reasons else Verdict.CLEAR
    report = settled(
        every_pg, lambda: judged(every_db, path), lambda r: r.verdicts[0].verdict is right
    )
    assert [f.title for f in report.findings] == []
    verdict = report.verdicts[0]
    if reasons:
        assert verdict.verdict is Verdict.UNKNOWN
        assert all(part in f"{verdict.reason} {verdict.mend}" for part in reasons)
    else:
        assert verdict.verdict is Verdict.CLEAR, verdict.reason


def test_every_scenario_names_a_rule() -> None:
    for path in FOLDER.glob("*/*.sql"):
        assert rule(path.parent.name)
