"""The whole plan is run in order on a server, and then taken back: what it closes is gone, and then all is as it was."""

import time
from collections.abc import Sequence

import psycopg
import pytest

from pgwatch_wed.analyse import analyse
from pgwatch_wed.cli import demo
from pgwatch_wed.config import Config, parse
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Action, Report
from pgwatch_wed.gather.run import gather
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.quote import ident
from pgwatch_wed.target.collect import collect
from tests.conftest import StartServer
from tests.dumps import schema
from tests.psql import psql
from tests.servers import Server
from tests.worlds import LIMITS

SETS = 8
MESSY = """
create schema m;
set search_path = m;
set enable_seqscan = off;
set enable_bitmapscan = off;
do $$
begin
    for g in 1 .. {sets} loop
        execute format('create table parent_%s (id serial primary key, code smallint unique, v int)', g);
        execute format('create table child_%s (id bigint primary key, parent int references parent_%1$s, '
            'narrow smallint references parent_%1$s, k int, w int, n text, v int, doc jsonb)', g);
        execute format('create table bare_%s (k int, w int, n text) with (autovacuum_enabled = off)', g);
        execute format('create table clock_%s (id serial primary key, other serial, parent int)', g);
        execute format('insert into parent_%s (code, v) select i, i from generate_series(1, 2000) i', g);
        execute format('insert into child_%s select i, 1 + i %% 2000, 1 + i %% 2000, i %% 50, i, repeat(''x'', 50) || i, '
            'case when i %% 10 = 0 then i end, jsonb_build_object(''a'', i) from generate_series(1, 2000) i', g);
        execute format('insert into bare_%s select i, i, ''x'' || i from generate_series(1, 2000) i', g);
        execute format('select setval(''parent_%s_id_seq'', 2100000000), setval(''clock_%1$s_id_seq'', 2100000000), '
            'setval(''clock_%1$s_other_seq'', 2100000000)', g);
        execute format('create index copy_a_%s on child_%1$s (k, id)', g);
        execute format('create index copy_b_%s on child_%1$s (k, id)', g);
        execute format('create index copy_c_%s on child_%1$s (k, id)', g);
        execute format('create index prefix_%s on child_%1$s (k)', g);
        execute format('create index unread_%s on child_%1$s (n)', g);
        execute format('create index nulls_%s on child_%1$s (v)', g);
        execute format('create index method_%s on child_%1$s (doc)', g);
        execute format('create index parents_%s on clock_%1$s (parent)', g);
        execute format('alter table clock_%s add constraint late foreign key (parent) references parent_%1$s not valid', g);
        execute format('update bare_%s set n = n || ''y'' where k %% 2 = 0', g);
        execute format('create table whole_%s (id int, k int, n text) partition by range (id)', g);
        execute format('create table whole_%s_1 partition of whole_%1$s for values from (0) to (1000)', g);
        execute format('create table whole_%s_2 partition of whole_%1$s default', g);
        execute format('insert into whole_%s select i, i, ''x'' from generate_series(1, 2000) i', g);
        execute format('create index half_%s on only whole_%1$s (k)', g);
        execute format('create index half_%s_1 on whole_%1$s_1 (k)', g);
        execute format('analyze child_%s', g);
        execute format('select count(*) from child_%s where v = 10', g);
        execute format('select count(*) from child_%s where doc = ''{{"a": 1}}''', g);
    end loop;
end $$;
create view used as select id from parent_1;
create publication everything for all tables;
reset enable_seqscan;
analyze;
select pg_sleep(0.7);
"""
# Rules that look at what is there, not at counters, which begin anew with each object.
STRUCTURE = ("index-", "schema-", "vacuum-disabled", "config-", "lock-no-timeouts", "coverage-")
EXCEPT = ("index-missing",)  # a gain is judged by its share of the load that is left


def found(shop: Snapshot, server: Server) -> Report:
    """Analyze both databases of the server."""
    here: Config = parse({"window": 0, "rules": LIMITS}, "here")
    return analyse([shop, collect(server.dsn("messy"))], here)


def script(actions: Sequence[Action], *, back: bool = False) -> str:
    """Return what psql runs, each action in its database."""
    lines = []
    for action in reversed(actions) if back else actions:
        lines.append(f"\\connect {ident(action.database or 'postgres')}")
        lines += action.undo if back else [step.sql for step in action.statements]
    return "\n".join(lines)


def as_it_is(server: Server) -> dict[str, list[str]]:
    """Return what a plan and its undo together leave as it was."""
    with psycopg.connect(server.dsn()) as connection:
        files = connection.execute("select name || setting from pg_file_settings order by 1")
        roles = connection.execute("select setconfig::text from pg_db_role_setting order by 1")
        rows = {"files": [r[0] for r in files], "roles": [r[0] for r in roles]}
    dumps = {name: schema(server.dsn(name), server) for name in ("shop", "messy")}
    # a constraint that was validated cannot be marked again
    return rows | {n: text.replace(" NOT VALID", "").splitlines() for n, text in dumps.items()}


def restarted(server: Server) -> None:
    assert server.local is not None
    server.local.halt("fast")
    server.local.boot()
    time.sleep(0.1)


@pytest.mark.slow
def test_the_plan_of_a_shop_and_of_a_mess(start_pg: StartServer) -> None:
    server = start_pg(demo.SETTINGS | {"shared_buffers": "16MB", "log_lock_waits": "off"})
    assert server.local is not None
    demo.fill(server.local)
    demo.work(server.local, 2)
    psql(server.dsn(), "create database messy;")
    psql(server.dsn("messy"), MESSY.format(sets=SETS))
    shop = gather(server.dsn("shop"), Wanted(), lambda _what, _share: None)[0]
    before, report = as_it_is(server), found(shop, server)
    plan = report.plan
    rules = {f.id: f.rule for f in report.findings}
    names = {f.id: (f.rule, f.title) for f in report.findings}
    assert len(rules) > 15 * SETS
    closed = [i for a in plan.actions for i in a.closes]
    assert sorted([*closed, *(n.id for n in plan.not_planned)]) == sorted(rules)
    actions = [a for a in plan.actions if not a.by_hand]
    psql(server.dsn(), script(actions))
    restarted(server)
    still = {f.id for f in found(collect(server.dsn("shop")), server).findings}
    gone = [i for a in actions for i in a.closes if rules[i].startswith(STRUCTURE)]
    assert len(gone) > 10 * SETS
    assert [names[i] for i in gone if i in still and rules[i] not in EXCEPT] == []
    psql(server.dsn(), script(actions, back=True))
    after = as_it_is(server)
    different = {n: sorted({*after[n]} ^ {*before[n]}) for n in before if after[n] != before[n]}
    assert {n: [x for x in d if x.strip("()")] for n, d in different.items()} == {}
