"""What stands for the number in LIMIT, which pg_stat_statements does not keep."""

import pytest

from pgwatch_wed.whatif.choose.late import may_be_limit
from pgwatch_wed.whatif.model import Query
from pgwatch_wed.whatif.workload import query_of


@pytest.mark.parametrize(
    ("rows", "limit"), [(20.0, 20), (19.2, 20), (0.2, 100), (5000.0, 100), (None, 100)]
)
def test_a_limit_without_its_number_is_as_many_rows_as_a_call_returns(
    rows: float | None, limit: int
) -> None:
    found = query_of("q", "select id from t order by at limit $1", rows=rows)
    assert isinstance(found, Query)
    assert found.sql.endswith(f"limit {limit}")


def test_a_limit_in_a_query_that_is_run_for_each_row_is_one() -> None:
    each = "(select at from s where s.id = t.id limit $2)"
    for text in (
        f"select from t cross join lateral {each} s",
        f"select {each} from t",
        f"select from t where exists {each}",
    ):
        found = query_of("q", f"{text} limit $1", rows=20.0)
        assert isinstance(found, Query)
        assert found.sql.count("limit 1)") == 1
        assert found.sql.endswith("limit 20")


def test_only_what_people_write_may_be_a_limit() -> None:
    written = [1, 2, 10, 11, 12, 20, 21, 25, 50, 100, 101]
    assert [n for n in (*written, 7, 13.5, 19, 37, 77) if may_be_limit(float(n))] == written
