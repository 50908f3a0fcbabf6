"""Ranking, merging, ignoring: the pure part between facts and reports."""

import html
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from types import ModuleType
from typing import Any

import pytest

from pgwatch_wed.analyse import analyse, judge, ranked
from pgwatch_wed.config import Config, Ignore
from pgwatch_wed.facts import Database, Missing, Server, Snapshot
from pgwatch_wed.findings import (
    Finding,
    Grade,
    Impact,
    MeasuredTime,
    Object,
    Severity,
    Unknown,
    Verdict,
)
from pgwatch_wed.render import json_v1, terminal
from pgwatch_wed.rules import Rule
from tests import formats
from tests.reports import blank

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SERVER = Server(
    taken_at=NOW,
    started_at=datetime(2026, 1, 1, tzinfo=UTC),
    version_num=170004,
    version="17.4",
    system_identifier="1",
    timeline=1,
    database="shop",
    database_oid=5,
    role="reader",
    is_superuser=False,
    is_in_recovery=False,
    encoding="UTF8",
    block_size=8192,
    wal_segment_bytes=16777216,
    role_memberships=(),
    backend_pid=1,
)
SNAPSHOT = Snapshot(tool_version="0", server=SERVER)


@dataclass(frozen=True, slots=True)
class NoLimits:
    """A rule without thresholds."""


def a_rule(*yields: Finding | Unknown, rule_id: str = "index-test", **attributes: Any) -> Rule:
    module = ModuleType(rule_id)
    module.__doc__ = "A rule."
    module.NEEDS = attributes.pop("needs", ())  # type: ignore[attr-defined]
    module.Limits = NoLimits  # type: ignore[attr-defined]
    module.check = lambda _snapshot, _limits: iter(yields)  # type: ignore[attr-defined]
    for name, value in attributes.items():
        setattr(module, name, value)
    return Rule(rule_id, "index", module)


def a_finding(name: str = "a", **more: Any) -> Finding:
    fields: dict[str, Any] = {
        "object": Object("index", name, schema="public"),
        "severity": Severity.INFO,
        "grade": Grade.B,
        "title": "t",
        "detail": "d",
    }
    return Finding(**(fields | more))


def test_gain_weighed_by_grade_orders_findings_of_one_severity() -> None:
    proven = a_finding("proven", grade=Grade.A, impact=Impact(gain=MeasuredTime(60_000)))
    guessed = a_finding("guessed", grade=Grade.D, impact=Impact(gain=MeasuredTime(600_000)))
    large = a_finding("large", grade=Grade.A, impact=Impact(bytes=10**10))
    assert [f.object.name for f in ranked([guessed, proven, large])] == [
        "large",
        "proven",
        "guessed",
    ]


def test_the_order_of_rules_does_not_change_the_ranking() -> None:
    some = [
        a_finding(n, impact=Impact(bytes=size)) for n, size in (("b", 5), ("a", 5), ("c", 10**9))
    ]
    assert ranked(some) == ranked(reversed(some))


def test_a_missing_fact_makes_a_rule_unknown_with_the_mend() -> None:
    blind = replace(SNAPSHOT, missing={"indexes": Missing("no right", "GRANT x TO y;")})
    report = analyse([blind], Config(), [a_rule(a_finding(), needs=("indexes",))])
    (verdict,) = report.verdicts
    assert (verdict.verdict, verdict.mend) == (Verdict.UNKNOWN, "GRANT x TO y;")
    assert report.findings == ()


def test_a_rule_that_fails_costs_itself_and_not_the_report() -> None:
    def fail(_snapshot: Snapshot, _limits: object) -> Iterator[Finding]:
        yield a_finding("half")
        raise ZeroDivisionError("of orders by 'secret'")

    broken = a_rule(rule_id="index-broken", check=fail)
    report = analyse([SNAPSHOT], Config(), [broken, a_rule(a_finding())])
    assert [f.rule for f in report.findings] == ["index-test"]
    verdict = next(v for v in report.verdicts if v.rule == "index-broken")
    assert verdict.verdict is Verdict.UNKNOWN
    assert "unexpected ZeroDivisionError" in verdict.reason
    assert "secret" not in verdict.reason, "an error's text may hold a name or a value"
    assert "report this" in verdict.mend
    with pytest.raises(ZeroDivisionError):
        judge(broken, SNAPSHOT, Config())  # for tests it stays loud


def test_a_finding_beside_unknown_objects_keeps_the_reason() -> None:
    report = analyse([SNAPSHOT], Config(), [a_rule(a_finding(), Unknown("b is locked"))])
    (verdict,) = report.verdicts
    assert verdict.verdict is Verdict.FINDING
    assert "b is locked" in verdict.reason


def test_the_worst_verdict_of_several_databases_counts() -> None:
    other = replace(
        SNAPSHOT,
        server=replace(SERVER, database="logs"),
        missing={"indexes": Missing("not read")},
    )
    report = analyse([SNAPSHOT, other], Config(), [a_rule(needs=("indexes",))])
    (verdict,) = report.verdicts
    assert verdict.verdict is Verdict.UNKNOWN
    assert "logs: indexes: not read" in verdict.reason


def test_a_reason_of_many_databases_is_told_once() -> None:
    many = [
        replace(
            SNAPSHOT,
            server=replace(SERVER, database=f"tenant_{number}"),
            missing={"indexes": Missing("locked" if number == 7 else "not read")},
        )
        for number in range(200)
    ]
    report = analyse(many, Config(), [a_rule(needs=("indexes",))])
    (verdict,) = report.verdicts
    assert verdict.reason == (
        "tenant_0, tenant_1, tenant_2 and 196 more: indexes: not read; tenant_7: indexes: locked"
    )


def test_a_rule_about_the_server_is_judged_once() -> None:
    report = analyse([SNAPSHOT, SNAPSHOT], Config(), [a_rule(a_finding(), SCOPE="cluster")])
    assert len(report.findings) == 1


@pytest.mark.parametrize(("until", "left"), [(date(2026, 11, 1), 0), (date(2026, 10, 31), 1)])
def test_an_ignore_ends_on_its_day(until: date, left: int) -> None:
    config = Config(ignores=(Ignore("because", rule="index-*", until=until),))
    report = analyse([SNAPSHOT], config, [a_rule(a_finding())])
    assert (len(report.findings), len(report.ignored)) == (left, 1 - left)


DUPLICATE = "index-duplicate"
SHOP = blank(Database, oid=5, name="shop", allows_connections=True)
LOGS = blank(Database, oid=6, name="logs", allows_connections=True)
WHOLE = replace(SNAPSHOT, databases=(SHOP,))
PARTLY = Unknown("hidden", object=Object("index", "elsewhere"))


# An entry, what its rule yields, what else is configured, and how the entry is told: as in linters, one of a rule
# that was not selected, or that could not look everywhere, is not called unused.
@pytest.mark.parametrize(
    ("entry", "yields", "more", "told"),
    [
        ({"rule": DUPLICATE}, [a_finding()], {}, None),
        ({"rule": DUPLICATE}, [], {}, "matched nothing"),
        ({"rule": DUPLICATE, "object": "public.nowhere"}, [a_finding()], {}, "matched nothing"),
        ({"rule": DUPLICATE}, [], {"only": ("vacuum",)}, None),
        ({"rule": DUPLICATE}, [], {"only": ("index",)}, "matched nothing"),
        ({"rule": DUPLICATE}, [], {"ignore": (DUPLICATE,)}, None),
        ({"rule": "index-*"}, [], {}, None),
        ({"rule": "index"}, [], {}, None),
        ({"object": "public.nowhere"}, [], {}, None),
        ({"rule": DUPLICATE}, [Unknown("no rights")], {}, None),
        ({"rule": DUPLICATE, "object": "public.x"}, [a_finding(), PARTLY], {}, None),
        ({"rule": DUPLICATE, "finding": "0" * 16}, [a_finding(), PARTLY], {}, "matched nothing"),
        ({"rule": DUPLICATE, "up_to": Severity.INFO}, [a_finding()], {}, None),
        ({"rule": DUPLICATE, "until": date(2026, 11, 1)}, [a_finding()], {}, None),
        ({"rule": DUPLICATE, "until": date(2026, 10, 31)}, [a_finding()], {}, "expired on 2026-10-31"),
        ({"rule": "lock-*", "until": date(2026, 1, 31)}, [], {}, "expired on 2026-01-31"),
    ],
)  # fmt: skip
def test_an_ignore_that_does_nothing_is_told(
    entry: dict[str, Any], yields: list[Any], more: dict[str, Any], told: str | None
) -> None:
    config = Config(ignores=(Ignore("because", **entry),), **more)
    report = analyse([WHOLE], config, [a_rule(*yields, rule_id=DUPLICATE)])
    shown = " ".join(terminal.text(report).split())
    assert ("Unused entries in [[ignore]]" in shown) is (told is not None)
    unused = json_v1.as_json(report)["unused_ignores"]
    assert len(unused) == (told is not None)
    if told:
        assert f'rule = "{entry["rule"]}" ' in shown
        assert f"{told}." in shown
        assert unused[0]["state"] == ("unmatched" if "nothing" in told else "expired")


@pytest.mark.parametrize(
    ("rule", "others", "is_told"),
    [
        (DUPLICATE, [], True),
        (DUPLICATE, [LOGS], False),
        (DUPLICATE, [replace(LOGS, is_template=True)], True),
        (DUPLICATE, [replace(LOGS, allows_connections=False)], True),
        ("wal-buffers-full", [LOGS], True),
        ("lock-blocked", [], False),
        ("replication-lag", [], False),
        ("lock-no-timeouts", [], True),
    ],
)
def test_an_ignore_is_unused_only_if_nothing_was_left_to_look_at(
    rule: str, others: list[Database], is_told: bool
) -> None:
    config = Config(ignores=(Ignore("because", rule=rule),))
    one = replace(WHOLE, databases=(SHOP, *others))
    report = analyse([one], config, [a_rule(rule_id=rule)])
    assert bool(report.unused_ignores) is is_told
    assert not analyse([SNAPSHOT], config, [a_rule(rule_id=DUPLICATE)]).unused_ignores
    logs = replace(one, server=replace(SERVER, database="logs", database_oid=6))
    told = analyse([one, logs], config, [a_rule(rule_id=rule)]).unused_ignores
    assert bool(told) is (is_told or rule == DUPLICATE)


def test_one_line_tells_of_many_ignores_that_do_nothing() -> None:
    entries = tuple(Ignore("because", object=f"o{n}", until=date(2026, 1, 1)) for n in range(9))
    report = analyse([SNAPSHOT], Config(ignores=entries), [])
    assert "and 6 more (-v shows them)" in " ".join(terminal.text(report).split())
    assert 'object = "o8"' in " ".join(terminal.text(report, verbose=True).split())


@pytest.mark.parametrize("name", ["text", "markdown", "html"])
def test_what_was_ignored_and_which_entries_do_nothing_is_told_in_every_text(name: str) -> None:
    entries = (
        Ignore("because", rule=DUPLICATE),
        Ignore("old", rule="index-unused", until=date(2026, 1, 1)),
    )
    report = analyse([SNAPSHOT], Config(ignores=entries), [a_rule(a_finding(), rule_id=DUPLICATE)])
    said = html.unescape(" ".join(formats.document(name, report).replace("\\", "").split()))
    assert "1 finding ignored by the configuration" in said
    assert 'rule = "index-unused" expired on 2026-01-01' in said


def test_what_a_person_acknowledged_is_no_entry_of_the_configuration() -> None:
    config = Config(acknowledged=(Ignore("by me", finding="0" * 16),))
    report = analyse([SNAPSHOT], config, [a_rule(rule_id=DUPLICATE)])
    assert report.unused_ignores == ()


def test_what_is_below_the_severity_is_counted() -> None:
    config = Config(min_severity=Severity.WARNING)
    rule = a_rule(a_finding("a"), a_finding("b", severity=Severity.WARNING))
    report = analyse([SNAPSHOT], config, [rule])
    assert [f.object.name for f in report.findings] == ["b"]
    assert report.hidden_count == 1


def test_a_fingerprint_stays_when_the_evidence_changes() -> None:
    one = analyse([SNAPSHOT], Config(), [a_rule(a_finding(evidence={"n": 1}))])
    two = analyse([SNAPSHOT], Config(), [a_rule(a_finding(evidence={"n": 2}))])
    assert one.findings[0].id == two.findings[0].id


def test_a_standby_makes_rules_of_the_primary_unknown() -> None:
    standby = replace(SNAPSHOT, server=replace(SERVER, is_in_recovery=True))
    report = analyse([standby], Config(), [a_rule(a_finding(), PRIMARY_ONLY=True)])
    assert report.verdicts[0].verdict is Verdict.UNKNOWN
