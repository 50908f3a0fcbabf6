"""The 18 names that the dashboard of postgres_exporter asks for, for those who have it; on a page of its own.

What moved in version 17 keeps its name here, so that the dashboard shows it.
"""

from collections.abc import Iterable
from typing import Any

from pgwatch_wed.facts import Checkpoints, Database
from pgwatch_wed.serve.metrics.facts_for_metrics import SeenFacts
from pgwatch_wed.serve.metrics.server_families import fsynced_by_backends, written_by_backends
from pgwatch_wed.serve.state import Family, Labels, Sample

# Suffix after pg_stat_database_, and the field that it shows.
_OF_DATABASE = (
    *("xact_commit", "xact_rollback", "blks_hit", "blks_read", "deadlocks", "conflicts"),
    *("tup_returned", "tup_fetched", "tup_inserted", "tup_updated", "tup_deleted"),
)
_OF_BGWRITER = (
    *("buffers_alloc", "buffers_backend", "buffers_backend_fsync", "buffers_checkpoint"),
    "buffers_clean",
)


def compatible(targets: Iterable[tuple[SeenFacts | None, str]]) -> tuple[Family, ...]:
    """Return the families; a target without facts is down."""
    samples: dict[str, list[Sample]] = {"pg_up": []}
    for seen, target in targets:
        samples["pg_up"].append(Sample("pg_up", (("target", target),), float(seen is not None)))
        for name, labels, value in _values(seen) if seen else ():
            if value is not None:
                samples.setdefault(name, []).append(Sample(name, labels, float(value)))
    return tuple(_family(name, tuple(found)) for name, found in samples.items())


def _family(name: str, samples: tuple[Sample, ...]) -> Family:
    kind = "gauge" if name in ("pg_up", "pg_stat_database_numbackends") else "counter"
    return Family(name, kind, "As in postgres_exporter.", samples, "postgres_exporter")


def _values(seen: SeenFacts) -> Iterable[tuple[str, Labels, Any]]:
    for row in seen.rows("databases"):
        labels = (("target", seen.target), ("datid", str(row.oid)), ("datname", row.name))
        yield from _of_database(row, labels)
    for row in seen.rows("checkpoints"):
        yield from _of_bgwriter(seen, row)


def _of_database(row: Database, labels: Labels) -> Iterable[tuple[str, Labels, Any]]:
    yield "pg_stat_database_numbackends", labels, row.num_backends
    for name in _OF_DATABASE:
        yield f"pg_stat_database_{name}", labels, getattr(row, name)


def _of_bgwriter(seen: SeenFacts, row: Checkpoints) -> Iterable[tuple[str, Labels, Any]]:
    for name in _OF_BGWRITER:
        value = getattr(row, name)
        if value is None and name == "buffers_backend":
            value = written_by_backends(seen)
        if value is None and name == "buffers_backend_fsync":
            value = fsynced_by_backends(seen)
        yield f"pg_stat_bgwriter_{name}_total", (("target", seen.target),), value
