"""What is told of alerts, and when: without a receiver."""

import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pgwatch_wed.errors import UsageError
from pgwatch_wed.serve.notify import kept_memory, wording
from pgwatch_wed.serve.notify.fingerprints import identity
from pgwatch_wed.serve.notify.grouped import (
    GroupMemory,
    Notice,
    Pace,
    delivered,
    plan,
    undelivered,
)
from pgwatch_wed.serve.notify.inhibition import inhibited
from pgwatch_wed.serve.notify.notifier import Notifier, Pulse
from pgwatch_wed.serve.notify.notify_settings import DeadMansSwitch, WebTarget, parse
from pgwatch_wed.serve.state import Alert, Board, ServiceState

GROUP = (("target", "shop"),)
PACE = Pace()


def alert(
    name: str = "HttpErrorsHigh",
    severity: str = "critical",
    state: str = "firing",
    at: float = 1000.0,
    ended: float | None = None,
    **labels: str,
) -> Alert:
    given = {"severity": severity, "target": "shop", **labels}
    return Alert(name, tuple(given.items()), (), state, 1.0, at, at, ended)


def of(*alerts: Alert) -> dict[str, Alert]:
    return {identity(a): a for a in alerts}


def names(alerts: dict[str, Alert]) -> list[str]:
    return sorted(a.name for a in alerts.values())


def test_the_watchdog_is_patient_where_alerts_are_evaluated_rarely() -> None:
    at, lines = [0.0], list[str]()
    switch = DeadMansSwitch(WebTarget("http://127.0.0.1:1/"), 60.0)
    pulse = Pulse(switch, lambda: at[0], lines.append, fresh_s=900.0)
    state = ServiceState(alerts=(alert("Watchdog", "none"),), details={"rules_that_fail": {}})
    for at[0] in (0.0, 61.0, 240.0, 899.0, 1000.0):
        pulse.run_once(state, at[0])
    assert lines == ["watchdog: connection refused"] * 4  # whoever asked would have been heard


# Inhibition


def test_of_thousands_of_alerts_each_is_told_by_the_first_that_stands_for_it() -> None:
    lesser = [alert(f"L{n}", "warning", topic=f"t{n % 7}") for n in range(3000)]
    worse = [alert(f"W{n}", topic=f"t{n % 7}") for n in range(3000)]
    found = by([*lesser, *worse])
    assert all(found[f"L{n}"] == f"W{n % 7}" for n in range(3000))


def by(alerts: list[Alert], now: float = 2000.0) -> dict[str, str]:
    return {a.name: a.inhibited_by for a in inhibited(alerts, now)}


def test_a_worse_alert_of_the_same_topic_and_target_stands_for_the_lesser() -> None:
    worse = alert("QueriesOver5s", topic="query_time")
    lesser = alert("QueriesOver200ms", "warning", topic="query_time")
    assert by([worse, lesser]) == {"QueriesOver5s": "", "QueriesOver200ms": "QueriesOver5s"}
    elsewhere = alert("QueriesOver200ms", "warning", topic="query_time", target="crm")
    assert by([worse, elsewhere])["QueriesOver200ms"] == ""
    other_topic = alert("ConnectionsNearLimit", "info", topic="connections")
    without_topic = alert("Mine", "info")
    assert set(by([worse, other_topic, without_topic]).values()) == {""}


def test_equals_do_not_silence_each_other_and_a_pending_one_silences_nothing() -> None:
    one, two = alert("One", topic="http"), alert("Two", topic="http")
    assert by([one, two]) == {"One": "", "Two": ""}
    pending = replace(alert("Worse", topic="http"), state="pending")
    assert by([pending, alert("Lesser", "warning", topic="http")])["Lesser"] == ""


def test_an_unreachable_database_stands_for_all_that_is_computed_from_it() -> None:
    down = alert("DatabaseUnreachable", topic="database", source="database")
    computed = alert("WraparoundNear", source="database")
    outside = alert("HostCpuHigh", "warning")
    told = by([down, computed, outside])
    assert told == {
        "DatabaseUnreachable": "",
        "WraparoundNear": "DatabaseUnreachable",
        "HostCpuHigh": "",
    }


def test_what_follows_from_an_alert_may_end_a_little_later_and_is_not_told_then() -> None:
    ended = alert("Worse", state="resolved", ended=1990.0, topic="http")
    lesser = alert("Lesser", "warning", topic="http")
    assert by([ended, lesser], 2000)["Lesser"] == "Worse"
    assert by([ended, lesser], 2060)["Lesser"] == ""
    assert by([ended, lesser], 1000)["Lesser"] == ""  # the clock was set back


def test_the_board_tells_which_alert_stands_for_which() -> None:
    board = Board()
    notifier = Notifier(parse({}, "f"), board, now=lambda: 2000.0, monotonic=lambda: 0.0)
    alerts = (alert("Worse", topic="http"), alert("Lesser", "warning", topic="http"))
    board.change(lambda s: replace(s, alerts=alerts))
    notifier.run_once(2000.0)
    assert [a.inhibited_by for a in board.state.alerts] == ["", "Worse"]
    board.change(lambda s: replace(s, alerts=s.alerts[1:]))
    notifier.run_once(2000.0)
    assert [a.inhibited_by for a in board.state.alerts] == [""]


# Plan


def test_alerts_that_come_together_are_told_together_and_once() -> None:
    first, second = alert("A", "warning"), alert("B", "warning")
    memory, notice = plan(GROUP, GroupMemory(), of(first), 1000, PACE)
    assert notice is None
    memory, notice = plan(GROUP, memory, of(first, second), 1029, PACE)
    assert notice is None
    memory, notice = plan(GROUP, memory, of(first, second), 1030, PACE)
    assert notice is not None
    assert names(dict(notice.firing)) == ["A", "B"]
    memory = delivered(memory, notice, 1030)
    for at in range(1031, 5000, 15):
        memory, notice = plan(GROUP, memory, of(first, second), at, PACE)
        assert notice is None


def test_a_critical_one_waits_only_for_seconds_even_right_after_a_message() -> None:
    lesser = alert("A", "warning")
    memory = GroupMemory(told=of(lesser), sent_at=1000.0)
    critical = alert("B")
    memory, notice = plan(GROUP, memory, of(lesser, critical), 1001, PACE)
    assert notice is None
    memory, notice = plan(GROUP, memory, of(lesser, critical), 1006, PACE)
    assert notice is not None


def test_one_that_ended_before_it_was_told_is_never_told() -> None:
    it = alert("A", "warning")
    memory, _ = plan(GROUP, GroupMemory(), of(it), 1000, PACE)
    ended = replace(it, state="resolved", resolved_at=1010.0)
    memory, notice = plan(GROUP, memory, of(ended), 1100, PACE)
    assert notice is None
    assert memory.is_empty


def test_one_that_may_have_arrived_is_told_to_have_ended() -> None:
    it = alert()
    notice = Notice(GROUP, of(it), {}, 0)
    memory = undelivered(GroupMemory(changed_at=1000.0), notice)
    ended = replace(it, state="resolved", resolved_at=1100.0)
    memory, notice_2 = plan(GROUP, memory, of(ended), 1200, PACE)
    assert notice_2 is not None
    assert (names(dict(notice_2.firing)), names(dict(notice_2.resolved))) == (
        [],
        ["HttpErrorsHigh"],
    )
    memory = delivered(memory, notice_2, 1200)
    assert plan(GROUP, memory, of(ended), 1300, PACE)[1] is None


def test_after_a_restart_of_the_evaluator_nothing_is_said_to_have_ended_until_it_stays_away() -> (
    None
):
    it = alert()
    memory = GroupMemory(told=of(it), sent_at=1000.0)
    for at in (1010, 1500, 1909):
        memory, notice = plan(GROUP, memory, {}, at, PACE)
        assert notice is None
    back, notice = plan(GROUP, memory, of(it), 1909, PACE)
    assert notice is None
    assert names(dict(back.told)) == ["HttpErrorsHigh"]
    memory, notice = plan(GROUP, memory, {}, 1910, PACE)
    memory, notice = plan(GROUP, memory, {}, 1950, PACE)
    assert notice is not None
    assert names(dict(notice.resolved)) == ["HttpErrorsHigh"]


def test_one_that_is_missing_is_remembered_when_others_are_told() -> None:
    it, other = alert("A"), alert("B")
    memory = GroupMemory(told=of(it), sent_at=1000.0)
    memory, _ = plan(GROUP, memory, of(other), 1010, PACE)
    memory, notice = plan(GROUP, memory, of(other), 1020, PACE)
    assert notice is not None
    memory = delivered(memory, notice, 1020)
    assert names(dict(memory.told)) == ["A", "B"]
    memory, _ = plan(GROUP, memory, of(other), 1915, PACE)
    memory, notice = plan(GROUP, memory, of(other), 1960, PACE)
    assert notice is not None
    assert names(dict(notice.resolved)) == ["A"]


def test_what_goes_on_is_said_again_after_hours_and_the_clock_may_be_set_back() -> None:
    it = alert()
    memory = GroupMemory(told=of(it), sent_at=1000.0)
    assert plan(GROUP, memory, of(it), 1000 + 4 * 3600 - 1, PACE)[1] is None
    _, notice = plan(GROUP, memory, of(it), 1000 + 4 * 3600, PACE)
    assert notice is not None
    assert notice.is_repeat
    memory, notice = plan(GROUP, memory, of(it, alert("B")), 500, PACE)
    memory, notice = plan(GROUP, memory, of(it, alert("B")), 506, PACE)
    assert notice is not None


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_each_end_is_told_once_and_after_its_beginning(seed: int) -> None:
    """Alerts come, end and vanish at random, messages fail or arrive unnoticed; then the receiver is well again."""
    chance = random.Random(seed)
    alerts = {name: alert(name, chance.choice(["critical", "warning"])) for name in "ABCD"}
    now, memory, state = 1000.0, GroupMemory(), dict.fromkeys(alerts, "")
    open_at_receiver: set[str] = set()
    for step in range(400):
        now += 15
        is_calm = step > 300
        for name in alerts:
            if chance.random() < 0.05 and not is_calm:
                state[name] = "resolved" if state[name] == "firing" else "firing"
            if is_calm and state[name] == "firing":
                state[name] = "resolved"
        current = of(
            *(
                replace(a, state=state[n], resolved_at=now if state[n] == "resolved" else None)
                for n, a in alerts.items()
                if state[n]
            )
        )
        memory, notice = plan(GROUP, memory, current, now, PACE)
        if notice is None:
            continue
        arrives = is_calm or chance.random() < 0.6
        if arrives:
            ended, begun = names(dict(notice.resolved)), names(dict(notice.firing))
            open_at_receiver |= set(begun)
            open_at_receiver -= set(ended)
        is_known_to = is_calm or (arrives and chance.random() < 0.8)
        memory = delivered(memory, notice, now) if is_known_to else undelivered(memory, notice)
    assert not open_at_receiver
    assert memory.is_empty


# Memory


def test_the_memory_survives_and_a_corrupt_file_costs_only_itself(tmp_path: Path) -> None:
    file = tmp_path / "state" / "notified-pager.json"
    memory = GroupMemory(told=of(alert(note="ü\ud800")), sent_at=1.0, sequence=3)
    assert kept_memory.save(file, {GROUP: memory}) == ""
    assert file.stat().st_mode & 0o077 == 0
    kept, problem = kept_memory.load(file)
    assert (kept[GROUP].told.keys(), kept[GROUP].sequence, problem) == (memory.told.keys(), 3, "")
    for content in (
        "",
        "{",
        "[]",
        '{"version": 1}',
        '{"version": 9, "groups": []}',
        '{"version": 1, "groups": [{"group": [], "told": [], "owed": [], "changed_at": 1e300}]}',
        (
            '{"version": 1, "groups": [{"group": [], "told": [], "owed": [], "changed_at": null, '
            '"sent_at": null, "sequence": 1e999}]}'
        ),
        "[" * 100000,
        "\xff",
    ):
        file.write_bytes(content.encode("latin-1"))
        kept, problem = kept_memory.load(file)
        assert kept == {}
        assert "\n" not in problem
        assert problem
    assert kept_memory.load(tmp_path / "none")[1] == ""


def test_a_memory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    problem = kept_memory.save(tmp_path / "file" / "x.json", {GROUP: GroupMemory(told=of(alert()))})
    assert "could not write" in problem


# Settings and wording

WEBHOOK = {"kind": "webhook", "url": "http://127.0.0.1:1/x"}
NAIVE = datetime.fromisoformat("2026-01-01T00:00:00")
MAIL = {"kind": "email", "host": "h", "from": "a@b.c", "to": ["d@e.f"]}


@pytest.mark.parametrize(
    ("table", "part"),
    [
        ({"receivers": {"a": {"kind": "pigeon"}}}, "receivers.a.kind"),
        ({"receivers": {"a": {"kind": "webhook"}}}, "url_env, url_file or url"),
        (
            {
                "receivers": {
                    "a": {"kind": "slack", "url": "https://hooks.slack.com/services/T/B/x"}
                }
            },
            "secret",
        ),
        ({"receivers": {"a": {"kind": "webhook", "url": "https://u:p@h/"}}}, "secret"),
        ({"receivers": {"a": {"kind": "webhook", "url": "https://h/?token=1"}}}, "secret"),
        ({"receivers": {"a": {"kind": "webhook", "url": "file:///etc/passwd"}}}, "http://"),
        ({"receivers": {"a": {"kind": "webhook", "url_env": "NOT_SET_AT_ALL"}}}, "is not set"),
        ({"receivers": {"a": {"kind": "webhook", "url_file": "/nowhere"}}}, "could not read"),
        ({"receivers": {"a": {**WEBHOOK, "bearer": "x"}}}, "bearer_env"),
        ({"receivers": {"a": {**WEBHOOK, "severities": ["bad"]}}}, "severities"),
        ({"receivers": {"a": {**WEBHOOK, "deadline": 10}}}, "deadline"),
        ({"receivers": {"a": {**MAIL, "password": "x"}}}, "password_env"),
        ({"receivers": {"a": {**MAIL, "from": "a@b.c\nBcc: x@y.z"}}}, "from"),
        ({"receivers": {"a": {**MAIL, "to": ["x@y.z, u@v.w"]}}}, "to"),
        ({"receivers": {"a": {**MAIL, "user": "u"}}}, "password_env"),
        ({"receivers": {"a": {**MAIL, "port": True}}}, "port"),
        ({"receivers": {"a\nb": WEBHOOK}}, "one line"),
        ({"receivers": []}, "tables"),
        ({"wait": "soon"}, "wait"),
        ({"repeat": "0 s"}, "repeat"),
        ({"nonsense": 1}, "unknown key"),
        ({"maintenance": [{"from": "02:00", "until": "03:00"}]}, "reason"),
        ({"maintenance": [{"reason": "x", "from": "2", "until": "03:00"}]}, "from"),
        (
            {"maintenance": [{"reason": "x", "from": "02:00", "until": "03:00", "days": ["lun"]}]},
            "days",
        ),
        (
            {
                "maintenance": [
                    {"reason": "x", "from": "02:00", "until": "03:00", "timezone": "../x"}
                ]
            },
            "time zone",
        ),
        (
            {"maintenance": [{"reason": "x", "from": NAIVE, "until": NAIVE}]},
            "time zone",
        ),
        ({"watchdog": {"url": "http://h/?k=1"}}, "secret"),
    ],
)
def test_what_cannot_be_meant_is_one_line_with_file_and_key(
    table: dict[str, object], part: str
) -> None:
    with pytest.raises(UsageError) as caught:
        parse(table, "pgwatch_wed.toml")
    line = str(caught.value)
    assert line.startswith("pgwatch_wed.toml: notify")
    assert part in line
    assert "\n" not in line


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_maintenance_follows_the_time_zone_and_goes_over_midnight() -> None:
    entry = {
        "reason": "x",
        "days": ["sun"],
        "from": "23:00",
        "until": "01:00",
        "timezone": "Europe/Berlin",
    }
    (window,) = parse({"maintenance": [{**entry, "match": {"target": "sh*"}}]}, "f").quiet_hours
    labels = {"target": "shop"}
    sunday = {
        "2026-07-05T20:59:00": False,
        "2026-07-05T21:00:00": True,
        "2026-07-05T22:59:00": True,
    }
    monday = {
        "2026-07-05T23:00:00": False,
        "2026-07-06T21:30:00": False,
        "2026-01-04T22:00:00": True,
    }
    for moment, expected in (sunday | monday).items():
        assert window.holds(labels, at(moment)) is expected, moment
    assert not window.holds({"target": "crm"}, at("2026-07-05T21:30:00"))
    once = {
        "reason": "x",
        "from": datetime(2026, 1, 1, tzinfo=UTC),
        "until": datetime(2026, 1, 2, tzinfo=UTC),
    }
    (window,) = parse({"maintenance": [once]}, "f").quiet_hours
    assert window.holds({}, at("2026-01-01T00:00:00"))
    assert not window.holds({}, at("2026-01-02T00:00:00"))


def test_names_cannot_break_out_of_a_message() -> None:
    evil = alert("X\r\nBcc: a@b.c", note="<!channel> & <http://evil|click>\u202e\x00")
    notice = Notice((("target", "shop\r\nX: y"),), of(evil), {}, 0)
    assert wording.subject(notice).isprintable()
    assert "<!channel>" not in wording.slack(notice, "")["attachments"][0]["text"]
    assert "\r" not in wording.body(notice, "")
    assert "\u202e" not in wording.body(notice, "")


def test_a_database_that_is_away_is_told_once() -> None:
    away = alert("DatabaseUnreachable", topic="database")
    down = alert("ServiceDown", topic="service", probe="database-shop")
    other = alert("ServiceDown", topic="service", probe="database-crm", target="crm")
    assert [a.inhibited_by for a in inhibited([away, down, other], 2000.0)] == [
        "",
        "DatabaseUnreachable",
        "",
    ]
