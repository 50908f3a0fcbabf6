"""`--only` reads what its rules look at, and they judge as if everything had been read."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pgwatch_wed.analyse import analyse, looked_at
from pgwatch_wed.cli import cli
from pgwatch_wed.config import Config, parse
from pgwatch_wed.facts import UNASKED, Cause, Snapshot
from pgwatch_wed.facts.snapshot import FROM_HISTORY
from pgwatch_wed.facts.watched import watched
from pgwatch_wed.findings import Report
from pgwatch_wed.gather.run import gathered
from pgwatch_wed.gather.wanted import Wanted, demand
from pgwatch_wed.progress import silent
from pgwatch_wed.rules import Rule, all_rules
from pgwatch_wed.target.collect import DERIVED, ORDER, collect
from tests.psql import psql
from tests.rules.waiting import later
from tests.servers import Server
from tests.zoo import in_motion, zoo

TABLES = {"tables", "table_activity", "indexes", "columns", "constraints", "index_usage"}
AT_NIGHT = ("lock", "connection", "vacuum")


def only(*names: str) -> Config:
    return parse({"only": list(names), "window": 0}, "here")


def looking(config: Config, **more: Any) -> Wanted:
    return Wanted(advise=False, looked_at=lambda snapshot: looked_at(snapshot, config), **more)


@pytest.fixture(scope="module")
def place(pg: Server) -> Iterator[str]:
    with zoo(pg) as dsn, in_motion(pg, dsn):
        yield dsn


@pytest.fixture(scope="module")
def whole(place: str) -> Snapshot:
    return collect(place)


def as_read_for(whole: Snapshot, config: Config) -> Snapshot:
    """Return what would have been read for some rules at the very moment of a complete collection."""
    asks = demand(looking(config))
    assert asks is not None
    asked: frozenset[str] = frozenset()
    part = without(whole, asked)
    while more := asks(part) - asked:
        asked |= more
        part = without(whole, asked)
    return part


def without(whole: Snapshot, asked: frozenset[str]) -> Snapshot:
    gone = [n for n in (*ORDER, *DERIVED, *FROM_HISTORY) if n not in asked]
    missing = {**whole.missing, **dict.fromkeys(gone, UNASKED)}
    nothing: dict[str, Any] = dict.fromkeys(gone, ())
    return replace(whole, missing=missing, **nothing)


def told(report: Report) -> tuple[object, ...]:
    return report.verdicts, report.findings, report.plan.actions, report.plan.not_planned


@pytest.mark.parametrize("age", [{}, {"hours": 3}, {"days": 40}], ids=str)
def test_every_rule_alone_says_what_it_says_when_everything_was_read(
    whole: Snapshot, age: dict[str, float]
) -> None:
    then = later(whole, **age)
    shown = analyse([then], replace(Config(), window_days=0))
    verdicts = {v.rule: v for v in shown.verdicts}
    found = {f.id for f in shown.findings}
    parts = 0
    for rule in all_rules():
        config = only(rule.id)
        part = as_read_for(then, config)
        report = analyse([part], config)
        assert told(report) == told(analyse([then], config)), rule.id
        assert report.verdicts == (verdicts[rule.id],), rule.id
        assert {f.id for f in report.findings} == {i for i in found if i in _ids(shown, rule)}
        parts += part.is_partial
    assert parts > len(all_rules()) / 2, "most rules do not need everything"


def _ids(report: Report, rule: Rule) -> set[str]:
    return {f.id for f in report.findings if f.rule == rule.id}


def test_every_rule_alone_reads_on_the_server_what_it_needs(place: str, whole: Snapshot) -> None:
    # days later, whatever waits has waited for long in both
    verdicts = {v.rule: v.verdict for v in analyse([later(whole, days=2)], Config()).verdicts}
    for rule in all_rules():
        config = parse({"only": [rule.id]}, "here")
        (part,) = gathered(place, looking(config), silent).measured
        asked = as_read_for(whole, config)
        assert part.missing.keys() <= asked.missing.keys(), rule.id
        (verdict,) = analyse([later(part, days=2)], config).verdicts
        assert verdict.verdict is verdicts[rule.id], (rule.id, verdict)


def test_an_incident_costs_few_queries_and_reads_no_tables(place: str, whole: Snapshot) -> None:
    config = only("lock", "connection")
    (part,) = gathered(place, looking(config), silent).measured
    assert part.is_partial
    assert part.missing.keys() >= TABLES
    assert all(part.missing[name].cause is Cause.NOT_ASKED for name in TABLES)
    report = analyse([later(part, days=2)], config)  # whoever waits has waited for long
    assert report.self_cost is not None
    assert report.self_cost.queries <= 24 < len(whole.query_costs) / 2
    assert any(f.rule == "lock-blocked" for f in report.findings)
    (night,) = gathered(place, looking(only(*AT_NIGHT)), silent).measured
    assert {"constraints", "index_definitions", "sequences"} <= night.missing.keys()
    assert len(night.query_costs) < len(whole.query_costs)


@pytest.mark.parametrize(
    "more",
    [{"standbys": ("x",)}, {"exact_bloat": 5}, {"since": lambda _read: ()}],
    ids=["standby", "bloat", "since"],
)
def test_what_rules_cannot_foresee_is_read_with_everything(more: dict[str, Any]) -> None:
    assert demand(looking(only("lock"), **more)) is None


def test_what_the_lab_or_kept_runs_tell_takes_everything(whole: Snapshot) -> None:
    for rules in (("query-regression",), ("capacity",)):
        assert not as_read_for(whole, only(*rules)).is_partial
    advised = only("index-missing")
    asks = demand(replace(looking(advised), advise=True))
    assert asks is not None
    assert asks(without(whole, frozenset())) >= {*ORDER, "missing_indexes"}


def test_looking_is_noted_whatever_is_derived(whole: Snapshot) -> None:
    def looked(look: Callable[[Snapshot], object]) -> set[str]:
        seen = watched(whole)
        look(seen)
        return seen.looked

    assert looked(lambda s: s.now) == set()
    assert looked(lambda s: s.table_by_oid) == {"tables"}
    assert looked(lambda s: s.setting("port")) == {"settings"}
    assert looked(lambda s: "lock_waits" in s.missing) == {"lock_waits"}
    assert looked(lambda s: s.missing.get("tables:left-out")) == {"tables"}
    assert looked(lambda s: list(s.missing)) >= set(ORDER)


def test_such_a_run_is_not_kept_but_acknowledged_findings_stay_so(db: str, tmp_path: Path) -> None:
    psql(db, "create table keyless (id int)")
    rule = ("--only", "schema-no-primary-key", "--format", "json", "--output", str(tmp_path))
    assert _ran("run", db, *rule)
    assert _kept() == [], "it would look as if all else had been dropped"
    _ran("run", db, "--no-advise", "--format", "json", "--output", str(tmp_path))
    (run,) = _kept()
    shown = json.loads(_ran("history", "show", "--format", "json"))["findings"]
    (finding,) = [f for f in shown if f["rule"] == "schema-no-primary-key"]
    _ran("history", "acknowledge", finding["id"], "--reason", "known", "--by", "Ann")
    report = json.loads(_ran("run", db, *rule))
    assert report["findings"] == []
    assert [i["id"] for i in report["ignored"]] == [finding["id"]]
    assert _kept() == [run]
    _ran("run", db, *rule, "--history", str(tmp_path / "own.sqlite3"))
    assert len(_kept("--history", str(tmp_path / "own.sqlite3"))) == 1


def _kept(*more: str) -> list[Any]:
    runs: list[Any] = json.loads(_ran("history", "list", "--format", "json", *more))["runs"]
    return runs


def _ran(*args: str) -> str:
    done = CliRunner().invoke(cli, [*args, *(["--no-progress"] if args[0] == "run" else [])])
    assert done.exit_code == 0, (args, done.output, done.exception)
    return done.stdout
