"""The part of the service that evaluates rules on what the service itself exposes."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pgwatch_wed.errors import Error
from pgwatch_wed.serve.alerts import kept_states
from pgwatch_wed.serve.alerts.alert_settings import AlertSettings
from pgwatch_wed.serve.alerts.alert_states import shown
from pgwatch_wed.serve.alerts.evaluation import RuleEvaluation
from pgwatch_wed.serve.alerts.promql.vectors import Semantics
from pgwatch_wed.serve.alerts.rule_files import RuleGroup, parse, read
from pgwatch_wed.serve.state import Alert, Board, Family, ServiceState

DEFAULT_RULES = "default rules"
# A difference between the two clocks that is a clock set, not an evaluation that was late.
_CLOCK_SET_S = 5.0
LiveFamilies = Callable[[], Iterable[Family]]


def default_rules() -> str:
    """Return the text of the rules that come with the package."""
    return Path(__file__).with_name("rules.yaml").read_text(encoding="utf-8")


def rule_groups(paths: Sequence[Path]) -> tuple[RuleGroup, ...]:
    """Return the rules of files; without any, ours."""
    return read(paths) if paths else parse(default_rules(), DEFAULT_RULES)


class Alerting:
    """Rules on what is exposed, every few seconds.

    ``live`` yields the families that are not on the board, such as counters of requests. With ``monotonic``,
    a client's clock that is set does not change how long an alert has been active.
    """

    def __init__(
        self,
        board: Board,
        settings: AlertSettings | None = None,
        *,
        groups: Sequence[RuleGroup] | None = None,
        live: LiveFamilies = tuple,
        now: Callable[[], float],
        monotonic: Callable[[], float] | None = None,
        log: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._settings = settings or AlertSettings()
        self._board = board
        self._live = live
        self._now, self._monotonic = now, monotonic
        self._log = log
        semantics = Semantics(
            is_left_open=self._settings.prometheus != "2",
            step_ms=round(self._settings.interval_s * 1000),
        )
        found = rule_groups(self._settings.rules) if groups is None else groups
        self.evaluation = RuleEvaluation(found, semantics)
        self.complaint = ""
        self._clocks: tuple[float, float] | None = None
        self._written: object = None
        self._failures: dict[str, str] = {}
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._restore()

    def _restore(self) -> None:
        if self._settings.state is not None:
            try:
                kept_states.restore(
                    self._settings.state, self.evaluation, round(self._now() * 1000)
                )
            except Error as error:
                self._complain(str(error))

    def _complain(self, what: str) -> None:
        """Say what is wrong, once as long as it is the same; nothing: it is right again."""
        if what and what != self.complaint:
            self._log(what)
        self.complaint = what

    def start(self) -> None:
        """Evaluate from now on, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the evaluation that is running."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=2)

    def _run(self) -> None:
        interval = self._settings.interval_s
        due = time.monotonic()
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            try:
                self.run_once(self._now())
            except Exception as error:  # noqa: BLE001 - the thread must live on
                self._complain(f"alerts were not evaluated: {type(error).__name__}")
            due = max(due + interval, time.monotonic())

    def run_once(self, now: float) -> None:
        """Sample what is exposed now, evaluate all rules, and put the alerts on the board."""
        self._follow_clock(now)
        at_ms = round(now * 1000)
        self.evaluation.sample(self._families(), at_ms)
        self.evaluation.evaluate(at_ms)
        alerts = tuple(shown(alert) for _, alert in self.evaluation.alerts())
        self._write(at_ms)
        failures = self.evaluation.failures()
        if failures != self._failures:
            for name, failure in failures.items():
                self._log(f"rule {name} cannot be evaluated: {failure}")
            self._failures = failures
        self._board.change(lambda state: _with_alerts(state, alerts, failures))

    def _families(self) -> Iterable[Family]:
        for families in self._board.state.families.values():
            yield from families
        yield from self._live()

    def _follow_clock(self, now: float) -> None:
        """Keep durations when the client's clock was set."""
        if self._monotonic is None:
            return
        monotonic = self._monotonic()
        if self._clocks is not None:
            step = (now - self._clocks[0]) - (monotonic - self._clocks[1])
            if abs(step) > _CLOCK_SET_S:
                self.evaluation.shift(round(step * 1000))
        self._clocks = (now, monotonic)

    def _write(self, at_ms: int) -> None:
        """Write the states if one has changed, and once a minute that they are still true."""
        if self._settings.state is None:
            return
        seen = (
            {
                (alert.labels, alert.state, alert.active_ms, alert.absent_ms)
                for _, alert in self.evaluation.alerts()
            },
            at_ms // 60_000,
        )
        if seen == self._written:
            return
        try:
            kept_states.write(self._settings.state, self.evaluation, at_ms)
            self._written = seen
            self._complain("")
        except Error as error:
            self._complain(str(error))


def _with_alerts(
    state: ServiceState, alerts: tuple[Alert, ...], failures: Mapping[str, str]
) -> ServiceState:
    """Return a state with new alerts; what others wrote on an alert stays."""
    before = {(a.labels, a.active_at): a for a in state.alerts}
    kept = []
    for alert in alerts:
        old = before.get((alert.labels, alert.active_at))
        if old is not None:
            alert = replace(alert, inhibited_by=old.inhibited_by, causes=old.causes)
        kept.append(alert)
    details = {**state.details, "rules_that_fail": dict(failures)}
    return replace(state, alerts=tuple(kept), details=details)
