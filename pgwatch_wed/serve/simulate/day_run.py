"""Runs a simulated day through the rules, the objectives and the notifications, with their own code and no clock of ours."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from pgwatch_wed.serve.alerts.alerting import Alerting, default_rules
from pgwatch_wed.serve.alerts.rule_files import RuleGroup, parse
from pgwatch_wed.serve.notify.courier import is_kept_quiet
from pgwatch_wed.serve.notify.fingerprints import all_labels
from pgwatch_wed.serve.notify.grouped import Pace
from pgwatch_wed.serve.notify.inhibition import RANKS, inhibited
from pgwatch_wed.serve.notify.notify_settings import NotifySettings
from pgwatch_wed.serve.notify.quiet_hours import Once, QuietHours
from pgwatch_wed.serve.simulate.day_plan import DAY_S, DayEvent, planned
from pgwatch_wed.serve.simulate.day_series import STEP_S, SimulatedDay
from pgwatch_wed.serve.slo.slo_keeper import SloKeeper
from pgwatch_wed.serve.slo.slo_rules import rules_yaml
from pgwatch_wed.serve.slo.slo_settings import parse_slos
from pgwatch_wed.serve.state import Alert, Board, Family, ServiceState

BEGINS = 1_800_057_600.0  # a midnight


@dataclass(frozen=True, slots=True)
class ToldAlert:
    """An alert as people hear of it: at which second of the day."""

    name: str
    severity: str
    second: float
    labels: tuple[tuple[str, str], ...] = ()


def default_groups() -> tuple[RuleGroup, ...]:
    """Return our rules, those of the objectives among them."""
    return (*parse(default_rules(), "default rules"), *parse(rules_yaml(), "objectives"))


def simulated(
    seed: int, seconds: float = DAY_S, groups: Sequence[RuleGroup] | None = None
) -> tuple[list[DayEvent], list[ToldAlert]]:
    """Return the truth of a day and what was told of it."""
    events = planned(seed, seconds)
    return events, told_of(events, seed, seconds, groups)


def told_of(
    events: Sequence[DayEvent],
    seed: int,
    seconds: float = DAY_S,
    groups: Sequence[RuleGroup] | None = None,
) -> list[ToldAlert]:
    """Return what is told when these events happen."""
    ticking = _Clock()
    board = Board()
    alerting = Alerting(
        board,
        groups=default_groups() if groups is None else groups,
        now=ticking.now,
        monotonic=ticking.monotonic,
    )
    keeper = SloKeeper(
        parse_slos({}, "the guide"), board, now=ticking.now, monotonic=ticking.monotonic
    )
    settings, listener = NotifySettings(quiet_hours=_windows(events)), _Listener()
    day = SimulatedDay(events, seed, BEGINS)
    steps = [e for e in events if e.kind.clock_step_s]
    while ticking.second < seconds:
        ticking.second += STEP_S
        ticking.offset = sum(e.kind.clock_step_s for e in steps if e.begins <= ticking.second)
        now = ticking.now()
        families = day.step(ticking.second, now)
        board.change(partial(_with, families))
        keeper.run_once(now)
        alerting.run_once(now)
        listener.hear(board.state.alerts, now, ticking.second, settings)
    return listener.told


def _with(families: tuple[Family, ...], state: ServiceState) -> ServiceState:
    return replace(state, families={**state.families, "day": families})


class _Clock:
    """The service's clocks: one that can be set, and one that cannot."""

    def __init__(self) -> None:
        self.second = self.offset = 0.0

    def now(self) -> float:
        return BEGINS + self.second + self.offset

    def monotonic(self) -> float:
        return self.second


class _Listener:
    """Hears of each alert once, after the time that notifications wait for more."""

    def __init__(self) -> None:
        self.told: list[ToldAlert] = []
        self._known: set[tuple[str, object, str]] = set()

    def hear(
        self, alerts: Sequence[Alert], now: float, second: float, settings: NotifySettings
    ) -> None:
        firing: set[tuple[str, object, str]] = set()
        for alert in inhibited(alerts, now):
            labels = all_labels(alert)
            severity = labels.get("severity", "")
            if alert.state != "firing" or severity not in RANKS:
                continue
            key = (alert.name, tuple(sorted(labels.items())), severity)
            firing.add(key)
            if key in self._known or is_kept_quiet(alert, labels, settings, now):
                continue
            self._known.add(key)
            wait = _PACE.wait_critical_s if severity == "critical" else _PACE.wait_s
            self.told.append(ToldAlert(alert.name, severity, second + wait, alert.labels))
        self._known &= firing


_PACE = Pace()


def _windows(events: Sequence[DayEvent]) -> tuple[QuietHours, ...]:
    return tuple(
        QuietHours("planned", Once(_at(e.begins - 60), _at(e.ends + 300)), {})
        for e in events
        if e.kind.is_maintenance
    )


def _at(second: float) -> datetime:
    return datetime.fromtimestamp(BEGINS + second, UTC)
