"""Which alerts need not be told, because another that fires says it already."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from pgwatch_wed.serve.notify.fingerprints import all_labels
from pgwatch_wed.serve.state import Alert

RANKS = {"critical": 0, "warning": 1, "info": 2}
# So long after its end an alert still stands for others: what follows from it ends a little later.
SETTLES_S = 60.0
_TOPIC = ("topic", "target")


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
    place: int
    alert: Alert
    labels: Mapping[str, str]

    def rank(self) -> int:
        return RANKS.get(self.labels.get("severity", ""), len(RANKS))

    def values(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(self.labels.get(name, "") for name in names)


def inhibited(
    alerts: Sequence[Alert],
    now: float,
    rules: Sequence[Inhibition] = DEFAULTS,
    one_server: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Alert, ...]:
    """Return the alerts, with ``inhibited_by`` of those that another one stands for.

    ``one_server`` says which target stands in for another of the same server.
    """
    labeled = [_Labeled(place, alert, all_labels(alert)) for place, alert in enumerate(alerts)]
    speaking = _Speaking([each for each in labeled if _speaks(each.alert, now)], rules, one_server)
    return tuple(
        each.alert
        if each.alert.state == "resolved"
        else replace(each.alert, inhibited_by=speaking.stands_for(each))
        for each in labeled
    )


def severity(labels: Mapping[str, str]) -> str:
    """Return who is told of an alert: one of another severity than ours, or without any, is a warning, and not lost."""
    said = labels.get("severity", "")
    return said if said in RANKS or said == "none" else "warning"


def matches(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Tell whether all the wanted labels are there."""
    return all(_is_like(labels.get(name, ""), value) for name, value in wanted.items())


def _is_like(value: str, wanted: str) -> bool:
    return value.startswith(wanted[:-1]) if wanted.endswith("*") else value == wanted


def _key(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


def _speaks(alert: Alert, now: float) -> bool:
    if alert.state == "firing":
        return True
    ended = alert.resolved_at
    return alert.state == "resolved" and ended is not None and 0 <= now - ended < SETTLES_S


class _Speaking:
    """The alerts that may stand for others: of those that stand for the same, the first, so that many cost little."""

    def __init__(
        self,
        sources: Sequence[_Labeled],
        rules: Sequence[Inhibition],
        one_server: Mapping[str, str],
    ) -> None:
        self._rules, self._one_server = rules, one_server
        of_others = set(one_server.values())
        self._by_labels = {
            _key(s.labels): s for s in sources if s.labels.get("target") in of_others
        }
        self._worst: dict[tuple[str, ...], _Labeled] = {}  # by topic, target and rank
        self._by_rule: dict[tuple[int, tuple[str, ...]], _Labeled] = {}
        for source in sources:
            if source.labels.get("topic"):
                key = (*source.values(_TOPIC), str(source.rank()))
                self._worst.setdefault(key, source)
            for number, rule in enumerate(rules):
                if matches(source.labels, rule.by):
                    self._by_rule.setdefault((number, source.values(rule.equal)), source)

    def stands_for(self, each: _Labeled) -> str:
        """Return the name of the first alert that stands for this one, or nothing."""
        found = min(
            (*self._worse(each), *self._of_rules(each), *self._of_one_server(each)),
            key=lambda s: s.place,
            default=None,
        )
        return found.alert.name if found is not None else ""

    def _of_one_server(self, each: _Labeled) -> Iterator[_Labeled]:
        other = self._one_server.get(each.labels.get("target", ""))
        if other is not None:
            source = self._by_labels.get(_key({**each.labels, "target": other}))
            if source is not None:
                yield source

    def _worse(self, each: _Labeled) -> Iterator[_Labeled]:
        if not each.labels.get("topic") or each.rank() == len(RANKS):
            return
        for rank in range(each.rank()):
            if (source := self._worst.get((*each.values(_TOPIC), str(rank)))) is not None:
                yield source

    def _of_rules(self, each: _Labeled) -> Iterator[_Labeled]:
        for number, rule in enumerate(self._rules):
            if matches(each.labels, rule.of) and not matches(each.labels, rule.by):
                source = self._by_rule.get((number, each.values(rule.equal)))
                if source is not None:
                    yield source
