"""Types for parameters beside which nothing has one, and expressions that contain parameters; no server."""

import pytest

from pgwatch_wed.sqltext.terms import document_keys, open_operands
from pgwatch_wed.sqltext.typed_parameters import typed

COLUMNS = {"id": "bigint", "placed": "timestamp with time zone"}


# The first text that is tried, and whether its types are guessed.
FIRST = {
    "select * from o where id = $1 % $2": ("id = $1::bigint % $2::bigint", False),
    "select * from o where $1 + $2 < id": ("$1::bigint + $2::bigint < id", False),
    "select * from o where id in ($1 % $2, $3)": ("($1::bigint % $2::bigint, $3)", False),
    "select * from o where id = any (select unnest($2))": ("unnest($2::bigint[])", False),
    "select $1 + $2 from o where id = $3": ("select $1::integer + $2::integer from", True),
    "select * from o limit $1 offset ($2 - $3) * $4": (
        "offset ($2::integer - $3::integer) * $4::integer",
        True,
    ),
    "select exists (select from unnest($2) as p(x) where x = o.id) from o": (
        "unnest($2::integer[])",
        True,
    ),
    "select * from o where name = lower($1) and id = $2 % $3": (
        "lower($1) and id = $2::bigint % $3::bigint",
        False,
    ),
}


@pytest.mark.parametrize("text", FIRST)
def test_the_column_beside_gives_the_type_or_else_what_literals_usually_are(text: str) -> None:
    wanted, is_guessed = FIRST[text]
    found = next(typed(text, COLUMNS.get))
    assert wanted in found.text
    assert bool(found.guessed) is is_guessed


@pytest.mark.parametrize(
    "text", ["select * from o where id = $1", "select id % $1 from o", "no sql"]
)
def test_what_has_a_type_is_left_alone(text: str) -> None:
    assert list(typed(text, COLUMNS.get)) == []


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("((e.payload ->> $1) = $2)", [("payload ->> $1", "payload", 1)]),
        (
            "(((e.payload ->> $3))::integer > $1)",
            [("CAST(payload ->> $3 AS integer)", "payload", 3)],
        ),
        ("((e.payload ->> $1) = ANY ($2))", [("payload ->> $1", "payload", 1)]),
        ("((e.payload #>> $1) = $2)", [("payload #>> $1", "", None)]),
        ("((e.id % $1) = $2)", [("id % $1", "", None)]),
        ("((e.id = $1) AND (lower((e.note || $2)) = $3))", [("lower(note || $2)", "", None)]),
        ("(e.id = ($1 % $2))", []),
        ("(e.id = f.id)", []),
        ("((e.id + $1) > e.total)", []),
        ("(e.id > (SubPlan 1))", []),
        ("(e.id = (InitPlan 1).col1)", []),
    ],
)
def test_an_expression_with_a_parameter_is_told_from_a_value(
    condition: str, found: list[tuple[str, str, int | None]]
) -> None:
    assert [(o.text, o.document, o.key) for o in open_operands(condition)] == found


def test_the_keys_of_an_expression_are_those_of_its_document() -> None:
    assert document_keys("(payload ->> 'kind'::text)", "payload") == ("kind",)
    assert document_keys("lower((payload ->> 'kind'::text))", "payload") == ("kind",)
    assert document_keys("(other ->> 'kind'::text)", "payload") == ()
    assert document_keys("payload", "payload") == ()
