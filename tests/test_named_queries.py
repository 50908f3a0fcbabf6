"""Queries beside the facts': every file is asked for, parses, runs, and has the columns that its reader takes."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pglast import parse_sql
from psycopg import sql

import pgwatch_wed
from pgwatch_wed import assets
from pgwatch_wed.fleet.probing import ProbedServer
from pgwatch_wed.load.sampling.session_look import SeenProcess
from pgwatch_wed.sqltext.text import is_own
from pgwatch_wed.target.queries import composed, fragment
from pgwatch_wed.whatif.catalog import CatalogColumn, CatalogTable, ExistingIndex, ForeignKey
from pgwatch_wed.whatif.lab.extended import Stored
from pgwatch_wed.whatif.lab.role_settings import PlannerSetting
from pgwatch_wed.whatif.lab.security import RoleRights, SecuredRelation
from pgwatch_wed.whatif.lab.surroundings import Tablespace
from pgwatch_wed.whatif.proof.copies import Place
from tests.servers import Server

FOLDERS = ("target", "plan", "whatif", "copy", "lab", "sampling")
# Where servers are asked. Longer SQL than this stands in files.
ROOMS = ("target", "gather", "whatif", "embedded")
MAX_LINES = 2
SQL = re.compile(
    r"\s*(/\*.*?\*/\s*)?(select|with|insert|update|delete|create|alter|drop|do|explain)\s",
    re.IGNORECASE,
)
PACKAGE = Path(pgwatch_wed.__file__).parent

TABLES = """
create extension pgstattuple schema public;
create table town (id int primary key, name text unique);
insert into town select g, 'town ' || g from generate_series(1, 500) g;
create table person (id int primary key, town_id int references town, email varchar(80), born date,
    tags text[], data jsonb, words tsvector);
insert into person select g, 1 + g % 500, 'p' || g % 90 || '@example.org', date '1980-01-01' + g,
    array['t' || g % 7, 'all'], jsonb_build_object('k', g % 5, 'deep', jsonb_build_array(g % 3)),
    to_tsvector('simple', 'word' || g % 9 || ' every')
from generate_series(1, 2000) g;
create index person_lower on person (lower(email)) where born > '1981-01-01';
create table private (id int, owner name);
alter table private enable row level security;
create policy own on private using (owner = current_setting('app.user')::name);
create statistics person_known on town_id, email from person;
analyze;
"""


CASTS = """
create cast (bytea as pg_ndistinct) without function;
create cast (bytea as pg_dependencies) without function;
create cast (bytea as pg_mcv_list) without function;
"""


def names(kind: type, *left_out: str) -> set[str]:
    return {f.name for f in fields(kind)} - set(left_out)


@dataclass(frozen=True)
class Case:
    """What a query is run with, and what it must return."""

    columns: set[str]
    parts: Mapping[str, sql.Composable] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    is_empty: bool = False


PERSON = {"schema": "public", "table": "person", "is_parent": False}
DEDUPLICATES = {"deduplicates": fragment("whatif", "deduplicates")}


def sampled(column: str, kind: str, between: str = "") -> sql.Composed:
    type_ = sql.SQL(kind)
    rest = fragment("lab", "bounds", type=type_)
    if between:
        rest = fragment("lab", "between_bounds", type=type_, between=sql.SQL(between))
    place = {name: sql.Literal(value) for name, value in PERSON.items()}
    return fragment("lab", "sampled", column=sql.Literal(column), type=type_, rest=rest, **place)


def evaluated(
    column: str, kind: str, expression: str, between: str = ""
) -> dict[str, sql.Composable]:
    return {
        "sampled": sampled(column, kind, between),
        "expression": sql.SQL(expression),
        "name_as_column": sql.Identifier(column),
        "alias": sql.Identifier("person"),
    }


def results(
    expression: str, column: str, kind: str, between: str = ""
) -> dict[str, sql.Composable]:
    """Return the parts of the query for an expression of one column."""
    parts = evaluated(column, kind, expression, between)
    name = parts.pop("name_as_column")
    return {**parts, "columns": sql.SQL("value as {}").format(name)}


def results_of_two() -> dict[str, sql.Composable]:
    """Return the parts of the query for an expression of two columns."""
    places = [
        fragment("lab", "places", sampled=sampled(*column), stride=sql.Literal(stride))
        for column, stride in ((("email", "varchar"), 1), (("born", "date"), 617))
    ]
    together = fragment(
        "lab",
        "together",
        columns=sql.SQL("value1, value2"),
        are_common=sql.SQL("is_common1 and is_common2"),
        places=sql.SQL(
            "{} a (place, value1, is_common1) join {} b (place, value2, is_common2) using (place)"
        ).format(*places),
    )
    return results("email || born", "email", "varchar") | {
        "sampled": together,
        "columns": sql.SQL("value1 as email, value2 as born"),
    }


NOBODY = {"sessions": fragment("target", "our_sessions", name=sql.Literal("nobody"))}
PUBLIC = {"schema": sql.Identifier("public")}
BLOAT = {"total_bytes", "dead_bytes", "free_bytes", "density"}
SCALARS = fragment("lab", "json_scalars")
ENTRIES = {"kind", "values", "share", "size", "is_common"}
RESULTS = {"value", "size", "times", "share", "common", "type"}
EACH = fragment("lab", "entries_of_values", entries=sql.SQL("unnest(value)"))
JSONB = evaluated("data", "jsonb", "data")
USED = {
    "schemas": sql.Literal(["pg_catalog", "public"]),
    "relations": sql.Literal(["pg_file_settings", None]),
    "functions": sql.Literal([None, "pgstattuple"]),
    "arguments": sql.Literal([None, 1]),
}

CASES: dict[tuple[str, str], tuple[Case, ...]] = {
    ("whatif", "tables"): (Case(names(CatalogTable, "columns")),),
    ("whatif", "columns"): (
        Case(
            names(CatalogColumn, "mean_width", "null_fraction", "distinct")
            | {"table_oid", "avg_width", "null_frac", "n_distinct"},
            DEDUPLICATES,
        ),
    ),
    ("whatif", "indexes"): (Case(names(ExistingIndex)),),
    ("whatif", "foreign_keys"): (Case(names(ForeignKey)),),
    ("whatif", "toasted"): (Case({"schema", "name"}, is_empty=True),),
    ("whatif", "operator_classes"): (
        Case({"method", "name", "input_type", "is_default", "operators", "orders"}),
    ),
    ("whatif", "common_shares"): (Case({"name", "shares"}, values=PERSON),),
    ("whatif", "times"): (Case({"name", "first", "last", "bounds"}, values=PERSON),),
    ("whatif", "beginnings"): (
        Case({"name", "bounds", "common", "shares"}, values=PERSON | {"table": "town"}),
    ),
    ("whatif", "value_sizes"): (Case({"name", "size", "share"}, values={"table_oid": "person"}),),
    ("whatif", "extended_statistics"): (Case(names(Stored), {"expressions": sql.SQL("null")}),),
    ("whatif", "secured"): (Case(names(SecuredRelation)),),
    ("whatif", "inventory"): (Case({"schema", "table", "kind", "name"}),),
    ("whatif", "tablespaces"): (Case(names(Tablespace), is_empty=True),),
    ("whatif", "role_planner_settings"): (
        Case(names(PlannerSetting), values={"users": ["postgres"]}, is_empty=True),
    ),
    ("whatif", "collation"): (Case({"collation"}),),
    ("whatif", "collations"): (Case({"schema", "name", "is_of_icu", "columns"}, is_empty=True),),
    ("whatif", "role_rights"): (Case(names(RoleRights), values={"users": ["postgres"]}),),
    ("lab", "policies"): (Case({"schema", "table", "name", "condition", "roles"}),),
    ("lab", "unsteady_functions"): (Case({"schema", "name"}),),
    ("lab", "statistics_object"): (
        Case(
            {"oid", "table_oid", "columns", "numbers", "types", "expressions"},
            values={"schema": "public", "name": "person_known"},
        ),
    ),
    ("lab", "forget_not_null"): (Case(set(), is_empty=True),),
    ("lab", "sampled_list"): (Case({"list", "values"}, values={"sample": "person"}),),
    ("lab", "restore_expression"): (
        Case(
            {"is_restored"},
            values={
                **dict.fromkeys(("common", "shares", "bounds", "elements", "element_shares")),
                **dict.fromkeys(("counts", "correlation")),
                "table": "sample",
                "column": "d0",
                "null_frac": 0.5,
                "avg_width": 4,
                "n_distinct": 2.0,
            },
        ),
    ),
    ("lab", "put_extended"): (
        Case(
            set(),
            values={
                **dict.fromkeys(("n_distinct", "dependencies", "common", "expressions")),
                "oid": "person",
                "is_inherited": True,
                "sample": "person",
            },
            is_empty=True,
        ),
    ),
    ("lab", "furnish"): (
        Case(
            set(),
            {"schema": sql.Identifier("a lab"), "guest": sql.Identifier("postgres")},
            is_empty=True,
        ),
    ),
    ("lab", "paths"): (
        Case({"oid", "path"}, values={"oids": None}),
        Case({"oid", "path"}, values={"oids": ["person"]}),
    ),
    ("lab", "index_parts"): (
        Case(
            {"name", "oid", "table_oid", "kind", "path"},
            values={"names": ["person_lower"], "schemas": ["public"]},
        ),
    ),
    ("lab", "counted_elements"): (
        Case({"frequencies", "counts", "width"}, values=PERSON | {"column": "tags"}),
        Case({"frequencies", "counts", "width"}, values=PERSON | {"column": "words"}),
    ),
    ("lab", "entries"): (
        Case(ENTRIES, evaluated("tags", "text[]", "tags") | {"parts": EACH}),
        Case(ENTRIES, JSONB | {"parts": fragment("lab", "jsonb_ops", scalars=SCALARS)}),
        Case(ENTRIES, JSONB | {"parts": fragment("lab", "jsonb_path_ops", scalars=SCALARS)}),
    ),
    ("lab", "expression_values"): (
        Case(RESULTS, results("lower(email)", "email", "varchar")),
        Case(RESULTS, results("born + 1", "born", "date", "lo + round((hi - lo) * f)::int4")),
        Case(RESULTS, results_of_two()),
    ),
    ("lab", "expression_type"): (
        Case(
            {"base_type", "category", "type_length", "alignment", "type_name", "deduplicates"},
            DEDUPLICATES,
            {"type": "person"},
        ),
    ),
    ("lab", "restore_statistics"): (
        Case(
            {"is_restored"},
            values={
                "index": "person_lower",
                "number": 1,
                "null_fraction": 0.1,
                "width": 12,
                "distinct": 90.0,
                "common": ["a"],
                "shares": [0.1],
                "bounds": ["b", "c"],
                "ranges": None,
                "words": None,
                "word_shares": None,
            },
        ),
    ),
    ("lab", "word_shares"): (
        Case(
            {"word", "share", "once", "twice"},
            values={
                "values": ["'word'", "'a' 'word'"],
                "shares": [0.1, 0.1],
                "are_common": [False, False],
                "least": 0.15,
                "twice": 0.25,
            },
        ),
    ),
    ("lab", "document_paths"): (
        Case(
            {"path", "kind", "common_share"},
            values={"schema": "public", "table": "person", "column": "data"},
        ),
    ),
    ("lab", "usual_values"): (
        Case(
            {"common", "shares", "bounds"},
            values={"schema": "public", "table": "person", "column": "email"},
        ),
    ),
    ("lab", "value_type"): (Case({"name", "category"}, values={"type": 25}),),
    ("lab", "typed_expression"): (
        Case(
            {"value"},
            {"expression": sql.SQL("lower(email)"), "table": sql.Identifier("person")},
            is_empty=True,
        ),
    ),
    ("copy", "usual_values"): (
        Case(
            {"common", "bounds", "common_share"},
            values={"schema": "public", "table": "person", "column": "email"},
        ),
    ),
    ("copy", "index_sizes"): (
        Case({"schema", "name", "bytes"}, values={"schema": "public", "name": "person_lower"}),
    ),
    ("copy", "left_over"): (Case({"schema", "name"}, values={"prefix": "person_l"}),),
    ("copy", "sampled_table"): (
        Case(
            {"oid", "schema", "name", "kind", "pages", "tuples"}, values={"name": "public.person"}
        ),
    ),
    ("plan", "foreign_code"): (
        Case(
            {"reason"},
            values={
                "oids": ["person"],
                "functions": ["lower"],
                "operators": ["="],
                "types": ["person"],
                "fields": ["email"],
                "user": "postgres",
            },
            is_empty=True,
        ),
    ),
    ("plan", "locked"): (Case({"is_locked"}, values={"oids": ["person"]}),),
    ("target", "deadline"): (
        Case(set(), NOBODY | {n: sql.Literal(1) for n in ("seconds", "connecting")}, is_empty=True),
    ),
    ("target", "end_deadline"): (Case({"pg_stat_clear_snapshot"}, NOBODY),),
    ("target", "exact_bloat_table"): (Case(BLOAT, PUBLIC, {"oid": "person"}),),
    ("target", "exact_bloat_index"): (Case(BLOAT, PUBLIC, {"oid": "person_lower"}),),
    ("target", "may_list_wal"): (Case({"may_list_wal"}),),
    ("target", "wal_directory"): (Case({"files", "bytes"}),),
    ("target", "probe"): (
        Case(
            {"is_standby", "is_paused", "has_walreceiver", "is_caught_up", "replay_age_s"}
            | {"is_archiving", "archive_age_s", "has_archive_failed", "is_read_only"}
        ),
    ),
    ("target", "fleet_probe"): (
        Case(
            names(ProbedServer, "target", "system_identifier", "took_password") | {"may_identify"}
        ),
    ),
    ("target", "fleet_identity"): (Case({"system_identifier"}),),
    ("target", "lacking"): (
        # a superuser lacks nothing
        Case({"statement", "schema", "place"}, USED, is_empty=True),
    ),
    ("sampling", "active_sessions"): (
        Case(
            {*SeenProcess._fields, "spent_s"},
            {"query_id": sql.SQL("null::int8"), "most_waiters": sql.Literal(8)},
            {"known": [1]},
            is_empty=True,
        ),
    ),
    ("sampling", "blockers"): (Case({"pid", "blocked_by"}, values={"pids": [1]}),),
    ("sampling", "ground"): (Case({"database_oid", "pid", "text_size", "active_ms"}),),
    ("whatif", "planner_settings"): (Case({"name", "value"}),),
    ("whatif", "extensions"): (Case({"name", "schema"}),),
    ("whatif", "hypopg"): (Case({"schema", "can_hide"}, is_empty=True),),
    ("whatif", "place"): (Case(names(Place, "system", "timeline")),),
    ("whatif", "may_read_system"): (Case({"may"}),),
    ("whatif", "system"): (Case({"system", "timeline"}),),
}
EACH_CASE = [
    pytest.param(folder, name, case, id=f"{folder}/{name}-{number}")
    for (folder, name), cases in CASES.items()
    for number, case in enumerate(cases)
]


# The files


def files(*under: str) -> set[tuple[str, str]]:
    folders = (assets.asset("sql").joinpath(folder, *under) for folder in FOLDERS)
    return {
        (f.parent.relative_to(assets.asset("sql")).parts[0], f.stem)
        for d in folders
        for f in d.glob("*.sql")
    }


def test_every_query_has_a_case() -> None:
    assert files() == CASES.keys()


@pytest.mark.parametrize(("function", "under"), [("composed", ()), ("fragment", ("fragments",))])
def test_every_file_is_asked_for_and_every_call_has_a_file(
    function: str, under: tuple[str, ...]
) -> None:
    assert set(calls(function)) == files(*under)


def calls(function: str) -> Iterator[tuple[str, str]]:
    """Yield the folders and names that the package asks for; load tests run those of their own."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr=called) | ast.Name(id=called),
                    args=[ast.Constant(value=str(folder)), name],
                ) if called == function and str(folder) in FOLDERS:
                    yield from ((folder, each) for each in texts(name))


def texts(node: ast.expr) -> list[str]:
    match node:
        case ast.IfExp(body=one, orelse=other):
            return [*texts(one), *texts(other)]
        case ast.Constant(value=str(text)):
            return [text]
    raise AssertionError(f"{ast.unparse(node)} is no name of a file")


def test_sql_of_more_than_two_lines_stands_in_files() -> None:
    paths = [path for room in ROOMS for path in (PACKAGE / room).rglob("*.py")]
    assert [
        f"{path.relative_to(PACKAGE)}:{line}" for path in paths for line in long_sql(path)
    ] == []


def long_sql(path: Path) -> Iterator[int]:
    """Yield the lines of a module where SQL of many lines begins; docstrings are none."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in docstrings:
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_LINES and SQL.match(text_of(node)):
                yield node.lineno


def text_of(node: ast.expr) -> str:
    return "".join(str(n.value) for n in ast.walk(node) if isinstance(n, ast.Constant))


def test_every_file_begins_with_what_it_is() -> None:
    for folder, name in files():
        first = assets.text("sql", folder, f"{name}.sql").partition("\n")[0]
        assert re.match("-- (A row (is|says) |Gives |Ends ).*[.]$", first), (folder, name)
    for folder, name in files("fragments"):
        text = assets.text("sql", folder, "fragments", f"{name}.sql")
        assert re.match("-- [A-Z].*[.]\n", text), (folder, name)


@pytest.mark.parametrize(("folder", "name", "case"), EACH_CASE)
def test_a_query_parses_and_is_marked_as_ours(folder: str, name: str, case: Case) -> None:
    text = composed(folder, name, **case.parts).as_string()
    assert is_own(text)
    assert parse_sql(re.sub(r"%\((\w+)\)s", "null", text))


def test_a_part_too_many_or_too_few_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"sql/whatif/columns\.sql: deduplicates"):
        composed("whatif", "columns")
    with pytest.raises(ValueError, match=r"sql/whatif/tables\.sql: more"):
        composed("whatif", "tables", more=sql.SQL("1"))


# On servers


@pytest.fixture
def people(every_pg: Server, every_db: str) -> str:
    with psycopg.connect(every_db, autocommit=True) as connection:
        connection.execute(TABLES)
    return every_db


@pytest.fixture
def lab_of_people(db: str) -> str:
    with psycopg.connect(db, autocommit=True) as connection:
        connection.execute(TABLES)
        connection.execute(CASTS)
    return db


@pytest.mark.all_versions
def test_queries_of_targets_run_read_only_for_a_role_that_may_read(
    every_pg: Server, people: str
) -> None:
    with every_pg.role("pg_monitor") as role, psycopg.connect(people) as admin:
        admin.execute(sql.SQL("grant select on town, person to {}").format(sql.Identifier(role)))
        admin.commit()
        with psycopg.connect(people, user=role) as connection:
            connection.read_only = True
            connection.execute("set search_path = pg_catalog, pg_temp")
            for (folder, name), cases in CASES.items():
                for case in cases if folder != "lab" else ():
                    check(connection, folder, name, case)


@pytest.mark.pg(">= 18")
def test_queries_of_the_lab_run_there(lab_of_people: str) -> None:
    with psycopg.connect(lab_of_people) as connection:
        connection.execute("create temp table sample (d0 int)")
        for (folder, name), cases in CASES.items():
            for case in cases:
                check(connection, folder, name, case)


def check(connection: psycopg.Connection[Any], folder: str, name: str, case: Case) -> None:
    """Run a query and compare its columns; names of relations among the values become oids."""
    values = {key: of(connection, key, value) for key, value in case.values.items()}
    cursor = connection.execute(composed(folder, name, **case.parts), values or None)
    assert {c.name for c in cursor.description or ()} == case.columns, (folder, name)
    if not case.is_empty:
        assert cursor.fetchall(), (folder, name)


def of(connection: psycopg.Connection[Any], key: str, value: Any) -> Any:
    if key == "oids" and value is not None:
        return [of(connection, "index", each) for each in value]
    if key in ("oid", "table_oid", "index", "sample"):
        return scalar(connection, "select %s::regclass::oid::int8", f"public.{value}")
    return scalar(connection, "select 'text'::regtype::oid::int8") if key == "type" else value


def scalar(connection: psycopg.Connection[Any], query: str, *values: Any) -> Any:
    row = connection.execute(query.encode(), values or None).fetchone()
    assert row is not None
    return row[0]
