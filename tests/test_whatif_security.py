"""Row-level security in the lab: plans are those of the role that a policy binds, and what nobody can know is said."""

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Verdict
from pgwatch_wed.gather.run import gather
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.sqltext.unknown_values import unknown_values
from pgwatch_wed.target import plans
from pgwatch_wed.target.collect import collect
from pgwatch_wed.whatif.engines import advise_target
from pgwatch_wed.whatif.lab import source
from pgwatch_wed.whatif.lab.security import lab_name
from pgwatch_wed.whatif.model import PlanError, WithheldError
from tests.planning import query, real_plan, shape
from tests.psql import psql
from tests.rules.judging import apply, settle
from tests.servers import Server

# A service's boards, each visible to its user, and cards, for which the statement itself says so.
BOARDS = """
create extension pg_stat_statements;
create schema auth;
create function auth.uid() returns uuid language sql stable as
    $f$ select nullif(current_setting('request.jwt.sub', true), '')::uuid $f$;
create table boards (id bigint generated always as identity primary key, user_id uuid not null, title text, body text);
insert into boards (user_id, title, body)
select md5((g % 4000)::text)::uuid, 't' || g, repeat('b', 200) from generate_series(1, 60000) g;
alter table boards enable row level security;
create policy own on boards to {role} using (auth.uid() = user_id);
create table cards (id bigint generated always as identity primary key, user_id uuid not null, title text, body text);
insert into cards (user_id, title, body)
select md5((g % 4000)::text)::uuid, 't' || g, repeat('b', 200) from generate_series(1, 60000) g;
grant usage on schema auth to {role};
grant select on boards, cards to {role};
vacuum analyze;
"""
OWN = "select id, title from boards order by id limit 50"
COUNTED = "select count(*) from boards"
CARDS = "select id, title from cards where user_id = %s order by id limit 50"


def quiet(_what: str, _share: float) -> None:
    """Show nothing."""


def user(number: int) -> str:
    return str(uuid.UUID(hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()))


@pytest.fixture
def role(every_pg: Server) -> Iterator[str]:
    with every_pg.role() as name:
        yield name


def as_role(dsn: str, role: str) -> psycopg.Connection[tuple[object, ...]]:
    """Connect as a superuser and become the role, as many services do."""
    connection = psycopg.connect(dsn, autocommit=True, prepare_threshold=None)
    connection.execute(f'set role "{role}"'.encode())
    return connection


def used(dsn: str, role: str) -> None:
    with as_role(dsn, role) as connection:
        for number in range(40):
            mine = user(number * 97 % 4000)
            connection.execute("select set_config('request.jwt.sub', %s, false)", [mine])
            connection.execute(OWN.encode())
            connection.execute(COUNTED.encode())
            connection.execute(CARDS.encode(), [mine])
        connection.execute("reset role")
        settle(connection)


def missing(dsn: str) -> tuple[dict[str, Finding], Verdict, Snapshot]:
    (snapshot,) = gather(dsn, Wanted(), quiet)
    report = analyse([snapshot], Config(only=("index-missing",), window_days=0))
    found = {str(f.object.table): f for f in report.findings}
    return found, report.verdicts[0].verdict, snapshot


@pytest.mark.pg("< 19")
def test_an_index_serves_the_condition_that_only_a_policy_adds(every_db: str, role: str) -> None:
    psql(every_db, BOARDS.replace("{role}", f'"{role}"'))
    used(every_db, role)
    found, _, snapshot = missing(every_db)
    assert "missing_indexes" not in snapshot.missing
    boards, cards = found["boards"], found["cards"]
    assert boards.evidence["columns"][0] == cards.evidence["columns"][0] == "user_id"
    assert (boards.grade, cards.grade) == (Grade.C, Grade.A)
    assert any("policy own" in c and "auth.uid()" in c for c in boards.caveats)
    apply(every_db, [boards])
    with as_role(every_db, role) as connection:
        connection.execute("select set_config('request.jwt.sub', %s, false)", [user(7)])
        for text in (OWN, COUNTED):
            assert "Seq Scan" not in str(shape(real_plan(connection, text)))
    again, _, _ = missing(every_db)
    assert "boards" not in again


def test_a_file_names_the_role_that_runs_its_statement(db: str, tmp_path: Path, pg: Server) -> None:
    with pg.role() as role:
        psql(db, BOARDS.replace("{role}", f'"{role}"'))
        (tmp_path / "bound.sql").write_text(f"-- after the trial\n-- role: {role}\n{OWN};")
        (tmp_path / "open.sql").write_text("select title from boards where title = 't7'")
        (tmp_path / "lost.sql").write_text(f"-- role: nobody at all\n{COUNTED}")
        advice = advise_target(db, tmp_path, engine="lab")
    of_policy, plain = sorted(advice.indexes, key=lambda i: i.queries)
    assert of_policy.queries == ("bound.sql",)
    assert of_policy.index.columns[0] == "user_id"
    assert not any("role: NAME" in doubt for doubt in of_policy.doubts)
    assert plain.queries == ("open.sql",)
    assert any("-- role: NAME" in doubt for doubt in plain.doubts), plain.doubts
    (lost,) = (r.reason for r in advice.rejected if r.query == "lost.sql")
    assert "role nobody at all does not exist" in lost


TENANTS = """
create role "{group}" nologin;
grant "{group}" to "{role}";
create table notes (id int primary key, tenant int not null, kind int, day date, body text);
insert into notes select g, g % 2, g % 50, date '2024-01-01' + g % 300, repeat('x', 80) from generate_series(1, 40000) g;
alter table notes enable row level security;
create policy of_tenant on notes to "{group}" using (tenant = current_setting('app.tenant')::int);
create policy recent on notes as restrictive using (day > date '2024-10-20' or kind = any (string_to_array(current_setting('app.kinds', true), ',')::int[]));
create table mine (id int primary key, who name, body text);
insert into mine select g, case when g % 1000 = 0 then '{role}' else 'r' || g % 500 end, repeat('y', 90) from generate_series(1, 40000) g;
alter table mine enable row level security;
alter table mine force row level security;
create policy mine on mine using (who = current_user);
create table own_table (id int primary key, who name, body text);
insert into own_table select g, 'r' || g % 500, repeat('y', 90) from generate_series(1, 40000) g;
alter table own_table enable row level security;
create policy mine on own_table using (who = current_user);
alter table own_table owner to "{role}";
create view all_notes as select * from notes;
grant select on notes, mine, all_notes to "{role}";
grant usage on schema public to "{role}";
vacuum analyze;
"""
BY_TENANT = (
    "select * from notes where kind = 7",
    "select count(*) from notes",
    "select * from mine where id > 100",
    "select * from own_table where who = 'r7'",
    "select * from all_notes where id = 7",
    "select n.id, m.body from notes n join mine m using (id) where n.kind = 7",
)


@pytest.fixture
def tenants(every_pg: Server, every_db: str, role: str) -> Iterator[str]:
    group = f"{role}_group"
    psql(every_db, TENANTS.replace("{role}", role).replace("{group}", group))
    yield every_db
    psql(every_db, f'drop owned by "{role}"; drop owned by "{group}"; drop role "{group}";')


@pytest.mark.pg("== 18")  # the lab's own major: costs must be equal
def test_plans_are_those_of_the_role(tenants: str, role: str) -> None:
    with source.open_lab(tenants, users=[role]) as lab, as_role(tenants, role) as connection:
        assert lab.notes == []
        connection.execute("set app.tenant = '1'")
        for text in BY_TENANT:
            plan = lab.plan(query(text, user=role))
            real = real_plan(connection, text)
            # a value that is not known is the result of a sub-select in the lab
            assert [n for n in shape(plan.tree) if n != "Result "] == shape(real), text
            assert plan.cost == pytest.approx(real["Total Cost"], rel=0.05), text
        bound = lab.plan(query(BY_TENANT[0], user=role)).tree
        assert "tenant =" in str(bound)
        free = lab.plan(query(BY_TENANT[0])).tree
        assert "tenant =" not in str(free), "a superuser sees every row"


@pytest.mark.pg("== 18")
def test_what_a_session_knows_is_said_and_what_everyone_knows_is_not(
    tenants: str, role: str
) -> None:
    with source.open_lab(tenants, users=[role]) as lab:
        doubts = {}
        for text in BY_TENANT:
            one = query(text, user=role)
            doubts[text] = lab.doubts(one, lab.plan(one).tree)
        assert any("app.tenant" in d for d in doubts[BY_TENANT[0]])
        assert doubts[BY_TENANT[2]] == (), "current_user is the role"
        assert doubts[BY_TENANT[3]] == (), "policies do not bind the owner"
        assert doubts[BY_TENANT[4]] == (), "a view reads with its owner's rights"
        one = query(BY_TENANT[0], user=role, others=("postgres",))
        assert any("postgres also runs it" in d for d in lab.doubts(one, lab.plan(one).tree))
        one = query(BY_TENANT[0], user=role)
        assert lab.is_bound(one, lab.plan(one).tree)
        one = query(BY_TENANT[0])
        assert not lab.is_bound(one, lab.plan(one).tree)
        (doubt,) = lab.doubts(one, lab.plan(one).tree)
        assert "policies of public.notes do not apply to postgres" in doubt
        with pytest.raises(WithheldError, match="role is unknown"):
            lab.plan(query(BY_TENANT[0], user=""))
        assert lab.plan(query("select 1", user="")).cost > 0


# As services write them: the condition of a policy, each on its own.
FORMS = (
    "author = (select auth.uid())",
    "exists (select from members m where m.team = docs.team and m.who = auth.uid())",
    "team in (select m.team from members m where m.who = (select auth.uid()))",
    "team in (select auth.teams())",
    "auth.is_of(author)",
    "auth.has_role('admin', auth.uid()) or author = auth.uid()",
    "author::text = (current_setting('request.claims', true)::json ->> 'sub')",
    # of how many elements nobody knows: the planner assumes ten
    "team = any (string_to_array(current_setting('app.teams', true), ',')::int[])",
)
TEAMS = """
create schema auth;
create function auth.uid() returns uuid language sql stable as
    $f$ select nullif(current_setting('request.jwt.sub', true), '')::uuid $f$;
create table members (team int, who uuid, primary key (team, who));
insert into members select g % 1000, md5((g % 4000)::text)::uuid from generate_series(1, 20000) g on conflict do nothing;
create table docs (id int primary key, team int, author uuid, title text);
insert into docs select g, g % 1000, md5((g % 4000)::text)::uuid, repeat('t', 60) from generate_series(1, 40000) g;
create index on docs (author);
create index on docs (team);
create function auth.teams() returns setof int language sql stable security definer as
    $f$ select team from public.members where who = auth.uid() $f$;
create function auth.is_of(of uuid) returns boolean language sql stable security definer as $f$ select auth.uid() = of $f$;
create function auth.has_role(name text, who uuid) returns boolean language plpgsql stable as
    $f$ begin return name = 'nobody' and who is not null; end $f$;
alter table docs enable row level security;
grant usage on schema auth, public to "{role}";
grant select on docs, members to "{role}";
vacuum analyze;
"""


@pytest.mark.pg("== 18")
def test_policies_as_services_write_them_plan_like_on_the_server(db: str, pg: Server) -> None:
    asked = "select id, title from docs where title > 'a'"
    with pg.role() as role:
        psql(db, TEAMS.replace("{role}", role))
        for form in FORMS:
            psql(db, f"drop policy if exists p on docs; create policy p on docs using ({form});")
            with source.open_lab(db, users=[role]) as lab, as_role(db, role) as connection:
                assert lab.notes == []
                connection.execute("select set_config('request.jwt.sub', %s, false)", [user(7)])
                connection.execute("""set request.claims = '{"sub": "x"}'""")
                connection.execute("set app.teams = '1,2,3'")
                real = real_plan(connection, asked)
                plan = lab.plan(query(asked, user=role))
            nodes = ([n for n in shape(t) if n != "Result "] for t in (plan.tree, real))
            assert next(nodes) == next(nodes), form
            near = 1.0 if "any" in form else 0.15
            assert plan.cost == pytest.approx(real["Total Cost"], rel=near), form
        psql(db, f'drop owned by "{role}";')


UNLOADABLE = """
create table files (id int primary key, owner_id int, name text);
insert into files select g, g % 500, repeat('n', 90) from generate_series(1, 40000) g;
create function same(int, int) returns boolean language internal immutable as 'int4eq';
alter table files enable row level security;
create policy theirs on files using (same(owner_id, current_setting('app.owner')::int));
grant select on files to "{role}";
grant usage on schema public to "{role}";
vacuum analyze;
"""


@pytest.mark.pg("== 18")
def test_a_policy_that_the_lab_cannot_create_withholds_the_plan(db: str, pg: Server) -> None:
    with pg.role() as role:
        psql(db, UNLOADABLE.replace("{role}", role))
        with source.open_lab(db, users=[role]) as lab:
            with pytest.raises(WithheldError, match="theirs"):
                lab.plan(query("select * from files where id = 5", user=role))
            assert lab.plan(query("select * from files where id = 5")).cost > 0
        psql(db, f'drop owned by "{role}";')


@pytest.mark.pg("< 19")
def test_hidden_statistics_are_unknown_and_nothing_is_advised(
    every_pg: Server, every_db: str, role: str
) -> None:
    psql(every_db, BOARDS.replace("{role}", f'"{role}"') + "create index on boards (title);")
    used(every_db, role)
    with every_pg.role("pg_monitor") as reader:
        psql(
            every_db,
            f'grant usage on schema auth, public to "{reader}"; grant select on boards, cards to "{reader}";',
        )
        found, verdict, snapshot = missing(make_conninfo(every_db, user=reader))
    assert set(found) == {"cards"}
    refused = {p.refused for p in snapshot.statement_plans if p.refused}
    assert any("hides the statistics of public.boards" in str(why) for why in refused)
    (trial,) = snapshot.index_drop_trials
    assert any("hides the statistics" in d for d in trial.doubts), "who knows what they would use?"
    assert verdict is Verdict.FINDING
    (report,) = [analyse([snapshot], Config(only=("index-missing",), window_days=0))]
    assert any("hides the statistics" in v.reason for v in report.verdicts)


def test_a_statement_of_others_is_not_planned_on_a_server_that_would_plan_it_for_us(
    every_db: str, role: str
) -> None:
    psql(every_db, BOARDS.replace("{role}", f'"{role}"'))
    used(every_db, role)
    snapshot = collect(every_db)
    texts = {s.query_id: s.text or "" for s in snapshot.statements}
    refused = {texts[p.query_id]: p.refused for p in plans.statement_plans(every_db, snapshot, 10)}
    of_boards = {why for text, why in refused.items() if "from boards" in text}
    assert of_boards == {"row-level security applies to one of its tables"}
    assert {why for text, why in refused.items() if "from cards" in text} == {None}


def test_reserved_names_are_others_in_the_lab() -> None:
    assert lab_name("postgres") != "postgres"
    assert lab_name("pg_execute_server_program").startswith("pgwatch_wed_as_")
    assert lab_name("app_user") == "app_user"


@pytest.mark.parametrize(
    ("condition", "changed", "values"),
    [
        (
            "(auth.uid() = user_id)",
            "(SELECT auth.uid()) = user_id",
            ("auth.uid()",),
        ),
        ("(a = 1)", "(a = 1)", ()),
        ("(who = CURRENT_USER)", "(who = CURRENT_USER)", ()),
        (
            "((auth.uid() IS NOT NULL) AND (day > now()))",
            "(SELECT auth.uid()) IS NOT NULL AND day > now()",
            ("auth.uid()",),
        ),
        (
            "(id IN ( SELECT m.board FROM members m WHERE (m.user_id = auth.uid())))",
            "id IN (SELECT m.board FROM members AS m WHERE m.user_id = (SELECT auth.uid()))",
            ("auth.uid()",),
        ),
        ("(auth.may(id))", "(auth.may(id))", ()),
        (
            "(a = (auth.of('x'::text))::integer)",
            "a = CAST(auth.of((SELECT CAST('x' AS text))) AS integer)",
            ("auth.of('x')",),
        ),
        ("(a = ANY (auth.every()))", "a = ANY(COALESCE((SELECT auth.every())))", ("auth.every()",)),
    ],
)
def test_only_what_a_session_knows_is_replaced(
    condition: str, changed: str, values: tuple[str, ...]
) -> None:
    assert unknown_values(condition, lambda name: name[0] == "auth") == (changed, values)


def test_an_error_of_the_server_is_not_a_reason_of_ours() -> None:
    assert issubclass(WithheldError, PlanError)
