"""Stand-ins for names: a report that can be shown to anybody.

Every object name that the user did not allow becomes ``table_1``, ``index_2`` and so on, the same one
everywhere. Statement texts, session texts and free-form values are left out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from pgwatch_wed.facts import RoleSetting, Setting, Snapshot
from pgwatch_wed.findings import Finding, Object, Report
from pgwatch_wed.redaction import REDACTED, Names

_TEXTS = frozenset({"query", "queries", "text", "statement", "statements", "plan", "definition"})


def redacted(
    report: Report, snapshots: Sequence[Snapshot], allowed: Iterable[str] = ()
) -> tuple[Report, tuple[Snapshot, ...]]:
    """Return report and snapshots without names and texts."""
    names = Names(allowed)
    for snapshot in snapshots:
        _learn(names, snapshot)
    for finding in report.findings:
        _learn_object(names, finding.object)
        for other in finding.related:
            _learn_object(names, other)
    target = report.target
    clean = replace(
        report,
        target=replace(
            target,
            label=REDACTED,
            database=names.of(target.database) or "",
            databases=tuple(names.of(d) or "" for d in target.databases),
            role=names.of(target.role) or "",
            system_identifier=None,
        ),
        findings=tuple(_finding(names, f) for f in report.findings),
        verdicts=tuple(
            replace(
                v,
                reason=names.within(v.reason),
                mend=names.within(v.mend),
                database=names.of(v.database),
            )
            for v in report.verdicts
        ),
        ignored=tuple(
            replace(i, label=names.within(i.label), reason=REDACTED) for i in report.ignored
        ),
        coverage=replace(
            report.coverage, left_out=tuple(names.within(t) for t in report.coverage.left_out)
        ),
    )
    return clean, tuple(_snapshot(names, s) for s in snapshots)


def _learn(names: Names, s: Snapshot) -> None:
    names.learn("database", s.server.database)
    names.learn("role", s.server.role)
    for database in s.databases:
        names.learn("database", database.name)
        names.learn("role", database.owner)
    for role in s.roles:
        names.learn("role", role.name)
    for table in s.tables:
        names.learn("schema", table.schema)
        names.learn("table", table.name)
        names.learn("role", table.owner)
    for index in s.indexes:
        names.learn("index", index.name)
    for kind, rows in (
        ("constraint", s.constraints),
        ("sequence", s.sequences),
        ("column", s.columns),
        ("statistics", s.extended_statistics),
        ("publication", s.publications),
        ("subscription", s.subscriptions),
        ("slot", s.slots),
    ):
        for row in rows:
            names.learn("schema", getattr(row, "schema", None))
            names.learn(kind, row.name)
    for session in s.sessions:
        names.learn("role", session.user)
        names.learn("application", session.application_name)
        names.learn("client", session.client)
    for prepared in s.prepared_transactions:
        names.learn("transaction", prepared.gid)
    for replica in s.replicas:
        names.learn("application", replica.application_name)


def _learn_object(names: Names, found: Object) -> None:
    names.learn("database", found.database)
    names.learn("schema", found.schema)
    names.learn("table", found.table)
    if found.kind not in ("setting", "server", "rule", "extension"):
        names.learn(found.kind, found.name)


def _finding(names: Names, finding: Finding) -> Finding:
    return replace(
        finding,
        object=_object(names, finding.object),
        related=tuple(_object(names, o) for o in finding.related),
        title=names.within(finding.title),
        detail=names.within(finding.detail),
        evidence=_evidence(names, finding.evidence),
        impact=replace(finding.impact, risk=names.within(finding.impact.risk)),
        remedy=tuple(
            replace(
                r, sql=names.within(r.sql), undo=names.within(r.undo), lock=names.within(r.lock)
            )
            for r in finding.remedy
        ),
        caveats=tuple(names.within(c) for c in finding.caveats),
    )


def _object(names: Names, found: Object) -> Object:
    return replace(
        found,
        name=names.of(found.name) or "",
        database=names.of(found.database),
        schema=names.of(found.schema),
        table=names.of(found.table),
    )


def _evidence(names: Names, evidence: Mapping[str, Any]) -> dict[str, Any]:
    return {k: REDACTED if k in _TEXTS else _value(names, v) for k, v in evidence.items()}


def _value(names: Names, value: Any) -> Any:
    if isinstance(value, str):
        return names.within(value)
    if isinstance(value, list | tuple):
        return [_value(names, v) for v in value]
    if isinstance(value, Mapping):
        return _evidence(names, value)
    return value


def _snapshot(names: Names, snapshot: Snapshot) -> Snapshot:
    clean: dict[str, Any] = {
        f.name: tuple(_row(names, r) for r in rows)
        for f in fields(snapshot)
        if isinstance(rows := getattr(snapshot, f.name), tuple)
    }
    server = replace(_row(names, snapshot.server), system_identifier=None, address=None)
    missing = {
        k: replace(m, reason=names.within(m.reason), mend=names.within(m.mend))
        for k, m in snapshot.missing.items()
    }
    return replace(snapshot, server=server, missing=missing, **clean)


# Fields that hold texts or values of the user's own making.
_BLANK = frozenset({"query", "text", "plan", "definition", "expressions", "predicate", "queries"})


# Plans' trees: names and aliases are all that they have to say.
_DROPPED = frozenset({"tree", "trees"})
# Fields that hold a name inside a text.
_QUALIFIED = frozenset({"relation", "ddl", "definition"})
_VALUES = frozenset({"setting", "reset_val", "value"})


def _text(names: Names, row: Any, field: str, value: str) -> str:
    if field in _BLANK:
        return REDACTED
    if field in _VALUES and _is_free(row):
        return REDACTED if value else value
    return names.within(value) if field in _QUALIFIED else names.of(value) or value


def _is_free(row: Any) -> bool:
    """Tell whether a setting's value is any text: paths, lists of hosts and names among them."""
    return isinstance(row, RoleSetting) or (isinstance(row, Setting) and row.vartype == "string")


def _row(names: Names, row: Any) -> Any:
    if not is_dataclass(row) or isinstance(row, type):
        return row
    changes: dict[str, Any] = {}
    for f in fields(row):
        value = getattr(row, f.name)
        if f.name in _DROPPED:
            changes[f.name] = type(value)()
        elif isinstance(value, str):
            changes[f.name] = _text(names, row, f.name, value)
        elif isinstance(value, tuple) and value and isinstance(value[0], str):
            changes[f.name] = tuple(names.within(v) for v in value)
    return replace(row, **changes)
