"""The states of the alerts of a rule: pending, firing, resolved, exactly as Prometheus keeps them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pgwatch_wed.serve.alerts.promql.vectors import NAME, EvaluationError, Vector
from pgwatch_wed.serve.alerts.rule_files import AlertRule
from pgwatch_wed.serve.state import Alert, Labels

# How long it is remembered that an alert was resolved.
REMEMBER_RESOLVED_MS = 15 * 60_000


@dataclass(frozen=True, slots=True)
class ActiveAlert:
    """An alert of a rule; moments are milliseconds."""

    labels: Labels
    annotations: Labels
    value: float
    state: str
    active_ms: int
    fired_ms: int | None = None
    absent_ms: int | None = None  # since when only keep_firing_for keeps it
    resolved_ms: int | None = None

    def shifted(self, by_ms: int) -> "ActiveAlert":
        """Return it after the clock was set."""

        def moved(at: int | None) -> int | None:
            return None if at is None else at + by_ms

        return replace(
            self,
            active_ms=self.active_ms + by_ms,
            fired_ms=moved(self.fired_ms),
            absent_ms=moved(self.absent_ms),
            resolved_ms=moved(self.resolved_ms),
        )


def advanced(
    rule: AlertRule,
    before: Mapping[Labels, ActiveAlert],
    result: Vector,
    at_ms: int,
    *,
    is_blind: bool = False,
) -> dict[Labels, ActiveAlert]:
    """Return the alerts of a rule after an evaluation.

    ``is_blind``: the samples that the rule looks back on are missing, so that no result says nothing.
    """
    found = _present(rule, result, at_ms)
    after: dict[Labels, ActiveAlert] = {}
    for labels, alert in {**before, **found}.items():
        new = found.get(labels)
        old = before.get(labels)
        if is_blind and old is not None and new is None:
            after[labels] = old
            continue
        if old is None or (new is not None and old.state == "resolved"):
            kept: ActiveAlert | None = alert
        elif new is not None:
            kept = replace(old, value=new.value, annotations=new.annotations, absent_ms=None)
        else:
            kept = _absent(rule, old, at_ms)
        if kept is not None:
            after[labels] = _fired(rule, kept, at_ms)
    return after


def _present(rule: AlertRule, result: Vector, at_ms: int) -> dict[Labels, ActiveAlert]:
    found: dict[Labels, ActiveAlert] = {}
    for labels, value in result.items():
        alert = _alert(rule, labels, value, at_ms)
        if alert.labels in found:
            raise EvaluationError(
                "vector contains metrics with the same labelset after applying alert labels"
            )
        found[alert.labels] = alert
    return found


def _alert(rule: AlertRule, labels: Labels, value: float, at_ms: int) -> ActiveAlert:
    given = dict(labels)
    kept = {k: v for k, v in given.items() if k != NAME}
    kept.update((k, t.filled(given, value)) for k, t in rule.label_templates.items())
    kept["alertname"] = rule.name
    annotations = ((k, t.filled(given, value)) for k, t in rule.annotation_templates.items())
    return ActiveAlert(
        tuple(sorted((k, v) for k, v in kept.items() if v)),
        tuple(sorted(annotations)),
        value,
        "pending",
        at_ms,
    )


def _absent(rule: AlertRule, old: ActiveAlert, at_ms: int) -> ActiveAlert | None:
    """Return an alert whose condition is not true any more; None if it is forgotten."""
    if old.state == "pending":
        return None
    if old.state == "resolved":
        assert old.resolved_ms is not None
        return None if at_ms - old.resolved_ms > REMEMBER_RESOLVED_MS else old
    if rule.keep_firing_ms:
        since = old.absent_ms if old.absent_ms is not None else at_ms
        if at_ms - since < rule.keep_firing_ms:
            return replace(old, absent_ms=since)
    return replace(old, state="resolved", resolved_ms=at_ms)


def _fired(rule: AlertRule, alert: ActiveAlert, at_ms: int) -> ActiveAlert:
    if alert.state == "pending" and at_ms - alert.active_ms >= rule.for_ms:
        return replace(alert, state="firing", fired_ms=at_ms)
    return alert


def shown(alert: ActiveAlert) -> Alert:
    """Return an alert as the service shows it."""

    def seconds(at: int | None) -> float | None:
        return None if at is None else at / 1000

    return Alert(
        name=dict(alert.labels)["alertname"],
        labels=alert.labels,
        annotations=alert.annotations,
        state=alert.state,
        value=alert.value,
        active_at=alert.active_ms / 1000,
        fired_at=seconds(alert.fired_ms),
        resolved_at=seconds(alert.resolved_ms),
    )


def as_series(alerts: Mapping[Labels, ActiveAlert]) -> Iterator[tuple[Labels, float]]:
    """Yield the series that Prometheus makes of alerts: ALERTS and ALERTS_FOR_STATE."""
    for alert in alerts.values():
        if alert.state == "resolved":
            continue
        state = [*alert.labels, (NAME, "ALERTS"), ("alertstate", alert.state)]
        yield tuple(sorted(state)), 1.0
        yield tuple(sorted([*alert.labels, (NAME, "ALERTS_FOR_STATE")])), alert.active_ms // 1000
