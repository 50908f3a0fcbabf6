"""Each millisecond counts once: gains of several findings for one statement."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pgwatch_wed.analyse import ranked
from pgwatch_wed.cures import counted_once
from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.findings import (
    Effort,
    Finding,
    Grade,
    Impact,
    MeasuredTime,
    Object,
    Remedy,
    Severity,
)
from pgwatch_wed.render.impact_words import gain
from pgwatch_wed.render.json_v1 import finding as as_json
from tests.reports import blank, server

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
SNAPSHOT = Snapshot(
    tool_version="0",
    server=server(),
    statements=tuple(
        blank(
            Statement,
            query_id=n,
            is_toplevel=True,
            text=f"select {n} from t",
            calls=10,
            total_exec_ms=1000.0,
        )
        for n in (1, 2)
    ),
)


def saving(rule: str, effort: Effort, /, **by_query: float) -> Finding:
    parts = {int(q[1:]): ms for q, ms in by_query.items()}
    time = MeasuredTime(sum(parts.values()), 21.0, 2000.0, parts)
    return a_finding(rule, Impact(gain=time, effort=effort))


def a_finding(rule: str, impact: Impact, **more: Any) -> Finding:
    base: dict[str, Any] = {
        "object": Object("index", rule, "shop", "public", "t"),
        "severity": Severity.WARNING,
        "grade": Grade.A,
        "title": "t",
        "detail": "d.",
        "rule": rule,
        "remedy": (Remedy("select 1;"),),
        "impact": impact,
    }
    return Finding(**(base | more))


def promised(findings: tuple[Finding, ...]) -> dict[str, float]:
    return {f.rule: f.impact.gain.ms for f in findings if f.impact.gain}


def test_what_a_setting_saves_an_index_cannot_save_again() -> None:
    jit = saving("query-jit-overhead", Effort.SETTING, q1=900)
    index = saving("index-missing", Effort.INDEX, q1=800)
    found = counted_once((index, jit), [SNAPSHOT])
    assert promised(found) == {"index-missing": pytest.approx(80), "query-jit-overhead": 900}
    after = next(f for f in found if f.rule == "index-missing")
    assert after.severity is Severity.INFO
    assert "query-jit-overhead" in after.caveats[0]
    assert [f.rule for f in ranked(found)] == ["query-jit-overhead", "index-missing"]


def test_a_cure_of_the_same_time_that_is_easier_comes_first() -> None:
    found = counted_once(
        (saving("a-index", Effort.INDEX, q1=1000), saving("z-setting", Effort.SETTING, q1=1000)),
        [SNAPSHOT],
    )
    assert [f.rule for f in ranked(found)] == ["z-setting", "a-index"]
    assert promised(found) == {"z-setting": 1000, "a-index": 0}


def test_remedies_of_one_kind_add_up_to_the_statement_at_most() -> None:
    found = counted_once(
        (
            saving("one", Effort.INDEX, q1=500, q2=100),
            saving("two", Effort.INDEX, q1=500),
            saving("three", Effort.INDEX, q2=2000),
        ),
        [SNAPSHOT],
    )
    each = promised(found)
    assert each["two"] == 500
    assert sum(each.values()) == pytest.approx(2000)


def test_other_statements_keep_their_gain() -> None:
    found = counted_once(
        (saving("jit", Effort.SETTING, q1=1000), saving("index", Effort.INDEX, q2=700)), [SNAPSHOT]
    )
    assert promised(found) == {"jit": 1000, "index": 700}


def test_a_cost_refers_to_its_cures_and_does_not_count() -> None:
    spent = MeasuredTime(1000.0, 21.0, 2000.0, {1: 1000.0})
    statement = Object("statement", "1", "shop")
    top = a_finding("query-top-time", Impact(cost=spent), object=statement, remedy=())
    index = saving("index-missing", Effort.INDEX, q1=800)
    (first, second) = ranked(counted_once((top, index), [SNAPSHOT]))
    assert first.rule == "index-missing"
    assert "index-missing (public.index-missing)" in second.detail
    assert index.object in second.related
    assert second.impact.ms_per_day is None
    assert gain(second) == "costs 50% of the measured load: 1 s in 21 s"


def test_a_cost_without_a_cure_says_so() -> None:
    spent = MeasuredTime(1000.0, 21.0, 2000.0, {1: 1000.0})
    top = a_finding("query-top-time", Impact(cost=spent), remedy=())
    (found,) = counted_once((top,), [SNAPSHOT])
    assert found.detail.endswith("Nothing in this report saves a part of it.")


@pytest.mark.parametrize(
    ("seconds", "per_day", "text"),
    [
        (21.0, None, "saves about 28% of the measured load: 5.5 s in 21 s"),
        (86_400.0, 5500, "saves about 28% of the measured load: 5.5 s per day"),
        (10 * 86_400.0, 550, "saves about 28% of the measured load: 550 ms per day"),
        (None, None, "saves about 28% of the measured load: 5.5 s"),
    ],
)
def test_there_is_no_rate_per_day_below_a_day(
    seconds: float | None, per_day: float | None, text: str
) -> None:
    time = MeasuredTime(5500.0, seconds, 20_000.0, {1: 5500.0})
    found = a_finding("index-missing", Impact(gain=time))
    assert gain(found) == text
    impact = as_json(found)["impact"]
    assert impact["ms_per_day"] == per_day
    assert impact["gain"]["share_of_load"] == pytest.approx(0.275)
