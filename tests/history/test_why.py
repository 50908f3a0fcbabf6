"""What a DBA who was not there is told: what changed around a query or a table, what did not, and the record."""

import json
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from pgwatch_wed.analyse import analyse
from pgwatch_wed.cli import cli
from pgwatch_wed.config import Config
from pgwatch_wed.errors import UsageError
from pgwatch_wed.history import predictions, runs, schema, store, subject, timelines
from pgwatch_wed.history.predictions import Ending, Prediction
from pgwatch_wed.history.runs import NewRun
from pgwatch_wed.render import json_v1
from pgwatch_wed.target.collect import collect
from tests.psql import psql

SHOP = """
create extension if not exists pg_stat_statements;
create table orders (id int primary key, customer int, note text) with (autovacuum_enabled = off);
create table calm (id int primary key);
insert into orders select g, g % 50, repeat('n', 100) from generate_series(1, 5000) g;
analyze orders;
"""
QUERY = "select count(note) from orders where customer = %s"


@pytest.fixture
def opened(tmp_path: Path) -> store.Store:
    return store.open_store(str(tmp_path / "h.sqlite3"))


def work(dsn: str, times: int = 10, query: str = QUERY) -> None:
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
        for n in range(times):
            connection.execute(query, [n])


def run(history: store.Store, dsn: str) -> None:
    snapshot = collect(dsn)
    report = analyse([snapshot], Config())
    with history.writing() as connection:
        runs.add(connection, NewRun([snapshot], report, json_v1.render(report)))


def said(history: store.Store, *args: str) -> str:
    result = CliRunner().invoke(
        cli, [*args, "--history", history.place.value], catch_exceptions=False
    )
    assert result.exit_code == 0
    assert all(len(text) <= 80 for text in result.output.splitlines())
    return " ".join(result.output.split())


def test_what_happened_to_a_table_and_its_query_is_told(opened: store.Store, db: str) -> None:
    psql(db, SHOP)
    run(opened, db)
    for _ in range(3):
        work(db)
        run(opened, db)
    psql(db, "create index orders_customer on orders (customer) include (note)")
    psql(db, "vacuum analyze orders")
    for _ in range(2):
        work(db)
        run(opened, db)
    psql(db, "alter table orders rename to bookings")
    psql(db, "alter table bookings add column more int")
    psql(db, "drop index orders_customer")
    name = psycopg.conninfo.conninfo_to_dict(db)["dbname"]
    psql(db, f"alter database {name} set jit = off")
    run(opened, db)

    table = said(opened, "why", "bookings")
    assert table == said(opened, "why", "orders")  # its former name
    assert table.startswith("table public.bookings")
    assert "orders_customer created" in table
    assert "table: public.orders renamed to public.bookings" in table
    assert "bookings.more created" in table
    assert "orders_customer dropped" in table
    assert "role setting:" in table
    assert "analyzed" in table
    assert "Did not change: server version, restarts, constraints of its tables" in table

    with opened.reading() as connection:
        topic = subject.find(connection, "bookings")
        whole = timelines.timeline(connection, topic)
        some = timelines.timeline(connection, topic, most=5)
    # of more runs than are compared, those around changes are among them
    structure = {(e.at, e.text) for e in whole.events if "orders_customer" in e.text}
    assert structure <= {(e.at, e.text) for e in some.events}
    assert whole.not_known == ()
    assert "of 7 runs, 5 were compared" in some.not_known[0]

    found = said(opened, "why", "from orders where customer")
    assert "query: a call took" in found
    assert "time a call" in found
    calm = said(opened, "why", "calm")
    assert "indexes of its tables" in calm.partition("Did not change: ")[2]
    document = json.loads(
        CliRunner()
        .invoke(cli, ["why", "calm", "--format", "json", "--history", opened.place.value])
        .output
    )
    assert document["runs"] == 7
    assert [e["kind"] for e in document["events"]] == ["role setting"]
    assert "no runs" in said(opened, "why", "calm", "--since", "2200-01-01")


def test_what_may_mean_several_is_listed(opened: store.Store, db: str) -> None:
    psql(db, SHOP + "create schema other; create table other.orders (id int);")
    run(opened, db)
    work(db)
    work(db, query="select max(id) from orders where customer = %s")
    run(opened, db)
    for text, why in (
        ("orders", "'orders' means several: table other.orders; table public.orders"),
        ("where customer", "means several: query "),
        ("nothing", "nothing in the history is 'nothing'"),
        ("12345", "nothing in the history is '12345'"),
    ):
        with pytest.raises(UsageError, match=why):
            CliRunner().invoke(
                cli, ["why", text, "--history", opened.place.value],
                catch_exceptions=False, standalone_mode=False,
            )  # fmt: skip
    assert said(opened, "why", "public.orders").startswith("table public.orders")
    assert "query" in said(opened, "why", "max(id)")


def test_the_record_counts_what_was_predicted(opened: store.Store) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert "Nothing has been advised" in said(opened, "record")
    with opened.writing() as connection:
        for n, ending in enumerate((Ending.HELD, Ending.HELD, Ending.MISSED, None)):
            new = Prediction("forecast", "table-growth", "C", {"table": n}, now, "bytes", 1, 2, 3)
            predictions.predict(connection, 1, 1, 1, now, new)
            if ending is not None:
                made = predictions.due(connection, 1, "forecast")[-1]
                predictions.settle(connection, made, ending, now, actual=2)
    text = said(opened, "record")
    assert (
        "table-growth (forecast, grade C): 4 predictions 2 held, 1 missed, 1 open: 67% right"
        in text
    )
    output = (
        CliRunner()
        .invoke(cli, ["record", "--format", "json", "--history", opened.place.value])
        .output
    )
    assert json.loads(output)["predictions"][0]["endings"] == {"held": 2, "missed": 1}


def test_advice_that_was_applied_in_part_and_helped_is_counted_as_both(opened: store.Store) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    with opened.writing() as connection:
        for n, (state, outcome) in enumerate(
            (
                ("partly applied", "helped"),
                ("partly applied", "too early"),
                ("applied", "helped"),
                ("undone", "harmed"),
                ("not applied", None),
                ("there before the advice", None),
            )
        ):
            connection.execute(
                schema.advice.insert().values(
                    cluster_id=1, database_id=1, finding_id=str(n), rule="index-missing", grade="A", label=f"orders_{n}", run_id=1,
                    advised_at=now, last_advised_at=now, structure={"structures": []},
                    predicted={"ms_per_day": 1000.0}, state=state, state_at=now, outcome=outcome,
                    outcome_at=now, measured={"saved_ms_per_day": 500.0, "time_ratio": 0.5},
                )
            )  # fmt: skip
    told = said(opened, "record")
    #                            advised applied helped no effect harmed open
    assert "index-missing A 6 4 2 0 1 1 only in part: 2, undone since: 1" in told
    # of what was applied as a whole: half of the promised 2 s
    assert "predicted 2 s, measured 1 s" in told
