"""A simulated day: known incidents are found, nothing else is told, and the score is not kind."""

import itertools
from dataclasses import replace

from pgwatch_wed.serve.simulate.day_kinds import CRITICAL, LESSER, TRAPS, DayKind
from pgwatch_wed.serve.simulate.day_plan import DAY_S, DayEvent, planned
from pgwatch_wed.serve.simulate.day_run import ToldAlert, default_groups, told_of
from pgwatch_wed.serve.simulate.day_score import score, upper_bound


def test_a_day_has_each_critical_incident_and_each_trap_and_none_overlap() -> None:
    events = planned(7)
    assert planned(7) == events != planned(8)
    assert {e.kind.name for e in events} >= {k.name for k in (*CRITICAL, *TRAPS)}
    assert all(one.ends < other.begins for one, other in itertools.pairwise(events))
    assert events[-1].ends < DAY_S


def test_every_alert_that_is_true_of_something_exists() -> None:
    rules = {rule.name for group in default_groups() for rule in group.rules if not rule.is_record}
    named = {name for kind in (*CRITICAL, *LESSER, *TRAPS) for name in kind.alerts}
    assert named <= rules
    assert all(kind.alerts for kind in (*CRITICAL, *LESSER))
    # what no simulated day has: it is about years, other servers, or the service itself
    assert rules - named == {"Watchdog", "MonitorDown", "SeriesLimit", "LongTransaction"}


def kind(name: str) -> DayKind:
    return next(k for k in (*CRITICAL, *LESSER, *TRAPS) if k.name == name)


def event(name: str, begins: float, minutes: float) -> DayEvent:
    it = kind(name)
    return DayEvent(it, begins, begins + minutes * 60, {k: v[0] for k, v in it.sets.items()})


def test_an_hour_is_told_as_it_was() -> None:
    """One seed, an hour: three incidents among five traps."""
    events = [
        event("a deployment", 300, 1),
        event("a scrape is lost", 420, 0.4),
        event("the database is restarted", 600, 0.45),
        event("the database refuses connections", 900, 5),
        event("the clock is set back", 1500, 0.2),
        event("sessions pile up behind a lock", 1700, 6),
        event("cards are declined", 2400, 5),
        event("payments fail", 2900, 6),
    ]
    told = told_of(events, seed=3, seconds=3600)
    it = score(events, told)
    assert (it.false, it.missed, it.incidents) == ((), (), 3)
    assert it.mean_critical_s < 120
    assert "DatabaseRefuses" in {a.name for a in told}
    assert "FactsStale" not in {a.name for a in told}  # the database that refuses says it


def test_the_score_counts_what_is_false_and_what_is_missed() -> None:
    down, noise = event("the database is down", 1000, 10), event("a deployment", 5000, 2)
    true = ToldAlert("DatabaseUnreachable", "critical", 1060)
    false = ToldAlert("DatabaseUnreachable", "critical", 5010)
    other = replace(true, name="HostCpuHigh")
    it = score([down, noise], [true, false, other])
    assert (it.false, it.missed, it.critical_s) == ((false, other), (), (60.0,))
    assert [e.kind.name for e in score([down], [false]).missed] == ["the database is down"]
    early = replace(true, second=999)
    assert score([down], [early]).false == (early,)


def test_none_of_sixty_is_below_five_percent_and_one_of_sixty_is_not() -> None:
    assert round(upper_bound(0), 2) == 3.0
    assert round(upper_bound(1), 2) == 4.74
    assert upper_bound(0) / 60 < 0.05 < upper_bound(1) / 60
