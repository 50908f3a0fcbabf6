"""Values of one column beside each other, which are looked up as an array since PostgreSQL 18."""

import pytest

from pgwatch_wed.sqltext.either_value import as_compared, has_alternatives, of_one
from pgwatch_wed.sqltext.older_forms import Inserted

TYPES = {"a": "integer", "s": "text", "at": "timestamp with time zone", "tags": "text[]"}
WRITTEN = {
    "select 'ü' from t where (a = 1 or a = $2) and a = 3 order by a": (
        "select 'ü' from t where (a = ANY (ARRAY[1]::integer[]) or a = ANY (ARRAY[$2]::integer[])) and a = 3 order by a"
    ),
    "select 1 from t where t.s = 'x' or a > 5 or (t.s = ('y')::text) limit 5": (
        "select 1 from t where t.s = ANY (ARRAY['x']::text[]) or a > 5 or (t.s = ANY (ARRAY[('y')::text]::text[])) limit 5"
    ),
    "update t set a = 1 where at = u.at or at = $1::timestamp with time zone returning a": (
        "update t set a = 1 where at = ANY (ARRAY[u.at]::timestamp with time zone[])"
        " or at = ANY (ARRAY[$1::timestamp with time zone]::timestamp with time zone[]) returning a"
    ),
    "select a = 1 or a = 2 as x, array[a = 3 or a = 4] from t -- a = 5": (
        "select a = ANY (ARRAY[1]::integer[]) or a = ANY (ARRAY[2]::integer[]) as x,"
        " array[a = ANY (ARRAY[3]::integer[]) or a = ANY (ARRAY[4]::integer[])] from t -- a = 5"
    ),
    "select case when b then a = 1 or a = 2 else c end from t where a = 3 or a = 4 -- x\n limit 5": (
        "select case when b then a = ANY (ARRAY[1]::integer[]) or a = ANY (ARRAY[2]::integer[]) else c end"
        " from t where a = ANY (ARRAY[3]::integer[]) or a = ANY (ARRAY[4]::integer[]) -- x\n limit 5"
    ),
    "select 1 from t where a = 1 or s = 'x'": None,
    "select 1 from t where t.a = 1 or u.a = 2": None,
    "select 1 from t where a = 1 or a = f(2)": None,
    "select 1 from t where a = 1 or a > 2": None,
    "select 1 from t where tags = '{x}' or tags = '{y}'": None,
    "select 1 from t where b = 1 or b = 2": None,
    "select 1 from t where a = 1 or": None,
    "select 'a": None,
}


@pytest.mark.parametrize("text", WRITTEN)
def test_each_value_of_a_column_is_an_array_of_its_own(text: str) -> None:
    assert Inserted.into(text, of_one(text, TYPES)).text == (WRITTEN[text] or text)


def test_only_a_column_with_several_values_has_alternatives() -> None:
    texts = ("a = 1 or a = 2", "a = 1 and a = 2", "a = 1 or s = 'x'", "a in (1, 2)")
    assert [has_alternatives(f"select 1 from t where {t}") for t in texts] == [True, *3 * [False]]


CONDITIONS = {
    "((t.a = ANY ('{1}'::integer[])) OR (t.a = ANY (ARRAY[$2])))": "((t.a = '1'::integer) OR (t.a = $2))",
    """((s)::text = ANY ('{"a b"}'::text[]))""": "((s)::text = 'a b'::text)",
    "(s = ANY ((ARRAY[$1])::character varying(20)[]))": "(s = $1)",
    "(a = ANY ('{1,2}'::integer[]))": None,
    "(a = ANY (ARRAY[$1, $2]))": None,
}


@pytest.mark.parametrize("text", CONDITIONS)
def test_a_plan_has_the_values_themselves(text: str) -> None:
    tree = {"Node Type": "BitmapOr", "Plans": [{"Filter": text, "Output": [text], "Rows": 5}]}
    expected = CONDITIONS[text] or text
    assert as_compared(tree)["Plans"] == [{"Filter": expected, "Output": [expected], "Rows": 5}]
