"""Short names of statements: tables, conditions, order."""

import pytest

from pgwatch_wed.sqltext.statement_label import label


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "select id, total from shop.orders o where o.customer_id = $1 and status = any($2)",
            "SELECT orders by customer_id, status",
        ),
        (
            "select * from orders where at > $1 order by at desc limit $2",
            "SELECT orders by at > order by at desc limit",
        ),
        ("update jobs set state = $1 where id = $2", "UPDATE jobs by id"),
        ("insert into logs (a) values ($1)", "INSERT logs"),
        ("delete from jobs where lower(email) like $1", "DELETE jobs by lower(email) like"),
        ("select status, count(*) from t group by status", "SELECT t group by status"),
        ("select * from a, b, c, d where a.x = b.x", "SELECT a, b, c and 1 more"),
        (
            "select a, row_number() over (partition by b) from t order by 2 desc, 1",
            "SELECT t order by row_number() desc, a",
        ),
        ("create table t ()", "create table t ()"),
        ("select (", "select ("),
    ],
)
def test_a_statement_is_named_by_its_tables_and_its_conditions(text: str, expected: str) -> None:
    assert label(text) == expected


def test_a_name_is_one_short_line() -> None:
    conditions = " and ".join(f"column_number_{n} = ${n}" for n in range(1, 20))
    found = label(f"select *\nfrom t where {conditions}")
    assert found.startswith("SELECT t by column_number_1, column_number_2")
    assert found.endswith("…")
    assert len(found) <= 72
    assert "\n" not in found
