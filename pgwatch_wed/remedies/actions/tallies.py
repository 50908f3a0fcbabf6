"""Findings in groups, with sums: 130 indexes, 265 MB. Pure, for all renderers.

``by_rule(findings)`` and ``by_object(findings)`` return the groups in the order of their most important findings. Sums count each
millisecond once if the gains went through :func:`pgwatch_wed.cures.counted_once`, as those of a report did, and each object's bytes once.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.findings import Finding, Object, Severity
from pgwatch_wed.remedies.actions.action_gains import bytes_by_object, gain_of

_PLURALS = {
    "index": "indexes",
    "prepared_transaction": "prepared transactions",
    "wait_event": "wait events",
}


@dataclass(frozen=True, slots=True)
class FindingTally:
    """Findings that belong together. ``key`` is the rule, or the label of the object.

    ``bytes`` and ``ms_per_day`` are None if nothing of the kind is saved, or no rate is known; ``ms`` is the time saved within the windows
    of the counters, ``share_of_load`` that of the measured load of their databases.
    """

    key: str
    findings: tuple[Finding, ...]
    bytes: int | None
    ms: float | None
    ms_per_day: float | None
    share_of_load: float | None

    @property
    def count(self) -> int:
        """How many findings there are."""
        return len(self.findings)

    @property
    def worst(self) -> Severity:
        """The worst severity among them."""
        return min((f.severity for f in self.findings), key=lambda s: s.rank)

    @property
    def words(self) -> str:
        """The sums in words: ``130 indexes, 265 MB``."""
        kinds = {f.object.kind for f in self.findings}
        kind = kinds.pop() if len(kinds) == 1 else "finding"
        number = len({f.object for f in self.findings}) if kind != "finding" else self.count
        plural = _PLURALS.get(kind, f"{kind}s")
        parts = [units.count(number, kind.replace("_", " "), plural)]
        parts += [units.size(self.bytes)] if self.bytes else []
        if self.ms_per_day:
            parts.append(f"{units.duration(self.ms_per_day)} per day")
        elif self.share_of_load:
            parts.append(f"{units.share(self.share_of_load)} of the load")
        return ", ".join(parts)


def by_rule(findings: Iterable[Finding]) -> tuple[FindingTally, ...]:
    """Group findings by rule."""
    return _grouped(findings, lambda f: f.rule, lambda f: f.rule)


def by_object(findings: Iterable[Finding]) -> tuple[FindingTally, ...]:
    """Group findings by what has to change: those about an index, column or constraint go to its table."""
    return _grouped(findings, lambda f: home(f.object), lambda f: home(f.object).label)


def home(given: Object) -> Object:
    """Return the table of what belongs to one; otherwise the object itself."""
    if given.table is None:
        return given
    return Object("table", given.table, given.database, given.schema, given.table)


def _grouped(
    findings: Iterable[Finding], key: Callable[[Finding], Hashable], name: Callable[[Finding], str]
) -> tuple[FindingTally, ...]:
    groups: dict[Hashable, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(key(finding), []).append(finding)
    return tuple(_tally(name(group[0]), group) for group in groups.values())


def _tally(key: str, group: Sequence[Finding]) -> FindingTally:
    loads = {f.object.database: t.load_ms for f in group if (t := f.impact.gain) and t.load_ms}
    gain = gain_of(group, sum(filter(None, loads.values())))
    times = [f.impact.gain.ms for f in group if f.impact.gain is not None]
    sizes = bytes_by_object(group)
    return FindingTally(
        key,
        tuple(group),
        sum(sizes.values()) if sizes else None,
        sum(times) if times else None,
        gain.ms_per_day,
        gain.share_of_load,
    )
