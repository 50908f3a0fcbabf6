"""Groups of rules, evaluated in order on remembered samples."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pgwatch_wed.errors import Error
from pgwatch_wed.serve.alerts.alert_states import ActiveAlert, advanced, as_series
from pgwatch_wed.serve.alerts.promql.evaluate import Moment, as_vector, evaluate
from pgwatch_wed.serve.alerts.promql.nodes import reaches
from pgwatch_wed.serve.alerts.promql.vectors import NAME, EvaluationError, Semantics, Vector
from pgwatch_wed.serve.alerts.rule_files import AlertRule, RuleGroup, every_rule
from pgwatch_wed.serve.alerts.sample_memory import SampleMemory
from pgwatch_wed.serve.state import Family, Labels

RuleKey = tuple[str, str, int]
KEEP_MS = 2 * 3600_000
# So long after a restart, at most, an alert is kept whose rule still lacks samples.
_BLIND_MS = 10 * 60_000
# The samples of alerts themselves, which rules may look at too.
_OWN = ("ALERTS", "ALERTS_FOR_STATE")


def kept_ms(groups: Sequence[RuleGroup], semantics: Semantics) -> dict[str, int]:
    """Return how long the samples of each metric are needed by rules; at least two hours."""
    found: dict[str, int] = {}
    for rule in every_rule(groups):
        for reach in reaches(rule.node, semantics.step_ms):
            name = reach.selector.name
            needed = max(KEEP_MS, reach.back_ms + semantics.lookback_ms + semantics.step_ms)
            found[name] = max(found.get(name, 0), needed)
    return found


@dataclass
class RuleState:
    """What is kept of a rule between evaluations."""

    alerts: dict[Labels, ActiveAlert] = field(default_factory=dict)
    series: frozenset[Labels] = frozenset()
    failure: str = ""


class RuleEvaluation:
    """All rules, with their samples and states; it asks no clock."""

    def __init__(
        self,
        groups: Sequence[RuleGroup],
        semantics: Semantics | None = None,
        *,
        is_outside: bool = False,
    ) -> None:
        self._is_outside = is_outside  # then rules that only somebody outside can evaluate are, too
        self.semantics = semantics or Semantics()
        self.groups = tuple(groups)
        self.memory = SampleMemory(kept_ms(groups, self.semantics))
        self.states: dict[RuleKey, RuleState] = {}
        self._sampled: set[Labels] = set()
        self._evaluated_ms: dict[str, int] = {}
        self.restored_ms: int | None = None
        self._wants_alerts = any(self.memory.wants(name) for name in _OWN)

    def sample(self, families: Iterable[Family], at_ms: int) -> None:
        """Remember the values of a moment; a series that is not there any more has ended."""
        there: set[Labels] = set()
        for family in families:
            for sample in family.samples:
                if self.memory.wants(sample.name):
                    labels = tuple(
                        sorted([*(p for p in sample.labels if p[1]), (NAME, sample.name)])
                    )
                    there.add(labels)
                    self.memory.append(labels, at_ms, sample.value)
        self.memory.mark_ended(self._sampled - there, at_ms)
        self._sampled = there

    def evaluate(self, at_ms: int) -> None:
        """Evaluate the groups whose interval is over."""
        for group in self.groups:
            key = f"{group.source}:{group.name}"
            last = self._evaluated_ms.get(key)
            # Half a step early is in time: evaluations are not exactly regular.
            early = self.semantics.step_ms // 2
            if group.interval_ms and last is not None and at_ms - last < group.interval_ms - early:
                continue
            self._evaluated_ms[key] = at_ms
            for number, rule in enumerate(group.rules):
                self._rule((group.source, group.name, number), rule, at_ms)
        self.memory.forget(at_ms)

    def _rule(self, key: RuleKey, rule: AlertRule, at_ms: int) -> None:
        state = self.states.setdefault(key, RuleState())
        if rule.is_outside and not self._is_outside:
            return
        try:
            result = as_vector(evaluate(rule.node, Moment(self.memory, at_ms, self.semantics)))
            made = self._made(rule, state, result, at_ms)
        except Error as error:
            state.failure = error.message
            return
        except Exception as error:  # noqa: BLE001 - said of this rule; the others go on
            state.failure = f"unexpected {type(error).__name__}; please report this"
            return
        state.failure = ""
        for labels, value in made.items():
            self.memory.append(labels, at_ms, value)
        self.memory.mark_ended(state.series - made.keys(), at_ms)
        state.series = frozenset(made)

    def _made(self, rule: AlertRule, state: RuleState, result: Vector, at_ms: int) -> Vector:
        """Return the series that a rule makes."""
        if rule.is_record:
            return _recorded(rule, result) if self.memory.wants(rule.name) else {}
        is_blind = self._is_blind(rule, at_ms)
        state.alerts = advanced(rule, state.alerts, result, at_ms, is_blind=is_blind)
        return dict(as_series(state.alerts)) if self._wants_alerts else {}

    def _is_blind(self, rule: AlertRule, at_ms: int) -> bool:
        """Tell whether a restart took the samples that a rule looks back on."""
        if self.restored_ms is None:
            return False
        back = max((r.back_ms for r in reaches(rule.node, self.semantics.step_ms)), default=0)
        return at_ms - self.restored_ms < min(back, _BLIND_MS)

    def shift(self, by_ms: int) -> None:
        """Follow a clock that was set: durations stay what they were."""
        if self.restored_ms is not None:
            self.restored_ms += by_ms
        self.memory.shift(by_ms)
        self._evaluated_ms = {k: v + by_ms for k, v in self._evaluated_ms.items()}
        for state in self.states.values():
            state.alerts = {k: a.shifted(by_ms) for k, a in state.alerts.items()}

    def alerts(self) -> Iterator[tuple[AlertRule, ActiveAlert]]:
        """Yield the alerts of all rules in order."""
        for key, rule in self.rules().items():
            if key in self.states:
                for alert in self.states[key].alerts.values():
                    yield rule, alert

    def rules(self) -> Mapping[RuleKey, AlertRule]:
        """Return the rules by what identifies them."""
        return {
            (group.source, group.name, number): rule
            for group in self.groups
            for number, rule in enumerate(group.rules)
        }

    def failures(self) -> dict[str, str]:
        """Return why rules could not be evaluated, by their names."""
        rules = self.rules()
        return {rules[key].name: s.failure for key, s in self.states.items() if s.failure}


def _recorded(rule: AlertRule, result: Vector) -> Vector:
    found: Vector = {}
    for labels, value in result.items():
        given = {**dict(labels), **rule.labels, NAME: rule.name}
        key = tuple(sorted((k, v) for k, v in given.items() if v))
        if key in found:
            raise EvaluationError(
                "vector contains metrics with the same labelset after applying rule labels"
            )
        found[key] = value
    return found
