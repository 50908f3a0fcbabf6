"""What the rules said in a run, all together: most of it is the same in the next run, and in those of siblings."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from pgwatch_wed.errors import HistoryError
from pgwatch_wed.history import blobs, months
from pgwatch_wed.history.schema import Instant, runs


class KeptVerdict(NamedTuple):
    """What a rule said: the values of its area and of its verdict, and why."""

    area: str
    verdict: str
    reason: str


def put(
    connection: sa.Connection, verdicts: Mapping[str, KeptVerdict], near: str | None = None
) -> str:
    """Store what the rules said; return the address."""
    rows = {rule: list(each) for rule, each in sorted(verdicts.items())}
    text = json.dumps({"verdicts": rows}, ensure_ascii=False, separators=(",", ":"))
    return blobs.put(connection, text.encode("utf-8", "surrogatepass"), near)


def read(content: bytes) -> dict[str, KeptVerdict]:
    """Return what the rules said, by their names."""
    try:
        rows = json.loads(content.decode("utf-8", "surrogatepass"))["verdicts"]
        return {rule: KeptVerdict(*row) for rule, row in rows.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise HistoryError("the verdicts of a run are damaged") from None


def get(connection: sa.Connection, address: str) -> dict[str, KeptVerdict]:
    """Return what the rules said in a run. Raises :class:`HistoryError` if it is gone or damaged."""
    return read(blobs.get(connection, address))


# --- the form of before ---------------------------------------------------------------------------

_old = sa.Table(
    "verdicts",
    sa.MetaData(),
    sa.Column("cluster_id", sa.BigInteger),
    sa.Column("taken_at", Instant),
    *map(sa.Column, ("run_id", "rule", "area", "verdict", "reason")),
)


def gather(connection: sa.Connection) -> None:
    """Put the rows of each run together."""
    last: dict[int, str] = {}
    for run in _runs(connection):
        mine = (_old.c.cluster_id == run.cluster_id, _old.c.run_id == run.id)
        query = sa.select(_old).where(*mine, _old.c.taken_at == run.taken_at)
        rows = connection.execute(query).all()
        told = {row.rule: KeptVerdict(row.area, row.verdict, row.reason) for row in rows}
        if told:
            last[run.cluster_id] = put(connection, told, last.get(run.cluster_id))
            values = {"verdicts": last[run.cluster_id]}
            connection.execute(runs.update().where(runs.c.id == run.id).values(**values))


def scatter(connection: sa.Connection) -> None:
    """Write a row for each rule."""
    for run in _runs(connection):
        if run.verdicts is None:
            continue
        months.create(connection, _old.name, run.taken_at)
        key = {"cluster_id": run.cluster_id, "taken_at": run.taken_at, "run_id": run.id}
        told = get(connection, run.verdicts)
        rows = [{**key, "rule": rule, **each._asdict()} for rule, each in told.items()]
        if rows:
            connection.execute(_old.insert(), rows)


def _runs(connection: sa.Connection) -> Iterable[Any]:
    c = runs.c
    query = sa.select(c.id, c.cluster_id, c.taken_at, c.verdicts)
    return connection.execute(query.order_by(c.cluster_id, c.taken_at)).all()
