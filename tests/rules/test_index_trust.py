"""index-missing: what lowers the grade of an index, and rows that no index saves."""

import random
from collections.abc import Iterator

import psycopg
import pytest

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.findings import Finding, Grade, Report, Verdict
from pgwatch_wed.gather.run import gather
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.whatif import engines
from tests.rules.judging import run, settle
from tests.rules.test_index_missing import quiet
from tests.rules.waiting import reported

pytestmark = pytest.mark.pg("< 19")  # the lab's own major
BOTH = "select * from dep where a = %s and b = %s"


@pytest.fixture
def busy(every_db: str) -> str:
    """A table in which b follows from a, with an index on a; rows are scattered and wide."""
    run(
        every_db,
        "create extension if not exists pg_stat_statements",
        "create table dep (id int, a int, b int, kind int, pad text)",
        "insert into dep select g, g % 400, g % 400 * 2, g % 3, repeat('x', 150) from generate_series(1, 60000) g",
        "create index dep_a on dep (a)",
        "vacuum analyze dep",
        "select pg_stat_statements_reset()",
    )
    return every_db


def ask(dsn: str, text: str, values: Iterator[tuple[int, ...]], times: int = 60) -> None:
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
        for _ in range(times):
            connection.execute(text.encode(), next(values)).fetchall()
        settle(connection)


def judge(dsn: str) -> Report:
    snapshots = gather(dsn, Wanted(), quiet)
    assert "missing_indexes" not in snapshots[0].missing
    return analyse(snapshots, Config(only=("index-missing",), window_days=0))


def findings(dsn: str) -> tuple[Finding, ...]:
    return judge(dsn).findings


def pairs() -> Iterator[tuple[int, ...]]:
    while True:
        a = random.randrange(400)
        yield a, a * 2


def numbers(most: int) -> Iterator[tuple[int, ...]]:
    while True:
        yield (random.randrange(most),)


def test_rows_that_a_statement_returns_are_fetched_with_any_index(busy: str) -> None:
    ask(busy, BOTH, pairs())
    # the planner expects one row of 150, and so that an index on b would save fetching the others
    assert findings(busy) == ()
    # nor does it once the planner expects them: it combines bitmaps as if the columns were independent
    run(busy, "create statistics dep_stat (dependencies) on a, b from dep", "analyze dep")
    assert findings(busy) == ()


def test_a_misestimated_statement_proves_no_gain(busy: str) -> None:
    run(busy, "drop index dep_a")
    ask(busy, BOTH, pairs())
    (finding,) = findings(busy)
    assert finding.grade is Grade.C
    assert "query-misestimate" in finding.caveats[0]


def test_outdated_statistics_come_first(busy: str) -> None:
    run(busy, "alter table dep set (autovacuum_enabled = off)")
    ask(busy, "select * from dep where id = %s", numbers(60_000))
    (proven,) = findings(busy)
    assert proven.grade is Grade.A
    assert len(proven.remedy) == 1
    # what the changes themselves cost is not the question
    run(busy, "update dep set id = 7", "select pg_stat_statements_reset()")
    ask(busy, "select * from dep where id = %s", numbers(6))
    (finding,) = findings(busy)
    assert finding.grade is Grade.C
    assert "outdated" in finding.caveats[0]
    assert finding.remedy[0].sql == "ANALYZE public.dep;"
    assert "CREATE INDEX" in finding.remedy[1].sql
    (advised,) = engines.advise_target(busy, engine="lab").indexes
    assert "outdated" in advised.caveats[0]
    # and so it is: all rows have the same value now
    run(busy, "analyze dep")
    assert findings(busy) == ()


def test_a_table_that_was_never_analyzed_is_not_called_clear(busy: str) -> None:
    run(
        busy,
        "create table fresh with (autovacuum_enabled = off) as"
        " select g as id, repeat('x', 150) as pad from generate_series(1, 60000) g",
    )
    ask(busy, "select * from fresh where id = %s", numbers(60_000))
    reported(busy)  # how many rows it has is known from the counters alone
    report = judge(busy)
    assert report.verdicts[0].verdict is Verdict.UNKNOWN
    assert "public.fresh was never analyzed" in report.verdicts[0].reason
    assert report.verdicts[0].mend == "ANALYZE public.fresh;"
    run(busy, "vacuum fresh")  # the size is known now, the values are not
    (finding,) = findings(busy)
    assert finding.grade is Grade.C
    assert finding.remedy[0].sql == "ANALYZE public.fresh;"


def test_a_gain_that_depends_on_the_values_is_not_proven(busy: str) -> None:
    run(
        busy,
        "create table jobs (id int, state int, pad text)",
        "insert into jobs select g, case when g % 100 < 90 then 0 else g end, repeat('x', 150)"
        " from generate_series(1, 60000) g",
        "vacuum analyze jobs",
        # these rows would cost the index more than it saves if most calls ask for what most rows have
        "select pg_stat_statements_reset()",
    )
    ask(busy, "select max(pad) from jobs where state = %s", numbers(5))
    (finding,) = findings(busy)
    assert finding.evidence["columns"] == ["state"]
    assert finding.grade is Grade.C
    assert "90%" in finding.caveats[0]


def test_the_most_selective_column_decides_whether_the_values_matter(busy: str) -> None:
    run(
        busy,
        "create table tasks (id int, state int, owner int, pad text)",
        "insert into tasks select g, case when g % 100 < 90 then 0 else g % 5 end, g % 3000, repeat('x', 150)"
        " from generate_series(1, 60000) g",
        "vacuum analyze tasks",
    )
    ask(busy, "select max(pad) from tasks where state = 0 and owner = %s", numbers(50))
    (finding,) = findings(busy)
    assert "owner" in finding.evidence["columns"]
    assert finding.grade is Grade.A


def test_the_length_of_a_list_is_a_guess(busy: str) -> None:
    with psycopg.connect(busy, autocommit=True, prepare_threshold=None) as connection:
        for number in range(60):
            values = [list(range(number, number + 100))]
            connection.execute("select max(pad) from dep where id = any(%s)", values).fetchall()
        settle(connection)
    (finding,) = findings(busy)
    assert finding.grade is Grade.B
    assert "assumes ten" in finding.caveats[0]
