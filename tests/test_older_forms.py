"""Conditions that servers of earlier versions plan otherwise."""

import pytest

from pgwatch_wed.sqltext.older_forms import Inserted, of_each_row, of_values

WRITTEN = {
    "select 1 from a where a.x in (select b.x from b where b.y = a.y) and a.z = 1": (
        "select 1 from a where a.x in (select b.x from b where b.y = a.y) IS TRUE and a.z = 1"
    ),
    "select 'ü' from s.a where id = any ((select max(i.id) from s.a i where i.k = a.k))": (
        "select 'ü' from s.a where id = any ((select max(i.id) from s.a i where i.k = a.k)) IS TRUE"
    ),
    "delete from a o where (k, v) in (with c as (select 1 as x) select c.x, o.y from c) returning *": (
        "delete from a o where (k, v) in (with c as (select 1 as x) select c.x, o.y from c) IS TRUE returning *"
    ),
    "select 1 from a where x in (select x from b where exists (select from c where c.y = a.y))": (
        "select 1 from a where x in (select x from b where exists (select from c where c.y = a.y)) IS TRUE"
    ),
    "select 1 from a where a.x in (select a.x from a where a.y = 1)": None,
    "select 1 from a where a.x in (select b.x from s.t b join lateral f(b.y) g on true where g.z = $1)": None,
    "select 1 from a where exists (select from b where b.y = a.y) and x in (1, 2)": None,
    "select 1 from a where x = (select max(b.x) from b where b.y = a.y)": None,
    "select 1 from a where x in (select f.n from f(3) where f.m < 5)": None,
    "select 1 from a where x in (select": None,
    "select 'a": None,
}


@pytest.mark.parametrize("text", WRITTEN)
def test_subqueries_that_name_a_table_of_the_outer_query_are_no_joins(text: str) -> None:
    assert Inserted.into(text, of_each_row(text)).text == (WRITTEN[text] or text)


OF_VALUES = {
    "select 1 from a where x in (values (1), (f(2)))": (
        "select 1 from a where x in (SELECT * FROM (values (1), (f(2))) AS v)"
    ),
    "select 1 from a where (x, y) = any ((values ($1, 'ü'))) and z in (values (3))": (
        "select 1 from a where (x, y) = any (SELECT * FROM ((values ($1, 'ü'))) AS v)"
        " and z in (SELECT * FROM (values (3)) AS v)"
    ),
    "select 1 from a where x in (values (1) limit 1) and x in (select x from b)": None,
    "select 1 from a join (values (1)) v (x) using (x) where x in (1, 2)": None,
}


@pytest.mark.parametrize("text", OF_VALUES)
def test_values_are_joined(text: str) -> None:
    assert Inserted.into(text, of_values(text)).text == (OF_VALUES[text] or text)


def test_a_place_is_that_in_the_text_as_it_was() -> None:
    once = "a.x in (select 1 from b where b.y = a.y)"
    text = f"select 1 from a where {once} and x in (values (7)) and {once} and a.z = $1"
    found = Inserted.into(text, [*of_each_row(text), *of_values(text)])
    assert len(found.insertions) == 4
    for word in ("select 1 from a", "values", "(7)", "a.z", "$1"):
        assert found.place(found.text.index(word)) == text.index(word), word
    assert found.place(found.text.rindex(once)) == text.rindex(once)
    assert found.place(found.text.index("FROM (")) == text.index("values")
