"""What a finding costs or saves, and what all of them do, in words."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.findings import ActionGain, Finding, MeasuredTime, Report
from pgwatch_wed.postgres.statements import of_users
from pgwatch_wed.remedies.actions.action_gains import gain_of
from pgwatch_wed.render import numbers

_ALL = 0.995
GRADES = (
    "Grades say how well a finding is established: A proven by the planner or measured exactly, "
    "B follows from the catalogs, C estimated by a model, D a rule of thumb."
)


def coverage_sentence(report: Report) -> str:
    """Return how much of the load the report sees and explains; empty without pg_stat_statements."""
    c = report.coverage
    if c.visible_share is None:
        return ""
    seen = "All" if c.visible_share >= _ALL else units.share(c.visible_share)
    said = f"{seen} of the time that statements took is visible"
    if c.explained_share:
        said += (
            f"; {units.share(c.explained_share)} of it was spent in statements that "
            "the findings are about"
        )
    if c.evictions_per_hour:
        said += f"; about {numbers.number(c.evictions_per_hour)} statements per hour are evicted"
    return said + "."


def gain(finding: Finding) -> str:
    """Describe the impact of a finding."""
    parts: list[str] = []
    saved, spent = finding.impact.gain, finding.impact.cost
    if saved is not None and saved.ms > 0:
        parts.append(f"saves about {_time(saved)}")
    if spent is not None and spent.ms > 0:
        parts.append(f"costs {_time(spent)}")
    if finding.impact.bytes:
        parts.append(f"{units.size(finding.impact.bytes)} of space")
    if finding.impact.risk:
        parts.append(finding.impact.risk)
    return ", ".join(parts)


def _time(time: MeasuredTime) -> str:
    """Print a time with its window: as a rate only if that covers a day."""
    if time.per_day is not None:
        amount = f"{units.duration(time.per_day)} per day"
    elif time.window_seconds is None:
        amount = units.duration(time.ms)
    else:
        amount = f"{units.duration(time.ms)} in {units.duration(time.window_seconds * 1000)}"
        if time.ms > 1000 * time.window_seconds:
            amount += " (all sessions together)"
    share = time.share
    return amount if share is None else f"{units.share(share)} of the measured load: {amount}"


def summed(findings: Iterable[Finding]) -> str:
    """Return what several findings save together; their times already count each millisecond once."""
    gain = gain_of(findings)
    return f"{'saves ' if gain.share_of_load or gain.ms_per_day else ''}{saved(gain)}"


def saved(gain: ActionGain) -> str:
    """Return what an action or a plan saves; empty if that is not known."""
    parts: list[str] = []
    if gain.share_of_load and gain.share_of_load > 0:
        parts.append(f"{units.share(gain.share_of_load)} of the measured load")
    if gain.ms_per_day and gain.ms_per_day > 0:
        parts.append(f"{units.duration(gain.ms_per_day)} per day")
    if gain.bytes and gain.bytes > 0:
        parts.append(f"{units.size(gain.bytes)} of space")
    return ", ".join(parts)


def effects(findings: Sequence[Finding], snapshots: Sequence[Snapshot]) -> dict[str, str]:
    """Return by finding ID what becomes of a call: ``58 ms → about 0.6 ms per call, 3,471 calls``.

    It is said of the statement of which the remedy saves most, together with all other remedies for it.
    """
    ran: dict[tuple[str | None, int], Statement] = {
        (s.server.database, st.query_id): st for s in snapshots for st in of_users(s)
    }
    saved_ms: dict[tuple[str | None, int], float] = defaultdict(float)
    for finding in findings:
        for query, ms in _by_query(finding):
            saved_ms[finding.object.database, query] += ms
    found: dict[str, str] = {}
    for finding in findings:
        parts = _by_query(finding)
        key = (finding.object.database, parts[0][0]) if parts else None
        statement = ran.get(key) if key is not None else None
        if statement is not None and key is not None:
            shared = saved_ms[key] > 1.01 * parts[0][1]
            text = _effect(statement, saved_ms[key])
            found |= (
                {finding.id: f"{text}{', with the other remedies for it' if shared else ''}"}
                if text
                else {}
            )
    return found


def _by_query(finding: Finding) -> list[tuple[int, float]]:
    """Return statements and what the remedy saves of each, the most first."""
    parts = finding.impact.gain.by_query if finding.impact.gain is not None else {}
    return sorted(((q, ms) for q, ms in parts.items() if ms > 0), key=lambda p: (-p[1], p[0]))


def _effect(statement: Statement, saved_ms: float) -> str:
    after = statement.total_exec_ms - saved_ms
    if not statement.calls or after <= 0:
        return ""
    before, then = (units.duration(ms / statement.calls) for ms in (statement.total_exec_ms, after))
    return f"{before} → about {then} per call, {units.count(statement.calls, 'call')}"
