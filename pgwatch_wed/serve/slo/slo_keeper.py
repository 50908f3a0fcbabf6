"""Counts events every few seconds, puts the objectives on the board, and keeps the counts over restarts."""

import json
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pgwatch_wed.serve.slo.burns import families, judge
from pgwatch_wed.serve.slo.event_counting import EventCounter
from pgwatch_wed.serve.slo.event_ledger import EventLedger
from pgwatch_wed.serve.slo.slo_settings import Objective
from pgwatch_wed.serve.state import Board, Family

_INTERVAL_S, _SAVE_S = 15.0, 300.0
_VERSION = 1


class SloKeeper:
    """All objectives. ``live`` yields the families that are not on the board, such as counters of requests."""

    def __init__(
        self,
        objectives: Sequence[Objective],
        board: Board,
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        live: Callable[[], Iterable[Family]] = tuple,
        state_folder: Path | None = None,
        log: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._objectives = {o.name: o for o in objectives}
        self._board, self._now, self._monotonic = board, now, monotonic
        self._live, self._log = live, log
        self._file = None if state_folder is None else state_folder / "slo.json"
        self._ledgers = self._read()
        self._counters = {name: EventCounter(o) for name, o in self._objectives.items()}
        self._saved_at = monotonic()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Count from now on, in a thread."""
        self._thread = threading.Thread(target=self._run, name="slo", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, and keep what was counted."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=0.5)
        self._save()

    def run_once(self, now: float) -> None:
        """Count what happened since the last time."""
        state = self._board.state
        seen = [f for each in state.families.values() for f in each]
        seen += self._live()
        for name, counter in self._counters.items():
            good, bad = counter.count(seen, state.probes, self._monotonic())
            self._ledgers[name].add(now, good, bad)
        statuses = {
            name: judge(o, self._ledgers[name], now) for name, o in self._objectives.items()
        }
        shown = families(statuses, self._objectives)
        self._board.change(
            lambda s: replace(
                s, slos=tuple(statuses.values()), families={**s.families, "slo": shown}
            )
        )
        if self._monotonic() - self._saved_at >= _SAVE_S:
            self._save()

    def _run(self) -> None:
        while not self._stopping.wait(_INTERVAL_S):
            try:
                self.run_once(self._now())
            except Exception as error:  # noqa: BLE001 - the thread must live on
                self._log(f"SLOs were not counted: {type(error).__name__}")

    def _read(self) -> dict[str, EventLedger]:
        ledgers = {name: EventLedger(o.window_s) for name, o in self._objectives.items()}
        if self._file is None:
            return ledgers
        try:
            document = json.loads(self._file.read_text(encoding="utf-8"))
            kept = document["slos"] if document["version"] == _VERSION else {}
            for name, o in self._objectives.items():
                if name in kept and kept[name]["kind"] == _identity(o):
                    ledgers[name] = EventLedger.read(kept[name], o.window_s)
        except FileNotFoundError:
            pass
        except (
            OSError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            RecursionError,
            OverflowError,
        ):
            self._log(f"{self._file} cannot be used; the SLOs begin anew")
            with suppress(OSError):
                self._file.replace(self._file.with_name("slo.json.corrupt"))
        return ledgers

    def _save(self) -> None:
        self._saved_at = self._monotonic()
        if self._file is None:
            return
        slos = {
            name: {"kind": _identity(o), **self._ledgers[name].document()}
            for name, o in self._objectives.items()
        }
        draft = self._file.with_name(f"slo.json.{os.getpid()}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps({"version": _VERSION, "slos": slos}), encoding="utf-8")
            draft.replace(self._file)
        except OSError as error:
            self._log(f"could not write {self._file}: {error.strerror or error}")
            with suppress(OSError):
                draft.unlink()


def _identity(objective: Objective) -> str:
    return f"{objective.kind} {objective.within_s:g} {objective.probe} {sorted(objective.match.items())}"
