"""Databases in which many rules find something to mend, for every shape of table, index, constraint and sequence."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.remedied import World

LIMITS = {
    "index-unused": {"min_size_bytes": 0},
    "index-null-heavy": {"min_saved_bytes": 0},
    "index-wrong-method": {"min_index_bytes": 0},
    "index-missing-fk": {"min_rows": 1},
    "analyze-never": {"min_rows": 1},
    "analyze-partition-parent": {"min_rows": 1},
    "vacuum-dead-tuples": {"min_dead_rows": 1, "min_dead_bytes": 1, "min_naptimes": 0, "window": 0},
    "table-bloat": {"min_wasted_bytes": 10_000},
    "index-bloat": {"min_wasted_bytes": 10_000},
}

COLUMNS = "id int, k int, v int, doc jsonb, n text, f int, w int"
FAR = "create foreign data wrapper dummy; create server far foreign data wrapper dummy;\n"


@dataclass(frozen=True, slots=True)
class Layout:
    """A kind of table: what creates one of a name, and what can be planted in it."""

    create: Callable[[str], str]
    name: Callable[[str], str] = str  # the quoted name of the table that is called so
    leaf: Callable[[str], str] = str  # the one with rows of its own, which can be vacuumed
    schema: str = "public"
    analyzed: str = "{t}"
    is_matview: bool = False
    is_unlogged: bool = False
    has_foreign: bool = False
    is_partitioned: bool = False


def _plain(t: str) -> str:
    return f"create table {t} ({COLUMNS});"


def _two(t: str) -> str:
    return f"""create table {t} ({COLUMNS}) partition by range (id);
create table {t}1 partition of {t} for values from (0) to (2000);
create table {t}2 partition of {t} default;"""


def _three(t: str) -> str:
    return f"""create table {t} ({COLUMNS}) partition by range (id);
create table {t}2 partition of {t} default;
create table {t}1 partition of {t} for values from (0) to (2000) partition by list (k);
create table {t}1a partition of {t}1 for values in (1, 2, 3);
create table {t}1b partition of {t}1 default;"""


def _own_index(t: str) -> str:
    return f"""{_two(t)}
create index {t}1_mine on {t}1 (k) with (fillfactor = 60);
create index {t}1_yours on {t}1 (n);
create index {t}2_ours on {t}2 (v desc);"""


def _foreign(t: str) -> str:
    return f"""{_two(t)}
alter table {t} detach partition {t}2;
drop table {t}2;
create table {t}2 partition of {t} for values from (2000) to (9000);
create foreign table {t}f partition of {t} default server far;"""


def _holes(t: str) -> str:
    return f"""create table {t} (gone text, {COLUMNS}, twice int generated always as (k * 2) stored);
alter table {t} drop column gone;"""


def _odd(t: str) -> str:
    return f"create table {_odd_name(t)} ({COLUMNS}) with (fillfactor = 90);"


def _odd_name(t: str) -> str:
    return f'"S; "" drop"."{t}\n--"" b"'


LAYOUTS = {
    "plain": Layout(_plain),
    "unlogged": Layout(lambda t: f"create unlogged table {t} ({COLUMNS});", is_unlogged=True),
    "dropped and generated columns": Layout(_holes),
    "odd names": Layout(_odd, _odd_name, _odd_name, '"S; "" drop"'),
    "inheritance": Layout(lambda t: f"{_plain(t)} create table {t}_kid (more int) inherits ({t});"),
    "partitioned": Layout(_two, leaf="{}1".format, is_partitioned=True),
    "sub-partitioned": Layout(_three, leaf="{}1b".format, is_partitioned=True),
    "partition with its own index": Layout(_own_index, leaf="{}1".format, is_partitioned=True),
    "foreign-table partition": Layout(
        _foreign, leaf="{}1".format, analyzed="{t}1, {t}2", is_partitioned=True, has_foreign=True
    ),
    "materialized view": Layout(
        lambda t: (
            f"create table {t}_base ({COLUMNS}, primary key (id)); {_rows(f'{t}_base')}"
            f"create materialized view {t} as select * from {t}_base;"
        ),
        is_matview=True,
    ),
}


def _rows(t: str) -> str:
    return f"""insert into {t} (id, k, v, doc, n, f, w)
select g, g % 50, case when g % 10 = 0 then g end, jsonb_build_object('a', g), repeat('x', 50) || g, g % 50, g
from generate_series(1, 4000) g;
"""


_INDEXES = """
create index dup_1 on {t} (k, id);
create index copy_1 on {t} (w);
create index dup_2 on {t} (k, id);
create index narrow on {t} (w);
create index wide on {t} (w, k);
create index unread on {t} (n) with (fillfactor = 70);
comment on index {s}.unread is E'it''s\\n mine';
create index nulls on {t} (v);
create index method on {t} (doc);
"""
_CONSTRAINTS = """
create table target (id int primary key);
insert into target select generate_series(0, 100);
alter table {t} add constraint checked check (k >= 0) not valid;
alter table {t} add constraint refers foreign key (f) references target;
alter table {t} add constraint once unique (id, k, f) include (n) with (fillfactor = 80) deferrable initially deferred;
alter table {t} add constraint twice_ unique (id, k, f) include (n) with (fillfactor = 80) deferrable initially deferred;
comment on constraint once on {t} is 'first';
comment on constraint twice_ on {t} is 'second';
delete from target where id > 90;
"""
_ACTIVITY = """
alter table {leaf} set (autovacuum_enabled = 'f', toast.autovacuum_enabled = no);
update {leaf} set n = n || 'y' where id % 2 = 0;
"""
# deleted by another session than VACUUM's, or its counts come after it
_SPACE = """
create index space on {leaf} (n, id);
delete from {leaf} where id % 5 > 0;
select pg_sleep(0.7);
\\connect
vacuum analyze {leaf};
"""
_LEAVES = """
create index broken on {leaf} ((w + k));
update pg_index set indisvalid = false where indexrelid = '{s}.broken'::regclass;
"""
_HALF = """
create index half on only {t} (k, n);
create index half_1 on {leaf} (k, n);
"""


def of(layout: Layout) -> World:
    """Plant everything that can be planted in tables of a layout."""
    rules, t = ["index-duplicate", "index-redundant", "index-unused"], layout.name("t")
    script = [FAR, 'create schema "S; "" drop";', layout.create("t")]
    script += ["" if layout.is_matview else _rows(t), _INDEXES.format(t=t, s=layout.schema)]
    if layout.is_partitioned:
        script.append(_HALF.format(t=t, leaf=layout.leaf("t")))
        rules.append("index-incomplete")
    if not layout.has_foreign:
        rules.append("index-null-heavy")  # which takes the statistics of the whole
    if not layout.is_matview and not layout.has_foreign:
        script.append(_CONSTRAINTS.format(t=t))
        rules += ["schema-constraint-not-valid", "index-missing-fk"]
    script += [
        f"analyze {layout.analyzed.format(t=t)};",
        _LEAVES.format(leaf=layout.leaf("t"), s=layout.schema),
    ]
    rules.append("index-invalid")
    if not layout.is_matview:
        rules += ["vacuum-disabled", "vacuum-dead-tuples", "analyze-never", "index-bloat"]
        rules += ["table-bloat"] if layout.create is not _holes else []
        script += [
            layout.create("u"),
            _rows(layout.name("u")),
            _ACTIVITY.format(leaf=layout.leaf("u")),
        ]
        script += [
            layout.create("s"),
            _rows(layout.name("s")),
            _SPACE.format(leaf=layout.leaf("s")),
        ]
    if not layout.is_matview and not layout.has_foreign:
        rules.append("schema-no-primary-key")  # of which a foreign table can have none
    if not layout.is_matview and not layout.has_foreign and not layout.is_unlogged:
        rules.append("schema-no-replica-identity")
        script.append("create publication everything for all tables;")
    script.append("select pg_sleep(0.7);\nselect 1;\n")
    return World(tuple(sorted(rules)), "\n".join(script), LIMITS)


CONSTRAINTS = World(
    ("index-duplicate",),
    r"""
select current_setting('server_version_num')::int >= 150000 as v15,
    current_setting('server_version_num')::int >= 180000 as v18 \gset
create table c (id int primary key, a int not null, b int not null, d int, e int not null, during int4range not null, p point);
alter table c add constraint included unique (a) include (b, d);
alter table c add constraint included_2 unique (a) include (b, d);
alter table c add constraint deferred unique (b) deferrable initially deferred;
alter table c add constraint deferred_2 unique (b) deferrable initially deferred;
alter table c add constraint deferrable_only unique (b, a) deferrable;
alter table c add constraint deferrable_only_2 unique (b, a) deferrable;
alter table c add constraint filled unique (e) with (fillfactor = 70);
alter table c add constraint filled_2 unique (e) with (fillfactor = 70);
comment on constraint filled on c is 'one';
comment on constraint filled_2 on c is E'two''s\n --';
comment on index filled_2 is 'and its index';
alter table c add constraint "Key ""of"" id" unique (id);
alter table c add constraint apart exclude using gist (p with ~=);
alter table c add constraint apart_2 exclude using gist (p with ~=);
create unique index as_well on c (id, a);
create unique index as_well_2 on c (id, a) with (deduplicate_items = off);
alter table c replica identity using index as_well_2;
create index by_cluster on c (d, e);
create index by_cluster_2 on c (d, e);
alter table c cluster on by_cluster_2;
create index sorted on c (d desc nulls last, a);
create index sorted_2 on c (d desc nulls last, a);
create table refers (a int references c (id));
\if :v15
alter table c add constraint one_null unique nulls not distinct (d, id);
alter table c add constraint one_null_2 unique nulls not distinct (d, id);
\endif
\if :v18
create extension btree_gist;
create table rooms (room int, during int4range, constraint booked primary key (room, during without overlaps));
alter table rooms add constraint booked_2 unique (room, during without overlaps);
\endif
insert into c select g, g, g, g, g, int4range(g, g + 1), point(g, g) from generate_series(1, 500) g;
analyze c;
""",
)
SEQUENCES = World(
    ("schema-int-overflow", "schema-sequence-exhaustion"),
    r"""
create table by_serial (id serial primary key, v int);
create table small_one (id smallserial primary key);
create table by_identity (id int generated always as identity primary key);
create table by_default (id int generated by default as identity (start 5 increment 3) primary key);
create table bounded (id bigint generated always as identity (maxvalue 100000 cache 20) primary key);
create table both_bounded (id int generated always as identity (maxvalue 100000) primary key);
create table cycled (id int generated always as identity (maxvalue 100000 cycle) primary key);
create sequence shared;
create table one (id int primary key default nextval('shared'));
create table other (id bigint primary key default nextval('shared'));
create sequence explicit maxvalue 2147483647;
create table of_explicit (id int primary key default nextval('explicit'));
create sequence narrow as smallint owned by none;
create table of_narrow (id smallint primary key default nextval('narrow'));
create sequence down increment -2 minvalue -1000 start -1;
create table of_down (id int primary key default nextval('down'));
create domain positive as int check (value > 0) not null;
create table of_domain (id positive primary key default nextval('shared'), v text generated always as ('x') stored);
create table kin (id serial primary key);
create table kin_kid (more int) inherits (kin);
create table parts (id serial, at date, primary key (id, at)) partition by range (at);
create table part_one partition of parts for values from ('2020-01-01') to ('2021-01-01');
create table "Or ""der""s" ("I d" serial primary key);
create table child (of int references by_serial, of_2 int references by_identity);
select setval('by_serial_id_seq', 2100000000), setval('small_one_id_seq', 32700), setval('by_identity_id_seq', 2100000000),
    setval('by_default_id_seq', 2100000000), setval('bounded_id_seq', 99000), setval('both_bounded_id_seq', 99000),
    setval('cycled_id_seq', 99000), setval('shared', 2100000000), setval('explicit', 2100000000), setval('narrow', 32700),
    setval('down', -990), setval('kin_id_seq', 2100000000), setval('parts_id_seq', 2100000000),
    setval('"Or ""der""s_I d_seq"', 2100000000);
""",
)

_LOAD = """
insert into {t} (id, k, v, doc, n, f, w)
select g, g % 50, g, '{{}}', 'N' || g, g % 50, g % 10000 from generate_series(10001, 50000) g;
{refresh}
analyze {analyzed};
select format('select n from {t} where w = %s', g) from generate_series(1, 200) g \\gexec
select format('select w from {t} where lower(n) = %L', 'n' || g) from generate_series(1, 60) g \\gexec
"""


def loaded(layout: Layout) -> World:
    """Let statements read a table that lacks indexes."""
    t = layout.name("t")
    base = "t_base" if layout.is_matview else t
    load = _LOAD.format(
        t=base,
        refresh=f"refresh materialized view {t};" if layout.is_matview else "",
        analyzed=layout.analyzed.format(t=t),
    )
    script = [
        FAR,
        'create schema "S; "" drop";',
        layout.create("t"),
        load.replace(f"from {base} where", f"from {t} where"),
    ]
    rules = ("index-missing", "query-function-on-column")
    return World(rules, "\n".join(script), {rules[1]: {"min_load_share": 0}}, is_planned=True)


WORLDS = {name: of(layout) for name, layout in LAYOUTS.items()}
# a foreign table of no handler cannot be read
WORLDS |= {f"statements on {n}": loaded(x) for n, x in LAYOUTS.items() if not x.has_foreign}
WORLDS |= {"constraints": CONSTRAINTS, "sequences": SEQUENCES}
