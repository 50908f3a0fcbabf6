"""Advice is followed to its result on a real server: a good index, a useless one, and two that do harm."""

import pytest

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.history import advice, runs, store
from pgwatch_wed.history.advice import StoredAdvice
from pgwatch_wed.history.runs import NewRun
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
