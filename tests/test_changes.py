"""What differs between two snapshots: each kind of change, on real servers, told once and as what it is."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pgwatch_wed.facts import Cause, Missing, Setting, Snapshot
from pgwatch_wed.facts import file as snapshot_file
from pgwatch_wed.history.changes import Change, ChangeKind, What, changes, changes_of
from pgwatch_wed.history.server_changes import shown
from pgwatch_wed.redaction import redacted
from pgwatch_wed.target.collect import collect
from tests.conftest import StartServer
from tests.psql import psql
from tests.rules.waiting import eventually
from tests.standby import catch_up, standby_of

BEFORE = """
create table orders (id int primary key, customer int, note text, old text, sum int not null);
create index orders_customer on orders (customer);
create index orders_note on orders (note);
create index orders_sum on orders (sum);
create index orders_old on orders (old);
create table lines (id int, order_id int, constraint lines_order foreign key (order_id) references orders);
create table gone (id int);
create table again (id int);
create table log (at date) partition by range (at);
create table log_1 (at date not null);
create table big (id int, t text) with (autovacuum_enabled = off);
create sequence numbers;
create sequence spare;
select setval('numbers', 100);
create statistics both_1 on customer, sum from orders;
create statistics lost on note, sum from orders;
"""
DDL = """
alter table orders rename to bookings;
alter table bookings rename column note to remark;
alter table bookings alter column customer type bigint;
alter table bookings alter column sum drop not null, alter column sum set statistics 500;
alter table bookings drop column old, add column fresh int;
alter table bookings set (fillfactor = 80);
alter index orders_note rename to bookings_remark;
alter index bookings_remark set (fillfactor = 70);
drop index orders_sum;
create index bookings_sum on bookings (sum desc);
reindex index concurrently orders_pkey;
update pg_index set indisvalid = false where indexrelid = 'bookings_remark'::regclass;
drop table gone;
create table come (id int);
drop table again;
create table again (id int);
alter table log attach partition log_1 for values from ('2026-01-01') to ('2027-01-01');
alter table lines drop constraint lines_order;
alter table lines add constraint lines_order foreign key (order_id) references bookings on delete cascade not valid;
alter table lines add constraint positive check (id > 0);
alter table lines set unlogged;
select setval('numbers', 5);
alter sequence numbers increment 2;
alter sequence spare rename to extra;
alter statistics both_1 rename to both_2;
drop statistics lost;
create statistics found (mcv) on remark, sum from bookings;
insert into big select g, repeat('x', 500) from generate_series(1, 40000) g;
analyze big;
create extension citext;
"""


def told(found: tuple[Change, ...]) -> list[str]:
    """Print changes for comparison; definitions in short."""
    return [
        f"{c.kind} {c.what}: {c.object.label}"
        + (f" {c.aspect}" if c.aspect else "")
        + (f" {c.before} -> {c.after}" if c.kind not in LONG else "")
        for c in found
        if c.what not in (What.APPEARED, What.VANISHED)
    ]


LONG = (ChangeKind.INDEX, ChangeKind.SIZE, ChangeKind.ROWS)
EXPECTED = """
extension created: citext None -> VERSION
table re-created: public.again public.again -> public.again
table analyzed: public.big None -> None
table altered: public.bookings storage parameters None -> fillfactor=80
table renamed: public.bookings public.orders -> public.bookings
table created: public.come None -> public.come
table dropped: public.gone public.gone -> None
table altered: public.lines persistence logged -> unlogged
table altered: public.log_1 parent None -> public.log
column altered: public.bookings.customer type integer -> bigint
column created: public.bookings.fresh None -> integer
column dropped: public.bookings.old text -> None
column renamed: public.bookings.remark note -> remark
column altered: public.bookings.sum not null yes -> no
column altered: public.bookings.sum statistics target None -> 500
index altered: public.bookings_remark storage parameters
index became invalid: public.bookings_remark
index renamed: public.bookings_remark
index created: public.bookings_sum
index re-created: public.orders_customer definition
index re-created: public.orders_pkey definition
index dropped: public.orders_old
index dropped: public.orders_sum
constraint altered: public.lines_order on delete no action -> cascade
constraint altered: public.lines_order validated yes -> no
constraint re-created: public.lines_order foreign key (order_id) references public.orders -> foreign key (order_id) references public.bookings
constraint created: public.positive None -> check (id)
sequence renamed: public.extra public.spare -> public.extra
sequence altered: public.numbers increment 1 -> 2
sequence altered: public.numbers last value 100 -> 5
statistics object renamed: public.both_2 both_1 -> both_2
statistics object created: public.found None -> mcv
statistics object dropped: public.lost ndistinct, dependencies, mcv -> None
size grew: DATABASE
size grew: public.big
"""
STRUCTURE = (ChangeKind.TABLE, ChangeKind.COLUMN, ChangeKind.INDEX, ChangeKind.CONSTRAINT)


@pytest.fixture
def shop(every_db: str) -> str:
    psql(every_db, BEFORE)
    return every_db


def test_each_kind_of_ddl_is_told_once_and_as_what_it_is(shop: str) -> None:
    old = collect(shop)
    psql(shop, DDL)
    new = eventually(lambda: analyzed(collect(shop), "big"))
    found = changes(old, new)
    citext = new.extension("citext")
    assert citext is not None
    expected = EXPECTED.replace("VERSION", citext.installed_version or "")
    assert told(found) == expected.replace("DATABASE", new.server.database).strip().splitlines()
    # the other way round, what was created was dropped
    back = {(c.kind, c.what, c.object.name) for c in changes(new, old)}
    assert (ChangeKind.TABLE, What.CREATED, "gone") in back
    assert (ChangeKind.TABLE, What.DROPPED, "come") in back
    assert (ChangeKind.TABLE, What.RENAMED, "orders") in back
    assert (ChangeKind.INDEX, What.VALID, "orders_note") in back


def analyzed(snapshot: Snapshot, name: str) -> Snapshot | None:
    (oid,) = [t.oid for t in snapshot.tables if t.name == name]
    activity = snapshot.activity_by_oid[oid]
    return snapshot if activity.last_analyze else None


def kinds(found: tuple[Change, ...]) -> set[ChangeKind]:
    return {c.kind for c in found}


# --- one server -----------------------------------------------------------------------------------


def test_nothing_is_told_where_nothing_changed(db: str) -> None:
    psql(db, BEFORE)
    old = collect(db)
    new = collect(db)
    assert [c for c in changes(old, new) if c.kind is not ChangeKind.STATEMENT] == []
    assert changes(new, new) == ()


def test_settings_are_told_as_show_prints_them_and_our_own_guards_are_not(
    start_pg: StartServer,
) -> None:
    server = start_pg({})
    dsn = server.dsn()
    old = collect(dsn)
    for sql in (
        "alter system set work_mem = '12345kB'",
        "alter system set shared_buffers = '24MB'",
        "alter system set random_page_cost = 1.1",
        "alter system set checkpoint_timeout = '15min'",
        "alter role all set lock_timeout = '3s'",
        "select pg_reload_conf()",
    ):
        psql(dsn, sql)
    new = eventually(lambda: s if (s := collect(dsn)).setting("work_mem") == "12345" else None)
    found = [c for c in changes(old, new) if c.kind is not ChangeKind.STATEMENT]
    assert [(c.kind.value, c.object.name, c.before, c.after, c.aspect) for c in found] == [
        ("setting", "checkpoint_timeout", "5min", "15min", ""),
        ("setting", "random_page_cost", "4", "1.1", ""),
        ("setting", "shared_buffers", "no", "yes", "pending restart"),
        ("setting", "work_mem", "4MB", "12345kB", ""),
        ("role setting", "lock_timeout of all roles", None, "3s", ""),
    ]
    assert server.local is not None
    server.local.restart()
    psql(dsn, "alter role all reset all; alter role all set work_mem = '1GB'")
    restarted = collect(dsn)
    assert [(c.kind.value, c.object.name, c.what.value) for c in changes(new, restarted)][:3] == [
        ("restart", "PostgreSQL", "restarted"),
        ("setting", "shared_buffers", "altered"),
        ("role setting", "lock_timeout of all roles", "dropped"),
    ]
    (restart, *_) = changes(new, restarted)
    assert restart.at == restarted.server.started_at


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        ("16384", "8kB", "128MB"),
        ("-1", "8kB", "-1"),
        ("0", "ms", "0"),
        ("300", "s", "5min"),
        ("1500", "ms", "1500ms"),
        ("1.5", "ms", "1.5ms"),
        ("on", None, "on"),
        ("huge", "kB", "huge"),
    ],
)
def test_a_setting_is_printed_with_the_largest_unit_that_loses_nothing(
    value: str, unit: str | None, text: str
) -> None:
    setting = Setting(
        *("x", value, unit, "integer", "default", None, None, "user", False, None, None, "")
    )
    assert shown(setting) == text


def test_a_statement_that_appears_or_vanishes_is_told_if_it_matters(db: str) -> None:
    psql(db, "create extension pg_stat_statements; create table t (id int)")
    old = collect(db)
    psql(db, "select pg_sleep(0.3), count(*) from t")
    found = [c for c in changes(old, collect(db)) if c.kind is ChangeKind.STATEMENT]
    assert [c.what for c in found if "pg_sleep" in str(c.after)] == [What.APPEARED]


# --- what one of them lacks -----------------------------------------------------------------------


def test_what_was_not_read_was_neither_created_nor_dropped(db: str) -> None:
    psql(db, BEFORE)
    whole = collect(db)
    few = tuple(t for t in whole.tables if t.name != "big")
    denied = Missing("more tables than are read", "", Cause.LEFT_OUT)
    part = replace(whole, tables=few, missing={**whole.missing, "tables:left-out": denied})
    for pair in ((part, whole), (whole, part)):
        assert [c for c in changes(*pair) if c.kind is ChangeKind.TABLE] == []
    lacks = dict.fromkeys(("tables", "indexes"), denied)
    none = replace(whole, tables=(), indexes=(), missing={**whole.missing, **lacks})
    found = changes_of(whole, none)
    assert "tables" in found.not_compared
    assert not kinds(found.changes) & {*STRUCTURE, ChangeKind.SIZE}


def test_placeholders_of_two_files_are_not_renames(db: str) -> None:
    psql(db, BEFORE)
    (old,) = redacted([collect(db)])
    psql(db, "create table a_first_one (id int); drop table gone")
    (new,) = redacted([collect(db)])
    found = [c for c in changes(old, new) if c.kind is not ChangeKind.STATEMENT]
    assert {(c.kind, c.what) for c in found} == {
        (ChangeKind.TABLE, What.CREATED),
        (ChangeKind.TABLE, What.DROPPED),
    }


# --- other servers --------------------------------------------------------------------------------


def test_another_server_is_compared_by_names_and_said_to_be(db: str, start_pg: StartServer) -> None:
    other = start_pg({"work_mem": "64MB"}).dsn()
    psql(other, "create table so_that_oids_differ (id int)")
    psql(db, BEFORE)
    psql(other, BEFORE + "drop index orders_sum; create index orders_sum on orders (sum, id);")
    found = changes_of(collect(db), collect(other))
    assert "different servers" in found.by_name
    mine = [c for c in found.changes if c.kind in STRUCTURE]
    assert [(c.kind, c.what, c.object.name) for c in mine] == [
        (ChangeKind.TABLE, What.CREATED, "so_that_oids_differ"),
        (ChangeKind.INDEX, What.ALTERED, "orders_sum"),
    ]
    assert ("work_mem", "4MB", "64MB") in [
        (c.object.name, c.before, c.after) for c in found.changes
    ]


def test_a_standby_is_the_same_structure(start_pg: StartServer) -> None:
    primary = start_pg({}).local
    assert primary is not None
    psql(primary.dsn(), BEFORE)
    old = collect(primary.dsn())
    with standby_of(primary) as follower:
        catch_up(primary, follower)
        found = changes_of(old, collect(follower.dsn()))
    assert found.by_name
    assert not kinds(found.changes) & set(STRUCTURE)


def test_after_pg_upgrade_constraints_and_statements_are_told_apart_by_names_and_texts(
    db: str,
) -> None:
    psql(db, "create extension pg_stat_statements;" + BEFORE)
    psql(db, "select pg_sleep(0.2), count(*) from orders")
    old = collect(db)
    server = replace(
        old.server,
        system_identifier="1",
        version_num=old.server.version_num + 10_000,
        version="19.0",
        taken_at=old.now + timedelta(days=1),
        started_at=old.now + timedelta(hours=1),
    )
    upgraded = replace(
        old,
        server=server,
        constraints=tuple(replace(c, oid=c.oid + 77) for c in old.constraints),
        statements=tuple(replace(s, query_id=s.query_id ^ 99) for s in old.statements),
    )
    found = changes_of(old, snapshot_file.loads(snapshot_file.dumps(upgraded)))
    assert found.by_name == ""
    assert [(c.kind, c.after) for c in found.changes] == [(ChangeKind.VERSION, "19.0")]
