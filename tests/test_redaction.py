"""A snapshot written with --redact names nobody's tables, and is judged like the original."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import psycopg
import pytest
from click.testing import CliRunner
from hypothesis import given as giving
from hypothesis import settings

from pgwatch_wed.analyse import analyse, analyse_redacted
from pgwatch_wed.cli import cli
from pgwatch_wed.config import Config, parse
from pgwatch_wed.facts import Missing, Server, Snapshot
from pgwatch_wed.facts import file as snapshot_file
from pgwatch_wed.facts.fields import fact_types
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.redaction import Names, own, redacted
from pgwatch_wed.redaction import snapshot_names as redaction
from pgwatch_wed.redaction.sql_names import Statements
from pgwatch_wed.rules import Rule
from pgwatch_wed.target.collect import collect
from tests import formats, servers
from tests.psql import psql
from tests.snapshot_documents import document, row_by_row, unpacked
from tests.test_hostile_names import HOSTILE, build
from tests.test_properties import EASY, SNAPSHOTS
from tests.zoo import in_motion, zoo
from tools import example, own_names

NAMES_OF_USERS = """
    select relname::text from pg_class where oid >= 16384 and relnamespace <> 'pg_toast'::regnamespace
        and oid not in (select objid from pg_depend where deptype = 'e')
    union select attname from pg_attribute where attnum > 0 and attrelid >= 16384
        and attrelid not in (select objid from pg_depend where deptype = 'e')
        and attrelid not in (select oid from pg_class where relnamespace = 'pg_toast'::regnamespace)
    union select nspname from pg_namespace where oid >= 16384 and nspname !~ '^pg_'
    union select conname from pg_constraint where oid >= 16384
    union select stxname from pg_statistic_ext
    union select pubname from pg_publication
    union select subname from pg_subscription
    union select rolname from pg_roles where oid >= 16384
    union select datname from pg_database where oid >= 16384
    union select gid from pg_prepared_xacts union select slot_name from pg_replication_slots
    union select application_name from pg_stat_activity where application_name !~ '^(pgwatch_wed|$)'
"""
# Columns that PostgreSQL itself named after its functions, and a sequence's.
OF_POSTGRESQL = {"count", "lower"}


def strings(value: Any) -> Iterator[str]:
    """Yield every text of a JSON value; not the keys, which this project chose."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        coded = ("at", "there")  # characters that stand for values
        for each in (
            [v for k, v in value.items() if k not in coded] if isinstance(value, dict) else value
        ):
            yield from strings(each)


def texts_of(snapshot: Snapshot) -> list[str]:
    """Return every text of a snapshot and its file but the names of its columns."""
    stored, rows = document(snapshot), row_by_row(snapshot)
    tables = [table["rows"] for table in rows["facts"].values()]
    parts = [[d["server"], d["missing"], d["causes"]] for d in (stored, rows)]
    return list(strings([tables, stored["facts"], parts]))


def words_of(snapshot: Snapshot) -> set[str]:
    return {word for text in texts_of(snapshot) for word in re.findall(r"\w+", text)}


def judged(snapshot: Snapshot) -> tuple[dict[str, str], Counter[Any]]:
    """Return each rule's verdict, and what its findings are about but for names."""
    report = analyse([snapshot], Config(window_days=0))
    verdicts = {v.rule: str(v.verdict) for v in report.verdicts}
    return verdicts, Counter(
        (f.rule, f.object.kind, f.severity, f.grade, f.impact.ms_per_day, f.impact.bytes)
        for f in report.findings
    )


def test_no_name_of_the_zoo_is_left_and_every_rule_says_the_same(every_pg: servers.Server) -> None:
    with zoo(every_pg) as dsn, in_motion(every_pg, dsn):
        given = collect(dsn)
        with psycopg.connect(dsn, application_name="ledger") as connection:
            names = {str(name) for (name,) in connection.execute(NAMES_OF_USERS.encode())}
    (clean,) = redacted([given])
    assert {"customers", "score_is_positive", "zoo", "ledger", "app", "sub"} <= names
    assert words_of(clean) & names <= OF_POSTGRESQL
    assert len(words_of(given) & names) > 40
    assert judged(clean) == judged(given)
    assert snapshot_file.loads(snapshot_file.dumps(clean)) == clean


def test_the_shop_is_judged_alike_with_plans_and_advised_indexes() -> None:
    given = example.snapshot()
    (clean,) = redacted([given])
    assert judged(clean) == judged(given)
    assert clean.missing_indexes
    assert any(p.tree for p in clean.statement_plans)
    assert (
        words_of(clean) & {"shop", "orders", "customers", "email", "page_views", "placed_at"}
        == set()
    )


HUSH = """
create schema hush;
create type hush.hush_mood as enum ('hush_sad', 'hush_glad');
create domain hush.hush_code as text check (value like 'hush%');
create table hush.pg_hush (hush_id serial primary key, hush_name text, hush_mood hush.hush_mood, hush_code hush.hush_code,
    "name" text, value int, hush_moods hush.hush_mood[]) with (fillfactor = 90);
create view hush.hush_view as select * from hush.pg_hush;
create function hush.hush_function(hush_argument text) returns text immutable language sql as $$ select 'hush' || $1 $$;
create index on hush.pg_hush (hush.hush_function(hush_name)) where hush_name <> 'hush' and "name" = 'hush';
create index on hush.pg_hush ((lower(hush_name)), value desc) include (hush_id);
insert into hush.pg_hush (hush_name, value) select 'hush' || g, g from generate_series(1, 300) g;
/* hush_request=17 */ select hush_name, "name" as hush_label from hush.pg_hush hush_alias where value = 1 -- hush
    and hush.hush_function("name") = 'hush' limit 3;
with hush_query as (select name, value from hush.hush_view) select name from hush_query order by name;
select count(*) filter (where hush_id > interval '1 hush' * 0) from hush.pg_hush where false;
update hush.pg_hush set name = 'hush', value = value + 1 where hush_id = 1 returning name as hush_returned;
merge into hush.pg_hush hush_target using (values (1)) hush_source (hush_x) on hush_id = hush_x when matched then update set name = 'hush';
prepare hush_statement as select name from hush.pg_hush;
do $$ begin perform 'hush'; end $$;
comment on table hush.pg_hush is 'hush';
select pg_advisory_lock(1), 'hush'::hush.hush_mood is null where false;
set application_name = 'hush_application';
set hush.hush_parameter = 'hush';
savepoint hush_point;
listen hush_channel;
notify hush_channel, 'hush';
alter table hush.pg_hush alter column hush_name set statistics 77;
analyze hush.pg_hush;
"""


@pytest.fixture(scope="module")
def hushed(pg: servers.Server) -> Iterator[Snapshot]:
    with pg.database() as dsn, psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("create extension pg_stat_statements")
        for statement in HUSH.strip().removesuffix(";").split(";\n"):
            try:
                admin.execute(statement.encode())
            except (psycopg.errors.DataError, psycopg.errors.NoActiveSqlTransaction):
                continue
        admin.execute(f"alter database {admin.info.dbname} set search_path = hush, public".encode())
        admin.execute(f"alter database {admin.info.dbname} set hush.hush_other = 'hush'".encode())
        with psycopg.connect(dsn, application_name="hush") as other:
            other.execute("select hush_name from hush.pg_hush where name = 'hush' for update")
            yield collect(dsn)


def test_no_letter_of_any_name_or_value_is_left(hushed: Snapshot) -> None:
    assert sum("hush" in text for text in texts_of(hushed)) > 50
    (clean,) = redacted([hushed])
    assert [text for text in texts_of(clean) if "hush" in text.lower()] == []
    assert judged(clean) == judged(hushed)


def test_what_was_learnt_nowhere_is_replaced_all_the_same(hushed: Snapshot) -> None:
    """Views, functions, labels, comments: of these a snapshot holds no fact."""
    (clean,) = redacted([hushed])
    texts = [s.text or "" for s in clean.statements]
    assert any("WITH name" in text and "ORDER BY column" in text for text in texts)
    assert all("/*" not in text or "pgwatch_wed" in text for text in texts)


def test_hostile_names_are_left_nowhere(pg: servers.Server) -> None:
    with pg.database() as dsn, psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("create extension pg_stat_statements")
        for number, name in enumerate(HOSTILE):
            build(admin, name, HOSTILE[number - 1], HOSTILE[number - 2])
        given = collect(dsn)
    (clean,) = redacted([given])
    planted = [name for name in HOSTILE if name not in ("select", "..")]
    left = [text for text in texts_of(clean) for name in planted if name in text]
    assert left == []
    assert judged(clean) == judged(given)


def test_names_that_may_be_shown_stay(hushed: Snapshot) -> None:
    (clean,) = redacted([hushed], ["hush", "pg_h*"])
    assert {t.schema for t in clean.tables} == {"hush"}
    assert {t.name for t in clean.tables} == {"pg_hush"}
    assert all("hush" not in c.name for c in clean.columns)


def test_every_text_of_every_fact_was_thought_of() -> None:
    """One that was not is replaced whole, and rules may judge otherwise; see redaction/snapshot_names.py."""
    known = {
        *(redaction.NAMES.keys() | redaction.CHANGED.keys() | redaction.WORDS | redaction.EMPTIED),
        "name",
    }
    kinds = {**fact_types(), "": Server}
    texts = {
        (kind.__name__, field)
        for kind in kinds.values()
        for field, hint in get_type_hints(kind).items()
        if hint is str or str in get_args(hint)
    }
    assert {f"{kind}.{field}" for kind, field in texts if field not in known} == set()
    named = {
        fact for fact, kind in fact_types().items() if "name" in {f.name for f in fields(kind)}
    }
    assert named == redaction.ROWS.keys() | {"query_costs", "slru", "collation_versions"}


def test_a_text_that_nobody_thought_of_is_not_kept(
    hushed: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redaction, "WORDS", redaction.WORDS - {"kind"})
    (clean,) = redacted([hushed])
    assert {t.kind for t in clean.tables} == {"(redacted)"}


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        ("select id from orders where lower(name) = $1", "SELECT c FROM o WHERE lower(n) = $1"),
        ("select Orders.ID from public.ORDERS", "SELECT o.c FROM public.o"),
        (
            "select now() - $1 * interval $2 from orders",
            "SELECT now() - $1 * CAST($2 AS interval) F",
        ),
        (
            "/* pgwatch_wed:tables */ select 1 from orders",
            "/* pgwatch_wed:tables */ SELECT 1 FROM o",
        ),
        ("/* pgwatch_wed secret */ select 1", "SELECT 1"),
        (
            "autovacuum: VACUUM shop.orders (to prevent wraparound)",
            "autovacuum: VACUUM s.o (to prev",
        ),
        ("select id from orders where name = ?", "select c from o where n = ?"),
        ("select id from pg_class where name in (", "select c from pg_class where n in ("),
        ("vacuum (analyze) orders", "VACUUM(ANALYZE) o"),
        ("show search_path", "SHOW search_path"),
        ("select 'secret", "(redacted)"),
        ("secret words", "x y"),
    ],
)
def test_a_statement_keeps_its_meaning(given: str, becomes: str) -> None:
    names = Names()
    for kind, name in (("table", "orders"), ("column", "id"), ("column", "name")):
        names.learn(kind, name)
    names.seal()
    text = Statements(names).of(given)
    for long, short in (
        *(("table_1", "o"), ("column_1", "c"), ("column_2", "n"), ("schema_1", "s")),
        *(("name_1", "x"), ("name_2", "y")),
    ):
        text = text.replace(long, short)
    assert text.startswith(becomes)


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        ("character varying(20)", "character varying(20)"),
        ("timestamp(3) with time zone", "timestamp(3) with time zone"),
        ("numeric(6,2)[]", "numeric(6,2)[]"),
        ("shop.mood", "schema_1.type_1"),
        ('shop."Mood"[]', "schema_1.type_1[]"),
        ("citext", "citext"),
    ],
)
def test_types(given: str, becomes: str) -> None:
    assert Statements(Names()).type(given) == becomes


def test_what_a_server_said_is_not_kept() -> None:
    names = Names()
    names.learn("role", "boss")
    server = example.snapshot().server
    why = Missing('boss may not read it: permission denied for table "secret"', "GRANT x TO boss;")
    (clean,) = redacted([Snapshot(tool_version="1", server=server, missing={"wal": why})])
    assert "secret" not in clean.missing["wal"].reason
    assert clean.missing["wal"].reason.endswith("may not read it: (redacted)")


@pytest.mark.all_versions
def test_postgresqls_own_names_are_all_known(every_db: str) -> None:
    found = own_names.names(every_db)
    assert {kind for kind, _ in found} == own.sections().keys() - {"option"}
    assert [(kind, name) for kind, name in found if not own.is_own(kind, name)] == []


def test_the_file_of_own_names_is_as_the_tool_writes_it() -> None:
    assert own_names.merged(()) == own.FILE.read_text(encoding="utf-8")


def test_the_command_writes_such_a_file_and_the_report_takes_it(
    pg: servers.Server, tmp_path: Path
) -> None:
    file = tmp_path / "shared.json.zst"
    with pg.database() as dsn:
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute("create table hush (hush int); create table shown (hush int)")
        arguments = ["collect", dsn, "-o", str(file), "--redact", "--allow-name", "shown"]
        done = CliRunner().invoke(cli, [*arguments, "--no-advise", "--no-progress"])
    assert done.exit_code == 0, done.output
    snapshot = snapshot_file.load(file)
    assert {t.name for t in snapshot.tables} == {"table_1", "shown"}
    assert b"hush" not in unpacked(file.read_bytes())
    done = CliRunner().invoke(cli, ["report", str(file), "--format", "text"])
    assert done.exit_code == 0, done.output
    assert "schema-no-primary-key" in done.output


# Reports: names go before rules judge


class Leak:
    """A rule that puts every text of a snapshot into every field of a finding."""

    NEEDS = ()

    @dataclass(frozen=True, slots=True)
    class Limits:
        """None."""

    @staticmethod
    def check(snapshot: Snapshot, _limits: object) -> Iterator[Finding | Unknown]:
        texts = " ".join(dict.fromkeys(words_in(snapshot)))
        yield Unknown(texts, texts, Object("table", texts, texts, texts, texts))
        yield Finding(
            object=Object("table", texts, texts, texts, texts),
            severity=Severity.WARNING,
            grade=Grade.A,
            title=texts,
            detail=texts,
            evidence={"names": [texts], "nested": {"name": texts}},
            impact=Impact(risk=texts),
            remedy=(Remedy(sql=texts, lock=texts, undo=texts),),
            caveats=(texts,),
            related=(Object("index", texts, texts, texts, texts),),
        )


def words_in(value: Any) -> Iterator[str]:
    """Yield every text of a snapshot, also those that no rule reads."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from (str(key), *words_in(each))
    elif isinstance(value, tuple):
        for each in value:
            yield from words_in(each)
    elif is_dataclass(value):
        for each in fields(value):
            yield from words_in(getattr(value, each.name))


@pytest.mark.parametrize("name", formats.ALL_TEXT)
def test_a_rule_cannot_tell_a_name_that_it_never_saw(hushed: Snapshot, name: str) -> None:
    leak: Any = Leak
    rule = Rule("leak-everything", "schema", leak)
    told = analyse([hushed], Config(), [rule])
    assert "hush" in formats.document(name, told, (hushed,))
    report, snapshots = analyse_redacted([hushed], Config(), rules=[rule])
    assert "hush" not in formats.document(name, report, snapshots)
    assert "hush" not in repr((report, snapshots))


def test_what_the_configuration_says_of_names_holds_in_a_redacted_report(db: str) -> None:
    psql(
        db,
        "create schema kept; create schema skipped; create table kept.one (a int); create table kept.two (a int);"
        "create table skipped.three (a int); insert into kept.one values (1);",
    )
    settings = parse(
        {
            "only": ["schema-no-primary-key"],
            "skip_schemas": ["skip*"],
            "ignore": [
                {"rule": "schema-no-primary-key", "object": "kept.on*", "reason": "kept"},
                {"object": "kept.gone", "reason": "kept", "until": "2020-01-01"},
            ],
        },
        "test",
    )
    snapshot = collect(db)
    plain = analyse([snapshot], settings)
    report, _ = analyse_redacted([snapshot], settings)
    assert len(plain.ignored) == len(report.ignored) == 1
    assert [u.object for u in (*plain.unused_ignores, *report.unused_ignores)] == [
        "kept.gone",
        "(redacted)",
    ]
    assert len(plain.findings) == len(report.findings)
    assert [i.reason for i in report.ignored] == ["(redacted)"]
    said = repr(report)
    assert not any(word in said for word in ("kept", "skipped.", "three"))
    shown, _ = analyse_redacted([snapshot], replace(settings, ignores=()), ["kept", "one"])
    assert "kept.one" in [f.object.label for f in shown.findings]


def test_the_terminal_names_no_target_when_redacted(tmp_path: Path, db: str) -> None:
    arguments = ["run", db, "--redact", "--no-advise", "--format", "text", "-o", str(tmp_path)]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert "db-analyze explain" in done.stdout or "TARGET" in done.stdout
    with psycopg.connect(db) as connection:
        assert connection.info.dbname not in done.stdout
        assert connection.info.host not in done.stdout


def planted(row: Any, fact: str) -> Any:
    """Put a word into every text of a row that is not PostgreSQL's word or ours by its field."""
    kept = redaction.WORDS | {"wait_event", "caveats", "doubts", "refused", "found"}
    kept |= {"name"} if fact in ("slru", "query_costs") else set()
    changes: dict[str, Any] = {}
    for field in (f.name for f in fields(row)):
        value = getattr(row, field)
        if isinstance(value, str) and field not in kept:
            changes[field] = f"hush{value}"
        elif isinstance(value, tuple) and value and isinstance(value[0], str) and field not in kept:
            changes[field] = tuple(f"hush{each}" for each in value)
    return replace(row, **changes)


@settings(EASY, max_examples=60)
@giving(snapshot=SNAPSHOTS)
def test_whatever_a_file_holds_it_is_redacted_or_kept_out(snapshot: Snapshot) -> None:
    facts: dict[str, Any] = {
        fact: tuple(planted(row, fact) for row in getattr(snapshot, fact)) for fact in fact_types()
    }
    missing = {fact: Missing(f"a: hush {m.reason}", m.mend) for fact, m in snapshot.missing.items()}
    given = replace(snapshot, server=planted(snapshot.server, ""), missing=missing, **facts)
    (clean,) = redacted([given])
    assert [text for text in texts_of(clean) if "hush" in text] == []
