"""Forecasts as facts: from a real server's snapshots, through the store, to what the rules say."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import accumulate

import jsonschema
import pytest
import sqlalchemy as sa

from pgwatch_wed.analyse import analyse, judge
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Forecast, Missing, Snapshot
from pgwatch_wed.findings import Finding, Grade, RuleVerdict, Severity, Verdict
from pgwatch_wed.history import (
    identity,
    measures,
    predictions,
    recall,
    runs,
    settling,
    snapshots,
    store,
)
from pgwatch_wed.render import html, json_v1, markdown, terminal
from pgwatch_wed.rules import rule
from pgwatch_wed.target.collect import collect
from tests.psql import psql
from tests.test_cli import SCHEMA

DAY = timedelta(days=1)
GB = 1024**3
INT4 = 2**31 - 1

SHOP = """
CREATE TABLE orders (id serial PRIMARY KEY, at timestamptz DEFAULT now());
CREATE TABLE lines (id bigserial PRIMARY KEY, order_id int REFERENCES orders);
CREATE SEQUENCE tickets MAXVALUE 1000000;
INSERT INTO orders DEFAULT VALUES;
SELECT nextval('tickets');
ANALYZE;
"""

# What forecasts and the rules over them need: 60 runs of all facts would take half a minute.
FACTS = (
    *("settings", "databases", "wal", "tables", "indexes", "sequences", "columns", "constraints"),
    *("column_dependents", "domains", "table_activity"),
)

Change = Callable[[Snapshot, int], Snapshot]


@pytest.fixture
def shop(db: str) -> Snapshot:
    psql(db, SHOP)
    return collect(db, only=FACTS)


def live(file: store.Store, today: Snapshot, days: int, change: Change) -> Snapshot:
    """Store the numbers of some days before today, and today's run; return it with what the history tells."""
    with file.writing() as connection:
        runs.add(connection, runs.NewRun((change(dated(today, days), 0),)))
        owner = identity.identify(connection, change(dated(today, days), 0))
        assert owner is not None
        for day in range(1, days):
            past = dated(today, days - day)
            stored = snapshots.add(
                connection, without_facts(past), 1, owner.cluster_id, owner.database_id
            )
            measures.write(connection, stored, change(past, day), None)
        if days:
            runs.add(connection, runs.NewRun((change(today, days),)))
    with file.reading() as connection:
        return recall.recalled(connection, (change(today, days),))[0]


def dated(snapshot: Snapshot, age: int) -> Snapshot:
    at = snapshot.now - age * DAY
    return replace(snapshot, server=replace(snapshot.server, taken_at=at))


def without_facts(snapshot: Snapshot) -> Snapshot:
    """The narrow series are all that is asked of the days in between."""
    return Snapshot(snapshot.tool_version, snapshot.server, settings=snapshot.settings[:1])


def sized(sizes: list[float]) -> Change:
    """Let the table orders have these sizes."""

    def change(snapshot: Snapshot, day: int) -> Snapshot:
        pages = round(sizes[day] / snapshot.server.block_size)
        tables = (replace(t, pages=pages) if t.name == "orders" else t for t in snapshot.tables)
        return replace(snapshot, tables=tuple(tables))

    return change


def counted(name: str, values: list[float]) -> Change:
    """Let a sequence have these positions."""

    def change(snapshot: Snapshot, day: int) -> Snapshot:
        sequences = (
            replace(s, last_value=round(values[day])) if s.name == name else s
            for s in snapshot.sequences
        )
        return replace(snapshot, sequences=tuple(sequences))

    return change


def growing(days: int, first: float, a_day: float) -> list[float]:
    chance = random.Random(days)
    steps = (chance.uniform(0.5, 1.5) * a_day for _ in range(days))
    return list(accumulate(steps, initial=first))


def of_kind(snapshot: Snapshot, kind: str) -> Forecast:
    (found,) = (f for f in snapshot.forecasts if f.kind == kind)
    return found


def judged(
    snapshot: Snapshot, name: str, disk: int | None = None
) -> tuple[RuleVerdict, tuple[Finding, ...]]:
    return judge(rule(name), snapshot, Config(disk_bytes=disk))


def findings(snapshot: Snapshot, name: str, disk: int | None = None) -> Iterator[Finding]:
    yield from judged(snapshot, name, disk)[1]


# Sizes


def test_a_database_that_will_fill_its_disk_is_reported_with_the_days(
    file: store.Store, shop: Snapshot
) -> None:
    today = live(file, shop, 60, sized(growing(60, 100 * GB, GB)))
    database = of_kind(today, "database")
    assert database.pace == pytest.approx(GB, rel=0.1)
    assert database.points == 61
    left = 20
    (found,) = findings(today, "capacity-limit-near", round(database.value + left * GB))
    assert (found.severity, found.grade) == (Severity.WARNING, Grade.C)
    low, high = found.evidence["reached_earliest"], found.evidence["reached_latest"]
    expected = f"{today.now + left * DAY:%Y-%m-%d}"
    assert low < expected < high
    assert f"{today.now + 12 * DAY:%Y-%m-%d}" < low
    assert high < f"{today.now + 30 * DAY:%Y-%m-%d}"
    assert low in found.title
    assert high in found.title


def test_severity_follows_the_early_end(file: store.Store, shop: Snapshot) -> None:
    today = live(file, shop, 60, sized(growing(60, 100 * GB, GB)))
    size = of_kind(today, "database").value

    def severity(days: float) -> Severity | None:
        found = next(findings(today, "capacity-limit-near", round(size + days * GB)), None)
        return found.severity if found is not None else None

    assert severity(5) is Severity.CRITICAL
    assert severity(25) is Severity.WARNING
    assert severity(60) is Severity.INFO
    assert severity(300) is None


def test_without_a_known_disk_only_the_pace_is_told(file: store.Store, shop: Snapshot) -> None:
    today = live(file, shop, 40, sized(growing(40, 100 * GB, GB)))
    verdict, found = judged(today, "capacity-limit-near")
    assert (verdict.verdict, found) == (Verdict.CLEAR, ())
    table = next(f for f in today.forecasts if f.table == "orders")
    assert table.pace == pytest.approx(GB, rel=0.1)
    assert table.reached is None


@pytest.mark.parametrize(
    "change", [lambda day: 80 * GB if day == 50 else 0, lambda day: -60 * GB if day == 50 else 0]
)
def test_a_bulk_load_and_vacuum_full_are_no_pace(
    file: store.Store, shop: Snapshot, change: Callable[[int], float]
) -> None:
    sizes = growing(60, 100 * GB, 0.02 * GB)
    moved = list(accumulate((change(day) for day in range(1, 61)), initial=0.0))
    today = live(file, shop, 60, sized([a + b for a, b in zip(sizes, moved, strict=True)]))
    disk = round(of_kind(today, "database").value + 10 * GB)
    assert list(findings(today, "capacity-limit-near", disk)) == []
    assert of_kind(today, "database").pace == pytest.approx(0.02 * GB, rel=0.2)


def test_what_goes_up_and_down_is_no_growth(file: store.Store, shop: Snapshot) -> None:
    chance = random.Random(4)
    sizes = [100 * GB + chance.uniform(-5, 5) * GB for _ in range(61)]
    today = live(file, shop, 60, sized(sizes))
    assert list(findings(today, "capacity-limit-near", 106 * GB)) == []


def test_every_format_tells_where_it_is_heading(file: store.Store, shop: Snapshot) -> None:
    today = live(file, shop, 45, sized(growing(45, 100 * GB, GB)))
    disk = round(of_kind(today, "database").value + 20 * GB)
    report = analyse([today], Config(disk_bytes=disk))
    assert report.forecasts[0].kind == "database"
    low, _, high = (f"{moment:%Y-%m-%d}" for moment in report.forecasts[0].reached if moment)
    for text in (terminal.text(report, colour=False), markdown.render(report), html.render(report)):
        plain = text.replace("\\", "")
        assert "Where it is heading" in plain
        assert f"between {low} and {high}" in " ".join(plain.split())
    document = json.loads(json_v1.render(report))
    jsonschema.validate(document, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert document["forecasts"][0]["reached"]["low"].startswith(low)
    assert document["forecasts"][0]["per_day"]["middle"] == pytest.approx(GB, rel=0.1)


# Sequences and keys


def test_a_key_that_will_end_says_when(file: store.Store, shop: Snapshot) -> None:
    values = growing(60, 700_000_000, 10_000_000)
    today = live(file, shop, 60, counted("orders_id_seq", values))
    left = (INT4 - values[-1]) / 10_000_000
    found = list(findings(today, "schema-int-overflow"))
    assert {f.object.name for f in found} == {"orders.id"}
    assert [f.severity for f in found] == [Severity.WARNING]
    assert found[0].evidence["reached_earliest"] < f"{today.now + left * DAY:%Y-%m-%d}"
    assert found[0].evidence["reached_latest"] > f"{today.now + left * DAY:%Y-%m-%d}"
    assert "80% interval" in found[0].detail


def test_a_key_that_may_end_within_weeks_is_critical(file: store.Store, shop: Snapshot) -> None:
    """A share of 60% alone would only be information."""
    values = growing(60, 0, 20_000_000)
    today = live(file, shop, 60, counted("orders_id_seq", [900_000_000 - 1 + v for v in values]))
    share = values[-1] / INT4
    assert 0.5 < share < 0.9
    (found,) = findings(today, "schema-int-overflow")
    assert found.evidence["days_left"] < 30
    assert found.severity is Severity.CRITICAL


def test_a_sequence_that_will_end_soon_is_reported_before_half_is_used(
    file: store.Store, shop: Snapshot
) -> None:
    values = growing(40, 10, 10_000)
    assert values[-1] < 500_000
    today = live(file, shop, 40, counted("tickets", values))
    (found,) = findings(today, "schema-sequence-exhaustion")
    assert found.severity is Severity.WARNING
    assert found.evidence["reached_earliest"] is not None


def test_a_sequence_that_was_reset_has_no_past(file: store.Store, shop: Snapshot) -> None:
    values = growing(50, 400_000, 10_000)[:51] + growing(10, 10, 10_000)[1:]
    today = live(file, shop, 60, counted("tickets", values))
    assert list(findings(today, "schema-sequence-exhaustion")) == []
    (told,) = (f for f in today.forecasts if f.sequence == "tickets")
    assert told.points == 10
    assert told.reason == "10 of the 30 days with a run that a forecast requires"


def test_a_bigint_has_no_forecast(file: store.Store, shop: Snapshot) -> None:
    today = live(file, shop, 40, counted("lines_id_seq", growing(40, 1e9, 1e9)))
    assert [f for f in today.forecasts if f.sequence == "lines_id_seq"] == []


# Ages, connections, WAL


def aged(ages: list[int]) -> Change:
    def change(snapshot: Snapshot, day: int) -> Snapshot:
        databases = (
            replace(d, xid_age_xids=ages[day]) if d.oid == snapshot.server.database_oid else d
            for d in snapshot.databases
        )
        return replace(snapshot, databases=tuple(databases))

    return change


def test_ages_that_freezing_keeps_low_have_no_forecast(file: store.Store, shop: Snapshot) -> None:
    ages = [50_000_000 + 5_000_000 * (day % 30) for day in range(61)]
    today = live(file, shop, 60, aged(ages))
    assert [f for f in today.forecasts if f.kind == "xids"] == []


def test_an_age_that_freezing_does_not_keep_low_ends_on_a_day(
    file: store.Store, shop: Snapshot
) -> None:
    ages = [1_620_000_000 + 8_000_000 * day for day in range(61)]
    today = live(file, shop, 60, aged(ages))
    (found,) = findings(today, "capacity-limit-near")
    assert found.severity is Severity.CRITICAL
    assert "transaction IDs" in found.title


def test_connections_that_grow_reach_the_limit(file: store.Store, shop: Snapshot) -> None:
    chance = random.Random(2)

    def change(snapshot: Snapshot, day: int) -> Snapshot:
        first, *others = snapshot.databases
        busy = 20 + day * 0.7 + chance.uniform(0, 0.4)
        rest = (replace(d, num_backends=0) for d in others)
        return replace(snapshot, databases=(replace(first, num_backends=round(busy)), *rest))

    today = live(file, shop, 60, change)
    forecast = of_kind(today, "connections")
    assert forecast.pace == pytest.approx(0.7, abs=0.1)
    assert forecast.limit == 97
    (found,) = findings(today, "capacity-limit-near")
    assert found.object.name == "max_connections"
    assert found.evidence["limit_connections"] == 97


def test_wal_has_a_pace(file: store.Store, shop: Snapshot) -> None:
    positions = growing(40, 1e12, 5 * GB)

    def change(snapshot: Snapshot, day: int) -> Snapshot:
        wal = tuple(replace(w, lsn_bytes=round(positions[day])) for w in snapshot.wal)
        return replace(snapshot, wal=wal)

    forecast = of_kind(live(file, shop, 40, change), "wal")
    assert forecast.pace == pytest.approx(5 * GB, rel=0.1)
    assert forecast.limit is None


# What came of it


@pytest.mark.parametrize(
    ("after", "ending"), [(GB, "held"), (40 * GB, "missed"), (-200 * GB, "missed")]
)
def test_what_was_foretold_is_compared_with_what_came(
    file: store.Store, shop: Snapshot, after: float, ending: str
) -> None:
    """The size in four weeks is predicted once, and settled when the time has come."""
    sizes = growing(45, 1000 * GB, GB)
    for day in range(35):
        sizes.append(sizes[-1] + (after if day == 0 else GB))
    sizes = [*sizes[:46], *(sizes[45] + (i + 1) * after for i in range(35))] if after > 0 else sizes
    change = sized(sizes)
    now = dated(shop, 35)
    then = live(file, now, 45, lambda snapshot, day: change(snapshot, day))
    with file.writing() as connection:
        owner = identity.identify(connection, then)
        assert owner is not None
        (newest,) = snapshots.of_database(connection, owner.database_id, since=now.now)
        for _ in range(2):
            settling.predict(connection, newest, then)
        made = predictions.of_kind(connection, owner.cluster_id, "forecast")
        assert len([p for p in made if p.subject["kind"] == "database"]) == 1
        for day in range(46, 81):
            past = dated(shop, 80 - day)
            ids = (1, owner.cluster_id, owner.database_id)
            stored = snapshots.add(connection, without_facts(past), *ids)
            measures.write(connection, stored, change(past, day), None)
            settling.predict(connection, stored, past)
        (own,) = (p for p in _settled(connection, owner.cluster_id))
    assert own.outcome == ending
    assert own.made_at == now.now


def _settled(connection: sa.Connection, cluster_id: int) -> list[predictions.StoredPrediction]:
    made = predictions.of_kind(connection, cluster_id, "forecast")
    return [p for p in made if p.subject["kind"] == "database" and p.outcome]


# What cannot be told


@pytest.mark.parametrize("days", [0, 10, 28])
def test_with_few_days_the_verdict_is_unknown_with_the_day_when_it_can_be_told(
    file: store.Store, shop: Snapshot, days: int
) -> None:
    today = live(file, shop, days, sized(growing(60, 100 * GB, GB)))
    assert isinstance(today.missing["forecasts"], Missing)
    verdict, _ = judged(today, "capacity-limit-near", 100 * GB)
    assert verdict.verdict is Verdict.UNKNOWN
    assert f"{days + 1} of the 30 days" in verdict.reason
    assert f"from {today.now + (29 - days) * DAY:%Y-%m-%d} on" in verdict.mend


def test_without_a_history_keys_are_judged_as_before(shop: Snapshot) -> None:
    near = counted("orders_id_seq", [2_000_000_000])(shop, 0)
    (found,) = findings(near, "schema-int-overflow")
    assert "reached" not in found.evidence
    assert judged(shop, "capacity-limit-near")[0].verdict is Verdict.UNKNOWN
