"""Short names of statements: tables, conditions, order."""

import pytest

from pgwatch_wed.sqltext.statement_label import ambiguous_names, label


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
        (
            "select * from t where tags @> array[$1] and tenant = $2",
            "SELECT t by tenant, tags @>",
        ),
        (
            "select * from t where $1 <@ path and during && tstzrange($2, $3) group by 1",
            "SELECT t by path <@, during &&",
        ),
        ("select count(*), kind from t group by 2", "SELECT t group by kind"),
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


def test_no_word_is_cut() -> None:
    text = "select * from orders where region = $1 and status = $2 and placed_at > $3 group by identifier"
    assert label(text) == "SELECT orders by region, status, placed_at > group by identifier"
    longer = text.replace("region", "sales_region_of_it")
    assert label(longer) == "SELECT orders by sales_region_of_it, status, placed_at > group by…"


def test_tables_of_the_same_name_have_their_schemas() -> None:
    texts = (
        "select * from a.orders where x = $1",
        'insert into "B b".orders (x) values ($1)',
        "select * from a.lines",
        "update orders set x = $1",
    )
    ambiguous = ambiguous_names(texts)
    assert ambiguous == {"orders"}
    assert [label(text, ambiguous) for text in texts] == [
        *("SELECT a.orders by x", "INSERT B b.orders", "SELECT lines", "UPDATE orders"),
    ]
