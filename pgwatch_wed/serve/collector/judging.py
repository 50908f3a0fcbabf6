"""What the rules say: of what is read together every few minutes, and, when they are read, of the catalogs.

A rule that needs the catalogs keeps its verdict from then: half an hour later, its facts would not belong together. So
do those that look at them, if tables or indexes have come or gone since.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pgwatch_wed.analyse import analyse, ranked
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Report
from pgwatch_wed.rules import Rule, all_rules
from pgwatch_wed.serve.collector import tiers


@dataclass(slots=True)
class RoundJudge:
    """The newest verdict of each rule about one target."""

    config: Config
    label: str
    judged_at: dict[str, float] = field(default_factory=dict)
    _reports: dict[str, Report] = field(default_factory=dict)

    def forget(self) -> None:
        """Begin anew, for another server."""
        self._reports.clear()
        self.judged_at.clear()

    def judge(
        self, snapshot: Snapshot, at: float, *, with_catalogs: bool, same_objects: bool
    ) -> Report:
        """Judge facts that were read together, with the catalogs if they were."""
        self._judge(_QUICK, snapshot, at)
        if with_catalogs or same_objects:
            self._judge(_LOOKING, snapshot, at)
        if with_catalogs:
            self._judge(_SLOW, snapshot, at)
        return _together([self._reports[name] for name in _GROUPS if name in self._reports])

    def _judge(self, group: str, snapshot: Snapshot, at: float) -> None:
        rules = [rule for rule in all_rules() if _group_of(rule) == group]
        report = analyse([snapshot], self.config, rules, self.label)
        self._reports[group] = report
        self.judged_at.update(dict.fromkeys((v.rule for v in report.verdicts), at))

    def moments(self) -> Mapping[str, float]:
        """Return when each rule judged last."""
        return dict(self.judged_at)


_QUICK, _LOOKING, _SLOW = _GROUPS = ("quick", "looking", "slow")


def _group_of(rule: Rule) -> str:
    if rule.id in tiers.LOOKS_AT_CATALOGS:
        return _LOOKING
    return _QUICK if tiers.is_quick(rule) else _SLOW


def _together(reports: Sequence[Report]) -> Report:
    first, last = reports[0], reports[-1]
    return replace(
        first,
        verdicts=tuple(v for r in reports for v in r.verdicts),
        findings=tuple(ranked(f for r in reports for f in r.findings)),
        ignored=tuple(i for r in reports for i in r.ignored),
        hidden=tuple(h for r in reports for h in r.hidden),
        hidden_below=next((r.hidden_below for r in reports if r.hidden_below), None),
        coverage=last.coverage,
    )
