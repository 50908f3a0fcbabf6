"""What is told of statements and of conditions as EXPLAIN prints them."""

import pytest

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.reading import QualifiedName
from pgwatch_wed.sqltext.statement import UnsupportedError, parse
from pgwatch_wed.sqltext.terms import Kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("select 1 from t", "select"),
        ("values (1), (2)", "select"),
        ("table t", "select"),
        ("insert into t select 1", "insert"),
        ("update t set a = 1", "update"),
        ("delete from t", "delete"),
        ("merge into t using u on t.a = u.a when matched then delete", "merge"),
        ("with gone as (delete from t returning a) select a from gone", "delete"),
        ("declare c cursor for select 1", "select"),
        ("prepare p as update t set a = 1", "update"),
    ],
)
def test_one_statement_that_can_be_planned_is_taken(text: str, kind: str) -> None:
    assert parse(text).kind == kind
    assert parse(text).is_write is (kind != "select")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("-- nothing", "empty"),
        ("select 1; select 2", "2 statements"),
        ("create table t ()", "CREATE statements are not planned"),
        ("selec 1", "parser rejects it"),
        ("explain select 1", "EXPLAIN statements are not planned"),
    ],
)
def test_anything_else_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(UnsupportedError, match=reason):
        parse(text)


def test_semicolons_and_comments_at_the_end_go() -> None:
    text = "/* mine */ select '; -- no comment' from t -- the end\n;; /* over */"
    assert parse(text).text == "/* mine */ select '; -- no comment' from t"
    assert parse("select 'ä😀' from t;").text == "select 'ä😀' from t"


def test_relations_are_those_of_the_text_without_its_ctes() -> None:
    found = parse(
        'with c as (select from "My t") select from c, s.u union select from c join v on true'
    )
    assert found.relations == {
        QualifiedName(None, "My t"),
        QualifiedName("s", "u"),
        QualifiedName(None, "v"),
    }


def test_parameters_are_counted() -> None:
    assert parse("select $2 from t where a = $1").parameters == 2
    assert parse("select '$3' from t").parameters == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select a from t limit $1", "select a from t limit 100"),
        (
            "select 'ä' from t where b = $1 limit $2 offset $3",
            "select 'ä' from t where b = $1 limit 100 offset 0",
        ),
        (
            "select a from (select a from t limit $1::int) x",
            "select a from (select a from t limit 100::int) x",
        ),
        ("select a from t where b = $1", "select a from t where b = $1"),
    ],
)
def test_a_limit_by_parameter_becomes_a_typical_one(text: str, expected: str) -> None:
    assert parse(text, 100).text == expected


@pytest.mark.parametrize(
    ("text", "kind", "column", "is_constant"),
    [
        ("(o.a = 5)", Kind.EQUAL, "a", True),
        ("(5 > o.a)", Kind.RANGE, "a", True),
        ("((o.a)::text = 'x'::text)", Kind.EQUAL, "a", True),
        ("(o.a = ANY ('{1,2}'::integer[]))", Kind.IN, "a", True),
        ("(o.a ~~ 'x%'::text)", Kind.PREFIX, "a", True),
        ("(o.a ~~ '%x'::text)", Kind.PATTERN, "a", True),
        ("(o.a IS NULL)", Kind.IS_NULL, "a", True),
        ("(o.a IS NOT NULL)", Kind.NOT_NULL, "a", True),
        ("o.a", Kind.BOOLEAN, "a", True),
        ("(NOT o.a)", Kind.BOOLEAN, "a", True),
        ("(o.a @> '{}'::jsonb)", Kind.CONTAINS, "a", True),
        ("(o.a @@ '''x'''::tsquery)", Kind.MATCH, "a", True),
        ('(o."A b" = $1)', Kind.EQUAL, "A b", True),
        ("(lower(o.a) = 'x'::text)", Kind.EQUAL, None, True),
        ("(o.a = (InitPlan 1).col1)", Kind.EQUAL, "a", True),
        ("(o.a IS TRUE)", Kind.BOOLEAN, "a", True),
        ("(o.a <> 'done'::text)", Kind.DIFFERENT, "a", True),
        ("(o.a % 'x'::text)", Kind.CONTAINS, "a", True),
        ("('x'::text <% o.a)", Kind.CONTAINS, "a", True),
        ("(o.a <<= '10.0.0.0/8'::inet)", Kind.CONTAINS, "a", True),
        ("starts_with(o.a, 'x'::text)", Kind.PREFIX, "a", True),
        ("(o.a ^@ 'x'::text)", Kind.PREFIX, "a", True),
        ("(ROW(o.a, o.b) < ROW($1, $2))", Kind.RANGE, "a", True),
        ("(o.a ~~ ANY ('{%x%}'::text[]))", Kind.PATTERN, "a", True),
        ("(tstzrange(o.a, o.b) && $1)", Kind.CONTAINS, None, True),
    ],
)
def test_a_condition_tells_what_it_compares(
    text: str, kind: Kind, column: str | None, is_constant: bool
) -> None:
    (term,) = terms.conditions(text).terms
    assert (term.kind, term.operand.column, term.is_constant) == (kind, column, is_constant)
    assert term.operand.alias == "o"
    assert "o." not in term.text


def test_an_element_of_an_array_column_is_no_equality() -> None:
    assert terms.conditions("('x'::text = ANY (o.tags))").terms == ()


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("(loc <-> '(10.5,51.3)'::point)", True),
        ("similarity(name, 'x'::text)", True),
        ("(at - '2024-01-01'::date)", True),
        ("(status = 'x'::text)", True),
        ("ts_rank(body, '''x'''::tsquery)", True),
        ("date_trunc('day'::text, at)", False),
        ("(payload ->> 'kind'::text)", False),
        ("to_tsvector('english'::regconfig, body)", False),
        ("COALESCE(ended, 'infinity'::timestamp)", False),
        ("((name || ' '::text) || surname)", False),
        ("(id % 10)", False),
    ],
)
def test_a_value_of_one_call_in_an_expression_is_seen(text: str, has: bool) -> None:
    assert terms.holds_value(text) is has


@pytest.mark.parametrize(
    ("text", "compared"),
    [
        (
            "CASE WHEN ((state)::text = 'running'::text) THEN 0 ELSE 1 END",
            (("state", "running"),),
        ),
        (
            "(state = ANY ('{new,ready}'::text[]))",
            (("state", "new"), ("state", "ready")),
        ),
        ("CASE WHEN (kind = 7) THEN 0 ELSE 1 END", (("kind", "7"),)),
        (
            "((NOT read) AND (kind <> ALL ('{5,19}'::integer[])))",
            (("kind", "5"), ("kind", "19")),
        ),
        ("CASE WHEN (id > 7) THEN 0 ELSE 1 END", None),
        ("CASE WHEN (state = 'new'::text) THEN similarity(name, 'x'::text) ELSE 0 END", None),
        ("lower(name)", ()),
    ],
)
def test_the_states_in_an_expression_are_told_from_values(
    text: str, compared: tuple[tuple[str, str], ...] | None
) -> None:
    assert terms.compared_values(text) == compared


def test_a_distance_orders_by_the_column_and_not_by_the_value() -> None:
    for text in ("(o.loc <-> '(1,2)'::point)", "(o.loc <-> $1)", "($1 <-> o.loc)"):
        key = terms.sort_key(text)
        assert key is not None
        assert (key.operand.column, key.distance) == ("loc", "<->")


def test_a_join_is_a_condition_on_either_side() -> None:
    left, right = terms.conditions("(o.customer_id = c.id)").terms
    assert (left.operand.alias, right.operand.alias) == ("o", "c")
    assert left.other == right.operand
    assert not left.is_constant


def test_two_columns_of_one_table_ask_for_no_index() -> None:
    assert terms.conditions("(o.a = o.b)").terms == ()


def test_the_arms_of_an_or_stay_apart() -> None:
    group = terms.conditions("((o.c = 1) AND ((o.a = 1) OR (o.b = 2)))")
    assert [t.operand.column for t in group.terms] == ["c"]
    assert [a.terms[0].operand.column for a in group.arms] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "column", "order"),
    [
        ("o.a", "a", ""),
        ("o.a DESC", "a", "DESC"),
        ("o.a DESC NULLS LAST", "a", "DESC NULLS LAST"),
        ("o.a NULLS FIRST", "a", "NULLS FIRST"),
        ("lower(o.a)", None, ""),
    ],
)
def test_a_sort_key_says_its_direction(text: str, column: str | None, order: str) -> None:
    key = terms.sort_key(text)
    assert key is not None
    assert (key.operand.column, key.order) == (column, order)


def test_a_sort_key_over_two_tables_is_none() -> None:
    assert terms.sort_key("(o.a + c.b)") is None


def test_references_are_found_even_in_what_only_explain_says() -> None:
    assert terms.references("(hashed SubPlan 1)") == frozenset()
    assert ("o", "a") in terms.references("sum(o.a) FILTER (WHERE (o.b > 1))")
    assert ("o", "A b") in terms.references('PARTIAL sum(o."A b") odd ))')


def test_min_and_max_name_their_operand() -> None:
    assert [o.column for o in terms.extremes("max(o.placed)")] == ["placed"]
    assert terms.extremes("sum(o.placed)") == ()
