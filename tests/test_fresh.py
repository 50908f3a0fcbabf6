"""How large a B-tree would be if it were built now, against indexes that were."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.postgres import fresh
from pgwatch_wed.target.collect import collect
from tests import servers
from tests.psql import psql

# Each index, and how far the likely size may be from the real one.
INDEXES = {
    "i_key on t (id)": 0.02,
    "i_wide_key on t (u)": 0.02,
    "i_text on t (txt)": 0.03,
    "i_few on t (few)": 0.03,
    "i_two_values on t (b)": 0.03,
    "i_null on t (nul)": 0.05,
    "i_null_first on t (nul, few)": 0.1,
    "i_two on t (two_a, two_b)": 0.02,
    "i_sparse on t (id) with (fillfactor = 40)": 0.02,
    "i_sparse_few on t (few) with (fillfactor = 30)": 0.03,
    "i_full on t (txt) with (fillfactor = 100)": 0.03,
    "i_plain on t (few) with (deduplicate_items = off)": 0.02,
    "i_more on t (few) include (txt)": 0.05,
    "i_part on t (two_a) where b": 0.1,
    "i_expression on t (lower(txt))": 0.1,
    "i_numbers on t (num)": 0.2,
    "i_skew on t (skew)": 0.3,
    "i_neighbours on t (near)": 0.15,
}


@pytest.fixture(scope="module")
def built(every_pg: servers.Server) -> Iterator[Snapshot]:
    columns = (
        "g as id, md5(g::text)::uuid as u, 'key-' || md5(g::text) as txt, g % 100 as few, g % 3 = 0 as b,"
        " case when g % 10 = 0 then g end as nul, g % 1000 as two_a, g as two_b, g * 1.5 as num,"
        " (power(random(), 6) * 50000)::int as skew, g / 3 as near"
    )
    with every_pg.database() as dsn:
        script = [
            f"select setseed(0.5); create table t as select {columns} from generate_series(1, 100000) g",
            *(f"create index {index}" for index in INDEXES),
            "vacuum analyze t;",
        ]
        psql(dsn, ";\n".join(script))
        yield collect(dsn)


@pytest.mark.parametrize("built_as", INDEXES)
def test_a_fresh_tree_is_as_large_as_expected(built: Snapshot, built_as: str) -> None:
    (index,) = [i for i in built.indexes if i.name == built_as.split()[0]]
    size = fresh.expected(built, index, built.table_by_oid[index.table_oid])
    assert size is not None
    assert size.likely == pytest.approx(index.pages, rel=INDEXES[built_as], abs=1)
    assert index.pages <= size.most  # what is more, is called bloat
    assert size.least <= index.pages * 1.03


def test_without_statistics_nothing_is_expected(built: Snapshot) -> None:
    (index,) = [i for i in built.indexes if i.name == "i_key"]
    table = built.table_by_oid[index.table_oid]
    bare = replace(built, column_statistics=())
    assert fresh.expected(bare, index, table) is None
