"""What a reader sees first: the plan, findings of a rule as one entry, sums, numbers that can be read."""

import base64
import gzip
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pgwatch_wed import findings, units
from pgwatch_wed.facts import (
    UNASKED,
    Checkpoints,
    Database,
    Index,
    LockWait,
    Session,
    Setting,
    Snapshot,
    Statement,
    Table,
)
from pgwatch_wed.findings import (
    Action,
    ActionGain,
    ActionPlan,
    ActionStage,
    Compared,
    Finding,
    Impact,
    MeasuredTime,
    NotPlanned,
    Object,
    Remedy,
    Report,
    Standing,
)
from pgwatch_wed.render import numbers
from pgwatch_wed.render import rendering as render
from pgwatch_wed.render.chapters import chapters, lock_tree
from pgwatch_wed.render.finding_groups import FindingGroup, by_table, entries
from pgwatch_wed.render.impact_words import summed
from pgwatch_wed.render.load_bar import load_bar
from pgwatch_wed.render.lock_lines import drawn
from pgwatch_wed.render.plan_sql import plan_script
from pgwatch_wed.render.plan_text import plan_text
from pgwatch_wed.render.plan_words import first_places, group_sql, plan_lines
from tests import formats
from tests.reports import HOSTILE, NOW, blank, finding, report, server


def action(found: Finding, **values: object) -> Action:
    base: dict[str, Any] = {
        "title": f"Drop index {found.object.label}",
        "stage": ActionStage.INDEXES,
        "object": found.object,
        "closes": (found.id,),
        "statements": found.remedy,
        "undo": tuple(r.undo for r in found.remedy),
        "gain": ActionGain(bytes=found.impact.bytes),
        "risk": "a query may become slower",
        "database": "shop",
    }
    return Action(**(base | values))


def copies(number: int, tables: int = 1) -> tuple[Finding, ...]:
    return tuple(
        finding(n, object=Object("index", f"index_{n}", "shop", "public", f"table_{n % tables}"))
        for n in range(number)
    )


def planned(findings: tuple[Finding, ...], **values: Any) -> Report:
    size = sum(f.impact.bytes or 0 for f in findings)
    plan = ActionPlan(tuple(map(action, findings)), gain=ActionGain(bytes=size))
    return replace(report(findings), plan=replace(plan, **values))


@pytest.mark.parametrize("name", ["html", "markdown", "text"])
def test_what_to_do_comes_before_the_findings_with_lock_risk_and_who_may(name: str) -> None:
    (first,) = copies(1)
    signed = replace(first, remedy=(replace(first.remedy[0], run_as="joe, the owner"),))
    text = formats.document(name, planned((signed,)))
    rest = " ".join(text.partition("What to do, in order")[2].split())
    said = rest.partition(" 1. CRITICAL" if name == "text" else "Findings")[0]
    for word in (
        "Drop index",
        "SHARE UPDATE EXCLUSIVE",
        "may become slower",
        "joe, the owner",
        "9.5 MB",
    ):
        assert word in said, word


@pytest.mark.parametrize("name", ["html", "markdown", "text"])
def test_an_empty_plan_shows_nothing_of_a_plan(name: str) -> None:
    text = formats.document(name, report(copies(2)))
    assert "What to do, in order" not in text
    assert "In the plan" not in text


def test_what_cannot_be_acted_on_does_not_gain_most() -> None:
    page = formats.document("html", report((finding(1, remedy=(), title="costs much"), finding(2))))
    top = page.partition("What gains most")[2].partition("</ol>")[0]
    assert "index_2" in top
    assert "costs much" not in top


def test_what_takes_no_lock_says_so_once() -> None:
    (first,) = copies(1)
    steps = (Remedy("a", "none"), Remedy("b", "none; takes effect on reload"))
    whole = replace(report((first,)), plan=ActionPlan((action(first, statements=steps),)))
    assert dict(plan_lines(whole)[0].facts)["lock"] == "none; takes effect on reload"


@pytest.mark.parametrize("name", formats.ALL_TEXT)
def test_a_plan_of_hostile_names_is_escaped_like_all_else(name: str) -> None:
    hostile = finding(1, object=Object("table", HOSTILE, HOSTILE, HOSTILE, HOSTILE), title=HOSTILE)
    steps = (Remedy(HOSTILE, HOSTILE, undo=HOSTILE, run_as=HOSTILE),)
    act = action(
        hostile, title=HOSTILE, statements=steps, undo=(HOSTILE,), risk=HOSTILE, by_hand=HOSTILE
    )
    whole = replace(
        report((hostile, *copies(5))),
        plan=ActionPlan((act, *map(action, copies(5))), (NotPlanned(finding(0).id, HOSTILE),)),
    )
    text = formats.document(name, whole)
    assert not formats.FORBIDDEN.findall(text)
    if name == "html":
        assert "<img" not in text
        assert text.count("<script") == 2


def test_many_findings_of_a_rule_are_one_entry_with_their_sums() -> None:
    many = (*copies(130, tables=65), finding(500, rule="vacuum-never"))
    group, single = entries(many)
    assert isinstance(group, FindingGroup)
    assert isinstance(single, Finding)
    assert len(group.findings) == 130
    assert group.objects == "130 indexes of 65 tables"
    assert units.size(130 * 10_000_000) in group.sums
    assert group.grades == "A–D"


@pytest.mark.parametrize("name", ["html", "markdown", "text"])
def test_what_is_new_in_a_group_is_counted(name: str) -> None:
    many = copies(6)
    stands = {f.id: Standing.KNOWN for f in many} | {many[2].id: Standing.NEW}
    compared = Compared("old.json", NOW, stands, {}, {}, ())
    assert "1 new, 5 known" in formats.document(name, replace(report(many), compared=compared))


def test_650_findings_are_one_screen_of_text_unless_all_are_wanted() -> None:
    rules = ("index-duplicate", "index-unused", "analyze-stale", "vacuum-never", "config-logging")
    many = tuple(replace(f, rule=rules[n % 5]) for n, f in enumerate(copies(650, tables=130)))
    whole = planned(many)
    assert len(render.text(whole, width=100).splitlines()) < 50
    assert len(render.text(whole, width=100, verbose=True).splitlines()) > 650


def test_many_actions_of_a_kind_are_one_step_with_one_script() -> None:
    many = copies(130, tables=65)
    (line,) = plan_lines(planned(many))
    assert line.title == "Drop index …: 130 indexes of 65 tables"
    assert line.sql.count("DROP INDEX") == 130
    assert line.undo.count("CREATE INDEX") == 130
    assert set(line.closes) == {f.id for f in many}
    assert units.size(130 * 10_000_000) in line.gain


def test_the_next_command_takes_what_was_analyzed() -> None:
    for target in ("service=shop", "report shop.zst"):
        said = " ".join(render.text(planned(copies(1)), target=target).split())
        assert f"db-analyze plan {target.split()[-1]} --as sql -o plan.sql" in said


def test_a_groups_script_is_the_plans_which_resolves_contradictions() -> None:
    many = copies(5)
    (group,) = entries(many)
    assert isinstance(group, FindingGroup)
    some = replace(report(many), plan=ActionPlan(tuple(map(action, many[:2]))))
    assert group_sql(some, group).count("DROP INDEX") == 2
    assert group_sql(report(many), group).count("DROP INDEX") == 5


def of_two_databases() -> tuple[tuple[Finding, ...], Report]:
    """The same four indexes in each of two databases, and settings of the server."""
    drops = tuple(
        finding(n, object=Object("index", f"i{n}", name, "public", "t"))
        for n in range(4)
        for name in ("a", "b")
    )
    both = tuple(
        replace(f, remedy=(Remedy(f"DROP INDEX {f.object.name};", undo="CREATE INDEX;"),))
        for f in drops
    )
    plan = ActionPlan(tuple(action(f, database=f.object.database) for f in both))
    whole = replace(report(both), plan=plan)
    return both, replace(whole, target=replace(whole.target, databases=("a", "b")))


def test_no_script_mixes_databases_and_each_says_which_it_is_for() -> None:
    both, whole = of_two_databases()
    drops = "\n".join(f"DROP INDEX i{n};" for n in range(4))
    assert [line.sql for line in plan_lines(whole)] == [
        f"-- in database {name}\n{drops}" for name in ("a", "b")
    ]
    assert {line.undo.splitlines()[0] for line in plan_lines(whole)} == {
        f"-- in database {name}" for name in ("a", "b")
    }
    (group,) = entries(both)
    assert isinstance(group, FindingGroup)
    wanted = f"-- in database a\n{drops}\n-- in database b\n{drops}"
    assert group_sql(whole, group) == wanted
    assert group_sql(replace(whole, plan=ActionPlan()), group) == wanted
    assert group_sql(whole, group, 1).splitlines() == [
        *("-- in database a", "DROP INDEX i0;", "-- and 7 more")
    ]
    reload = Remedy("SELECT pg_reload_conf();")
    servers = action(both[0], database=None, statements=(reload,))
    mixed = replace(whole, plan=ActionPlan((*whole.plan.actions, servers)))
    assert group_sql(mixed, group).endswith(f"-- in any database\n{reload.sql}")
    assert plan_lines(mixed)[-1].sql.startswith(reload.sql)
    for name in ("html", "markdown", "text"):
        text = formats.document(name, whole)
        plan = " ".join(re.sub(r"<[^>]+>", " ", text.partition("What to do, in order")[2]).split())
        assert re.search(r"database:?\W+a\b.*database:?\W+b\b", plan), name


def test_one_database_is_not_named() -> None:
    whole = planned(copies(5))
    (line,) = plan_lines(whole)
    assert "database" not in dict(line.facts)
    assert "-- in" not in line.sql + line.undo


@pytest.mark.parametrize("made", [plan_script, plan_text])
def test_ids_of_findings_are_not_computed_anew_for_each_action(
    made: Callable[[Report], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = list(ActionStage)
    many = copies(60)
    acts = tuple(action(f, stage=stages[n % len(stages)]) for n, f in enumerate(many))
    whole = replace(report(many), plan=ActionPlan(acts))
    computed: list[str] = []
    real = findings.fingerprint

    def counted(rule: str, about: Object) -> str:
        computed.append(rule)
        return real(rule, about)

    monkeypatch.setattr(findings, "fingerprint", counted)
    assert "index_59" in made(whole)
    assert 0 < len(computed) <= 4 * len(many)


def test_what_is_needed_once_is_at_the_end_of_a_script() -> None:
    reload = Remedy("SELECT pg_reload_conf();")
    many = tuple(
        replace(f, remedy=(Remedy(f"ALTER SYSTEM SET s{n} = 1;"), reload))
        for n, f in enumerate(copies(4))
    )
    (group,) = entries(many)
    assert isinstance(group, FindingGroup)
    lines = group_sql(report(many), group).splitlines()
    assert lines[-1] == reload.sql
    assert lines.count(reload.sql) == 1


@pytest.mark.parametrize("name", ["html", "markdown", "text"])
def test_what_matters_most_is_shown_first_with_its_number_in_the_plan(name: str) -> None:
    many = tuple(
        finding(n, object=Object("setting", f"setting_{n}"), rule=f"config-{n}") for n in range(12)
    )
    whole = report(many)
    actions = tuple(action(f, title=f"Do {f.object.name}", statements=()) for f in many[::-1])
    whole = replace(whole, plan=ActionPlan(actions=actions))
    most = {"html": 3, "markdown": 10, "text": 5}[name]
    lines = plan_lines(whole)
    assert first_places(whole, lines, most) == tuple(range(13 - most, 13))
    page = render.text(whole) if name == "text" else formats.document(name, whole)
    shown = page.partition("these matter most")[2].partition("Findings")[0].replace("\\", "")
    shown = shown.partition("more step")[0]
    assert [n for n in range(12) if f"Do setting_{n}" in shown] == list(range(most))
    now = replace(actions[0], stage=ActionStage.SESSIONS)
    lines = plan_lines(replace(whole, plan=ActionPlan((now, *actions[1:]))))
    assert first_places(whole, lines, most)[0] == 1, "what blocks others now"
    assert "12. Do" in re.sub(r"<[^>]+>|\*\*", "", shown) or 'value="12"' in shown


def test_why_a_finding_is_not_planned_ends_with_one_full_stop() -> None:
    (one,) = copies(1)
    whole = replace(report((one,)), plan=ActionPlan((), (NotPlanned(one.id, "It is told."),)))
    assert "Not in the plan: It is told.<" in formats.document("html", whole)


def test_the_first_actions_close_what_the_step_says() -> None:
    page = formats.document("html", planned(copies(2)))
    assert page.count('href="#step-1"') == 1
    assert 'id="step-2"' in page


def test_tables_with_several_findings_are_listed_with_their_sums() -> None:
    found = by_table((*copies(4, tables=2), finding(9, object=Object("setting", "work_mem"))))
    assert {name: len(of) for name, of in found.items()} == {
        "public.table_0": 2,
        "public.table_1": 2,
    }
    one = (*copies(1), replace(copies(1)[0], rule="index-bloat"))
    (sums,) = {summed(of) for of in by_table(one).values()}
    assert sums.endswith(f" {units.size(10_000_000)} of space"), "the bytes of one index count once"


@pytest.mark.parametrize(("name", "most"), [("text", 30), ("markdown", 20)])
def test_tables_with_several_findings_are_listed_in_text_and_markdown(name: str, most: int) -> None:
    shown = formats.document(name, report(copies(60, tables=30)))
    after = shown.partition("Tables with several findings")[2]
    assert len(set(re.findall(r"public\\?\.table\\?_\d+", after))) == most
    assert "Tables with" not in formats.document(name, report(copies(1)))


LOAD = Snapshot(
    tool_version="0",
    server=server(),
    statements=tuple(
        blank(
            Statement,
            query_id=n,
            is_toplevel=True,
            text=f"select {n} from orders",
            calls=3471,
            total_exec_ms=ms,
            mean_exec_ms=ms / 3471,
        )
        for n, ms in enumerate((200_000.0, 50_000.0, 10.0, 9.0, 8.0, 7.0, 6.0))
    ),
)


def faster(ms: float = 198_000.0, **values: Any) -> Finding:
    gain = MeasuredTime(ms, 86_400.0, 250_040.0, by_query={0: ms})
    return finding(1, impact=Impact(gain=gain), **values)


def test_a_finding_says_what_becomes_of_a_call() -> None:
    text = render.text(report((faster(),), (LOAD,)), (LOAD,), width=120)
    assert "58 ms → about 0.58 ms per call, 3,471 calls" in text
    assert text.index("DROP INDEX") < text.index("58 ms →") < text.index("evidence:")


def test_nothing_is_said_of_a_call_whose_statement_is_not_known() -> None:
    assert "→" not in render.text(report((faster(),)), width=120)


def test_the_bar_shows_where_time_goes_and_what_the_first_steps_save() -> None:
    found = faster()
    whole = replace(report((found,), (LOAD,)), plan=ActionPlan((action(found),)))
    bar = load_bar(whole, (LOAD,), plan_lines(whole))
    assert bar is not None
    assert [round(p.share, 2) for p in bar.parts[:2]] == [0.8, 0.2]
    assert bar.parts[-1].label == "2 other statements"
    assert sum(p.share for p in bar.parts) == pytest.approx(1)
    assert bar.steps == (1,)
    assert bar.saved == pytest.approx(198_000 / 250_040)
    assert load_bar(whole, (), plan_lines(whole)) is None
    page = render.document("html", whole, (LOAD,)).decode()
    assert "of which 99% would be saved" in page


def test_a_group_of_which_not_all_gains_are_known_promises_no_time() -> None:
    some = (faster(), *(finding(n, impact=Impact(risk="none")) for n in range(2, 5)))
    (group,) = entries(some)
    assert isinstance(group, FindingGroup)
    assert "saves" in group.saved  # what is known adds up; a finding without a time adds none


# Numbers


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (0.03, "0.03 ms"),
        (0.0034, "0.0034 ms"),
        (0.5, "0.5 ms"),
        (0, "0 ms"),
        (1220, "1.2 s"),
        (57.8, "58 ms"),
    ],
)
def test_a_short_time_is_not_zero(ms: float, said: str) -> None:
    assert units.duration(ms) == said


@pytest.mark.parametrize("value", [0.00001234, 0.5, 3.25, 99.5, 1234.5, 1e12])
def test_no_number_has_an_exponent(value: float) -> None:
    assert "e" not in numbers.number(value)
    assert "e" not in units.short(value)
    assert float(numbers.number(value).replace(",", "")) == pytest.approx(value, rel=0.01)


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        ("32768", "8kB", "256 MB"),
        ("4096", "kB", "4 MB"),
        ("60000", "ms", "1 min"),
        ("90", "s", "90 s"),
        ("-1", "kB", "-1"),
        ("0", "ms", "0"),
        ("1", "8kB", "8 kB"),
        ("%m [%p] ", None, "%m [%p] "),
        (None, "kB", ""),
    ],
)
def test_settings_are_printed_in_their_units(
    value: str | None, unit: str | None, said: str
) -> None:
    assert units.setting(value, unit) == said


def data_of(page: str) -> Any:
    packed = re.search(r'id="data">([^<]*)<', page)
    assert packed
    return json.loads(gzip.decompress(base64.b64decode(packed[1])))


def test_integers_that_javascript_would_round_are_sent_as_text() -> None:
    big = 2**63 - 1
    one = blank(
        Statement, query_id=1, is_toplevel=True, text="select x", calls=big, total_exec_ms=1.0
    )
    snapshot = Snapshot(tool_version="0", server=server(), statements=(one,))
    page = render.document("html", report((), (snapshot,)), (snapshot,)).decode()
    columns = data_of(page)["chapters"]["workload"]["columns"]
    assert columns[2] == [str(big)]


def test_a_time_of_all_sessions_is_said_to_be_that() -> None:
    long = finding(1, impact=Impact(gain=MeasuredTime(126_000.0, 21.0)))
    assert "2.1 min in 21 s (all sessions together)" in render.text(report((long,)), width=120)


# Chapters


def chapter(snapshot: Snapshot, name: str) -> Any:
    return next(c for c in chapters((snapshot,)) if c.id == name)


def test_what_the_catalog_does_not_know_is_not_zero() -> None:
    new = blank(Table, oid=1, schema="public", name="new", kind="r", rows=-1.0)
    base = blank(Database, name="shop", blks_read=None)
    snapshot = Snapshot(tool_version="0", server=server(), tables=(new,), databases=(base,))
    (row,) = chapter(snapshot, "tables").rows
    assert row[1] is None
    assert row[3] is None
    (row,) = chapter(snapshot, "cache").rows
    assert row[4] is None


@pytest.mark.parametrize(
    ("fact", "name", "unknown"),
    [
        ("lock_waits", "locks", {"blocked by", "lock on"}),
        ("indexes", "tables", {"indexes"}),
        ("table_activity", "tables", {"dead rows", "sequential scans", "writes"}),
        ("table_activity", "vacuum", {"dead rows", "share of trigger"}),
        ("columns", "indexes", {"columns"}),
        ("slots", "replication", set()),
        ("wal", "wal", set()),
    ],
)
def test_what_was_not_read_is_said_and_not_zero(fact: str, name: str, unknown: set[str]) -> None:
    thresholds = {"threshold": "50", "scale_factor": "0.2"}
    snapshot = Snapshot(
        tool_version="0",
        server=server(),
        tables=(blank(Table, oid=1, schema="public", name="t", pages=9, xid_age_xids=5),),
        indexes=(blank(Index, oid=2, table_oid=1, schema="public", name="i", keys=[1], pages=3),),
        sessions=(blank(Session, pid=3, backend_type="client backend"),),
        settings=tuple(
            blank(Setting, name=f"autovacuum_vacuum_{n}", setting=v) for n, v in thresholds.items()
        ),
    )
    whole = chapter(snapshot, name)
    assert not whole.missing
    partly = chapter(replace(snapshot, missing={fact: UNASKED}), name)
    assert partly.missing == f"{fact.replace('_', ' ')}: {UNASKED.reason}. {UNASKED.mend}"
    titles = [column.title for column in whole.columns]
    for before, after in zip(whole.rows, partly.rows, strict=True):
        changed = {n for n, *cells in zip(titles, before, after, strict=True) if len({*cells}) > 1}
        assert unknown <= {n for n, cell in zip(titles, after, strict=True) if cell is None}
        assert changed <= unknown


def test_settings_have_no_blocks_of_8_kb() -> None:
    one = blank(
        Setting, name="shared_buffers", setting="32768", unit="8kB", boot_val="16384", source="file"
    )
    snapshot = Snapshot(tool_version="0", server=server(), settings=(one,))
    assert chapter(snapshot, "configuration").rows == (
        ("shared_buffers", "256 MB", "128 MB", "file"),
    )


def test_ages_are_drawn_on_the_way_to_their_limits() -> None:
    old = blank(Table, oid=1, schema="public", name="old", kind="r", xid_age_xids=150_000_000)
    forced = blank(Setting, name="autovacuum_freeze_max_age", setting="200000000")
    snapshot = Snapshot(tool_version="0", server=server(), tables=(old,), settings=(forced,))
    made = chapter(snapshot, "vacuum")
    limits = made.pictures[1].limits
    assert [at for at, _ in limits] == [200_000_000, 2**31 - 3_000_000]
    left = [k.title for k in made.columns].index("left until writes stop")
    assert made.rows[0][left] == 2**31 - 3_000_000 - 150_000_000


TOOLING = (
    "PREPARE dumpFunc(pg_catalog.oid) AS SELECT proretset FROM pg_catalog.pg_proc p WHERE p.oid = $1",
    "select /* pgwatch_wed:tables */ oid from pg_class",
    "EXPLAIN /* pgwatch_wed:plans */ (GENERIC_PLAN) select * from orders",
    "create or replace function public.get_cache_stats() returns table (kind text) as ?",
    "SELECT c.oid::pg_catalog.regclass FROM pg_catalog.pg_class c WHERE c.relname OPERATOR(pg_catalog.~) $1",
)


def test_traces_of_tools_are_left_out_of_the_workload_and_counted() -> None:
    texts = (*TOOLING, "select * from orders")
    ran = tuple(
        blank(Statement, query_id=n, is_toplevel=True, text=text, calls=1, total_exec_ms=500.0)
        for n, text in enumerate(texts)
    )
    made = chapter(Snapshot(tool_version="0", server=server(), statements=ran), "workload")
    assert [row[0] for row in made.rows] == ["select * from orders"]
    assert "5 statements of this tool" in made.note
    assert "2.5 s" in made.note


def test_who_waits_for_whom_is_drawn_in_the_text() -> None:
    sessions = tuple(
        blank(
            Session, pid=pid, user=f"u{pid}", query=f"update {pid}", backend_type="client backend"
        )
        for pid in (1, 2, 3, 4)
    )
    waits = tuple(
        blank(LockWait, pid=pid, blocked_by=by, mode="ShareLock", locktype="transactionid")
        for pid, by in ((2, [1]), (3, [1, 2]), (4, [1]))
    )
    snapshot = Snapshot(tool_version="0", server=server(), sessions=sessions, lock_waits=waits)
    lines = render.text(report((), (snapshot,)), (snapshot,), width=100).splitlines()
    drawn = [line.split(",")[0] for line in lines if re.match(r"  [│├└─ ]*\d, u", line)]
    assert drawn == ["  1", "  ├─ 2", "  │  └─ 3", "  └─ 4"]


def queue(number: int) -> Snapshot:
    """Sessions that each wait for all before them, as for a lock that excludes everybody."""
    sessions = tuple(blank(Session, pid=pid, user="u") for pid in range(1, number + 1))
    waits = tuple(
        blank(LockWait, pid=pid, blocked_by=list(range(1, pid)), mode="AccessExclusiveLock")
        for pid in range(2, number + 1)
    )
    return Snapshot(tool_version="0", server=server(), sessions=sessions, lock_waits=waits)


@pytest.mark.parametrize("number", [5, 300])
def test_a_long_queue_is_drawn_with_each_session_once(number: int) -> None:
    lines = list(drawn(lock_tree(queue(number))))
    assert len(lines) == number
    assert [line.session.split(",")[0] for line in lines[:3]] == ["1", "2", "3"]
    assert lines[2].before == "   └─ "


def test_sessions_of_a_deadlock_behind_a_blocker_are_all_drawn() -> None:
    waits = tuple(
        blank(LockWait, pid=pid, blocked_by=by, mode="ShareLock")
        for pid, by in ((2, [1, 3]), (3, [1, 2]))
    )
    snapshot = Snapshot(tool_version="0", server=server(), lock_waits=waits)
    assert len(list(drawn(lock_tree(snapshot)))) == 3


def test_checkpoints_without_counters_have_no_row_of_zeros() -> None:
    none = blank(Checkpoints, timed=1)
    made = chapter(Snapshot(tool_version="0", server=server(), checkpoints=(none,)), "wal")
    assert all(row[1] is not None or row[2] is not None for row in made.rows)
