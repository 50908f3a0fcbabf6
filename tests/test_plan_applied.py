"""The plan of a schema with faults, run as its owner would: applied, applied again, undone, and the same by Alembic."""

from pathlib import Path

import psycopg
import pytest
from alembic import command
from click.testing import CliRunner

from pgwatch_wed.analyse import analyse
from pgwatch_wed.cli import cli
from pgwatch_wed.config import parse
from pgwatch_wed.findings import Report
from pgwatch_wed.target.collect import collect
from tests.dumps import schema
from tests.plans import run_file
from tests.remedied import world
from tests.rules.waiting import reported
from tests.servers import Server
from tests.test_hostile_names import HOSTILE, build
from tests.test_plan_revisions import scratch

FAULTS = """
create table customers (id int primary key, email text);
create table orders (id int primary key, customer_id int references customers, note text);
create index orders_note on orders (note);
create index orders_note_copy on orders (note);
create table log (at timestamptz, line text);
create table events (at date not null, customer_id int references customers) partition by range (at);
create table events_1 partition of events for values from ('2026-01-01') to ('2026-02-01');
create table events_2 partition of events for values from ('2026-02-01') to ('2026-03-01');
insert into customers select g from generate_series(1, 1000) g;
insert into orders select g, g % 1000 + 1, g % 7 from generate_series(1, 20000) g;
insert into events select date '2026-01-01' + g % 59, g % 1000 + 1 from generate_series(1, 20000) g;
insert into log select now(), g from generate_series(1, 1000) g;
analyze;
"""
ONLY = "index-duplicate,index-redundant,index-missing-fk,schema-no-primary-key"
# Of the hostile names, those with quotes, line breaks, backslashes and what psql takes for variables.
NAMES = [n for n in HOSTILE if any(c in n for c in "'\n\\:")]


def judged(dsn: str) -> Report:
    settings = parse({"only": ONLY.split(","), "window": 0}, "here")
    return analyse([collect(dsn)], settings)


def plan(dsn: str, *args: str) -> None:
    call = ["plan", dsn, "--only", ONLY, "--window", "0", "--no-advise", *args]
    done = CliRunner().invoke(cli, call)
    assert done.exit_code == 0, (done.output, done.exception)


@pytest.fixture
def faulty(db: str) -> str:
    with psycopg.connect(db, autocommit=True) as admin:
        for number, name in enumerate(NAMES):
            build(admin, name, NAMES[number - 1], NAMES[number - 2])
    return db


def test_a_plan_is_applied_undone_and_applied_by_alembic(
    pg: Server, faulty: str, tmp_path: Path
) -> None:
    command.ensure_version(scratch(tmp_path / "admin", faulty))
    with world(pg, faulty, FAULTS) as owner:
        reported(faulty)
        closed = {i for a in judged(owner).plan.actions if not a.by_hand for i in a.closes}
        rules = {f.rule for f in judged(owner).findings if f.id in closed}
        assert rules == {*ONLY.split(",")} - {"index-redundant"}
        before = schema(faulty, pg)
        file, undo = tmp_path / "plan.sql", tmp_path / "plan.undo.sql"
        plan(owner, "--as", "sql", "-o", str(file))
        config = scratch(tmp_path / "theirs", owner)
        plan(owner, "--as", "alembic", "--alembic-dir", str(tmp_path / "theirs"))
        for _ in range(2):
            done = run_file(owner, file, anywhere=False)
            assert done.returncode == 0, done.stderr
        after = schema(faulty, pg)
        assert after != before
        assert not closed & {f.id for f in judged(owner).findings}
        for _ in range(2):
            done = run_file(owner, undo, anywhere=False)
            assert done.returncode == 0, done.stderr
        assert schema(faulty, pg) == before
        command.upgrade(config, "head")
        assert schema(faulty, pg) == after
        command.downgrade(config, "base")
        assert schema(faulty, pg) == before
