"""Looks for the causes of alerts as soon as they are pending, so that the first message already carries them."""

import threading
from collections.abc import Callable
from dataclasses import replace

from pgwatch_wed.config import Config
from pgwatch_wed.serve.causes.seekers import Scene, suspects
from pgwatch_wed.serve.causes.statement_times import StatementTimes
from pgwatch_wed.serve.causes.suspect import Suspect
from pgwatch_wed.serve.state import (
    PREFIX,
    Alert,
    Board,
    Collected,
    Family,
    Labels,
    ProbeResult,
    Sample,
    ServiceState,
)

_STEP_S, _AGAIN_S = 1.0, 15.0
_MOST_SERIES = 50
# A rule with thousands of alerts must not keep the processor busy.
_MOST_A_STEP = 20
_NEVER: tuple[float, tuple[Suspect, ...]] = (float("-inf"), ())
AlertKey = tuple[Labels, float]


class CauseFinder:
    """Writes suspects into the alerts of the board, and as a metric."""

    def __init__(
        self,
        board: Board,
        *,
        monotonic: Callable[[], float],
        config: Config | None = None,
        log: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._board, self._monotonic, self._log = board, monotonic, log
        self._config = config or Config()
        self._times: dict[str, StatementTimes] = {}
        self._read: dict[str, float] = {}
        self._found: dict[AlertKey, tuple[float, tuple[Suspect, ...]]] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look from now on, in a thread."""
        self._thread = threading.Thread(target=self._run, name="causes", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=0.8)

    def run_once(self) -> None:
        """Remember the newest counters, and look for the causes of alerts that have none, or old ones."""
        state = self._board.state
        for name, collected in state.targets.items():
            self._remember(name, collected)
        at = self._monotonic()
        active = [
            a for a in state.alerts if a.state in ("pending", "firing") and a.name != "Watchdog"
        ]
        keys = {_key(a) for a in active}
        self._found = {key: it for key, it in self._found.items() if key in keys}
        waited_longest = sorted(active, key=lambda a: self._found.get(_key(a), _NEVER)[0])
        changed = [self._look(alert, state, at) for alert in waited_longest[:_MOST_A_STEP]]
        if any(changed):
            self._board.change(self._written)

    def _run(self) -> None:
        while not self._stopping.wait(_STEP_S):
            try:
                self.run_once()
            except Exception as error:  # noqa: BLE001 - an alert without a cause is better than none
                self._log(f"causes were not looked for: {type(error).__name__}")

    def _remember(self, name: str, collected: Collected) -> None:
        read_at = collected.read_at.get("activity", 0.0)
        if collected.snapshot is not None and self._read.get(name) != read_at:
            self._read[name] = read_at
            self._times.setdefault(name, StatementTimes()).remember(collected.snapshot, read_at)

    def _look(self, alert: Alert, state: ServiceState, at: float) -> bool:
        """Look for the causes of an alert if it is time; tell whether something new was found."""
        before = self._found.get(_key(alert))
        if before is not None and at - before[0] < _AGAIN_S:
            return alert.causes != before[1]
        found = suspects(self._scene(alert, state))
        if before is not None and before[1][0].is_known and not found[0].is_known:
            found = before[1]  # what was seen at the beginning is not forgotten
        self._found[_key(alert)] = (at, found)
        return alert.causes != found

    def _scene(self, alert: Alert, state: ServiceState) -> Scene:
        labels = dict(alert.labels)
        name = _target(labels, state)
        collected = state.targets.get(name)
        times = self._times.get(name)
        return Scene(
            alert=alert,
            snapshot=collected.snapshot if collected else None,
            report=collected.report if collected else None,
            grown=times.grown() if times else None,
            probe=_probe(labels, state),
            config=self._config,
        )

    def _written(self, state: ServiceState) -> ServiceState:
        alerts = tuple(
            replace(a, causes=self._found[_key(a)][1]) if _key(a) in self._found else a
            for a in state.alerts
        )
        families = {**state.families, "causes": (_family(alerts),)}
        return replace(state, alerts=alerts, families=families)


def _key(alert: Alert) -> AlertKey:
    return (("alertname", alert.name), *alert.labels), alert.active_at


def _target(labels: dict[str, str], state: ServiceState) -> str:
    """Return the key of the facts that an alert is about; where there is one target only, that."""
    name, database = labels.get("target", ""), labels.get("database", "")
    of_target = [k for k, c in state.targets.items() if name in (k, c.target)] or list(
        state.targets
    )
    exact = [k for k in of_target if _is_of(state.targets[k], database)]
    return (exact or of_target or [""])[0] if name or len(state.targets) == 1 else ""


def _probe(labels: dict[str, str], state: ServiceState) -> ProbeResult | None:
    """Return the probe that an alert names, or the one that tells most of its database."""
    if "probe" in labels:
        return state.probes.get(labels["probe"])
    doors = [
        p
        for p in state.probes.values()
        if p.kind == "postgres" and p.target == labels.get("target")
    ]
    return min(doors, key=lambda p: p.reason is None, default=None)


def _is_of(collected: Collected, database: str) -> bool:
    return (
        bool(database)
        and collected.snapshot is not None
        and collected.snapshot.server.database == database
    )


def _family(alerts: tuple[Alert, ...]) -> Family:
    found: dict[Labels, float] = {}
    for alert in alerts:
        for s in alert.causes[:1]:
            if alert.state == "firing" and isinstance(s, Suspect) and s.is_known:
                labels = (
                    ("alertname", alert.name),
                    ("rule", s.rule),
                    ("finding", s.finding),
                    ("grade", str(s.grade)),
                )
                found[labels] = 1.0
    name = f"{PREFIX}alert_suspect_info"
    samples = tuple(
        Sample(name, labels, value) for labels, value in list(found.items())[:_MOST_SERIES]
    )
    return Family(
        name,
        "gauge",
        "The suspected cause of an alert that fires; details: /api/alerts.",
        samples,
        "causes",
    )
