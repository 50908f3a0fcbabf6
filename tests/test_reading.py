"""What is read of a statement's text, once."""

import pytest

from pgwatch_wed.sqltext import trees
from pgwatch_wed.sqltext.assignments import UpdateTarget
from pgwatch_wed.sqltext.reading import QualifiedName, query, read

MERGE = (
    "merge into t using u on t.i = u.i when matched then update set a = u.a "
    "when not matched then insert (i, z) values (u.i, 1)"
)


def test_a_text_is_parsed_once() -> None:
    text = "select a from t where b = $1 limit $2"
    assert read(text) is read(text)


@pytest.mark.parametrize(
    ("text", "operators"),
    [
        ("select a from t where a <-> b > 1", {"<->", ">"}),
        ("select a from t where a operator(s.@@@) b", {"@@@"}),
        ("select a from t where a not between 1 and 2", {"<", "<=", ">", ">="}),
        ("select a from t where a in (1, 2)", {"="}),
        ("select a from t where a in (select b from u)", {"="}),
        ("select a from t where a <<= all (select b from u)", {"<<="}),
        ("select a from t where exists (select from u)", set()),
        ("select case a when 1 then 2 end from t", {"="}),
        ("select case when a then 2 end from t", set()),
        ("select a from t join u using (b)", {"="}),
        ("select a from t natural join u", {"="}),
        ("select a from t order by a using >>>", {">>>"}),
    ],
)
def test_operators_are_those_that_a_statement_names_or_means(
    text: str, operators: set[str]
) -> None:
    assert read(text).operators == operators


def test_functions_are_named_with_their_schemas_and_look_ups_in_catalogs_count() -> None:
    found = read("select f(a), s.g(b), 'x'::regclass from t, unnest(c) where h(d) > 1")
    names = {(f.schema, f.name) for f in found.functions}
    assert names == {
        (None, "f"),
        ("s", "g"),
        ("pg_catalog", "regclass"),
        (None, "unnest"),
        (None, "h"),
    }


@pytest.mark.parametrize(
    ("text", "columns", "constants"),
    [
        ("update t set a = 1, b = null, c = d", {"a", "b", "c"}, (("a", "1"), ("b", None))),
        ("insert into t (c) values (1) on conflict (c) do update set a = excluded.a", {"a"}, ()),
        ("insert into t (c) values (1)", set(), ()),
        ("with u as (update t set a = 1 returning a) select a from u", {"a"}, (("a", "1"),)),
        (MERGE, {"a"}, ()),
    ],
)
def test_an_update_names_its_columns_and_what_an_insert_fills_is_not_updated(
    text: str, columns: set[str], constants: tuple[tuple[str, str | None], ...]
) -> None:
    wanted = (UpdateTarget(None, "t", frozenset(columns), constants),) if columns else ()
    assert read(text).targets == wanted


def test_each_level_has_its_own_tables() -> None:
    found = query(
        "with c as (select 1 from s.t where a = 1) "
        "select from c join u x on x.i = c.i where exists (select from v where lower(b) = $1)"
    )
    assert found is not None
    assert [[r.name for r in level.relations] for level in found.levels] == [["u"], ["v"], ["t"]]
    assert [level.is_top for level in found.levels] == [True, False, False]
    assert found.relations == {
        QualifiedName("s", "t"),
        QualifiedName(None, "u"),
        QualifiedName(None, "v"),
    }


@pytest.mark.parametrize(
    ("text", "equated", "others", "grouped"),
    [
        ("select from a join b using (k)", [("k", "k")], 0, []),
        ("select from a, b where a.x = b.y and a.z = $1 and a.w ~ $2", [("x", "y")], 1, []),
        ("select from a, b where a.x < b.y or a.x = b.y", [], 2, []),
        ("select v, count(*) from a group by 1, a.w, u + 1", [], 0, ["v", "w", None]),
        ("select distinct u, v from a", [], 0, ["u", "v"]),
        ("select distinct on (v) u, v from a", [], 0, ["v"]),
    ],
)
def test_a_level_tells_what_it_equates_and_groups(
    text: str, equated: list[tuple[str, str]], others: int, grouped: list[str | None]
) -> None:
    found = query(text)
    assert found is not None
    (level,) = found.levels
    assert [(a.column, b.column) for a, b in level.equated] == equated
    assert level.others == others
    assert [None if n is None else n.column for n in level.grouped] == grouped


@pytest.mark.parametrize("text", ["vacuum", "select 1; select 2", "selec", "", None])
def test_what_is_no_single_query_is_none(text: str | None) -> None:
    assert query(text) is None


@pytest.mark.parametrize("repeated", ["1+", "not ", "- ", "a.b or ("])
def test_what_is_nested_too_deeply_is_refused(repeated: str) -> None:
    found = read(f"select {repeated * 60_000}1")
    assert found.why_not
    assert not found.levels


def test_a_long_statement_is_read() -> None:
    names = ", ".join(f"t.c{number}" for number in range(20_000))
    assert {r.name for r in read(f"select {names} from t").relations} == {"t"}


def test_a_walk_goes_from_parents_to_children_in_order() -> None:
    (statement,) = trees.parse("select a + b, (select c) from t")
    names = [trees.names(n.fields) for n in trees.walk(statement) if hasattr(n, "fields")]
    assert names == [("a",), ("b",), ("c",)]
    kinds = [type(n).__name__ for n in trees.walk(statement.targetList, type(statement))]
    assert kinds.count("SelectStmt") == 1
    assert kinds.count("ColumnRef") == 2
