"""Which findings about a copy of production can matter to what is replayed there: a proof has no time for the others. Pure."""

from dataclasses import replace

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Report
from pgwatch_wed.load.proof.probe_choice import ABOUT_TABLES, ABOUT_WRITES


def that_matter(
    report: Report | None, interval: Snapshot | None, *, is_writing: bool
) -> Report | None:
    """Leave out what is about writes, if nothing writes, and tables that were not read in the interval."""
    if report is None:
        return None
    read = None if interval is None else _read(interval)

    def matters(finding: Finding) -> bool:
        if finding.rule in ABOUT_WRITES:
            return is_writing
        if finding.rule not in ABOUT_TABLES or read is None:
            return True
        where = finding.object
        return (where.schema or "public", where.table or where.name) in read

    return replace(report, findings=tuple(f for f in report.findings if matters(f)))


def _read(interval: Snapshot) -> frozenset[tuple[str, str]]:
    """Return the tables that were read, with those of which they are partitions."""
    tables = {table.oid: table for table in interval.tables}
    read = {a.oid for a in interval.table_activity if a.seq_scan or a.idx_scan}
    parents = read
    while parents := {t.parent_oid for oid in parents if (t := tables.get(oid)) and t.parent_oid}:
        read = read | parents
    return frozenset((t.schema, t.name) for oid, t in tables.items() if oid in read)
