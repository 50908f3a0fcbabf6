"""The planted faults and innocents of docs/comparison.md: what db-analyze says of them is what the page says."""

import re
from pathlib import Path

import pytest

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.target.collect import collect
from tests.psql import psql

PAGE = (Path(__file__).parent.parent / "docs" / "comparison.md").read_text(encoding="utf-8")
ROWS = "insert into {0} select g, g % 500, g::text, g from generate_series(1, 20000) g;"
TABLE = "create table {0} (id int primary key, a int, x text, b int);"
CHILD = TABLE + "alter table {0} add foreign key (a) references parent (id);"
TRAPS = {
    # Indexes: which can be dropped?
    "an index twice": (TABLE, "create index on {0} (a); create index on {0} (a);"),
    "twice, with another fillfactor": (
        TABLE,
        "create index on {0} (a); create index on {0} (a) with (fillfactor = 70);",
    ),
    "(a) beside (a, b)": (TABLE, "create index on {0} (a); create index on {0} (a, b);"),
    "(a) beside a unique index on (a)": (
        "create table {0} (id int primary key, b int, x text, a int);",
        "create unique index on {0} (a); create index on {0} (a);",
    ),
    "two partial indexes, of other rows": (
        TABLE,
        "create index on {0} (a) where b < 9; create index on {0} (a) where b > 9;",
    ),
    "lower(x) and upper(x)": (
        TABLE,
        "create index on {0} (lower(x)); create index on {0} (upper(x));",
    ),
    "x, and x in another collation": (
        TABLE,
        'create index on {0} (x); create index on {0} (x collate "C");',
    ),
    "(a, b) and (a, b DESC)": (
        TABLE,
        "create index on {0} (a, b); create index on {0} (a, b desc);",
    ),
    "(a) beside a partial (a, b)": (
        TABLE,
        "create index on {0} (a); create index on {0} (a, b) where b > 9;",
    ),
    # Foreign keys on (a): which lack an index?
    "no index": (CHILD, ""),
    "an index on an expression of it": (CHILD, "create index on {0} ((a + 1));"),
    "an index on a few of the rows": (CHILD, "create index on {0} (a) where x = '1';"),
    "a BRIN index, of rows in no order": (CHILD, "create index on {0} using brin (a);"),
    "a key of two columns, an index in the other order": (
        TABLE + "alter table {0} add foreign key (a, b) references pair (a, b);",
        "create index on {0} (b, a);",
    ),
    "an index where it is not null": (CHILD, "create index on {0} (a) where a is not null;"),
    "a hash index": (CHILD, "create index on {0} using hash (a);"),
}
SETUP = """
create table parent (id int primary key); insert into parent select generate_series(0, 500);
create table pair (a int, b int, primary key (a, b));
insert into pair select g % 500, g from generate_series(1, 20000) g;
"""
FAULTS = ("index-duplicate", "index-redundant", "index-missing-fk")


def name(number: int) -> str:
    return f"trap_{number:02d}"


def script() -> str:
    """Return SQL that plants all of them, each in a table of its own."""
    parts = [SETUP]
    for number, (table, indexes) in enumerate(TRAPS.values()):
        parts += [part.format(name(number)) for part in (table, ROWS, indexes)]
    return "\n".join((*parts, "analyze;"))


def told() -> dict[str, str]:
    """Return what the page says of each trap: what is right, and what db-analyze says."""
    rows = re.findall(r"^\| ([^|]+) \| (fault|innocent) \| (\w+) \|", PAGE, re.MULTILINE)
    assert all(right == "fault" if said == "found" else said == "silent" for _, right, said in rows)
    return {what.replace("`", ""): said for what, _, said in rows}


def test_the_page_has_all_of_them() -> None:
    assert list(told()) == list(TRAPS)


@pytest.mark.pg(">= 14")
def test_what_the_page_says_of_each_is_what_is_found(db: str) -> None:
    psql(db, script())
    report = analyse([collect(db)], Config(only=FAULTS))
    found = {f.object.table for f in report.findings}
    said = {
        what: "found" if name(number) in found else "silent" for number, what in enumerate(TRAPS)
    }
    assert said == told()
