"""What ANALYZE's sample may show by chance is not called skew."""

import pytest

from pgwatch_wed.facts import Column, ColumnStatistics, Snapshot, Table
from pgwatch_wed.postgres import value_skew
from tests import reports


def snapshot(rows: float, distinct: float, top: float) -> Snapshot:
    table = reports.blank(Table, oid=1, schema="public", name="t", kind="r", rows=rows)
    column = reports.blank(Column, table_oid=1, attnum=1, name="v")
    known = reports.blank(
        ColumnStatistics,
        table_oid=1,
        attnum=1,
        n_distinct=distinct,
        mcv_top_fraction=top,
        mcv_fraction=top,
        mcv_count=1,
    )
    return Snapshot(
        tool_version="0",
        server=reports.server(),
        tables=(table,),
        columns=(column,),
        column_statistics=(known,),
    )


@pytest.mark.parametrize(
    ("rows", "distinct", "seen", "is_skewed"),
    [
        # 0.6 rows of each value are expected in a sample of 30,000; among 50,000 values, one has seven
        (200_000, 50_000, 7, False),
        (200_000, 50_000, 12, True),
        (1e9, 1e8, 7, True),
        # every row was read, so it is no chance
        (30_000, 7_500, 48, True),
        (30_000, 7_500, 41, True),
    ],
)
def test_chance_is_no_skew(rows: float, distinct: float, seen: int, is_skewed: bool) -> None:
    here = snapshot(rows, distinct, seen / 30_000)
    found = value_skew.skew(here, here.tables[0], here.columns)
    assert (found is not None) == is_skewed
