"""Where advice is tried first, and when that is enough for the rest."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from pgwatch_wed.cli import cli
from pgwatch_wed.errors import UsageError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts.advice_words import AdviceOutcome
from pgwatch_wed.fleet.experiment.canaries import (
    CanaryAdvice,
    CanaryCandidate,
    CanaryStep,
    canary,
    risk_by_tags,
)
from pgwatch_wed.fleet.experiment.canary_words import lines
from pgwatch_wed.fleet.experiment.experiments import OpenAdvice, Trial
from pgwatch_wed.fleet.experiment.sibling_records import SameAdvice, record_of
from pgwatch_wed.history import advice, store
from pgwatch_wed.target.collect import collect
from tests import servers
from tests.fleet.siblings import SCHEMA, SLOW, Change, Siblings
from tests.fleet.test_sibling_records import wanted
from tests.psql import psql

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
GOOD = CanaryCandidate(
    "good", 1, "shop", "f", 5000.0, 1.0, standbys=1, table_bytes=10**6, write_share=0.1
)


def chosen(*others: CanaryCandidate) -> str:
    found = canary(record_of(SameAdvice("", "r", "index", (), ())), (*others, GOOD))
    assert found.choice is not None
    return found.choice.member


@pytest.mark.parametrize(
    "worse",
    [
        {"ready_days": 30.0},
        {"ready_days": None, "why_never": "its statements were not called within a week"},
        {"risk_by_tags": 1, "telling_tags": ("env=prod",)},
        {"standbys": 0},
        {"table_bytes": 10**12},
        {"write_share": 0.9},
        {"doubt": "it did harm on c9"},
    ],
)
def test_each_reason_decides_if_the_rest_is_the_same(worse: dict[str, object]) -> None:
    other = replace(GOOD, member="another", **worse)  # type: ignore[arg-type]
    assert chosen(other) == "good"


def test_what_tells_nothing_is_not_chosen_because_it_is_safe() -> None:
    idle = replace(GOOD, member="idle", ready_days=None, risk_by_tags=-2, why_never="no calls")
    risky = replace(GOOD, risk_by_tags=1)
    found = canary(record_of(SameAdvice("", "r", "index", (), ())), (idle, risky))
    assert found.choice == risky


def test_databases_of_a_cluster_are_one_line() -> None:
    tenants = [
        replace(GOOD, member="many", database=f"t{n:03}", risk_by_tags=1) for n in range(200)
    ]
    found = canary(record_of(SameAdvice("", "r", "index", (), ())), (GOOD, *tenants))
    (said,) = (line for line in lines(found) if "many" in line)
    assert said.strip().startswith("- many (database t000; 199 more): known in 24 hours")


def test_tags_say_what_is_critical() -> None:
    assert risk_by_tags({"env": "prod", "team": "prod"}) == (1, ("env=prod",))
    assert risk_by_tags({"Env": "Staging", "tier": "gold"}) == (0, ("Env=Staging", "tier=gold"))
    assert risk_by_tags({"env": "prod", "canary": "true"})[0] < 0
    assert risk_by_tags({"zone": "a"}) == (0, ())


def tried(*outcomes: AdviceOutcome, is_open: bool = True) -> CanaryAdvice:
    trials = tuple(
        Trial(f"t{n}", n, "shop", "f", o.value, "", NOON, ready_at=NOON + timedelta(days=2))
        for n, o in enumerate(outcomes)
    )
    rest = (OpenAdvice("good", 77, "shop", "f", "C", "C", None),) if is_open else ()
    record = record_of(SameAdvice("shops", "index-missing", "index x", trials, rest))
    return canary(record, (GOOD,) if is_open else ())


H, E, N, X = (
    AdviceOutcome.HELPED,
    AdviceOutcome.TOO_EARLY,
    AdviceOutcome.NO_EFFECT,
    AdviceOutcome.HARMED,
)


@pytest.mark.parametrize(
    ("outcomes", "step", "said"),
    [
        ((), CanaryStep.FIRST, "Try it on good"),
        ((E,), CanaryStep.WAIT, "Wait for its outcome on t0, applied 2026-03-02: too early"),
        ((H,), CanaryStep.NEXT, "It takes 4 more clusters"),
        ((H, E), CanaryStep.WAIT, "known about 2026-03-04 12:00 UTC"),
        ((H, H, H, H, H), CanaryStep.REST, "Apply it on good."),
        ((X,), CanaryStep.STOP, "Undo it on t0"),
        ((H, N), CanaryStep.STOP, "do not apply it to others"),
    ],
)
def test_each_step_follows_from_what_is_known(
    outcomes: tuple[AdviceOutcome, ...], step: CanaryStep, said: str
) -> None:
    found = tried(*outcomes)
    assert found.step is step
    assert said in " ".join(" ".join(lines(found)).split())
    assert all(len(line) <= 80 for line in lines(found))


def test_where_nothing_is_left_nothing_is_chosen() -> None:
    assert tried(H, is_open=False).step is CanaryStep.DONE
    assert tried(E, is_open=False).step is CanaryStep.WAIT


def test_nobody_waits_for_what_was_undone() -> None:
    gone = Trial("t", 1, "shop", "f", E.value, "", NOON, is_undone=True)
    rest = (OpenAdvice("good", 77, "shop", "f", "C", "C", None),)
    record = record_of(SameAdvice("shops", "index-missing", "index x", (gone,), rest))
    assert canary(record, (GOOD,)).step is CanaryStep.FIRST
    assert canary(record, ()).step is CanaryStep.DONE


# --- from a history -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base(server_pool: servers.Pool) -> Iterator[Snapshot]:
    with server_pool.get(servers.embedded_spec()).database() as dsn:
        psql(dsn, SCHEMA)
        yield collect(dsn)


def called(snapshot: Snapshot, calls: int) -> Snapshot:
    """Return a snapshot after so many more calls of a statement."""
    rows = tuple(
        replace(s, calls=s.calls + calls, total_exec_ms=s.total_exec_ms + calls)
        if s.text == SLOW
        else s
        for s in snapshot.statements
    )
    return replace(snapshot, statements=rows)


def busy(day: int) -> Change:
    """Return clusters with 1000, no and 500 calls a day."""
    pace = (1000, 0, 500)
    return lambda n, own: called(own, day * pace[n])


def test_the_canary_is_named_from_the_history(base: Snapshot, tmp_path: Path) -> None:
    url = str(tmp_path / "history.sqlite3")
    fleet = Siblings(
        store.open_store(url),
        base,
        3,
        group="\x1b[31mshops",
        tags=lambda n: {"env": "prod" if n == 0 else "staging"},
        advice=lambda n, own: (wanted(0, own),),
    )
    for number in range(8):
        fleet.visited(base.now + timedelta(days=number), busy(number))
    with fleet.opened.reading() as connection:
        finding = advice.listed(connection)[0].finding_id

    def asked(*options: str) -> str:
        line = ["fleet", "canary", finding, "--history", url, *options]
        result = CliRunner().invoke(cli, line, color=True)  # as for a terminal
        assert result.exit_code == 0, result.output
        assert "\x1b" not in result.stdout
        return result.stdout

    (group,) = json.loads(asked("--format", "json"))["groups"]
    assert (group["step"], group["choice"]) == ("try it on one", "c2")
    assert [c["member"] for c in group["candidates"]] == ["c2", "c0", "c1"]
    assert group["candidates"][0]["calls_per_day"] == pytest.approx(500)
    assert group["candidates"][0]["ready_days"] == pytest.approx(4)
    text = " ".join(asked().split())
    assert "Try it on c2" in text
    assert "known in about 4 days: its statements are called 500 times a day" in text
    assert "not critical: env=staging" in text
    assert "its statements were not called within a week" in text


def test_an_unknown_finding_is_one_line(tmp_path: Path) -> None:
    url = str(tmp_path / "history.sqlite3")
    store.open_store(url).close()
    result = CliRunner().invoke(cli, ["fleet", "canary", "nothing", "--history", url])
    assert isinstance(result.exception, UsageError)
    assert result.exception.message == "no cluster of the fleet has the finding nothing"
