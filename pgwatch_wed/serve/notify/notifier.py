"""Starts a thread a receiver, which looks at the newest alerts every second, and one for the dead man's switch."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from pgwatch_wed.serve.notify.courier import Courier, Relay, SentCounts
from pgwatch_wed.serve.notify.inhibition import inhibited
from pgwatch_wed.serve.notify.notify_settings import DeadMansSwitch, NotifySettings, Receiver
from pgwatch_wed.serve.notify.sending import UndeliveredError, post
from pgwatch_wed.serve.one_server import stand_ins
from pgwatch_wed.serve.state import (
    PREFIX,
    STALE_INTERVALS,
    Alert,
    Board,
    Family,
    Sample,
    ServiceState,
)

WATCHDOG = "Watchdog"
_STEP_S = 1.0
_FRESH_S = 60.0


class Teller(Protocol):
    """What tells a receiver."""

    tally: SentCounts

    def run_once(self, alerts: Any, now: float) -> None:
        """Tell what is due."""


class Notifier:
    """All receivers of the settings."""

    def __init__(
        self,
        settings: NotifySettings,
        board: Board,
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        state_folder: Path | None = None,
        evaluated_every_s: float = 15.0,
        log: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._settings, self._board = settings, board
        self._now, self._monotonic, self._log = now, monotonic, log
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._tellers: Mapping[str, Teller] = {
            r.name: self._teller(r, state_folder) for r in settings.receivers
        }
        self._switch = (
            None
            if settings.watchdog is None
            else Pulse(
                settings.watchdog,
                monotonic,
                log,
                max(_FRESH_S, STALE_INTERVALS * evaluated_every_s),
            )
        )

    def start(self) -> None:
        """Start the threads; a receiver that hangs delays no other."""
        self._thread("notify-inhibition", self.mark)
        for name, teller in self._tellers.items():
            self._thread(f"notify-{name}", partial(self._tell, teller))
        if self._switch is not None:
            self._thread("notify-watchdog", self._beat)

    def stop(self) -> None:
        """End them; a message under way is abandoned, and told again at the next start."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=0.8 / max(len(self._threads), 1))

    def run_once(self, now: float) -> None:
        """Look once, in this thread."""
        self.mark(now)
        for teller in self._tellers.values():
            self._tell(teller, now)
        self._beat(now)

    def mark(self, now: float | None = None) -> None:
        """Write on the board which alerts another one stands for, and what became of messages."""
        at = self._now() if now is None else now
        alerts = self._board.state.alerts
        if _marked(self._board.state, at) != alerts:
            self._board.change(lambda state: replace(state, alerts=_marked(state, at)))
        shown = self.families()
        if shown != self._board.state.families.get("notify", ()):
            self._board.change(lambda s: replace(s, families={**s.families, "notify": shown}))

    def families(self) -> tuple[Family, ...]:
        """Return what became of messages, as metrics."""
        if not self._tellers:
            return ()
        samples = [
            Sample(
                f"{PREFIX}notifications_total",
                (("receiver", name), ("outcome", outcome)),
                float(number),
            )
            for name, teller in self._tellers.items()
            for outcome, number in (("sent", teller.tally.sent), ("failed", teller.tally.failed))
        ]
        help_text = "Messages about alerts, by receiver and outcome of the attempt."
        return (
            Family(f"{PREFIX}notifications_total", "counter", help_text, tuple(samples), "notify"),
        )

    def _teller(self, receiver: Receiver, folder: Path | None) -> Teller:
        if receiver.kind == "alertmanager":
            return Relay(receiver, self._settings, self._monotonic, self._log)
        state = None if folder is None else folder / f"notified-{_file_name(receiver.name)}.json"
        return Courier(receiver, self._settings, state, self._monotonic, self._log)

    def _thread(self, name: str, step: Callable[[], None]) -> None:
        def run() -> None:
            while not self._stopping.wait(_STEP_S):
                try:
                    step()
                except Exception as error:  # noqa: BLE001 - one bad message must not end all later ones
                    self._log(f"{name}: unexpected error {type(error).__name__}")

        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _tell(self, teller: Teller, now: float | None = None) -> None:
        at = self._now() if now is None else now
        teller.run_once(_marked(self._board.state, at), at)

    def _beat(self, now: float | None = None) -> None:
        if self._switch is not None:
            self._switch.run_once(self._board.state, self._now() if now is None else now)


def _marked(state: ServiceState, at: float) -> tuple[Alert, ...]:
    return inhibited(state.alerts, at, one_server=stand_ins(state.targets))


class Pulse:
    """Asks the dead man's switch while alerts are evaluated: a service that hangs goes silent, and is noticed."""

    def __init__(
        self,
        switch: DeadMansSwitch,
        monotonic: Callable[[], float],
        log: Callable[[str], None],
        fresh_s: float = _FRESH_S,
    ) -> None:
        self._switch, self._monotonic, self._log = switch, monotonic, log
        self._fresh_s = fresh_s
        self._next_at = float("-inf")
        self._seen: object = None
        self._seen_at = float("-inf")

    def run_once(self, state: ServiceState, now: float) -> None:
        """Ask if it is due, and alerts were evaluated lately."""
        at = self._monotonic()
        # Each evaluation writes it anew; alerts are written by others as well.
        sign = state.details.get("rules_that_fail", state.alerts)
        if sign is not self._seen:
            self._seen, self._seen_at = sign, at
        is_alive = any(a.name == WATCHDOG and a.state == "firing" for a in state.alerts)
        if not is_alive or at - self._seen_at > self._fresh_s or at < self._next_at:
            return
        self._next_at = at + self._switch.interval_s
        try:
            post(
                self._switch.where,
                {"alertname": WATCHDOG, "at": now},
                min(10.0, self._switch.interval_s),
            )
        except UndeliveredError as error:
            self._next_at = at + min(self._switch.interval_s, 15.0)
            self._log(f"watchdog: {error}")


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else f"%{ord(c):x}" for c in name)
