"""Constants that were taken out of expressions over columns, and what most statements have there."""

import pytest

from pgwatch_wed.sqltext.usual_constants import RANGE, Unequal, unequal, usual_constants

TYPES = {
    "title": "text",
    "author": "character varying(40)",
    "price": "numeric(10,2)",
    "data": "jsonb",
    "done": "boolean",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "select from t where to_tsvector($1, title) @@ plainto_tsquery($2, $3)",
            {1: "'german'::regconfig", 2: "'german'::regconfig"},
        ),
        ("select from t where to_tsvector(title) @@ to_tsquery($1)", {}),
        ("select from t where coalesce(title, $1) = $2", {1: "''"}),
        ("select from t where coalesce(price, $1) > $2", {1: "0"}),
        ("select from t where coalesce(done, $1)", {1: "false"}),
        ("select from t where coalesce(data, $1) = $2", {}),
        ("select from t where coalesce($1, title) = title", {}),
        ("select from t where title || $1 || coalesce(author, $2) ilike $3", {1: "' '", 2: "''"}),
        ("select from t where data || $1 || data = $2", {}),
        ("select from t where title || $1 = $2", {}),
        (
            "select from t where (setweight(to_tsvector(title), $1) || setweight(to_tsvector(author), $2)) @@ $3",
            {1: "'A'", 2: "'B'"},
        ),
        ("select from t where title like $1 || $2 or title like $4 || $3", {2: "'%'"}),
        ("select from (", {}),
    ],
)
def test_what_most_statements_have_is_found(text: str, expected: dict[int, str]) -> None:
    assert usual_constants(text, TYPES.get, "german") == expected


def test_what_a_column_differs_from_or_begins_with_is_found() -> None:
    text = "select from t where title <> $1 and author ^@ $2 and starts_with(title, $3) and price = $4 and title <> author"
    assert set(unequal(text)) == {
        Unequal("title", 1, is_start=False),
        Unequal("author", 2, is_start=True),
        Unequal("title", 3, is_start=True),
    }
    assert unequal("select from (") == ()


def test_what_a_column_is_before_or_after_is_found() -> None:
    text = "select from t where title < $1 and $2 > author and price <= $3 and price > 4"
    assert set(unequal(text)) == {
        Unequal("title", 1, is_start=False, is_bound=True),
        Unequal("author", 2, is_start=False, is_bound=True),
    }


def test_a_pattern_is_found_with_the_function_around_the_column() -> None:
    text = "select from t where lower(title) like $1 and author not like $2 and author ilike $3 and author like $4"
    assert set(unequal(text)) == {
        Unequal("title", 1, is_start=True, is_pattern=True, around="lower"),
        Unequal("author", 4, is_start=True, is_pattern=True, is_bare=True),
    }


def test_an_end_is_found_as_the_beginning_of_what_is_read_backward() -> None:
    text = "select from t where reverse(title) like reverse($1) and reverse(author) like $2 and title like reverse($3)"
    assert set(unequal(text)) == {
        Unequal("title", 1, is_start=True, is_pattern=True, is_end=True),
        Unequal("author", 2, is_start=True, is_pattern=True, around="reverse"),
    }


def test_what_a_percent_sign_is_appended_to_is_a_beginning() -> None:
    text = "select from t where title like $1 || $3 and lower(author) like lower($2) || $4 and title like $6 || $5"
    assert set(unequal(text)) == {
        Unequal("title", 1, is_start=True, is_bare=True),
        Unequal("author", 2, is_start=True),
    }


def test_a_moment_in_a_range_between_two_columns_is_compared_with_the_first() -> None:
    text = "select from t where tstzrange(begins, ends) @> $1::timestamptz and $2 <@ int4range(low, high) and f(a, b) @> $3"
    assert set(unequal(text)) == {
        Unequal("begins", 1, is_start=False, is_inner=True, around=RANGE),
        Unequal("low", 2, is_start=False, is_inner=True, around=RANGE),
    }


def test_what_a_column_is_nested_in_is_found_on_both_sides() -> None:
    text = "select from t where ip <<= $1::inet and $2 >> net and ip && $3 and path @> $4 and $5 @> path"
    assert set(unequal(text)) == {
        Unequal("ip", 1, is_start=False, is_outer=True),
        Unequal("net", 2, is_start=False, is_outer=True),
        Unequal("path", 4, is_start=False, is_inner=True),
        Unequal("path", 5, is_start=False, is_outer=True),
    }
