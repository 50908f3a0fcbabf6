"""How fast an error budget is used; pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed import units
from pgwatch_wed.serve.slo.event_ledger import MINUTE_S, EventLedger
from pgwatch_wed.serve.slo.slo_settings import Objective
from pgwatch_wed.serve.state import PREFIX, Family, Health, Sample

WINDOWS_S: Mapping[str, float] = {
    "5m": 300,
    "30m": 1800,
    "1h": 3600,
    "2h": 7200,
    "6h": 21_600,
    "1d": 86_400,
    "3d": 259_200,
}


@dataclass(frozen=True, slots=True)
class BurnAlert:
    """The budget is used so many times too fast, over a long window and still over a short one."""

    name: str
    severity: str
    long: str
    short: str
    factor: float


# Of a budget for 30 days: 2% in an hour, 5% in six, 10% in a day, 10% in three.
BURN_ALERTS = (
    BurnAlert("SloBurnFast", "critical", "1h", "5m", 14.4),
    BurnAlert("SloBurn", "critical", "6h", "30m", 6),
    BurnAlert("SloBurnSlow", "warning", "1d", "2h", 3),
    BurnAlert("SloBudgetLow", "warning", "3d", "6h", 1),
)


@dataclass(frozen=True, slots=True)
class SloStatus:
    """Where an objective stands.

    ``used_ratio`` is the share of the budget that is used, ``unknown_ratio`` of the minutes of the window in which nothing was
    measured; ``burn`` how many times too fast the budget was used in each window, None if nothing happened there.
    """

    name: str
    kind: str
    objective: float
    window_s: float
    allowed_s: float
    status: Health
    detail: str
    good: float
    bad: float
    used_ratio: float | None
    unknown_ratio: float
    burn: Mapping[str, float | None]
    bad_events: Mapping[str, float]


def judge(objective: Objective, ledger: EventLedger, now: float) -> SloStatus:
    """Tell where an objective stands."""
    all_of_it = ledger.within(now, objective.window_s)
    events = {name: ledger.within(now, seconds) for name, seconds in WINDOWS_S.items()}
    burn = {
        name: None if each.bad_ratio is None else each.bad_ratio / objective.budget
        for name, each in events.items()
    }
    bad_events = {name: each.bad for name, each in events.items()}
    ratio = all_of_it.bad_ratio
    used = None if ratio is None else ratio / objective.budget
    minutes = objective.window_s / MINUTE_S
    unknown = min(max(1 - all_of_it.minutes / minutes, 0.0), 1.0)
    status, detail = _status(objective, burn, bad_events, used)
    return SloStatus(
        name=objective.name,
        kind=objective.kind,
        objective=objective.objective,
        window_s=objective.window_s,
        allowed_s=objective.allowed_s,
        status=status,
        detail=detail,
        good=all_of_it.good,
        bad=all_of_it.bad,
        used_ratio=used,
        unknown_ratio=unknown,
        burn=burn,
        bad_events=bad_events,
    )


def burning(
    objective: Objective, burn: Mapping[str, float | None], bad: Mapping[str, float]
) -> Iterator[BurnAlert]:
    """Yield the alerts whose condition holds, worst first."""
    for alert in BURN_ALERTS:
        rates = (burn[alert.long], burn[alert.short])
        if (
            all(r is not None and r > alert.factor for r in rates)
            and bad[alert.short] >= objective.least_errors
        ):
            yield alert


def _status(
    objective: Objective,
    burn: Mapping[str, float | None],
    bad: Mapping[str, float],
    used: float | None,
) -> tuple[Health, str]:
    if used is None:
        return Health.UNKNOWN, "nothing was measured"
    worst = next(burning(objective, burn, bad), None)
    if worst is not None:
        rate = burn[worst.long]
        assert rate is not None
        detail = f"the budget of {units.words(timedelta(seconds=objective.window_s))} is used {rate:.1f} times too fast over {worst.long}"
        return (Health.FAIL if worst.severity == "critical" else Health.WARN), detail
    if used > 1:
        return Health.WARN, f"{used:.0%} of the budget is used"
    return Health.PASS, f"{used:.0%} of the budget is used"


def families(
    statuses: Mapping[str, SloStatus], objectives: Mapping[str, Objective]
) -> tuple[Family, ...]:
    """Return the objectives as metrics. A window without events has no sample: unknown is not good."""
    burn, bad, used, unknown, goal, least = [], [], [], [], [], []
    for name, status in statuses.items():
        label = ("slo", name)
        goal.append(Sample(f"{PREFIX}slo_objective_ratio", (label,), status.objective))
        least.append(
            Sample(f"{PREFIX}slo_least_errors", (label,), float(objectives[name].least_errors))
        )
        unknown.append(Sample(f"{PREFIX}slo_unknown_ratio", (label,), status.unknown_ratio))
        if status.used_ratio is not None:
            used.append(Sample(f"{PREFIX}slo_budget_used_ratio", (label,), status.used_ratio))
        for window, rate in status.burn.items():
            if rate is not None:
                burn.append(Sample(f"{PREFIX}slo_burn_rate", (label, ("window", window)), rate))
            bad.append(
                Sample(
                    f"{PREFIX}slo_bad_events",
                    (label, ("window", window)),
                    status.bad_events[window],
                )
            )
    return tuple(
        Family(f"{PREFIX}{name}", "gauge", text, tuple(samples), "slo")
        for name, text, samples in (
            ("slo_objective_ratio", "Share of events that are to be good.", goal),
            (
                "slo_least_errors",
                "Bad events in the short window below which no alert is raised.",
                least,
            ),
            ("slo_budget_used_ratio", "Share of the error budget that is used.", used),
            (
                "slo_unknown_ratio",
                "Share of the minutes of the window in which nothing was measured.",
                unknown,
            ),
            (
                "slo_burn_rate",
                "How many times too fast the error budget was used, by window.",
                burn,
            ),
            ("slo_bad_events", "Bad events by window.", bad),
        )
    )
