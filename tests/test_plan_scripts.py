"""The plan as text and as scripts for psql: safe whatever things are called, and run again after a failure."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.findings import ActionStage, Remedy, Report
from pgwatch_wed.remedies import resumable
from pgwatch_wed.remedies.indexes import IndexBuilder
from pgwatch_wed.remedies.resumable import StepKind
from pgwatch_wed.render.plan_sql import plan_script, undo_script
from pgwatch_wed.render.plan_text import plan_text
from pgwatch_wed.sqltext.fragments import for_psql, fragments, terminated
from pgwatch_wed.target.collect import collect
from tests import reports
from tests.dumps import schema
from tests.plans import INDEX, action, planned, run_file
from tests.psql import psql
from tests.servers import Server
from tests.test_index_scripts import FACTS

ADD_KEY = Remedy(
    "-- to check: SELECT 1;\nALTER TABLE public.orders ADD COLUMN a int;\n"
    "ALTER TABLE public.orders ADD CONSTRAINT k UNIQUE (a);\nANALYZE public.orders;",
    "ACCESS EXCLUSIVE",
    undo="ALTER TABLE public.orders DROP CONSTRAINT k;\nALTER TABLE public.orders DROP COLUMN a;",
)
SETTING = Remedy(
    "ALTER SYSTEM SET work_mem = '8MB';\nSELECT pg_reload_conf();",
    "none",
    in_transaction=False,
    undo="ALTER SYSTEM RESET work_mem;\nSELECT pg_reload_conf();",
)
NASTY = "a'b\\c\n\\! touch /tmp/x `id` :HOST :'x' \"q\" \x1b[31m --"


def code(script: str) -> list[str]:
    return [line for line in script.splitlines() if line and not line.startswith("--")]


def test_a_script_is_divided_at_its_statements() -> None:
    parts = fragments("-- one\nSELECT ';--' ; -- two\n\nSELECT U&\"é\" -- three\n; -- four")
    assert [(p.text, p.is_comment) for p in parts] == [
        ("-- one", True),
        ("SELECT ';--'", False),
        ("-- two", True),
        ('SELECT U&"é" -- three', False),
        ("-- four", True),
    ]
    assert terminated(parts[3].text).endswith("\n;")
    assert fragments("REPACK (CONCURRENTLY) t;")[0].text == "REPACK (CONCURRENTLY) t"


def test_psql_finds_no_variable_in_a_statement() -> None:
    text = "select a[1:n], a[:3], b::int, ':x', \":y\", $$:z$$, E'\\':x'"
    assert for_psql(text) == text.replace("1:n", "1: n").replace("[:3", "[: 3")


@pytest.mark.parametrize(
    ("sql", "is_alone", "limit"),
    [
        ("CREATE INDEX CONCURRENTLY i ON t (a)", True, "0"),
        ("DROP INDEX CONCURRENTLY s.i", True, "0"),
        ("REINDEX INDEX CONCURRENTLY s.i", True, "0"),
        ("VACUUM (ANALYZE) s.t", True, "0"),
        ("ANALYZE s.t", False, "0"),
        ("ALTER SYSTEM SET work_mem = '8MB'", True, "2s"),
        ("CREATE INDEX i ON ONLY s.t (a)", False, "2s"),
        ("ALTER TABLE s.t VALIDATE CONSTRAINT c", False, "2s"),
        ("ROLLBACK PREPARED 'x'", True, "2s"),
        ("no SQL at all", True, "2s"),
    ],
)
def test_what_cannot_run_in_a_transaction_and_how_long_a_statement_waits(
    sql: str, is_alone: bool, limit: str
) -> None:
    (step,) = resumable.steps(sql)
    assert (step.is_alone, step.lock_timeout) == (is_alone, limit)


def test_changes_are_made_at_once_and_analyzed_after() -> None:
    blocks = resumable.blocks(ADD_KEY.sql)
    assert [(b.is_transaction, [s.kind for s in b.steps]) for b in blocks] == [
        (True, [StepKind.COMMENT, StepKind.SCHEMA, StepKind.SCHEMA]),
        (False, [StepKind.MAINTENANCE]),
    ]
    assert not any(b.is_transaction for b in resumable.blocks(ADD_KEY.sql, in_transaction=False))
    assert not any(b.is_transaction for b in resumable.blocks("ALTER TABLE t ADD a int;"))


def test_a_script_says_what_it_is_and_stops_at_the_first_error() -> None:
    script = plan_script(planned(action(INDEX), action(ADD_KEY)), "plan.undo.sql")
    head = script.partition("[1/2]")[0]
    assert "for local/shop, PostgreSQL 18.6" in head
    assert "UTC" in head
    assert "plan.undo.sql undoes it" in head
    assert {r"\set ON_ERROR_STOP on", r"\set AUTOCOMMIT on"} <= set(head.splitlines())
    assert code(script).count("BEGIN;") == code(script).count("COMMIT;") == 1
    assert r"\connect" not in script
    assert script.index("SELECT pg_catalog.format('DROP INDEX CONCURRENTLY") < script.index(
        INDEX.sql
    )


def test_all_settings_take_effect_with_one_reload() -> None:
    settings = [action(SETTING, stage=ActionStage.SETTINGS, database=None) for _ in range(3)]
    for script in (
        plan_script(planned(*settings, action(INDEX))),
        undo_script(planned(*settings, action(INDEX))),
    ):
        lines = code(script)
        assert sum("pg_reload_conf" in line for line in lines) == 1
        (reload,) = (n for n, line in enumerate(lines) if "pg_reload_conf" in line)
        assert all(n < reload for n, line in enumerate(lines) if "ALTER SYSTEM" in line)
        assert "BEGIN;" not in lines


def test_each_action_is_done_in_its_database() -> None:
    actions = [
        action(INDEX, database=name) for name in ("shop", "shop", 'o\'clock = \\ "x"', "new\nline")
    ]
    everywhere = action(SETTING, stage=ActionStage.SETTINGS, database=None)
    names = tuple(dict.fromkeys(str(a.database) for a in actions))
    script = plan_script(planned(everywhere, *actions, databases=names))
    assert [line for line in code(script) if line.startswith("\\connect")] == [
        "\\connect -reuse-previous=on \"dbname='shop'\"",
        '\\connect -reuse-previous=on "dbname=\'o\\\'clock = \\\\ ""x""\'"',
    ]
    assert "by hand: psql cannot connect" in script
    assert code(script).count(INDEX.sql) == 3


def test_what_is_for_a_database_that_was_not_analyzed_is_run_there() -> None:
    freeze = Remedy("VACUUM (FREEZE);", "none", in_transaction=False, undo="-- nothing to undo")
    report = planned(action(INDEX), action(freeze, database="billing"))
    lines = code(plan_script(report))
    there = lines.index("\\connect -reuse-previous=on \"dbname='billing'\"")
    assert lines.index(INDEX.sql) < there < lines.index("VACUUM (FREEZE);")
    shop = lines.index("\\connect -reuse-previous=on \"dbname='shop'\"")
    assert shop < lines.index(INDEX.sql)
    assert "billing" not in "".join(code(undo_script(report)))
    assert "database: billing" in plan_text(report)
    by_hand = action(freeze, database="billing", by_hand="look")
    assert "\\connect" not in plan_script(planned(action(INDEX), by_hand))


def test_of_several_changes_to_a_table_all_have_to_be_done() -> None:
    (step,) = resumable.steps("ALTER TABLE t ADD COLUMN id bigint, ADD PRIMARY KEY (id)")
    assert "pg_attribute" in step.needed
    assert "contype = 'p'" in step.needed


def test_an_index_that_is_gone_is_not_rebuilt() -> None:
    (step,) = resumable.steps("REINDEX INDEX CONCURRENTLY s.i")
    assert step.needed == "SELECT pg_catalog.to_regclass('s.i') IS NOT NULL"
    assert resumable.steps("REINDEX SCHEMA CONCURRENTLY s")[0].needed == ""


def test_what_a_person_has_to_decide_is_only_a_comment() -> None:
    script = plan_script(planned(action(INDEX, by_hand="choose a name"), action(ADD_KEY)))
    assert INDEX.sql not in code(script)
    assert f"--     {INDEX.sql}" in script
    assert "by hand: choose a name" in script
    assert INDEX.undo not in undo_script(planned(action(INDEX, by_hand="choose a name")))


def test_the_last_is_undone_first() -> None:
    script = undo_script(planned(action(INDEX, title="one"), action(ADD_KEY, title="two")))
    assert script.index("undo: two") < script.index("DROP COLUMN") < script.index("undo: one")


@pytest.mark.parametrize("write", [plan_script, undo_script])
def test_no_text_gets_out_of_its_line(write: object) -> None:
    plain = planned(action(INDEX, title="x"))
    nasty = planned(
        action(INDEX, title=NASTY, risk=NASTY, by_hand=""),
        action(Remedy(f"-- {' '.join(NASTY.split())}", NASTY, run_as=NASTY), by_hand=NASTY),
    )
    assert callable(write)
    for line in code(write(nasty)):
        assert line.startswith("\\echo '[") or line in code(write(plain)), line
        assert "\x1b" not in line


def test_the_text_fits_and_says_what_matters() -> None:
    steps = (Remedy(INDEX.sql, INDEX.lock, False, INDEX.undo, "owner", "carol, the owner"), ADD_KEY)
    text = plan_text(planned(action(*steps, title="Index the orders", risk="some")))
    assert all(len(line) <= 80 for line in text.splitlines())
    for word in (
        "1. Index the orders",
        "saves: 977 kB",
        "SHARE UPDATE",
        "run as: carol",
        "DROP INDEX",
    ):
        assert word in text
    assert "\x1b" not in plan_text(planned(action(INDEX, title=NASTY)))
    assert "nothing to do" in plan_text(planned())


# On a server

ORDERS = """
create table orders (id int primary key, customer_id int);
insert into orders select g, g % 10 from generate_series(1, 100) g;
"""


@pytest.fixture
def orders(db: str) -> str:
    psql(db, ORDERS)
    return db


def written(report: Report, folder: Path) -> tuple[Path, Path]:
    files = folder / "plan.sql", folder / "plan.undo.sql"
    files[0].write_text(plan_script(report, files[1].name), encoding="utf-8")
    files[1].write_text(undo_script(report), encoding="utf-8")
    return files


def is_valid(dsn: str, name: str) -> bool | None:
    with psycopg.connect(dsn) as connection:
        query = b"select indisvalid from pg_index where indexrelid = to_regclass(%s)"
        row = connection.execute(query, [name]).fetchone()
        return bool(row[0]) if row else None


@contextmanager
def beginning(dsn: str, statement: str) -> Iterator[psycopg.Connection]:
    """Hold a transaction open."""
    with psycopg.connect(dsn) as connection:
        connection.execute(statement.encode())
        yield connection
        connection.rollback()


def test_an_invalid_index_left_by_a_failed_build_is_built_again(
    orders: str, tmp_path: Path
) -> None:
    # A failed build has the name, and IF NOT EXISTS takes it for the index (strong_migrations #233, nocturne #1156).
    with pytest.raises(AssertionError, match="could not create unique index"):
        psql(orders, "create unique index concurrently orders_idx on orders (customer_id);")
    psql(orders, INDEX.sql.replace("CONCURRENTLY", "CONCURRENTLY IF NOT EXISTS"))
    assert is_valid(orders, "orders_idx") is False
    file, undo = written(planned(action(INDEX)), tmp_path)
    for _ in range(2):
        done = run_file(orders, file)
        assert done.returncode == 0, done.stderr
        assert is_valid(orders, "orders_idx") is True
    assert "already done" in done.stdout
    for _ in range(2):
        assert run_file(orders, undo).returncode == 0
        assert is_valid(orders, "orders_idx") is None


def test_a_name_that_another_table_has_is_neither_dropped_nor_taken_for_ours(
    orders: str, tmp_path: Path
) -> None:
    psql(orders, "create table other (a int); create index orders_idx on other (a);")
    psql(orders, "update pg_index set indisvalid = false where indexrelid = 'orders_idx'::regclass")
    done = run_file(orders, written(planned(action(INDEX)), tmp_path)[0])
    assert done.returncode == 3
    assert "already exists" in done.stderr
    assert is_valid(orders, "orders_idx") is False


def test_a_lock_timeout_of_the_role_does_not_cancel_a_build(
    pg: Server, orders: str, tmp_path: Path
) -> None:
    # CONCURRENTLY waits for all older transactions, and lock_timeout counts that (polar #14583, suna #6570).
    file, _ = written(planned(action(INDEX)), tmp_path)
    with pg.role() as role:
        psql(
            orders, f"alter table orders owner to {role}; grant create on schema public to {role};"
        )
        psql(orders, f"alter role {role} set lock_timeout = '50ms'")
        owner = make_conninfo(orders, user=role)
        with beginning(orders, "insert into orders values (0, 0)"):
            with pytest.raises(AssertionError, match="lock timeout"):
                psql(owner, INDEX.sql)
            assert is_valid(orders, "orders_idx") is False
            command = [str(embedded.bindir() / "psql"), "-X", "-v", "anywhere=1", "-d", owner]
            command += ["-f", str(file)]
            running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            assert running.stderr is not None
            waited(orders, 3 * 0.05)
        assert running.wait(timeout=60) == 0, running.stderr.read()
        running.stderr.close()
        assert is_valid(orders, "orders_idx") is True
        psql(orders, f"alter table orders owner to current_user; drop owned by {role};")


def waited(dsn: str, seconds: float) -> None:
    """Wait until a build has waited for so long."""
    query = """select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
        and query ~ 'INDEX CONCURRENTLY' and now() - query_start > %s * interval '1 s'"""
    deadline = time.monotonic() + 30
    with psycopg.connect(dsn, autocommit=True) as watcher:
        while watcher.execute(query.encode(), [seconds]).fetchone() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_script_that_a_lock_stopped_goes_on_where_it_was(
    pg: Server, orders: str, tmp_path: Path
) -> None:
    before = schema(orders, pg)
    file, undo = written(planned(action(INDEX), action(ADD_KEY)), tmp_path)
    with psycopg.connect(orders) as reader:
        reader.execute("select from orders")
        # CREATE INDEX CONCURRENTLY waits for writers and for snapshots: a reader between statements has neither
        stopped = run_file(orders, file)
    assert stopped.returncode == 3
    assert "lock timeout" in stopped.stderr
    assert is_valid(orders, "orders_idx") is True
    assert "k" not in schema(orders, pg).replace(before, "").split()
    for _ in range(2):
        done = run_file(orders, file)
        assert done.returncode == 0, done.stderr
    assert schema(orders, pg) != before
    for _ in range(2):
        done = run_file(orders, undo)
        assert done.returncode == 0, done.stderr
        assert schema(orders, pg) == before


def test_in_one_transaction_nothing_is_done(pg: Server, orders: str, tmp_path: Path) -> None:
    # squawk #332, conbench #788
    before = schema(orders, pg)
    done = run_file(orders, written(planned(action(INDEX)), tmp_path)[0], "-1")
    assert done.returncode == 3
    assert "cannot run inside a transaction block" in done.stderr
    assert schema(orders, pg) == before


def test_another_database_is_left_alone(orders: str, tmp_path: Path) -> None:
    for file in written(planned(action(INDEX)), tmp_path):
        done = run_file(orders, file, anywhere=False)
        assert done.returncode == 3
        assert "this script is for database shop" in done.stderr
        assert "anywhere=1" in done.stderr
    assert is_valid(orders, "orders_idx") is None


def test_another_server_is_left_alone(pg: Server, orders: str, tmp_path: Path) -> None:
    with psycopg.connect(orders) as connection:
        here = connection.execute(
            "select current_database(), system_identifier::text from pg_control_system()"
        ).fetchone()
    assert here is not None
    database, own = here
    report = planned(action(INDEX, database=database), databases=(database,))

    def done(identifier: str, dsn: str) -> tuple[int, str]:
        target = replace(report.target, database=database, system_identifier=identifier)
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        plan, _ = written(replace(report, target=target), folder)
        run = run_file(dsn, plan, anywhere=False)
        return run.returncode, run.stderr

    status, said = done("1", orders)
    assert (status, is_valid(orders, "orders_idx")) == (3, None)
    assert "this script is for another server" in said
    assert "anywhere=1" in said
    assert done(own, orders) == (0, "")
    psql(orders, "revoke execute on function pg_control_system() from public")
    with pg.role() as role:
        status, said = done("1", make_conninfo(orders, user=role))
    assert "another server" not in said, "it cannot be told"
    assert "pg_control_system" not in said
    assert done(own, orders) == (0, "")


KEYED = (
    "ALTER TABLE public.t ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY, ADD PRIMARY KEY (id);"
)


@pytest.mark.parametrize("before", ["", "alter table t add column id int;"])
def test_a_column_that_somebody_else_has_added_stays(db: str, tmp_path: Path, before: str) -> None:
    psql(db, f"create table t (a int); {before}")
    remedy = Remedy(KEYED, "ACCESS EXCLUSIVE", undo="ALTER TABLE public.t DROP COLUMN id;")
    file, undo = written(planned(action(remedy)), tmp_path)
    done = run_file(db, file)
    assert (done.returncode, "already exists" in done.stderr) == (
        (3, True) if before else (0, False)
    )
    for _ in range(2):
        assert run_file(db, undo).returncode == 0
    with psycopg.connect(db) as connection:
        names = connection.execute("select * from t").description or ()
        assert [column.name for column in names] == (["a", "id"] if before else ["a"])


def test_an_index_that_did_not_become_a_key_goes_too(db: str, tmp_path: Path) -> None:
    psql(db, "create table t (a int not null);")
    build = "CREATE UNIQUE INDEX CONCURRENTLY t_pkey ON public.t (a);"
    remedy = Remedy(
        f"{build}\nALTER TABLE public.t ADD CONSTRAINT t_pkey PRIMARY KEY USING INDEX t_pkey;",
        "ACCESS EXCLUSIVE",
        in_transaction=False,
        undo="ALTER TABLE public.t DROP CONSTRAINT t_pkey;",
    )
    file, undo = written(planned(action(remedy)), tmp_path)
    for stopped in (True, False):
        if stopped:
            psql(db, build)
        else:
            assert run_file(db, file).returncode == 0
        assert is_valid(db, "t_pkey") is True
        done = run_file(db, undo)
        assert done.returncode == 0, done.stderr
        assert is_valid(db, "t_pkey") is None


def test_names_are_only_names_to_psql(db: str, tmp_path: Path) -> None:
    marker = tmp_path / "harm"
    index = f"i'\\ :HOST `touch {marker}`"
    schema_ = "s \"\" ' :'x' %s"
    table = f'"{schema_}"."t\n\\! touch {marker}"'
    psql(db, f'create schema "{schema_}"; create table {table} (a int[]);')
    step = Remedy(
        f'CREATE INDEX CONCURRENTLY "{index}" ON {table} ((a[1:2]));',
        "none",
        in_transaction=False,
        undo=f'DROP INDEX CONCURRENTLY "{schema_}"."{index}";',
    )
    title = f"Index {table} `touch {marker}`\n\\! touch {marker}"
    file, undo = written(planned(action(step, title=title)), tmp_path)
    for each in (file, file, undo, undo):
        done = run_file(db, each, "-v", "HOST=x")
        assert done.returncode == 0, done.stderr
    assert not marker.exists()


def test_two_databases_are_mended_by_one_script(pg: Server, orders: str, tmp_path: Path) -> None:
    with pg.database() as other:
        psql(other, ORDERS)
        names = tuple(str(conninfo_to_dict(dsn)["dbname"]) for dsn in (orders, other))
        report = planned(*(action(INDEX, database=n) for n in names), databases=names)
        file, undo = written(report, tmp_path)
        for each, there in ((file, True), (undo, None)):
            done = run_file(orders, each)
            assert done.returncode == 0, done.stderr
            assert [is_valid(dsn, "orders_idx") for dsn in (orders, other)] == [there] * 2


TREE = """
create table p (a int, b int) partition by list (a);
create table p1 partition of p for values in (1);
create table p2 partition of p for values in (2) partition by list (b);
create table p2a partition of p2 for values in (1);
create table p2b partition of p2 for values in (2);
"""
# An index that has to be built, where some are there; and one that was begun, with and without parts.
BEGUN = {
    "some are there": "create index mine on p1 (b); create index theirs on p2 (b);",
    "one is not attached": "create index half on only p (b); create index mine on p1 (b);",
    "one is attached": "create index half on only p (b); create index mine on p1 (b); alter index half attach partition mine;",
}


@pytest.mark.parametrize("begun", BEGUN)
def test_an_undo_takes_back_whatever_part_was_done(
    pg: Server, db: str, tmp_path: Path, begun: str
) -> None:
    # A build on partitions is many statements (flyway #4081, PostHog #3993), and attached indexes go with their parent.
    psql(db, TREE + BEGUN[begun])
    snapshot = collect(db, only=FACTS)
    (top,) = (t for t in snapshot.tables if t.name == "p")
    half = next((i for i in snapshot.indexes if i.name == "half"), None)
    builder = IndexBuilder(snapshot)
    remedy = builder.completed(top, half) if half else builder.build(top, "USING btree (b)").remedy
    assert remedy is not None
    steps = [part.text for part in fragments(remedy.sql) if not part.is_comment]
    before = schema(db, pg)
    file, undo = written(planned(action(remedy)), tmp_path)
    assert "RENAME" in undo.read_text(encoding="utf-8")
    whole: str | None = None
    for count in range(len(steps) + 1):
        psql(db, "".join(f"{step};\n" for step in steps[:count]))
        if count % 2:  # it is completed first
            assert run_file(db, file).returncode == 0
            whole = whole or schema(db, pg)
            assert schema(db, pg) == whole
        for _ in range(1 + count % 2):
            done = run_file(db, undo)
            assert done.returncode == 0, done.stderr
            assert schema(db, pg) == before, f"after {count} steps"


def test_reports_without_a_plan_are_harmless(orders: str, tmp_path: Path) -> None:
    for file in written(reports.report(()), tmp_path):
        assert run_file(orders, file).returncode == 0
