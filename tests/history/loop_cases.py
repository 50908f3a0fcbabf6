"""A shop with advice that is good, useless, harmful to writes, and harmful to the planner's choices; and its load."""

import itertools
import secrets
import time
from collections.abc import Sequence

import psycopg

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, MeasuredTime, Object, Remedy, Severity

SCHEMA = """
create extension if not exists pg_stat_statements;
create table good (id int primary key, customer int, note text) with (autovacuum_enabled = off);
insert into good select g, g % 500, repeat('n', 50) from generate_series(1, 20000) g;
create table useless (id int primary key, note text) with (autovacuum_enabled = off);
insert into useless select g, 'N' || g from generate_series(1, 5000) g;
create table writes (id int primary key, kind int, note text) with (autovacuum_enabled = off, fillfactor = 50);
insert into writes select g, g % 3, repeat('word' || g || ' ', 20) from generate_series(1, 2000) g;
create table choice (id int primary key, grp int, at int, fill text) with (autovacuum_enabled = off);
insert into choice select g, case when g > 39000 then 7 else 8 + g % 2 end, g, repeat('f', 60)
    from generate_series(1, 40000) g;
create index choice_grp on choice (grp, id);
create table calm (id int primary key, a int, b int) with (autovacuum_enabled = off);
insert into calm select g, g % 100, g % 7 from generate_series(1, 5000) g;
analyze good; analyze useless; analyze writes; analyze choice; analyze calm;
"""

GOOD = "select count(note) from good where customer = %s"
USELESS = "select count(*) from useless where lower(note) = %s"
WRITE = "update writes set note = %s where id = %s"
SEARCH = "select count(*) from writes where kind = %s"
RANGE = "select count(*) from choice where at between %s and %s"
FIRST = "select * from choice where grp = %s and fill <> 'x' order by at limit 5"
CALM = tuple(
    f"select {what} from calm where {where} = %s"
    for what, where in (("count(*)", "a"), ("sum(b)", "a"), ("min(id)", "b"), ("max(a)", "b"))
)

INDEXES = {
    GOOD: ("good_idx", "CREATE INDEX good_idx ON public.good USING btree (customer);"),
    USELESS: ("useless_idx", "CREATE INDEX useless_idx ON public.useless USING btree (note);"),
    SEARCH: (
        "writes_idx",
        "CREATE INDEX writes_idx ON public.writes USING gin (to_tsvector('simple'::regconfig, note)) WITH (fastupdate=off);",
    ),
    RANGE: ("choice_idx", "CREATE INDEX choice_idx ON public.choice USING btree (at);"),
}


def work(dsn: str, rounds: int = 12) -> None:
    """Run each statement some times."""
    words = itertools.count(secrets.randbelow(10**9))
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
        for n in range(rounds):
            connection.execute(GOOD, [n])
            connection.execute(USELESS, [f"n{n}"])
            connection.execute(SEARCH, [n % 3])
            connection.execute(RANGE, [n * 100, n * 100 + 50])
            connection.execute(FIRST, [7])
            for m in range(3):
                text = " ".join(f"w{next(words)}" for _ in range(120))
                connection.execute(WRITE, [text, n * 3 + m + 1])
            for query in CALM:
                connection.execute(query, [n % 7])
    time.sleep(0.2)


def query_id(snapshot: Snapshot, query: str) -> int:
    """Find a statement by its beginning."""
    start = query.split("%s", maxsplit=1)[0]
    return next(s.query_id for s in snapshot.statements if (s.text or "").startswith(start))


def finding(snapshot: Snapshot, query: str, sql: str = "") -> Finding:
    """Return what recommends an index for one statement."""
    name, default = INDEXES[query]
    identity = query_id(snapshot, query)
    gain = MeasuredTime(1000.0, 86_400.0, 10_000.0, {identity: 1000.0})
    return Finding(
        object=Object("index", name, snapshot.server.database, "public", name.split("_")[0]),
        severity=Severity.WARNING,
        grade=Grade.A,
        title=f"An index {name} would help",
        detail="",
        evidence={"query_ids": [identity]},
        impact=Impact(gain=gain),
        remedy=(Remedy(sql or default, undo=f"DROP INDEX CONCURRENTLY {name};"),),
        rule="index-missing",
        area="index",
    )


def findings(snapshot: Snapshot) -> Sequence[Finding]:
    """Return the advice about all of them."""
    return [finding(snapshot, query) for query in INDEXES]
