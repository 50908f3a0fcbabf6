"""Types for parameters beside which nothing has one, and expressions that contain parameters."""

from collections.abc import Iterator

import psycopg
import pytest

from pgwatch_wed.sqltext.terms import document_keys, open_operands
from pgwatch_wed.sqltext.typed_parameters import Ask, Misfit, typed
from tests.servers import Server

TABLES = """
create table o (id bigint, placed date, made timestamptz, total numeric, paid boolean, tags text[], lines int[], name text);
create table t (id int, up int);
"""
COLUMNS = {"id": "bigint", "placed": "date", "total": "numeric", "name": "text"}
PREFIX = "explain (generic_plan) "

# A part of the text with types, and whether they are guessed.
FOUND = {
    "select * from o where id = $1 % $2": ("id = $1::bigint % $2::bigint", False),
    "select * from o where $1 + $2 < id": ("$1::bigint + $2::bigint < id", False),
    "select * from o where id in ($1 % $2, $3)": ("($1::bigint % $2::bigint, $3)", False),
    "select * from o where id = any (select unnest($2))": ("unnest($2::bigint[])", False),
    "select $1 + $2 from o where id = $3": ("select $1::integer + $2::integer from", False),
    "select * from o limit $1 offset ($2 - $3) * $4": ("offset ($2::integer - $3::integer)", True),
    "select exists (select from unnest($2) as p(x) where x = o.id) from o": (
        "unnest($2::integer[])",
        False,
    ),
    "select * from o where name = lower($1) and id = $2 % $3": ("$2::bigint % $3::bigint", False),
    "select sum(case when paid then $1 else $2 end) from o": (
        "$1::integer else $2::integer",
        False,
    ),
    "select * from o where placed >= current_date - $1": ("current_date - $1::integer", False),
    "select * from o where id = any(array[$1, $2])": ("array[$1::bigint, $2::bigint]", False),
    "select * from o where lines && array[$1]": ("array[$1::integer]", False),
    "select * from o where tags && array[$1]": ("tags && array[$1]", False),
    "select * from o join (values ($1, $2), ($3, $4)) v(a, b) on v.b = o.id": (
        "(values ($1, $2::bigint), ($3, $4::bigint))",
        False,
    ),
    "update o set total = v.t from (values ($1, $2)) v(i, t) where v.i = id": (
        "(values ($1::bigint, $2::numeric))",
        False,
    ),
    "with recursive n(i) as (select $1 union all select i + $2 from n where i < $3) select * from n": (
        "(select $1::integer union all select i + $2::integer from",
        False,
    ),
    "select * from generate_series($1, $2) where $3": ("generate_series($1::integer, $2", False),
    "select * from o where made >= current_date - $1": ("current_date - $1::integer", False),
    "select * from o where $1 + $2 > $3": ("$1::integer + $2::integer > $3", True),
    "insert into t select * from (values ($1, $2)) v": ("($1::integer, $2::integer)", False),
    "select * from o join (select $1 as id) k using (id)": ("select $1::bigint as id", False),
    "select 'ä😀' from o where id = $1 % $2": ("id = $1::bigint % $2::bigint", False),
}


@pytest.fixture
def ask(pg: Server) -> Iterator[Ask]:
    with pg.database() as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(TABLES.encode())

        def asked(text: str) -> Misfit | None:
            try:
                connection.execute(f"{PREFIX}{text}".encode())
            except psycopg.Error as error:
                place = error.diag.statement_position
                return Misfit(str(error), None if place is None else int(place) - 1 - len(PREFIX))
            return None

        yield asked


@pytest.mark.pg(">= 16")
def test_the_place_of_an_error_and_the_column_beside_give_the_types(ask: Ask) -> None:
    for text, (wanted, is_guessed) in FOUND.items():
        found = typed(text, COLUMNS.get, ask)
        assert found is not None, text
        assert wanted in found.text
        assert bool(found.guessed) is is_guessed, text


@pytest.mark.pg(">= 16")
@pytest.mark.parametrize(
    "text", ["select ghost($1) from o", "select nothing from o where id = $1", "no sql"]
)
def test_what_is_wrong_for_another_reason_has_no_types(ask: Ask, text: str) -> None:
    assert typed(text, COLUMNS.get, ask) is None


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("((e.payload ->> $1) = $2)", [("payload ->> $1", "payload", (1,))]),
        (
            "(((e.payload ->> $3))::integer > $1)",
            [("CAST(payload ->> $3 AS integer)", "payload", (3,))],
        ),
        ("((e.payload ->> $1) = ANY ($2))", [("payload ->> $1", "payload", (1,))]),
        ("((e.payload #>> $1) = $2)", [("payload #>> $1", "payload", (1,))]),
        ("((e.id % $1) = $2)", [("id % $1", "", ())]),
        ("((e.id = $1) AND (lower((e.note || $2)) = $3))", [("lower(note || $2)", "", ())]),
        ("(e.id = ($1 % $2))", []),
        ("(e.id = f.id)", []),
        ("((e.id + $1) > e.total)", []),
        ("(e.id > (SubPlan 1))", []),
        ("(e.id = (InitPlan 1).col1)", []),
    ],
)
def test_an_expression_with_a_parameter_is_told_from_a_value(
    condition: str, found: list[tuple[str, str, tuple[int, ...]]]
) -> None:
    assert [(o.text, o.document, o.keys) for o in open_operands(condition)] == found


def test_the_keys_of_an_expression_are_those_of_its_document() -> None:
    assert document_keys("(payload ->> 'kind'::text)", "payload") == ("kind",)
    assert document_keys("lower((payload ->> 'kind'::text))", "payload") == ("kind",)
    assert document_keys("(other ->> 'kind'::text)", "payload") == ()
    assert document_keys("payload", "payload") == ()
