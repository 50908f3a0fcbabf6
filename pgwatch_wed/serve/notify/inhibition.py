"""Which alerts need not be told, because another that fires says it already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pgwatch_wed.serve.notify.fingerprints import all_labels
from pgwatch_wed.serve.state import Alert

RANKS = {"critical": 0, "warning": 1, "info": 2}
# So long after its end an alert still stands for others: what follows from it ends a little later.
SETTLES_S = 60.0


@dataclass(frozen=True, slots=True)
class Inhibition:
    """Alerts with these labels are not told while one with those fires, where ``equal`` labels agree.

    A value ends in ``*`` to match a beginning. A label that both lack agrees, as in Alertmanager.
    """

    by: Mapping[str, str]
    of: Mapping[str, str]
    equal: Sequence[str] = ("target",)


# What is computed from a database says nothing more while nobody can read it.
DEFAULTS = (
    Inhibition(by={"alertname": "DatabaseUnreachable"}, of={"source": "database"}),
    Inhibition(by={"alertname": "DatabaseRefuses"}, of={"alertname": "FactsStale"}),
    Inhibition(by={"alertname": "DatabaseUnreachable"}, of={"alertname": "ServiceDown"}),
)


@dataclass(frozen=True, slots=True)
class _Labeled:
    alert: Alert
    labels: Mapping[str, str] = field(default_factory=dict)

    def rank(self) -> int:
        return RANKS.get(self.labels.get("severity", ""), len(RANKS))


def inhibited(
    alerts: Sequence[Alert], now: float, rules: Sequence[Inhibition] = DEFAULTS
) -> tuple[Alert, ...]:
    """Return the alerts, with ``inhibited_by`` of those that another one stands for."""
    labeled = [_Labeled(alert, all_labels(alert)) for alert in alerts]
    sources = [each for each in labeled if _speaks(each.alert, now)]
    return tuple(_judged(each, sources, rules) for each in labeled)


def matches(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Tell whether all the wanted labels are there."""
    return all(_is_like(labels.get(name, ""), value) for name, value in wanted.items())


def _is_like(value: str, wanted: str) -> bool:
    return value.startswith(wanted[:-1]) if wanted.endswith("*") else value == wanted


def _speaks(alert: Alert, now: float) -> bool:
    if alert.state == "firing":
        return True
    ended = alert.resolved_at
    return alert.state == "resolved" and ended is not None and 0 <= now - ended < SETTLES_S


def _judged(each: _Labeled, sources: Sequence[_Labeled], rules: Sequence[Inhibition]) -> Alert:
    if each.alert.state == "resolved":
        return each.alert
    names = [s.alert.name for s in sources if s is not each and _stands_for(s, each, rules)]
    return replace(each.alert, inhibited_by=names[0] if names else "")


def _stands_for(source: _Labeled, each: _Labeled, rules: Sequence[Inhibition]) -> bool:
    return _is_worse(source, each) or any(
        _agree(source, each, rule.equal)
        and matches(source.labels, rule.by)
        and matches(each.labels, rule.of)
        and not matches(each.labels, rule.by)
        for rule in rules
    )


def _is_worse(source: _Labeled, each: _Labeled) -> bool:
    topic = each.labels.get("topic", "")
    return (
        topic != ""
        and _agree(source, each, ("topic", "target"))
        and source.rank() < each.rank() < len(RANKS)
    )


def _agree(one: _Labeled, other: _Labeled, names: Sequence[str]) -> bool:
    return all(one.labels.get(name, "") == other.labels.get(name, "") for name in names)
