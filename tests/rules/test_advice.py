"""What became of advice is a finding only if it does harm, or nothing."""

from dataclasses import replace
from typing import Any

import pytest

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Remedy, Verdict
from pgwatch_wed.history.told import line
from pgwatch_wed.render.chapters import chapters
from pgwatch_wed.rules.advice import harmed, no_effect
from pgwatch_wed.target.collect import collect
from tests.advice_rows import NOW, RECORD, followed
from tests.psql import psql
from tests.rules.judging import judged


@pytest.fixture
def built(db: str) -> Snapshot:
    psql(db, "create table orders (id int, x int); create index mine on orders (x)")
    return collect(db)


def with_advice(snapshot: Snapshot, **changes: Any) -> Snapshot:
    own = followed(**({"oids": (snapshot.indexes[0].oid,)} | changes))
    return replace(snapshot, followed_advice=(own,))


def runs_and_goes_back(dsn: str, remedy: Remedy) -> None:
    """Run a remedy and its undo, as they are written: the index goes, and comes back as it was."""
    before = [(i.name, i.columns) for i in collect(dsn).indexes]
    psql(dsn, remedy.sql)
    assert collect(dsn).indexes == ()
    psql(dsn, remedy.undo)
    assert [(i.name, i.columns) for i in collect(dsn).indexes] == before


def harms(snapshot: Snapshot, **changes: Any) -> list[Finding]:
    return list(harmed.check(with_advice(snapshot, **changes), harmed.Limits()))


def vain(snapshot: Snapshot, **changes: Any) -> list[Finding]:
    given = {"outcome": "no effect", "lost_ms_per_day": 0.0, **changes}
    return list(no_effect.check(with_advice(snapshot, **given), no_effect.Limits()))


def test_an_index_that_harms_is_dropped_by_the_name_that_it_has(db: str, built: Snapshot) -> None:
    (found,) = harms(built)
    assert found.object.label == "public.mine"
    assert [r.sql for r in found.remedy] == ["DROP INDEX CONCURRENTLY public.mine;"]
    assert "CREATE INDEX" in found.remedy[0].undo
    runs_and_goes_back(db, found.remedy[0])
    assert found.impact.ms_per_day == 60_000
    assert found.evidence["slower_statements"] == ["update orders set x = $1"]


def test_what_is_no_index_is_undone_as_advised(built: Snapshot) -> None:
    (found,) = harms(built, oids=(), undo=("ALTER SYSTEM RESET jit;",), kind="setting", name="jit")
    assert [r.sql for r in found.remedy] == ["ALTER SYSTEM RESET jit;"]
    assert found.object.kind == "setting"


def test_what_is_gone_or_costs_little_is_not_reported(built: Snapshot) -> None:
    assert not harms(built, state="undone")
    assert not harms(built, outcome="helped")
    assert not harms(built, lost_ms_per_day=12_000.0)


def test_an_index_without_effect_is_dropped(db: str, built: Snapshot) -> None:
    (found,) = vain(built)
    assert [r.sql for r in found.remedy] == ["DROP INDEX CONCURRENTLY public.mine;"]
    runs_and_goes_back(db, found.remedy[0])
    assert not vain(built, calls_after=5)
    assert not vain(built, state="undone")
    assert not vain(built, outcome="too early")


def test_an_index_that_something_scans_is_not_in_vain(built: Snapshot) -> None:
    usage = tuple(replace(u, idx_scan=1) for u in built.index_usage)
    assert not vain(replace(built, index_usage=usage))


@pytest.mark.parametrize("rule", ["advice-harmed", "advice-no-effect"])
def test_without_history_nothing_is_said(built: Snapshot, rule: str) -> None:
    (verdict,) = judged(built, rule).verdicts
    assert verdict.verdict is Verdict.UNKNOWN
    assert "earlier runs were not consulted" in verdict.reason


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"outcome": "helped", "outcome_reason": "", "blocks_ratio": 0.1, "time_ratio": 0.2,
             "saved_ms_per_day": 50_000.0, "lost_ms_per_day": 0.0},
            ("applied between 2026-03-21 and 2026-03-22 (as public.mine); helped; a call reads 90% fewer "
            "blocks and takes 80% less time; saves 50 s per day of 1 min predicted"),
        ),
        (
            {"outcome": "too early", "outcome_reason": "", "ready_at": NOW},
            ("applied between 2026-03-21 and 2026-03-22 (as public.mine); too early to tell its effect, "
            "which will be known on 2026-04-01 12:00 UTC at this pace"),
        ),
        (
            {"outcome": "cannot be told", "outcome_reason": "the intervals differ"},
            ("applied between 2026-03-21 and 2026-03-22 (as public.mine); its effect cannot be told: the "
            "intervals differ"),
        ),
        ({"state": "there before the advice", "absent_at": None, "found": ""},
         "was there before it was advised"),
    ],
)  # fmt: skip
def test_one_sentence_tells_what_became_of_it(changes: dict[str, Any], said: str) -> None:
    assert line(followed(**changes)).told == said


def test_the_record_is_a_page_of_the_report(built: Snapshot) -> None:
    assert "record" not in {c.id for c in chapters([built])}
    page = chapters([replace(built, advice_record=(RECORD,))])[-1]
    assert page.title == "Record"
    assert page.rows == (("index-missing", "A", 5, 4, 1, 2, 1, 0, 1, 60_000.0, 50_000.0),)
