"""Advice is followed to its result on a real server: a good index, a useless one, and two that do harm."""

import pytest

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Missing, Snapshot
from pgwatch_wed.history import advice, advice_facts, identity, runs, store
from pgwatch_wed.history.advice import StoredAdvice
from pgwatch_wed.history.runs import NewRun
from pgwatch_wed.render import json_v1
from pgwatch_wed.target.collect import collect
from tests.history import loop_cases as cases
from tests.psql import psql


def run(history: store.Store, db: str, *, advises: bool = False) -> Snapshot:
    snapshot = collect(db)
    with history.writing() as connection:
        stored, _ = runs.add(connection, NewRun([snapshot]))
        if advises:
            advice.write(connection, stored.id, cases.findings(snapshot), [snapshot])
    return snapshot


def advised(history: store.Store) -> dict[str, StoredAdvice]:
    with history.reading() as connection:
        return {a.label.removeprefix("public."): a for a in advice.listed(connection)}


@pytest.mark.slow
def test_each_index_is_followed_to_its_result(file: store.Store, db: str) -> None:
    psql(db, cases.SCHEMA)
    run(file, db)
    for n in range(7):
        cases.work(db)
        run(file, db, advises=n == 5)
    assert {a.state for a in advised(file).values()} == {"not applied"}
    for name, sql in cases.INDEXES.values():
        psql(db, sql.replace(name, f"other_{name}"))
    psql(db, "analyze choice")
    for n in range(5):
        cases.work(db)
        run(file, db)
        found = advised(file)
        assert {a.state for a in found.values()} == {"applied"}
        if n == 0:
            assert found["good_idx"].outcome == "too early"
    outcomes = {name: a.outcome for name, a in found.items()}
    assert outcomes == {
        "good_idx": "helped",
        "useless_idx": "no effect",
        "writes_idx": "harmed",
        "choice_idx": "harmed",
    }
    for each in found.values():
        assert each.outcome_at is not None
        assert each.absent_at < each.state_at < each.outcome_at
    psql(db, "drop index other_good_idx")
    run(file, db)
    assert advised(file)["good_idx"].state == "undone"


def test_what_is_not_about_time_has_helped_when_its_finding_is_gone(
    history: store.Store, db: str
) -> None:
    psql(db, "create table orders (id int, x int)")
    psql(db, "create index one on orders (x); create index two on orders (x)")
    reported(history, collect(db))
    (own,) = of_rule(history, "index-duplicate")
    assert (own.state, own.outcome) == ("not applied", None)
    reported(history, collect(db))
    (again,) = of_rule(history, "index-duplicate")
    assert again.advised_at < again.last_advised_at
    psql(db, "drop index one")
    psql(db, "create index again on orders (id)")
    reported(history, collect(db))
    (own,) = of_rule(history, "index-duplicate")
    assert (own.state, own.outcome) == ("applied", "helped")
    assert own.measured is not None
    assert own.measured["detail"] == "the finding is gone"
    with history.reading() as connection:
        now = collect(db)
        rows = advice_facts.facts_of(connection, now, identity.identify(connection, now))
    assert not isinstance(rows, Missing)
    assert [r.state for r in rows if r.rule == "index-duplicate"] == ["applied"]
    psql(db, "create index three on orders (x)")
    reported(history, collect(db))
    states = [a.state for a in of_rule(history, "index-duplicate")]
    assert states[0] == "undone"


def test_runs_that_come_late_date_when_it_was_applied(file: store.Store, db: str) -> None:
    psql(db, "create table orders (id int, x int)")
    psql(db, "create index one on orders (x); create index two on orders (x)")
    with_both = [collect(db) for _ in range(3)]
    psql(db, "drop index one")
    with_one = [collect(db) for _ in range(3)]
    for snapshot in (with_both[0], with_one[2]):
        reported(file, snapshot)
    (own,) = of_rule(file, "index-duplicate")
    assert (own.state, own.absent_at, own.state_at) == (
        "applied",
        with_both[0].now,
        with_one[2].now,
    )
    # in any order, and what is outside of both tells nothing more
    for snapshot in (with_both[2], with_one[0], with_one[1], with_both[1]):
        reported(file, snapshot)
    (own,) = of_rule(file, "index-duplicate")
    assert (own.state, own.absent_at, own.state_at) == (
        "applied",
        with_both[2].now,
        with_one[0].now,
    )
    assert own.looked_at == with_one[2].now


def reported(history: store.Store, snapshot: Snapshot) -> None:
    report = analyse([snapshot], Config())
    with history.writing() as connection:
        runs.add(connection, NewRun([snapshot], report, json_v1.render(report)))


def of_rule(history: store.Store, rule: str) -> list[StoredAdvice]:
    with history.reading() as connection:
        return [a for a in advice.listed(connection) if a.rule == rule]
