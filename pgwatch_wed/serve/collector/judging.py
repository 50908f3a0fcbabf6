"""What the rules say: of what is read together every few minutes, and, when they are read, of the catalogs.

A rule that needs the catalogs keeps its verdict from then: half an hour later, its facts would not belong together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pgwatch_wed.analyse import analyse, ranked
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Report
from pgwatch_wed.rules import all_rules
from pgwatch_wed.serve.collector import tiers


@dataclass(slots=True)
class RoundJudge:
    """The newest verdict of each rule about one target."""

    config: Config
    label: str
    judged_at: dict[str, float] = field(default_factory=dict)
    _quick: Report | None = None
    _of_catalogs: Report | None = None

    def forget(self) -> None:
        """Begin anew, for another server."""
        self._quick = self._of_catalogs = None
        self.judged_at.clear()

    def judge(self, snapshot: Snapshot, at: float, with_catalogs: bool) -> Report:
        """RoundJudge facts that were read together, with the catalogs if they were."""
        self._quick = self._judged(snapshot, at, is_quick=True)
        if with_catalogs:
            self._of_catalogs = self._judged(snapshot, at, is_quick=False)
        return _together(self._quick, self._of_catalogs)

    def _judged(self, snapshot: Snapshot, at: float, is_quick: bool) -> Report:
        rules = [rule for rule in all_rules() if tiers.is_quick(rule) is is_quick]
        report = analyse([snapshot], self.config, rules, self.label)
        self.judged_at.update(dict.fromkeys((v.rule for v in report.verdicts), at))
        return report

    def moments(self) -> Mapping[str, float]:
        """Return when each rule judged last."""
        return dict(self.judged_at)


def _together(quick: Report, of_catalogs: Report | None) -> Report:
    if of_catalogs is None:
        return quick
    return replace(
        quick,
        verdicts=(*quick.verdicts, *of_catalogs.verdicts),
        findings=tuple(ranked((*quick.findings, *of_catalogs.findings))),
        ignored=(*quick.ignored, *of_catalogs.ignored),
        hidden=(*quick.hidden, *of_catalogs.hidden),
        hidden_below=quick.hidden_below or of_catalogs.hidden_below,
        coverage=of_catalogs.coverage,
    )
