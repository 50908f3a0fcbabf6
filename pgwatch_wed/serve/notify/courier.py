"""Tells one receiver: newest state first, retried with growing pauses, in order."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pgwatch_wed.serve.notify import kept_memory, wording
from pgwatch_wed.serve.notify.fingerprints import all_labels, identity
from pgwatch_wed.serve.notify.grouped import (
    GroupKey,
    GroupMemory,
    Notice,
    delivered,
    plan,
    undelivered,
)
from pgwatch_wed.serve.notify.inhibition import severity
from pgwatch_wed.serve.notify.notify_settings import Mailbox, NotifySettings, Receiver, WebTarget
from pgwatch_wed.serve.notify.sending import Letter, UndeliveredError, post, send_mail
from pgwatch_wed.serve.state import Alert

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 300.0


@dataclass(slots=True)
class SentCounts:
    """What became of attempts; for metrics and the page."""

    sent: int = 0
    failed: int = 0
    failure: str = ""


class Courier:
    """A receiver's messages. Calls of :meth:`run_once` must not overlap; it asks the receiver at most once a group."""

    def __init__(
        self,
        receiver: Receiver,
        settings: NotifySettings,
        state: Path | None,
        monotonic: Callable[[], float],
        log: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._receiver = receiver
        self._settings = settings
        self._state = state
        self._monotonic = monotonic
        self._log = log
        self._retry_at = float("-inf")  # by the monotonic clock
        self._failures = 0
        self.tally = SentCounts()
        self._memories: kept_memory.Memories = {}
        if state is not None:
            self._memories, problem = kept_memory.load(state)
            self._say(problem)

    def run_once(self, alerts: Sequence[Alert], now: float) -> None:
        """Tell what is due; ``alerts`` are all of this moment, inhibited ones marked."""
        groups = self._grouped(alerts, now)
        before = dict(self._memories)
        for group in sorted({*groups, *self._memories}, key=self._oldest_first):
            if not self._serve(group, groups.get(group, {}), now):
                break
        self._memories = {g: m for g, m in self._memories.items() if not m.is_empty or g in groups}
        if self._state is not None and self._memories != before:
            self._say(kept_memory.save(self._state, self._memories))

    def _serve(self, group: GroupKey, alerts: Mapping[str, Alert], now: float) -> bool:
        memory, notice = plan(
            group, self._memories.get(group, GroupMemory()), alerts, now, self._settings.pace
        )
        self._memories[group] = memory
        if notice is None:
            return True
        if self._monotonic() < self._retry_at:
            return True  # later; the other groups are planned all the same
        try:
            self._send(notice, now)
        except UndeliveredError as error:
            self._memories[group] = undelivered(memory, notice)
            self._failed(error)
            return False
        self._memories[group] = delivered(memory, notice, now)
        self._failures = 0
        self.tally.sent += 1
        self.tally.failure = ""
        return True

    def _send(self, notice: Notice, now: float) -> None:
        receiver, link = self._receiver, self._settings.external_url
        where = receiver.where
        if isinstance(where, Mailbox):
            send_mail(where, self._letter(notice, now), receiver.deadline_s)
            return
        document = (
            wording.slack(notice, link)
            if receiver.kind == "slack"
            else wording.webhook(notice, receiver.name, link)
        )
        post(where, document, receiver.deadline_s, key=_short(f"{receiver.name}/{notice.key}"))

    def _letter(self, notice: Notice, now: float) -> Letter:
        thread = f"{self._receiver.name}/{notice.group}"
        return Letter(
            subject=wording.subject(notice),
            text=wording.body(notice, self._settings.external_url),
            key=_short(f"{thread}/{notice.sequence}/{now if notice.is_repeat else ''}"),
            thread=_short(thread),
            at=now,
        )

    def _failed(self, error: UndeliveredError) -> None:
        pause = (
            _LONGEST_PAUSE_S
            if error.is_final
            else min(_FIRST_PAUSE_S * 2**self._failures, _LONGEST_PAUSE_S)
        )
        self._failures = min(self._failures + 1, 10)
        self._retry_at = self._monotonic() + max(pause, error.pause_s)
        self.tally.failed += 1
        self.tally.failure = str(error)
        self._say(
            f"receiver {self._receiver.name}: {error}; trying again in {max(pause, error.pause_s):.0f} s"
        )

    def _grouped(self, alerts: Sequence[Alert], now: float) -> dict[GroupKey, dict[str, Alert]]:
        told = {key for memory in self._memories.values() for key in (*memory.told, *memory.owed)}
        groups: dict[GroupKey, dict[str, Alert]] = defaultdict(dict)
        for alert in alerts:
            key, labels = identity(alert), all_labels(alert)
            if alert.state == "pending" or severity(labels) not in self._receiver.severities:
                continue
            if key in told or (
                alert.state == "firing" and not is_kept_quiet(alert, labels, self._settings, now)
            ):
                groups[tuple((n, labels.get(n, "")) for n in self._settings.group_by)][key] = alert
        return groups

    def _oldest_first(self, group: GroupKey) -> tuple[float, GroupKey]:
        memory = self._memories.get(group)
        changed = None if memory is None else memory.changed_at
        return (float("inf") if changed is None else changed, group)

    def _say(self, line: str) -> None:
        if line:
            self._log(line)


class Relay:
    """Passes all alerts on to an Alertmanager, which groups and inhibits by itself.

    It takes an alert that is not repeated for over: so each is repeated, with an end after which it is.
    """

    _REPEAT_S, _LIVES_S = 60.0, 240.0
    _ENDED_FOR_S = 900.0  # so long an end is repeated, as Prometheus does

    def __init__(
        self,
        receiver: Receiver,
        settings: NotifySettings,
        monotonic: Callable[[], float],
        log: Callable[[str], None] = lambda _line: None,
    ) -> None:
        assert isinstance(receiver.where, WebTarget)
        self._receiver, self._where, self._settings = receiver, receiver.where, settings
        self._monotonic = monotonic
        self._log = log
        self._retry_at = self._again_at = float("-inf")
        self._failures = 0
        self._last: frozenset[tuple[str, str]] = frozenset()
        self.tally = SentCounts()

    def run_once(self, alerts: Sequence[Alert], now: float) -> None:
        """Send what changed, and everything once a minute."""
        wanted = [a for a in alerts if self._is_wanted(a, now)]
        states = frozenset((identity(a), a.state) for a in wanted)
        at = self._monotonic()
        if at < self._retry_at or (at < self._again_at and states == self._last):
            return
        try:
            if wanted:
                post(
                    self._where,
                    [self._posted(a, now) for a in wanted],
                    self._receiver.deadline_s,
                    "/api/v2/alerts",
                )
        except UndeliveredError as error:
            self.tally.failed += 1
            self.tally.failure = str(error)
            pause = min(_FIRST_PAUSE_S * 2**self._failures, self._REPEAT_S)
            self._failures, self._retry_at = min(self._failures + 1, 10), at + pause
            self._log(f"receiver {self._receiver.name}: {error}; trying again in {pause:.0f} s")
            return
        self._failures, self._last, self._again_at = 0, states, at + self._REPEAT_S
        self.tally.sent += bool(wanted)
        self.tally.failure = ""

    def _is_wanted(self, alert: Alert, now: float) -> bool:
        if alert.state == "resolved":
            return alert.resolved_at is not None and now - alert.resolved_at < self._ENDED_FOR_S
        # What another alert stands for is for the Alertmanager to leave out.
        return alert.state == "firing" and not is_kept_quiet(
            replace(alert, inhibited_by=""), all_labels(alert), self._settings, now
        )

    def _posted(self, alert: Alert, now: float) -> dict[str, object]:
        ends = alert.resolved_at if alert.state == "resolved" else now + self._LIVES_S
        return wording.posted(alert, self._settings.external_url) | {"endsAt": wording.moment(ends)}


def is_kept_quiet(
    alert: Alert, labels: Mapping[str, str], settings: NotifySettings, now: float
) -> bool:
    """Tell whether nothing new is to be said of an alert: another stands for it, or maintenance is on."""
    return bool(alert.inhibited_by) or any(q.holds(labels, now) for q in settings.quiet_hours)


def _short(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
