"""The findings of a run, all together: most of them are those of the run before, and of siblings."""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from pgwatch_wed.errors import HistoryError
from pgwatch_wed.history import blobs, months
from pgwatch_wed.history.schema import Instant, runs


class KeptFinding(NamedTuple):
    """A finding of a run. ``object`` has its kind, name, database, schema, table, and the oid of the relation if it is known."""

    finding_id: str
    rule: str
    severity: str
    grade: str
    label: str
    title: str
    object: Mapping[str, Any]
    ms_per_day: float | None
    bytes: int | None


def put(
    connection: sa.Connection, findings: Iterable[KeptFinding], near: str | None = None
) -> str | None:
    """Store the findings of a run; return the address, or None if there are none."""
    rows = sorted(findings, key=lambda each: each.finding_id)
    if not rows:
        return None
    text = json.dumps({"findings": rows}, ensure_ascii=False, separators=(",", ":"))
    return blobs.put(connection, text.encode("utf-8", "surrogatepass"), near)


def read(content: bytes) -> tuple[KeptFinding, ...]:
    """Return the findings that :func:`put` stored. Raises :class:`HistoryError` if they are damaged."""
    try:
        rows = json.loads(content.decode("utf-8", "surrogatepass"))["findings"]
        return tuple(KeptFinding(*row) for row in rows)
    except (ValueError, KeyError, TypeError):
        raise HistoryError("the findings of a run are damaged") from None


def get(connection: sa.Connection, address: str | None) -> tuple[KeptFinding, ...]:
    """Return the findings of a run. Raises :class:`HistoryError` if they are gone or damaged."""
    return () if address is None else read(blobs.get(connection, address))


def of_run(connection: sa.Connection, run_id: int) -> tuple[KeptFinding, ...]:
    """Return the findings of a run by its number."""
    query = sa.select(runs.c.findings).where(runs.c.id == run_id)
    return get(connection, connection.execute(query).scalar())


def last(
    connection: sa.Connection, finding_id: str, until: datetime, cluster_id: int
) -> KeptFinding | None:
    """Return a finding as a cluster's last run up to a time that has it told it; what is damaged is passed over."""
    c = runs.c
    mine = (c.cluster_id == cluster_id, c.taken_at <= until, c.findings.is_not(None))
    query = sa.select(c.findings).where(*mine).order_by(c.taken_at.desc(), c.id.desc())
    for address in dict.fromkeys(connection.execute(query).scalars()):
        with suppress(HistoryError):
            for each in get(connection, address):
                if each.finding_id == finding_id:
                    return each
    return None


# --- the form of before ---------------------------------------------------------------------------

_json = sa.JSON().with_variant(sa.dialects.postgresql.JSONB(), "postgresql")
_old = sa.Table(
    "findings",
    sa.MetaData(),
    sa.Column("cluster_id", sa.BigInteger),
    sa.Column("taken_at", Instant),
    sa.Column("object", _json),
    *map(sa.Column, ("run_id", "finding_id", "rule", "severity", "grade", "label", "title")),
    *map(sa.Column, ("ms_per_day", "bytes")),
)


def gather(connection: sa.Connection) -> None:
    """Put the rows of each run together."""
    newest: dict[int, str] = {}
    for run in _runs(connection):
        mine = (_old.c.cluster_id == run.cluster_id, _old.c.run_id == run.id)
        names = [_old.c[name] for name in KeptFinding._fields]
        rows = connection.execute(sa.select(*names).where(*mine, _old.c.taken_at == run.taken_at))
        found = put(connection, (KeptFinding(*row) for row in rows), newest.get(run.cluster_id))
        if found is not None:
            newest[run.cluster_id] = found
            values = {"findings": found}
            connection.execute(runs.update().where(runs.c.id == run.id).values(**values))


def scatter(connection: sa.Connection) -> None:
    """Write a row for each finding."""
    for run in _runs(connection):
        if run.findings is None:
            continue
        months.create(connection, _old.name, run.taken_at)
        key = {"cluster_id": run.cluster_id, "taken_at": run.taken_at, "run_id": run.id}
        rows = [{**key, **each._asdict()} for each in get(connection, run.findings)]
        connection.execute(_old.insert(), rows)


def _runs(connection: sa.Connection) -> Iterable[Any]:
    c = runs.c
    query = sa.select(c.id, c.cluster_id, c.taken_at, c.findings)
    return connection.execute(query.order_by(c.cluster_id, c.taken_at)).all()
