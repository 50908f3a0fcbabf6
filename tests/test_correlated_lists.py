"""Subqueries of IN that a server before 17 runs for each row."""

import pytest

from pgwatch_wed.sqltext.correlated_lists import unjoined

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
    assert unjoined(text).text == (WRITTEN[text] or text)


def test_a_place_is_that_in_the_text_as_it_was() -> None:
    once = "a.x in (select 1 from b where b.y = a.y)"
    text = f"select 1 from a where {once} and {once} and a.z = $1"
    found = unjoined(text)
    assert len(found.ends) == 2
    for place in (0, text.index("and"), text.rindex("and"), len(text) - 1):
        word = text[place : place + 3]
        at = [n for n in range(len(found.text)) if found.place(n) == place]
        assert any(found.text[n : n + 3] == word for n in at), place
