"""Lists in a statement that no index shall serve."""

import pytest

from pgwatch_wed.sqltext.unindexed_lists import as_written, unindexed_lists

WRITTEN = {
    "select 1 from t where a = 1 and b in (1, 2)": "select 1 from t where a = 1 and ((b in (1, 2)) IS TRUE)",
    'select 1 from t where "t"."b" IN (f(1), $2)': 'select 1 from t where (("t"."b" IN (f(1), $2)) IS TRUE)',
    "select 1 from t where s.t.b = any ('{1,2}') or b=ANY($1)": (
        "select 1 from t where ((s.t.b = any ('{1,2}')) IS TRUE) or ((b=ANY($1)) IS TRUE)"
    ),
    "select 1 from t where c in (1, 2)": None,
    "select 1 from t where b not in (1, 2)": None,
    "select 1 from t where b in (select 1)": None,
    "select 1 from t where b = any (select 1)": None,
    "select 1 from t where lower(b) in ('x')": None,
    "select 1 from t where x = 'b in (1)'": None,
    "select 1 from t where b in (1": None,
    "select 'a": None,
}


@pytest.mark.parametrize("text", WRITTEN)
def test_lists_of_columns_are_tested_for_truth(text: str) -> None:
    assert unindexed_lists(text, {"b"}) == (WRITTEN[text] or text)


def test_a_plan_shows_what_was_written() -> None:
    tree = {
        "Plan Rows": 5,
        "Plans": [{"Filter": "((t.b = ANY ('{1,2}'::integer[])) IS TRUE)", "Output": ["t.a"]}],
    }
    shown = as_written(tree, "select a from t where b in (1, 2)")
    assert shown["Plans"] == [{"Filter": "((t.b = ANY ('{1,2}'::integer[])))", "Output": ["t.a"]}]
    assert as_written(tree, "select a from t where b is true") == tree
