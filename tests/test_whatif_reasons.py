"""Why a statement has no index: what is said is true, and what can be planned by other means is planned."""

import json
import re
from collections.abc import Iterator

import psycopg
import pytest
from click.testing import CliRunner

from pgwatch_wed.analyse import analyse
from pgwatch_wed.cli import cli
from pgwatch_wed.config import Config
from pgwatch_wed.gather.run import gather
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.whatif.choose.advise import Advice, AdviceOptions, advise
from pgwatch_wed.whatif.lab import source
from pgwatch_wed.whatif.lab.lab import Lab
from pgwatch_wed.whatif.workload import Workload
from tests import servers
from tests.planning import query
from tests.psql import psql

pytestmark = pytest.mark.pg("== 18")  # the lab's own major

EVENTS = """
create table events (id bigint primary key, at timestamptz, amount int, payload jsonb, note text, parts int[]);
insert into events select g, timestamptz '2026-01-01' + g * interval '1 minute', g % 977,
    jsonb_build_object('kind', 'k' || g % 5, 'customer', g % 9000, 'seen', g, 'tags', '[1]'::jsonb, 'u' || g, 1),
    repeat('x', 20), array[g % 9, g] from generate_series(1, 30000) g;
create index events_seen on events ((payload ->> 'seen'));
create function slow(int) returns int language plpgsql stable as 'begin return $1; end';
create table tiny (id int, name text);
insert into tiny select g, 'n' || g from generate_series(1, 40) g;
vacuum analyze;
create table counted (day date, kind text, active boolean, hits int);
create unique index on counted (day, kind) where active;
create table fresh (id int, name text) with (autovacuum_enabled = off);
"""
KEY = "select * from events where payload->>$1 = $2"
MODULO = "select * from events where amount = $1 % $2"
ARRAY = "select * from events where amount = any (select unnest($1))"
SELECTED = "select $1 + $2 from events where amount = $3"
PAGES = "select * from events where amount = $1 order by id limit $2 offset ($3 - $4) * $5"
UNUSED = "select * from events where amount = $2"
GONE = (
    "it calls a function or operator that is not there for such values: perhaps it was dropped, or its extension is not"
    " available in the lab"
)
COMMAND = "it is a command such as CALL, DO or REFRESH, which runs statements that are not known"
REASONS = {
    KEY: "which key payload ->> $1 reads is a parameter",
    "select * from events where date_trunc($1, at) = $2": (
        "date_trunc($1, at) contains a parameter, so that no index on it can be tried"
    ),
    "select * from events where id = 7": "an index for it exists (events_pkey)",
    "select * from events where id = $1 and amount > $2": "it uses events_pkey, and none of the indexes tried lowers its cost",
    "select * from tiny where name = $1": "an index on a table as small as public.tiny saves nothing",
    "select * from fresh where name = $1": "statistics show no rows in public.fresh",
    "select note, payload from events": "it needs all rows of public.events, which no index spares",
    "select count(payload) from events": "keep the result in a table or materialized view",
    "select * from events limit 10": "it takes the first rows of public.events that it finds",
    "select * from events where to_char(at, 'YYYY') = '1999'": (
        "to_char(at, 'YYYY') depends on the session's time zone, so it cannot be indexed: compare at with both ends"
    ),
    "select * from events where at::date = '2026-01-02'": "CAST(at AS date) depends on the session's time zone",
    "select * from events where slow(amount) = 3": "slow(amount) cannot be indexed, since one of its functions is not",
    "select * from events where note like '%xyz%'": "note LIKE '%xyz%' searches within texts",
    "select * from events where note not in ('a', 'b')": "note <> ALL('{a,b}') says what is not wanted",
    "select * from events where 5 = any(parts)": "5 = ANY(parts) looks into each array, which no index spares; written parts @> ARRAY[5]",
    "select * from events where amount > id": "amount > id compares columns of the same row",
    "select * from events where amount > 3 or note > 'a'": "it needs about 100% of the rows of public.events",
    "select * from events where amount > random() * 900": "random() has another value for each row",
    "select id from events order by id limit 10 offset 20000": "OFFSET reads all rows of the pages before",
    "select count(payload) from events where amount > 3": "it needs about 100% of the rows of public.events",
    "insert into counted values ($1, $2, $3, $4) on conflict (day, kind) where active = $5 do update set hits = $6": (
        "it reads no table that could have an index"
    ),
    "select nothing from events": 'it cannot be planned: column "nothing" does not exist',
    "select * from events where amount = ghost($1)": "it cannot be planned: function ghost(unknown)",
}


@pytest.fixture(scope="module")
def lab(pg: servers.Server) -> Iterator[Lab]:
    with pg.database() as dsn:
        psql(dsn, EVENTS)
        with source.open_lab(dsn) as opened:
            yield opened


@pytest.fixture(scope="module")
def advice(lab: Lab) -> Advice:
    texts = (*REASONS, MODULO, ARRAY, SELECTED, PAGES, UNUSED)
    return advise(lab, Workload(tuple(map(query, texts))), AdviceOptions(10**9, seconds=30))


@pytest.mark.parametrize("text", REASONS)
def test_the_reason_is_true(advice: Advice, text: str) -> None:
    (reason,) = (r.reason for r in advice.rejected if r.query == text)
    assert REASONS[text] in reason


def test_keys_that_indexes_and_statistics_show_are_tried(advice: Advice) -> None:
    (reason,) = (r.reason for r in advice.rejected if r.query == KEY)
    assert "with the key seen, the index events_seen serves it" in reason
    assert (
        "with the key customer, an index on ((payload ->> 'customer'::text)) would save" in reason
    )
    assert "--workload DIR" in reason
    assert "tags" not in reason, "no plain value"
    assert "u1" not in reason, "a key that few documents have may be data"


def test_types_come_from_the_column_beside_or_are_told_as_a_guess(lab: Lab, advice: Advice) -> None:
    index = next(i for i in advice.indexes if i.index.columns[0] == "amount")
    assert {MODULO, ARRAY, SELECTED, PAGES, UNUSED} <= {
        *index.queries,
        *(g.name for g in advice.per_query),
    }
    assert {MODULO, SELECTED, UNUSED} <= set(index.queries)
    rejected = {r.query: r.reason for r in advice.rejected}
    assert not any("cannot be planned" in rejected.get(t, "") for t in (MODULO, ARRAY, PAGES))
    for text, guess in ((MODULO, ""), (PAGES, "$3 is integer, $4 is integer")):
        doubts = "; ".join(lab.doubts(query(text), lab.plan(query(text)).tree))
        assert guess in doubts
        assert ("assumed" in doubts) is bool(guess)


def test_what_cannot_be_planned_is_told_by_run_too_and_utility_commands_are_counted(
    pg: servers.Server,
) -> None:
    with pg.database() as dsn:
        psql(
            dsn, EVENTS + "create extension pg_stat_statements; select pg_stat_statements_reset();"
        )
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(
                "create function twice(int) returns int language sql as 'select 2 * $1'"
            )
            for _ in range(20):
                connection.execute("select count(*) from events where amount = 7 % 5")
                connection.execute("select count(*) from events where amount = twice(3)")
                connection.execute("do $$ begin perform from tiny; end $$")
            connection.execute("drop function twice")
        found = CliRunner().invoke(cli, ["indexes", dsn, "--engine", "lab"]).output
        shown = json.loads(CliRunner().invoke(cli, ["indexes", dsn, "--format", "json"]).output)
        (snapshot,) = gather(dsn, Wanted(budget_s=60), lambda _what, _share: None)
    told = " ".join(found.split())
    assert "do $$" not in found.partition("Queries without")[2].lower().partition("utility")[0]
    assert shown["utility_commands"] == 1
    left = [r for r in shown["rejected"] if not r["has_plan"]]
    assert len(left) == 2
    assert shown["unplanned_ms"] == pytest.approx(sum(r["total_ms"] for r in left))
    planned = sum(q["cost_before"] for q in shown["per_query"].values())
    assert shown["cost_before"] == pytest.approx(planned + shown["unplanned_ms"])
    assert re.search(r"1 query not planned, with \d\S*% of the observed time: what", told)
    assert re.search(r"1 utility command .* not planned, with \d\S*% of the observed time", told)
    assert re.search(r"% of the time; it cannot be planned: function twice\(.*; it calls", told)
    assert "$1 % $2: it cannot" not in found
    refused = {p.refused for p in snapshot.statement_plans if p.refused}
    assert refused == {GONE, COMMAND}
    (verdict,) = analyse([snapshot], Config(only=("index-missing",))).verdicts
    assert f"of the load could not be planned ({GONE}; {COMMAND})" in verdict.reason
