"""Findings over runs: first seen, last seen, resolved, came back, acknowledged; and what is none of it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config, Ignore
from pgwatch_wed.facts import Cause, Missing, Snapshot
from pgwatch_wed.findings import Object, Report, RuleVerdict, Severity, Verdict
from pgwatch_wed.history import runs, states, store
from pgwatch_wed.history.conclusions import concluded
from pgwatch_wed.history.lifecycle import Acknowledgement, FindingState, Presence, followed
from pgwatch_wed.render import json_v1
from pgwatch_wed.target.collect import collect
from tests import reports
from tests.psql import psql

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
FIRST = reports.finding(1)
Days = dict[int, Report]


def day(number: int, *names: str, verdict: Verdict = Verdict.FINDING, **values: object) -> Report:
    """A run of that day in which indexes of these names were found to be duplicates."""
    found = tuple(
        replace(FIRST, object=Object("index", n, "shop", "public", "orders")) for n in names
    )
    partial = ("",) if verdict is Verdict.UNKNOWN else ()
    judged = RuleVerdict(FIRST.rule, FIRST.area, verdict, "too young", partial=partial)
    whole = replace(
        reports.report(found), generated_at=NOW + timedelta(days=number), verdicts=(judged,)
    )
    return replace(whole, **values)  # type: ignore[arg-type]


def over(*runs_: Report, oids: dict[str, int] | None = None) -> dict[str, FindingState]:
    known: tuple[FindingState, ...] = ()
    for report in runs_:
        mine = {f.id: (oids or {}).get(f.object.name) for f in report.findings}
        known, _ = followed(known, concluded(report), mine)
    return {s.object.name: s for s in known}


def test_a_finding_is_seen_resolved_and_comes_back() -> None:
    state = over(day(0, "a"), day(1, "a"))["a"]
    assert (state.state, state.first_seen, state.last_seen) == (
        Presence.OPEN,
        NOW,
        NOW + timedelta(days=1),
    )
    gone = over(day(0, "a"), day(1), day(2))["a"]
    assert (gone.state, gone.resolved_at, gone.times_resolved) == (
        Presence.RESOLVED,
        NOW + timedelta(days=1),
        1,
    )
    back = over(day(0, "a"), day(1), day(2, "a"), day(3, "a"))["a"]
    assert (back.state, back.first_seen, back.came_back_at, back.times_resolved) == (
        Presence.OPEN,
        NOW,
        NOW + timedelta(days=2),
        1,
    )


def test_what_could_not_be_evaluated_is_not_resolved() -> None:
    blind = day(1, verdict=Verdict.UNKNOWN)
    state = over(day(0, "a"), blind)["a"]
    assert (state.state, state.resolved_at) == (Presence.UNKNOWN, None)
    assert over(day(0, "a"), day(1, verdicts=()))["a"].state is Presence.UNKNOWN, "not selected"
    other = replace(day(1), target=replace(FIRST_TARGET, databases=("other",)))
    assert over(day(0, "a"), other)["a"].state is Presence.UNKNOWN, "not analyzed"
    assert over(day(0, "a"), blind, day(2, "a"))["a"].came_back_at is None, "it never went away"
    assert over(day(0, "a"), blind, day(2))["a"].state is Presence.RESOLVED
    after = over(day(0, "a"), day(1), day(2, verdict=Verdict.UNKNOWN))["a"]
    assert after.state is Presence.RESOLVED, "nothing tells that it came back"


FIRST_TARGET = day(0).target


def test_a_renamed_object_goes_on() -> None:
    oids = {"a": 100, "b": 100, "c": 101}
    found = over(day(0, "a"), day(1, "b", "c"), oids=oids)
    assert found.keys() == {"b", "c"}
    assert found["b"].first_seen == NOW
    assert found["c"].first_seen == NOW + timedelta(days=1)
    both = over(day(0, "a"), day(1, "a", "b"), oids={"a": 100, "b": 102})
    assert {s.first_seen for s in both.values()} == {NOW, NOW + timedelta(days=1)}


def test_what_is_ignored_or_hidden_is_still_there() -> None:
    settings = Config(ignores=(Ignore("known", finding="*"),))
    assert settings.ignores[0].matches(FIRST, date(2026, 11, 1))
    hidden = replace(day(1), findings=(), hidden=day(1, "a").findings)
    assert over(day(0, "a"), hidden)["a"].state is Presence.OPEN


# --- in the history -------------------------------------------------------------------------------

DEBT = """
create table orders (id int primary key, customer int, note text);
create index orders_customer on orders (customer);
create index orders_copy on orders (customer);
create table log (id int, note text);
insert into log select g, 'n' from generate_series(1, 5000) g;
analyze;
"""
RULES = ("index-duplicate", "schema-no-primary-key")


def keep(
    history: store.Store, snapshot: Snapshot, config: Config | None = None
) -> tuple[runs.StoredRun, Report]:
    report = analyse([snapshot], config or Config(only=RULES))
    with history.writing() as connection:
        new = runs.NewRun((snapshot,), report, json_v1.render(report))
        run, _ = runs.add(connection, new)
        states.follow(connection, run, (snapshot,))
    return run, report


def known(history: store.Store, cluster_id: int) -> dict[str, FindingState]:
    with history.reading() as connection:
        return {s.object.name: s for s in states.states(connection, cluster_id)}


def test_states_are_kept_over_runs_and_renames(db: str, history: store.Store) -> None:
    psql(db, DEBT)
    first = collect(db)
    run, _ = keep(history, first)
    psql(db, "alter table log rename to journal; drop index orders_copy")
    second = collect(db)
    keep(history, second)
    found = known(history, run.cluster_id)
    assert found.keys() == {"journal", "orders_copy"}
    assert (found["journal"].state, found["journal"].first_seen) == (Presence.OPEN, first.now)
    assert (found["orders_copy"].state, found["orders_copy"].resolved_at) == (
        Presence.RESOLVED,
        second.now,
    )


def test_a_dropped_object_is_resolved_although_not_everything_could_be_evaluated(
    db: str, file: store.Store
) -> None:
    psql(db, DEBT)
    run, _ = keep(file, collect(db))
    psql(db, "drop table log")
    new = collect(db)
    part = Missing("some were left out", "", Cause.LEFT_OUT)
    keep(file, replace(new, missing={**new.missing, "columns:left-out": part}))
    assert known(file, run.cluster_id)["log"].state is Presence.RESOLVED


def test_runs_that_arrive_out_of_order_give_the_same_states(db: str, file: store.Store) -> None:
    psql(db, DEBT)
    taken = [collect(db)]
    psql(db, "drop index orders_copy")
    taken.append(collect(db))
    psql(db, "create index orders_copy on orders (customer)")
    taken.append(collect(db))
    for snapshot in (taken[2], taken[0], taken[1], taken[0]):
        run, _ = keep(file, snapshot)
    state = known(file, run.cluster_id)["orders_copy"]
    assert (state.state, state.first_seen, state.resolved_at, state.came_back_at) == (
        Presence.OPEN,
        *(s.now for s in taken),
    )


def test_an_acknowledged_finding_is_ignored_until_it_expires_gets_worse_or_is_forgotten(
    db: str, history: store.Store
) -> None:
    psql(db, DEBT)
    old = collect(db)
    run, report = keep(history, old)
    (finding,) = [f for f in report.findings if f.object.name == "log"]
    given = Acknowledgement(
        finding.id, finding.severity, old.now, old.now.date(), "moved in May", "Ann"
    )
    with history.writing() as connection:
        states.acknowledge(connection, run.cluster_id, given)
        states.acknowledge(connection, run.cluster_id, given)
    psql(db, "alter table log rename to journal")
    new = collect(db)
    with history.reading() as connection:
        ((stored, state),) = states.acknowledged(connection, run.cluster_id, (new,))
    assert state is not None
    assert (stored.until, stored.reason, stored.name) == (given.until, "moved in May", "Ann")
    ignore = Ignore("known", finding=stored.finding_id, up_to=stored.severity)
    judged = analyse([new], Config(only=RULES, ignores=(ignore,)))
    assert [i.label for i in judged.ignored] == ["public.journal"], "under its present name"
    worse = replace(finding, severity=Severity.CRITICAL, object=state.object)
    assert not replace(ignore, finding=worse.id).matches(worse, date(2026, 1, 1))
    assert stored.holds(old.now.replace(hour=23, minute=59)), "the last day counts"
    assert not stored.holds(old.now + timedelta(days=1))
    keep(history, new)
    with history.writing() as connection:
        ((moved, state),) = states.acknowledged(connection, run.cluster_id)
        assert state is not None
        assert state.object.name == "journal", "the acknowledgement goes with the finding"
        assert states.forget(connection, run.cluster_id, moved.finding_id)
        assert not states.forget(connection, run.cluster_id, moved.finding_id)


@pytest.mark.parametrize("name", ["12", "2026-01-31", "", " "])
def test_a_baseline_has_a_name_that_is_no_run_and_no_date(
    name: str, db: str, file: store.Store
) -> None:
    run, _ = keep(file, collect(db))
    with pytest.raises(Exception, match="cannot be the name"), file.writing() as connection:
        states.set_baseline(connection, name, run, NOW)


def test_a_baseline_names_a_run(db: str, history: store.Store) -> None:
    first, _ = keep(history, collect(db))
    second, _ = keep(history, collect(db))
    with history.writing() as connection:
        states.set_baseline(connection, "release", first, NOW)
        states.set_baseline(connection, "release", second, NOW, "after the cleanup")
        assert runs.find(connection, "release").id == second.id
        (named,) = states.named_runs(connection)
        assert (named.name, named.run_id, named.note) == ("release", second.id, "after the cleanup")
        assert states.drop_baseline(connection, second.cluster_id, "release")
        assert not states.drop_baseline(connection, second.cluster_id, "release")
        assert states.named_runs(connection) == ()
