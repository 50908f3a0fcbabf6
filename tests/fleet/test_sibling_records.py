"""Advice with a track record: what became of the same index on siblings, whatever its name."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts.advice_words import AdviceOutcome
from pgwatch_wed.findings import Finding, Grade, Impact, MeasuredTime, Object, Remedy, Severity
from pgwatch_wed.fleet.experiment.canaries import CanaryStep
from pgwatch_wed.fleet.experiment.canary_facts import canaries_of
from pgwatch_wed.fleet.experiment.experiments import OpenAdvice, SiblingRecord, Trial
from pgwatch_wed.fleet.experiment.sibling_records import (
    SameAdvice,
    by_finding,
    record_of,
    records_of,
)
from pgwatch_wed.fleet.review.review_formats import whole_review
from pgwatch_wed.history import advice, store
from pgwatch_wed.target.collect import collect
from tests import servers
from tests.fleet.siblings import SCHEMA, SLOW, Change, Siblings, query_id
from tests.psql import psql

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def trial(n: int, outcome: AdviceOutcome, writes: float | None = 100.0) -> Trial:
    ratio = {AdviceOutcome.HELPED: 0.38}.get(outcome, 1.0)
    return Trial(
        f"c{n}", n, "shop", "f", outcome.value, "", NOON, blocks_ratio=ratio, writes_per_day=writes
    )


def still_open(n: int, writes: float | None = 100.0, grade: str = "C") -> OpenAdvice:
    return OpenAdvice(f"c{n}", n, "shop", "f", grade, grade, None, writes_per_day=writes)


def same(helped: int, *others: Trial, open_on: tuple[OpenAdvice, ...] = ()) -> SiblingRecord:
    trials = (*(trial(n, AdviceOutcome.HELPED) for n in range(helped)), *others)
    return record_of(SameAdvice("shops", "index-missing", "index on orders", trials, open_on))


def test_the_record_says_who_was_harmed_and_how_much_more_it_writes() -> None:
    harmed = trial(12, AdviceOutcome.HARMED, writes=4000.0)
    found = same(12, harmed, open_on=(still_open(20), still_open(21, writes=2500.0)))
    assert (found.helped, found.harmed, found.median_blocks_ratio) == (12, 1, 0.38)
    assert found.told == (
        "index on orders: applied on 13 of 15 clusters of group shops: helped on 12, where a call reads 62% fewer blocks "
        "(median); harmed on 1: c12, which writes 40 times as many rows of the table."
    )
    assert found.is_enough
    assert found.verdict == (
        "Enough for the rest (1 cluster): helped on 12 of 13: with 95% confidence, it helps at least 68% of such clusters. "
        "Not for c21, which may be harmed."
    )
    calm, busy = found.open_on
    assert (calm.fleet_grade, calm.weight, calm.doubt) == ("B", 0.867, "")
    assert busy.fleet_grade == "D"
    assert busy.weight is not None
    assert busy.weight < 0.5
    assert busy.doubt == (
        "2500 rows of the table are written a day, and 4000 on c12, where it did harm"
    )
    assert by_finding([found])[21, "f"] is busy


def test_what_is_not_enough_is_told_with_what_it_takes() -> None:
    found = same(3, open_on=(still_open(9),))
    assert not found.is_enough
    assert found.more_needed == 2
    assert found.verdict == (
        "Not enough for the rest: helped on 3 of 3: with 95% confidence, it helps at least 37% of such clusters, and more "
        "than 50% is asked for. It takes 2 more clusters that it helps, and none that it does not. "
        "db-analyze fleet canary f says where to try it next."
    )
    assert found.open_on[0].fleet_grade == "C"
    assert same(5).is_enough


def test_six_of_seven_is_not_enough_and_eight_of_nine_is() -> None:
    assert same(6, trial(9, AdviceOutcome.HARMED)).more_needed == 1
    assert not same(6, trial(9, AdviceOutcome.NO_EFFECT)).is_enough
    assert same(8, trial(9, AdviceOutcome.NO_EFFECT)).is_enough


def test_two_rules_that_advise_the_same_are_told_apart() -> None:
    def advised(rule: str, label: str) -> SameAdvice:
        return SameAdvice("shops", rule, label, (trial(1, AdviceOutcome.HELPED),), ())

    found = records_of(
        [advised("vacuum-disabled", "on"), advised("vacuum-never", "on"), advised("other", "off")]
    )
    assert [r.label for r in found] == ["off", "on (vacuum-disabled)", "on (vacuum-never)"]
    assert found[1].told.startswith("on (vacuum-disabled): applied on 1 of 1 cluster")


def test_what_is_too_early_proves_nothing() -> None:
    early = replace(trial(1, AdviceOutcome.TOO_EARLY), ready_at=NOON + timedelta(days=1))
    found = same(0, early, open_on=(still_open(9),))
    assert (found.settled, found.undecided) == (0, 1)
    assert "not known yet on 1, on the first about 2026-03-03 12:00 UTC" in found.told
    assert found.verdict.startswith("Not enough for the rest: no outcome is known yet.")
    assert found.open_on[0].weight is None


def test_a_cluster_counts_once_and_harm_counts_first() -> None:
    found = same(2, trial(1, AdviceOutcome.HARMED), trial(1, AdviceOutcome.HELPED))
    assert (found.helped, found.harmed) == (1, 1)


def test_harm_without_a_known_reason_is_a_doubt_everywhere() -> None:
    found = same(12, trial(12, AdviceOutcome.HARMED, None), open_on=(still_open(20),))
    assert "it did harm on c12" in found.open_on[0].doubt
    assert found.open_on[0].fleet_grade == "D"


def test_what_mostly_fails_is_a_guess() -> None:
    found = same(1, trial(8, AdviceOutcome.NO_EFFECT), open_on=(still_open(9, grade="A"),))
    assert found.open_on[0].fleet_grade == "D"


# --- from a history -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def before_and_after(server_pool: servers.Pool) -> Iterator[tuple[Snapshot, Snapshot]]:
    with server_pool.get(servers.embedded_spec()).database() as dsn:
        psql(dsn, SCHEMA)
        before = collect(dsn)
        psql(dsn, "create index built on orders (customer, note)")
        yield before, collect(dsn)


def wanted(n: int, snapshot: Snapshot) -> Finding:
    """Return advice to build an index; everybody would call it something else."""
    identity = query_id(snapshot, SLOW)
    return Finding(
        object=Object("index", f"idx_{n % 2}", snapshot.server.database, "public", "orders"),
        severity=Severity.WARNING,
        grade=Grade.C,
        title="An index would help",
        detail="",
        evidence={"query_ids": [identity]},
        impact=Impact(gain=MeasuredTime(1000.0, 86_400.0, 10_000.0, {identity: 1000.0})),
        remedy=(Remedy(f"CREATE INDEX idx_{n} ON public.orders USING btree (customer, note);"),),
        rule="index-missing",
        area="index",
    )


def built(n: int, snapshot: Snapshot, after: Snapshot) -> Snapshot:
    """Return a snapshot with the index, under another name."""
    oid = next(i.oid for i in after.indexes if i.name == "built")
    return replace(
        snapshot,
        indexes=tuple(replace(i, name=f"b{n}") if i.oid == oid else i for i in after.indexes),
        index_definitions=tuple(
            replace(d, definition=d.definition.replace(" built ", f" b{n} ")) if d.oid == oid else d
            for d in after.index_definitions
        ),
        index_usage=after.index_usage,
    )


def written(snapshot: Snapshot, rows: int) -> Snapshot:
    """Return a snapshot after so many more rows of its tables were changed."""
    activity = tuple(replace(a, n_tup_upd=a.n_tup_upd + rows) for a in snapshot.table_activity)
    return replace(snapshot, table_activity=activity)


def test_an_index_that_helped_on_six_and_harmed_one_is_told_from_the_history(
    before_and_after: tuple[Snapshot, Snapshot], tmp_path: Path
) -> None:
    before, after = before_and_after
    opened = store.open_store(str(tmp_path / "history.sqlite3"))
    fleet = Siblings(opened, before, 9, advice=lambda n, own: (wanted(n, own),))

    def on(number: int) -> Change:
        def day(n: int, own: Snapshot) -> Snapshot:
            rows = number * (4000 if n == 6 else 100)
            return written(built(n, own, after) if n < 7 and number else own, rows)

        return day

    for number in range(3):
        moment = before.now + timedelta(days=number)
        run = fleet.visited(moment, on(number))
    with opened.writing() as connection:
        for own in advice.listed(connection):
            n = next(n for n, cluster in fleet.ids.items() if cluster == own.cluster_id)
            outcome = AdviceOutcome.HARMED if n == 6 else AdviceOutcome.HELPED
            if n < 7:
                assert own.standing == "applied"
                advice.conclude(connection, own, outcome.value, {"blocks_ratio": 0.4}, moment)
    (record,) = fleet.taught(run).records
    with opened.reading() as connection:
        (advised,) = canaries_of(connection, record.open_on[0].finding_id)
        review = whole_review(connection, moment).review
    opened.close()
    assert (advised.step, advised.record) == (CanaryStep.NEXT, record)
    assert {c.member for c in advised.candidates} == {"c7", "c8"}
    assert (record.helped, record.harmed, len(record.open_on)) == (6, 1, 2)
    assert record.told == (
        "index public.orders (customer, note): applied on 7 of 9 clusters of group shops: helped on 6, where a call reads 60% "
        "fewer blocks (median); harmed on 1: c6, which writes 40 times as many rows of the table."
    )
    assert not record.is_enough
    open_ones = {f.member: f for f in review.findings if f.record}
    assert {m: f.record for m, f in open_ones.items()} == dict.fromkeys(("c7", "c8"), record.told)
    assert {(f.grade, f.weight) for f in open_ones.values()} == {("C", 0.778)}
    assert [o.member for o in record.open_on] == ["c7", "c8"]
    assert all(o.writes_per_day == pytest.approx(100) for o in record.open_on)


def test_a_run_without_the_index_advisor_leaves_advice_open_and_follows_what_was_built(
    before_and_after: tuple[Snapshot, Snapshot], tmp_path: Path
) -> None:
    before, after = before_and_after
    opened = store.open_store(str(tmp_path / "history.sqlite3"))
    fleet = Siblings(opened, before, 3, advice=lambda n, own: (wanted(n, own),))
    fleet.visited(before.now, lambda _, own: own)
    fleet.advice = lambda _n, _own: ()
    moment = before.now + timedelta(days=1)
    run = fleet.visited(moment, lambda n, own: own if n else built(n, own, after))
    (record,) = fleet.taught(run).records
    with opened.reading() as connection:
        review = whole_review(connection, moment).review
    opened.close()
    assert [t.member for t in record.trials] == ["c0"]
    assert [o.member for o in record.open_on] == ["c1", "c2"]
    assert record.told.startswith(
        "index public.orders (customer, note): applied on 1 of 3 clusters of group shops"
    )
    assert [f.member for f in review.findings if f.rule == "index-missing"] == ["c1", "c2"]
