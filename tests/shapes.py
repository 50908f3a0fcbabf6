"""Tables of every shape for an index: ordinary, with partitions at several levels, with odd names."""

from dataclasses import dataclass
from random import Random

LONG = "ä" * 30  # sixty bytes


@dataclass(frozen=True)
class Shape:
    """What stands where, the table that gets the index, the index from its keys on, and what asks for it."""

    table: str
    index: str
    sql: str
    where: str = "k = 5"


SHAPES = {
    "an ordinary table": Shape("t", "(k)", "create table t (id int, k int, v int);"),
    "a matview": Shape(
        "t", "(k)", "create materialized view t as select g as k from generate_series(1, 9) g;"
    ),
    "a table from which another inherits": Shape(
        "t", "(k)", "create table t (id int, k int); create table child () inherits (t);"
    ),
    "no partition yet": Shape(
        "t", "(k)", "create table t (id int, k int) partition by range (id);"
    ),
    "partitions with a default": Shape(
        "t",
        "(k)",
        """
create table t (id int, k int) partition by range (id);
create table t1 partition of t for values from (0) to (100);
create unlogged table t2 partition of t default;
""",
    ),
    "three levels": Shape(
        "t",
        "USING btree (k DESC, id) INCLUDE (n) WITH (fillfactor = 70) WHERE n > 0",
        """
create table t (id int, k int, n int) partition by range (id);
create table t1 partition of t for values from (0) to (50);
create table t2 partition of t for values from (50) to (100) partition by list (n);
create table t2a partition of t2 for values in (1, 2) partition by hash (k);
create table t2a0 partition of t2a for values with (modulus 2, remainder 0);
create table t2a1 partition of t2a for values with (modulus 2, remainder 1);
create table t2b partition of t2 default;
""",
        "k = 5 and n > 0",
    ),
    "a sub-partition alone": Shape(
        "s",
        "USING hash (k)",
        """
create table t (id int, k int) partition by range (id);
create table s partition of t default partition by range (k);
create table s1 partition of s default;
""",
    ),
    "an expression": Shape(
        "t",
        "(lower(n)) WHERE n > 'it''s: %s'",
        """
create table t (id int, k int, n text) partition by range (id);
create table t1 partition of t for values from (0) to (9);
create table t2 partition of t default;
create index mine on t1 (lower(n)) where n > 'it''s: %s';
alter index mine alter column 1 set statistics 500;
create index other on t2 (lower(n)) where n > 'it''s';
""",
        "lower(n) = 'x' and n > 'it''s: %s'",
    ),
    "partitions with an equal index": Shape(
        "t",
        "(k)",
        r"""
create table t (id int, k int) partition by range (id);
create table t1 partition of t for values from (0) to (50);
create table t2 partition of t for values from (50) to (90);
create table t3 partition of t default;
create index mine on t1 (k) with (fillfactor = 60);
comment on index mine is E'it''s \\ mine';
alter table t1 cluster on mine;
create index yours on t2 (k desc);
create index ours on t3 (k) include (id);
""",
    ),
    "a sub-partition with an equal index": Shape(
        "t",
        "(k)",
        """
create table t (id int, k int) partition by range (id);
create table t1 partition of t for values from (0) to (50) partition by range (k);
create table t1a partition of t1 default;
create table t2 partition of t default partition by range (k);
create table t2a partition of t2 for values from (0) to (9);
create table t2b partition of t2 default;
create index whole on t1 (k);
create index half on only t2 (k);
create index part on t2a (k);
alter index half attach partition part;
""",
    ),
    "a script that was interrupted": Shape(
        "t",
        "(k)",
        """
create table t (id int, k int) partition by range (id);
create table t1 partition of t for values from (0) to (50);
create table t2 partition of t for values from (50) to (90);
create table t3 partition of t default;
create index t_k_idx on only t (k);
create index t1_k_idx on t1 (k);
create index t2_k_idx on t2 (k);
alter index t_k_idx attach partition t1_k_idx;
""",
    ),
    "partitions in other schemas": Shape(
        "t",
        "(k)",
        """
create schema a;
create schema b;
create table t (id int, k int) partition by range (id);
create table a.t partition of t for values from (0) to (50);
create table b.t partition of t default;
create view b.t_k_idx as select 1;
""",
    ),
    "a taken name": Shape(
        "t",
        "(k)",
        """
create table t (id int, k int) partition by range (id);
create table t1 partition of t default;
create view t_k_idx as select 1;
create type t1_k_idx as (x int);
create sequence t1_k_idx1;
""",
    ),
    "names that differ in their last characters": Shape(
        LONG,
        f'("{LONG}x")',
        f"""
create table "{LONG}" (id int, "{LONG}x" int) partition by range (id);
create table "{LONG}1" partition of "{LONG}" for values from (0) to (50);
create table "{LONG}2" partition of "{LONG}" for values from (50) to (90);
create table "{LONG}3" partition of "{LONG}" default;
""",
        f'"{LONG}x" = 5',
    ),
    "names with quotes and newlines": Shape(
        'a\n--" b',
        '("c\n;""d")',
        """
create schema "S; "" drop";
create table "S; "" drop"."a\n--"" b" (id int, "c\n;""d" int) partition by list (id);
create table "S; "" drop"."é\n'1" partition of "S; "" drop"."a\n--"" b" for values in (1);
create table "S; "" drop"."\n; drop table x" partition of "S; "" drop"."a\n--"" b" default;
create index "mine\n; --" on "S; "" drop"."\n; drop table x" ("c\n;""d");
""",
        '"c\n;""d" = 5',
    ),
    "foreign tables": Shape(
        "t",
        "(k)",
        """
create table t (id int, k int) partition by range (id);
create table t1 partition of t for values from (0) to (50);
create table t2 partition of t for values from (50) to (70) partition by range (k);
create table t2a partition of t2 for values from (0) to (50);
create foreign table t2f partition of t2 default server far;
create table t3 partition of t for values from (70) to (90);
create index mine on t3 (k);
create table t4 partition of t for values from (90) to (100) partition by range (k);
create table t4a partition of t4 default;
create index whole on t4 (k);
create foreign table f partition of t default server far;
""",
        "k = 5 and id >= 0 and id < 40",
    ),
}

# Partitioned indexes that are not valid yet, what has to be repaired in them, and a version that cannot.
INCOMPLETE = {
    "nothing is attached": Shape(
        "i",
        "",
        """
create table t (id int, k int) partition by range (id);
create table t1 partition of t for values from (0) to (9);
create table t2 partition of t default;
create index mine on t2 (k);
create index i on only t (k);
comment on index i is 'half';
""",
    ),
    "a level below": Shape(
        "i",
        "",
        """
create table t (id int, k int) partition by range (id);
create table t1 partition of t for values from (0) to (9) partition by range (k);
create table t1a partition of t1 default;
create table t2 partition of t default;
create index i on only t (k);
create index t2_i on t2 (k);
alter index i attach partition t2_i;
create index t1_i on only t1 (k);
alter index i attach partition t1_i;
""",
    ),
    "a unique index": Shape(
        "i",
        "",
        """
create table t (id int, k int) partition by range (id);
create table t1 partition of t for values from (0) to (9);
create table t2 partition of t default;
create unique index i on only t (id);
create unique index mine on t1 (id);
alter table t2 add constraint theirs unique (id);
""",
    ),
    "a unique constraint": Shape(
        "i",
        "",
        """
create table t (id int, k int) partition by range (id);
create table t1 partition of t for values from (0) to (9);
create table t2 partition of t default partition by range (k);
create table t2a partition of t2 default;
alter table only t add constraint i unique (id, k) include (k) with (fillfactor = 70) deferrable initially deferred;
alter table t1 add constraint mine unique (id, k) include (k) deferrable initially deferred;
create unique index theirs on t2a (id, k);
""",
    ),
    "a primary key": Shape(
        "i",
        "",
        """
create table t (id int not null, k int) partition by range (id);
create table t1 partition of t for values from (0) to (9);
create table t2 partition of t default;
alter table only t add constraint i primary key (id);
""",
    ),
    "a foreign table": Shape(
        "i",
        "",
        """
create table t (id int, k int) partition by range (id);
create table t1 partition of t for values from (0) to (9);
create table t2 partition of t for values from (9) to (19);
create foreign table f partition of t default server far;
create index i on only t (k);
create index t1_i on t1 (k);
alter index i attach partition t1_i;
create index mine on t2 (k);
""",
    ),
    "a part that a build left invalid": Shape(
        "i",
        "",
        """
create table t (id int, k int) partition by range (id);
create table t1 partition of t for values from (0) to (9);
create table t2 partition of t default;
insert into t values (1, 1), (1, 1);
create unique index i on only t (id);
\\set ON_ERROR_STOP off
create unique index concurrently t1_i on t1 (id);
\\set ON_ERROR_STOP on
delete from t;
alter index i attach partition t1_i;
""",
    ),
    "all parts became valid afterwards": Shape(
        "i",
        "",
        """
create table t (id int, k int) partition by range (id);
create table t1 partition of t default;
insert into t values (1, 1), (1, 1);
create unique index i on only t (id);
\\set ON_ERROR_STOP off
create unique index concurrently t1_i on t1 (id);
\\set ON_ERROR_STOP on
delete from t;
alter index i attach partition t1_i;
reindex index concurrently t1_i;
""",
    ),
}

# What is dropped (the index), and must come back to the letter.
DROPPED = {
    "an ordinary index": Shape(
        "i",
        "",
        r"""
create table t (id int, k int, n text);
create index i on t (lower(n) collate "C" text_pattern_ops desc nulls last, k) include (id)
    with (fillfactor = 60) where n > 'where: %s';
alter index i alter column 1 set statistics 700;
comment on index i is E'it''s\n\\ mine';
""",
    ),
    "an index of a matview": Shape(
        "i", "", "create materialized view t as select 1 as k; create index i on t using brin (k);"
    ),
    "a partitioned index": Shape(
        "i",
        "",
        """
create table t (id int, k int) partition by range (id);
create table t1 partition of t for values from (0) to (9) partition by range (k);
create table t1a partition of t1 default;
create table t2 partition of t default;
create index of_its_own on t2 (k) with (fillfactor = 50);
create index i on t (k);
comment on index i is 'top';
comment on index of_its_own is 'leaf';
create index other on t (k, id);
""",
    ),
    "a partitioned index that is not complete": Shape(
        "i",
        "",
        """
create table t (id int, k int) partition by range (id);
create table t1 partition of t for values from (0) to (9);
create table t2 partition of t default;
create index i on only t (k);
create index t1_i on t1 (k);
alter index i attach partition t1_i;
""",
    ),
    "a partitioned index beside a foreign table": Shape(
        "i",
        "",
        """
create table t (id int, k int) partition by range (id);
create table t1 partition of t for values from (0) to (9) partition by range (k);
create table t1a partition of t1 for values from (0) to (9);
create foreign table t1f partition of t1 default server far;
create table t2 partition of t default;
create index i on t (k);
""",
    ),
    "a constraint": Shape(
        "i",
        "",
        """
create table t (id int, k int, n int);
alter table t add constraint i unique (id) include (n) with (fillfactor = 70) deferrable initially deferred;
comment on constraint i on t is 'asked for by audit';
comment on index i is 'and by the law';
""",
    ),
    "a deferrable constraint of odd names": Shape(
        'i "1" x',
        "",
        """
create table "T" ("A ""b" int, "c)" int);
alter table "T" add constraint "i ""1"" x" unique ("A ""b", "c)") deferrable;
""",
    ),
    "a partitioned constraint": Shape(
        "i",
        "",
        """
create table t (id int, k int) partition by range (id);
create table t1 partition of t for values from (0) to (9) partition by range (k);
create table t1a partition of t1 default;
create table t2 partition of t default;
alter table t add constraint i unique (id, k) with (fillfactor = 80) deferrable;
comment on constraint i on t is 'top';
""",
    ),
}


def tree(rng: Random, foreign: float = 0.0) -> str:
    """Return a table ``t`` of random partitions, some of which have an index on ``k`` of some sort.

    ``foreign`` is the share of foreign tables among the partitions, beside one that there is then.
    """
    made = ["create schema a;", "create table public.t (id int, k int) partition by hash (id);"]
    if foreign:
        made = [
            "create foreign data wrapper dummy; create server far foreign data wrapper dummy;",
            "create schema a; create table public.t (id int, k int) partition by hash (id);",
        ]
    return "\n".join([*made, *_below(rng, "public.t", "t", 1, foreign)])


_SORTS = (
    *(["create index {name} on {table} (k);"] * 3),
    "create index {name} on {table} (k desc);",
    "create index {name} on {table} (k) include (id);",
    "alter table {table} add constraint {name} unique (k, id);",
)
# CREATE INDEX on the parent attaches the older one, and so may the way back
_TWINS = "create index {name} on {table} (k); create index {name}_too on {table} (k);"
_BROKEN = (
    "create index {name} on {table} (k);"
    "update pg_index set indisvalid = false where indexrelid = '{schema}.{name}'::regclass;"
)


def _below(rng: Random, parent: str, stem: str, depth: int, foreign: float) -> list[str]:
    made, parts = [], rng.randint(1, 3)
    if foreign and depth == 1:
        made.append(
            f"create foreign table f partition of {parent} for values with (modulus 4, remainder 3) server far;"
        )
    for number in range(parts):
        schema, name = rng.choice(("public", "public", "a")), f"{stem}{number}"
        table = f"{schema}.{name}"
        if rng.random() < foreign and depth > 1:
            made.append(
                f"create foreign table {table} partition of {parent} for values with"
                f" (modulus {parts}, remainder {number}) server far;"
            )
            continue
        is_parted = depth < 3 and rng.random() < 0.35
        by = " partition by hash (k)" if is_parted else ""
        made.append(
            f"create table {table} partition of {parent} for values with"
            f" (modulus {4 if foreign and depth == 1 else parts}, remainder {number}){by};"
        )
        if is_parted:
            made += _below(rng, table, name, depth + 1, foreign)
            sort = rng.choice(
                ("", "", "create index {name} on {table} (k);", "" if foreign else _HALF)
            )
        else:
            sort = rng.choice(("", *_SORTS, *([] if foreign else [_TWINS, _BROKEN])))
        made.append(sort.format(name=f"mine_{name}", table=table, schema=schema))
    return made


_HALF = "create index {name} on only {table} (k);"
