"""Findings compared with a baseline: what is new or worse fails a check, what is old does not, whatever it is called now."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from pgwatch_wed.analyse import analyse
from pgwatch_wed.cli import cli
from pgwatch_wed.config import Config, Ignore
from pgwatch_wed.errors import Error, UsageError
from pgwatch_wed.facts import Cause, Missing, Snapshot
from pgwatch_wed.facts import file as snapshot_file
from pgwatch_wed.findings import (
    Finding,
    Impact,
    MeasuredTime,
    Object,
    Report,
    RuleVerdict,
    Severity,
    Standing,
    Verdict,
)
from pgwatch_wed.history import conclusions
from pgwatch_wed.history.conclusions import concluded
from pgwatch_wed.history.gate import FailOn, compared
from pgwatch_wed.history.successors import renamed_database, successors
from pgwatch_wed.render import json_v1
from pgwatch_wed.render import rendering as render
from pgwatch_wed.target.collect import collect
from tests import reports, servers
from tests.psql import psql
from tests.test_cli import SCHEMA, db_analyze

RULES = ("index-duplicate", "index-missing-fk", "schema-no-primary-key", "index-invalid")
OLD_DEBT = """
create table orders (id int primary key, customer int, note text);
create index orders_customer on orders (customer);
create index orders_customer_copy on orders (customer);
create table log (id int, note text);
insert into log select g, 'n' from generate_series(1, 5000) g;
insert into orders select g, g, 'n' from generate_series(1, 5000) g;
analyze;
"""
SETTINGS = Config(only=RULES)


def judged(*snapshots: Snapshot, config: Config = SETTINGS) -> Report:
    return analyse(snapshots, config)


def against(old: Snapshot, new: Snapshot, config: Config = SETTINGS) -> Report:
    before = concluded(judged(old, config=config))
    return compared(judged(new, config=config), before, "old", successors([old], [new]))


def stands(report: Report) -> dict[tuple[str, str], str]:
    assert report.compared is not None
    mine = {(f.rule, f.object.name): report.compared.standings[f.id].value for f in report.findings}
    return mine | {
        (g.rule, g.label.rpartition(".")[2]): "not evaluated" if g.reason else "resolved"
        for g in report.compared.gone
    }


# --- the same finding, whatever it is called ------------------------------------------------------


def test_what_is_new_is_told_from_old_debt_that_was_renamed(db: str) -> None:
    psql(db, OLD_DEBT)
    old = collect(db)
    assert stands(against(old, old)) == {
        ("index-duplicate", "orders_customer_copy"): "known",
        ("schema-no-primary-key", "log"): "known",
    }
    psql(
        db,
        """
        alter table orders rename to bookings;
        alter index orders_customer_copy rename to bookings_2;
        create schema archive; alter table log set schema archive; alter table archive.log rename to journal;
        create table more (id int, note text); insert into more select g, 'n' from generate_series(1, 5000) g;
        analyze more;
        """,
    )
    report = against(old, collect(db))
    assert stands(report) == {
        ("index-duplicate", "bookings_2"): "known",
        ("schema-no-primary-key", "journal"): "known",
        ("schema-no-primary-key", "more"): "new",
    }
    assert report.compared is not None
    assert set(report.compared.was.values()) == {
        "it was called public.orders_customer_copy",
        "it was called public.log",
    }


def test_names_that_were_exchanged_do_not_exchange_the_findings(db: str) -> None:
    psql(db, OLD_DEBT + "create table good (id int primary key);")
    old = collect(db)
    psql(
        db,
        "alter table log rename to x; alter table good rename to log; alter table x rename to good",
    )
    assert stands(against(old, collect(db)))["schema-no-primary-key", "good"] == "known"


def test_what_was_mended_or_dropped_is_resolved(db: str) -> None:
    psql(db, OLD_DEBT)
    old = collect(db)
    psql(db, "drop table log; drop index orders_customer_copy")
    assert stands(against(old, collect(db))) == {
        ("index-duplicate", "orders_customer_copy"): "resolved",
        ("schema-no-primary-key", "log"): "resolved",
    }


def test_a_table_dropped_and_created_again_is_the_same_debt(db: str) -> None:
    psql(db, OLD_DEBT)
    old = collect(db)
    psql(
        db,
        "drop table log; create table log (id int, note text);"
        "insert into log select g, 'n' from generate_series(1, 5000) g; analyze log",
    )
    assert stands(against(old, collect(db)))["schema-no-primary-key", "log"] == "known"


def test_a_check_on_a_throwaway_database_compares_names(db: str, pg: servers.Server) -> None:
    """CI creates the schema anew for each run: another database, often another server."""
    psql(db, OLD_DEBT)
    old = collect(db)
    with pg.database() as again:
        psql(again, "create table so_that_oids_differ (id int primary key);" + OLD_DEBT)
        psql(again, "create index orders_customer_3 on orders (customer)")
        new = collect(again)
    found = stands(against(old, new))
    assert found["schema-no-primary-key", "log"] == "known"
    assert sorted(v for (r, _), v in found.items() if r == "index-duplicate") == ["known", "new"]


def test_statements_of_renamed_tables_are_linked_by_their_texts(db: str) -> None:
    psql(db, "create extension pg_stat_statements;" + OLD_DEBT)
    psql(db, "select count(*), max(note) from orders where customer > 7")
    old = collect(db)
    psql(db, "alter table orders rename to bookings")
    psql(db, "select count(*), max(note) from bookings where customer > 7")
    new = collect(db)
    now = successors([old], [new])
    (was,) = [s for s in old.statements if s.text and "from orders where" in s.text]
    ids = {s.query_id for s in new.statements if s.text and "from bookings where" in s.text}
    found = now(Object("statement", str(was.query_id), old.server.database))
    assert found is not None
    assert int(found.name) in ids | {was.query_id}
    # after an upgrade query ids are others
    upgraded = replace(
        new,
        server=replace(
            new.server, system_identifier="1", version_num=new.server.version_num + 10_000
        ),
        statements=tuple(
            replace(s, query_id=s.query_id ^ 5) for s in new.statements if s.query_id in ids
        ),
    )
    moved = successors([old], [upgraded])(
        Object("statement", str(was.query_id), old.server.database)
    )
    assert moved is not None
    assert int(moved.name) in {i ^ 5 for i in ids}


def test_columns_constraints_and_sequences_are_followed(db: str) -> None:
    psql(db, "create table t (id serial primary key, a int, constraint positive check (a > 0));")
    psql(db, "create index t_advised on t (a)")
    old = collect(db)
    psql(
        db,
        "alter table t rename to u; alter table u rename id to key; alter sequence t_id_seq rename to s;"
        "alter table u rename constraint positive to above_zero",
    )
    now = successors([old], [collect(db)])
    name = old.server.database

    def there(kind: str, label: str, table: str | None = "t") -> str:
        found = now(Object(kind, label, name, "public", table))
        assert found is not None
        return found.name

    assert there("column", "t.id") == "u.key"
    assert there("constraint", "positive") == "above_zero"
    assert there("sequence", "t_id_seq", None) == "s"
    assert there("index", "t_advised") == "t_advised"
    assert there("index", "t_a_idx") == "u_a_idx", (
        "an index that is only advised is called after its table"
    )
    assert now(Object("setting", "work_mem")) == Object("setting", "work_mem")


# --- what could not be evaluated ------------------------------------------------------------------


def test_what_was_not_looked_at_this_time_is_not_resolved(db: str) -> None:
    psql(db, "create schema old_app; " + OLD_DEBT + "alter table log set schema old_app")
    old = collect(db)
    before = concluded(judged(old))

    def now(snapshot: Snapshot, config: Config) -> dict[tuple[str, str], str]:
        report = judged(snapshot, config=config)
        return stands(compared(report, before, "old", successors([old], [snapshot])))

    duplicate, no_key = (
        ("index-duplicate", "orders_customer_copy"),
        ("schema-no-primary-key", "log"),
    )
    few = replace(SETTINGS, only=("schema-no-primary-key",))
    assert now(old, few) == {duplicate: "not evaluated", no_key: "known"}
    skipping = replace(SETTINGS, skip_schemas=("old_app",))
    assert now(old, skipping) == {duplicate: "known", no_key: "not evaluated"}
    denied = Missing("permission denied", "GRANT pg_monitor TO me;", Cause.DENIED)
    blind = replace(old, indexes=(), missing={**old.missing, "indexes": denied})
    assert now(blind, SETTINGS)[duplicate] == "not evaluated"
    ignoring = replace(SETTINGS, ignores=(Ignore("known", rule="index-duplicate"),))
    assert now(old, ignoring) == {no_key: "known"}, "ignored is not resolved either"
    quiet = replace(SETTINGS, min_severity=Severity.CRITICAL)
    assert now(old, quiet) == {}, "hidden is not resolved either"


def test_a_dropped_object_is_resolved_even_where_its_rule_cannot_evaluate_everything(
    db: str,
) -> None:
    psql(db, OLD_DEBT)
    old = collect(db)
    psql(db, "drop table log")
    new = collect(db)
    part = Missing("some were left out", "", Cause.LEFT_OUT)

    def without_all(fact: str) -> dict[tuple[str, str], str]:
        partly = replace(new, missing={**new.missing, f"{fact}:left-out": part})
        return stands(against(old, partly))

    assert without_all("columns")["schema-no-primary-key", "log"] == "resolved"
    assert without_all("tables")["schema-no-primary-key", "log"] == "not evaluated"
    assert without_all("indexes")["index-duplicate", "orders_customer_copy"] == "known"


def test_what_the_baseline_could_not_evaluate_is_not_new(db: str) -> None:
    """Ten years of debt that a new GRANT or a new rule brings to light do not fail the check."""
    psql(db, OLD_DEBT)
    new = collect(db)
    denied = Missing("permission denied", "GRANT pg_monitor TO me;", Cause.DENIED)
    blind = replace(new, indexes=(), missing={**new.missing, "indexes": denied})
    report = against(blind, new)
    assert stands(report) == {
        ("index-duplicate", "orders_customer_copy"): "unclear",
        ("schema-no-primary-key", "log"): "unclear",
    }
    assert not fails(report, FailOn(Severity.INFO, Standing.NEW))
    few = concluded(judged(new, config=replace(SETTINGS, only=("index-duplicate",))))
    report = compared(judged(new), few, "few", successors([new], [new]))
    assert stands(report)["schema-no-primary-key", "log"] == "unclear"


def fails(report: Report, *when: FailOn) -> bool:
    return any(w.applies(report, f) for w in when for f in report.findings)


# --- new and worse --------------------------------------------------------------------------------

NOW = datetime(2026, 11, 1, tzinfo=UTC)
BASE = reports.report((reports.finding(1),))


def one(**values: object) -> Finding:
    return replace(reports.finding(1), **values)  # type: ignore[arg-type]


def pair(before: Finding, after: Finding) -> Report:
    old, new = replace(BASE, findings=(before,)), replace(BASE, findings=(after,))
    verdict = RuleVerdict(before.rule, before.area, Verdict.FINDING)
    old = replace(old, verdicts=(verdict,), generated_at=NOW - timedelta(days=9))
    return compared(new, concluded(old), "old", lambda o: o)


DAY_S = 86_400.0


def per_day(ms: float, seconds: float = DAY_S) -> Impact:
    return Impact(gain=MeasuredTime(ms, seconds, 1e9))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (per_day(60_000), per_day(60_000), ""),
        (per_day(60_000), per_day(110_000), ""),  # noise
        (per_day(60_000), per_day(130_000), "it would have saved 1 min per day"),
        (per_day(100), per_day(9_000), ""),  # 90 times as much, but of nothing
        (per_day(60_000, 3600), per_day(600_000, 3600), ""),  # an hour proves no rate
        (Impact(bytes=10 << 20), Impact(bytes=14 << 20), ""),
        (Impact(bytes=100 << 20), Impact(bytes=149 << 20), ""),
        (Impact(bytes=100 << 20), Impact(bytes=150 << 20), "it was 100 MB"),
        (Impact(bytes=None), Impact(bytes=150 << 20), ""),
        (
            Impact(cost=MeasuredTime(20_000, DAY_S)),
            Impact(cost=MeasuredTime(50_000, DAY_S)),
            "it cost 20 s per day",
        ),
    ],
)
def test_worse_is_more_than_noise(before: Impact, after: Impact, said: str) -> None:
    report = pair(one(impact=before), one(impact=after))
    (finding,) = report.findings
    assert report.standing(finding) is (Standing.WORSE if said else Standing.KNOWN)
    assert report.compared is not None
    assert report.compared.was.get(finding.id, "") == said


def test_a_severity_that_rose_is_worse_and_one_that_fell_is_not() -> None:
    info, warning = one(severity=Severity.INFO), one(severity=Severity.WARNING)
    rose, fell = pair(info, warning), pair(warning, info)
    assert rose.standing(warning) is Standing.WORSE
    assert fell.standing(info) is Standing.KNOWN
    worse, new = FailOn(Severity.WARNING, Standing.WORSE), FailOn(Severity.WARNING, Standing.NEW)
    assert fails(rose, worse)
    assert fails(rose, new), "as a warning it is new"
    assert not fails(rose, FailOn(Severity.INFO, Standing.NEW)), "as a finding it is not"
    assert not fails(fell, worse, new, FailOn(Severity.INFO, Standing.WORSE))
    assert fails(fell, FailOn(Severity.INFO)), "a plain severity means all findings"


def test_what_the_baseline_hid_counts_as_known_or_worse() -> None:
    info, warning = one(severity=Severity.INFO), one(severity=Severity.WARNING)
    verdict = RuleVerdict(info.rule, info.area, Verdict.FINDING)
    old = replace(
        BASE, findings=(), hidden=(info,), hidden_below=Severity.WARNING, verdicts=(verdict,)
    )
    for known in (concluded(old), conclusions.of_json(json.loads(json_v1.render(old)), "old.json")):
        report = compared(replace(BASE, findings=(warning,)), known, "old", lambda o: o)
        assert report.standing(warning) is Standing.WORSE
        same = compared(replace(BASE, findings=(info,)), known, "old", lambda o: o)
        assert same.standing(info) is Standing.KNOWN


def test_a_server_is_the_same_whatever_its_minor_version() -> None:
    old = one(rule="config-version", object=Object("server", "PostgreSQL 18.4"))
    new = one(rule="config-version", object=Object("server", "PostgreSQL 18.5"))
    report = pair(old, new)
    assert stands(report) == {("config-version", "PostgreSQL 18.5"): "known"}


# --- the JSON report of an earlier run ------------------------------------------------------------


def test_a_report_is_as_good_a_baseline_as_its_snapshot(db: str) -> None:
    psql(db, "create schema old_app; " + OLD_DEBT)
    old = collect(db)
    psql(db, "drop index orders_customer_copy; create table more (id int, n int)")
    psql(db, "insert into more select g from generate_series(1, 5000) g; analyze more")
    new = collect(db)
    before = judged(old)
    written = conclusions.of_json(json.loads(json_v1.render(before)), "old.json")
    plain = {r: replace(v, mend="", database=None) for r, v in concluded(before).verdicts.items()}
    assert written == replace(concluded(before), verdicts=plain)
    report = judged(new)
    same = renamed_database(written.databases, report.target.databases)
    assert stands(compared(report, written, "old.json", same)) == stands(against(old, new))


def test_a_report_of_a_database_that_was_renamed_is_understood(db: str) -> None:
    psql(db, OLD_DEBT)
    new = collect(db)
    document = json.loads(json_v1.render(judged(new)))
    name = new.server.database
    renamed = json.loads(json.dumps(document).replace(f'"{name}"', '"former_name"'))
    known = conclusions.of_json(renamed, "old.json")
    report = judged(new)
    now = renamed_database(known.databases, report.target.databases)
    assert set(stands(compared(report, known, "old", now)).values()) == {"known"}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"schema_version": 2}, "schema_version 2"),
        ({"findings": [{"id": 1}]}, "is damaged"),
        ({"generated_at": "yesterday"}, "is damaged"),
        ({"generated_at": "2026-01-01T00:00:00"}, "no time zone"),
        ({"target": None}, "is damaged"),
        ({"verdicts": {"a": 1}}, "is damaged"),
        ({"ignored": [7]}, "is damaged"),
    ],
)
def test_a_damaged_report_takes_one_line(damage: dict[str, object], said: str) -> None:
    document = json.loads(json_v1.render(BASE)) | damage
    with pytest.raises(UsageError, match=said):
        conclusions.of_json(document, "old.json")
    with pytest.raises(UsageError, match="is not a report"):
        conclusions.of_json([], "old.json")


def test_a_report_without_the_newer_fields_is_read(db: str) -> None:
    """One of an earlier version does not say what could not be evaluated: then nothing of such a rule is resolved."""
    psql(db, OLD_DEBT)
    document = json.loads(json_v1.render(judged(collect(db))))
    for verdict in document["verdicts"]:
        del verdict["unjudged"], verdict["partial"]
    del document["hidden"]["findings"], document["coverage"]["skipped"]
    known = conclusions.of_json(document, "old.json")
    assert {v.partial for v in known.verdicts.values() if v.verdict is Verdict.CLEAR} == {()}


# --- every format says it -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixed() -> Report:
    """One finding of each standing, one resolved, one not evaluated."""
    findings = [replace(reports.finding(n), severity=Severity.WARNING) for n in range(4)]
    known = [f for n, f in enumerate(findings) if n in (1, 2)]
    worse = replace(known[0], severity=Severity.INFO)
    gone = [reports.finding(8), replace(reports.finding(9), rule="index-unused")]
    other = replace(findings[3], rule="index-redundant")
    old = replace(
        reports.report((worse, known[1], *gone)),
        generated_at=NOW - timedelta(days=31),
        verdicts=tuple(
            RuleVerdict(r, "index", Verdict.FINDING) for r in ("index-duplicate", "index-unused")
        ),
    )
    new = replace(
        reports.report((*findings[:3], other)),
        generated_at=NOW,
        verdicts=(
            RuleVerdict("index-duplicate", "index", Verdict.FINDING),
            RuleVerdict("index-redundant", "index", Verdict.FINDING),
            RuleVerdict("index-unused", "index", Verdict.UNKNOWN, "too young", partial=("",)),
        ),
    )
    return compared(new, concluded(old), "old.json", lambda o: o)


def test_the_counts_are_those_of_the_states(mixed: Report) -> None:
    assert sorted(stands(mixed).values()) == sorted(
        ["new", "worse", "known", "unclear", "resolved", "not evaluated"]
    )


SENTENCE = (
    "Compared with old.json, 31 days earlier: 1 new, 1 worse, 1 known, 1 not known to be new, 1 resolved, "
    "1 not evaluated."
)


def test_the_terminal_says_it_within_its_width(mixed: Report) -> None:
    text = render.text(mixed, width=80)
    assert SENTENCE in " ".join(text.split())
    assert "index-duplicate  · new" in text
    assert "baseline: it was info" in text
    assert "Resolved since the baseline" in text
    assert "In the baseline, but not evaluated this time" in text
    assert max(map(len, text.splitlines())) <= 80


def test_json_says_it_as_its_schema_describes(mixed: Report) -> None:
    document = json.loads(render.document("json", mixed, ()))
    jsonschema.validate(document, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert [f["baseline"]["standing"] for f in document["findings"]].count("new") == 1
    assert document["baseline"]["summary"]["resolved"] == 1
    assert document["baseline"]["not_evaluated"][0]["reason"] == "too young"
    assert "baseline" not in json.loads(render.document("json", BASE, ()))


def test_sarif_has_baseline_states_and_no_alert_that_is_gone(mixed: Report) -> None:
    (run,) = json.loads(render.document("sarif", mixed, ()))["runs"]
    states = [r.get("baselineState") for r in run["results"]]
    assert states == ["new", "updated", None, "unchanged"], (
        "new ones first, if too many are cut off"
    )
    assert len(run["properties"]["baseline"]["resolved"]) == 1
    (plain,) = json.loads(render.document("sarif", BASE, ()))["runs"]
    assert "baselineState" not in plain["results"][0]


def test_junit_fails_only_for_what_is_new_or_worse(mixed: Report) -> None:
    xml = render.document("junit", mixed, ()).decode()
    assert 'failures="1"' in xml
    assert "2 findings; the first: public.index_0" in xml
    assert "warning C known public.index_2" in xml


def test_html_and_markdown_say_it(mixed: Report) -> None:
    html = render.document("html", mixed, ()).decode()
    assert SENTENCE in html
    assert 'data-stands="worse"' in html
    assert "In the baseline: it was info." in html
    markdown = render.document("markdown", mixed, ()).decode()
    assert "| worse: it was info |" in markdown
    assert "| resolved |" in markdown
    assert "baseline" not in render.document("markdown", BASE, ()).decode().lower()


# --- the command line -----------------------------------------------------------------------------


def test_a_check_fails_for_what_is_new_and_not_for_old_debt(db: str, tmp_path: Path) -> None:
    psql(db, OLD_DEBT)
    old, new = tmp_path / "old.json.zst", tmp_path / "new.json.zst"
    snapshot_file.save(collect(db), old)
    psql(db, "create index orders_customer_3 on orders (customer)")
    snapshot_file.save(collect(db), new)
    only = ("--only", ",".join(RULES), "-o", str(tmp_path))
    report = tmp_path / "baseline.json"
    report.write_text(json_v1.render(judged(snapshot_file.load(old))), encoding="utf-8")
    for baseline in (old, report):
        given = (*only, "--format", "text", "--baseline", str(baseline))
        assert ran(str(old), *given, "--fail-on", "new:info,worse:info")[0] == 0
        assert ran(str(old), *given, "--fail-on", "info")[0] == 1
        status, text = ran(str(new), *given, "--fail-on", "new:info")
        assert status == 1
        assert "index-duplicate  · new" in text
    real = db_analyze("report", str(new), *given, "--fail-on", "new:info")
    assert real.returncode == 1, real.stderr
    status, text = ran(str(new), *only, "--format", "text", "--baseline", str(old), "--redact")
    assert status == 0
    assert "1 new, 2 known" in text
    assert "orders" not in text


def ran(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["report", *arguments], standalone_mode=False)
    assert done.exception is None or isinstance(done.exception, Error), done.exception
    assert isinstance(done.return_value, int), done.output
    return done.return_value, done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--fail-on", "new:warning"), "add --baseline FILE"),
        (("--fail-on", "old:warning"), "'old:warning' is not one of"),
        (("--fail-on", "new:terrible"), "'new:terrible' is not one of"),
        (("--baseline", "nowhere.json"), "could not read nowhere.json"),
        (("--baseline", "empty"), "is not a snapshot"),
        (("--baseline", "report.json", "--redact"), "use a snapshot as the baseline"),
        (("--baseline", "report.json", "--baseline", "report.json"), "omit the others"),
    ],
)
def test_what_cannot_be_compared_takes_one_line(
    arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "report.json").write_text(json_v1.render(BASE), encoding="utf-8")
    snapshot_file.save(Snapshot("x", reports.server()), tmp_path / "s.zst")
    done = CliRunner().invoke(cli, ["report", "s.zst", *arguments])
    assert done.exit_code
    told = str(done.exception) if isinstance(done.exception, Error) else done.output
    assert said in told
    assert "Traceback" not in told


def test_another_server_and_a_baseline_from_the_future_are_named(tmp_path: Path) -> None:
    other = replace(
        BASE,
        generated_at=NOW + timedelta(days=900),
        target=replace(BASE.target, system_identifier="7"),
    )
    (tmp_path / "report.json").write_text(json_v1.render(other), encoding="utf-8")
    mine = Snapshot("x", reports.server())
    mine = replace(mine, server=replace(mine.server, system_identifier="8"))
    snapshot_file.save(mine, tmp_path / "s.zst")
    done = db_analyze(
        "report", "s.zst", "--baseline", "report.json", "--format", "text", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert (
        "later (compared by names: the baseline is of another server; the baseline is newer" in said
    )
