"""What it takes that many clusters come at once: ``db-analyze fleet import`` of a snapshot file of each, in several processes."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import sqlalchemy as sa

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts import file as snapshot_file
from pgwatch_wed.fleet import visit_log
from pgwatch_wed.history import retention, store
from pgwatch_wed.history.schema import runs
from pgwatch_wed.target.collect import collect
from tests.bench.fleet.measures import Measured, Running
from tests.fleet.ground import multiply, small

GOAL_KB = 50
_ORIGINALS = 10
_PROCESSES = 3
_MANY = 100
"""Of fewer, most of what is stored is that of the first."""


def arrivals(folder: Path, number: int) -> list[Measured]:
    """Bring so many clusters to a history in PostgreSQL, three parts of them at the same time; then all an hour later."""
    with small() as server, small({"max_connections": "100"}) as place:
        names = multiply(server, _ORIGINALS)
        taken = [collect(server.dsn(name, tcp=True)) for name in names]
        lines: list[Measured] = []
        url = place.dsn(tcp=True)
        for wave, what in enumerate(("first run", "a further run")):
            inbox = folder / f"inbox{wave}"
            _write(inbox, taken, number, timedelta(hours=wave))
            lines += _imported(folder, inbox, place, url, f"{number} clusters at once, {what}")
        return [*lines, _stored(url, number)]


def _write(inbox: Path, taken: list[Snapshot], number: int, later: timedelta) -> None:
    """Write a file of each cluster, with an identity of its own: the same tables with oids of ten databases."""
    for n in range(number):
        part = inbox / f"part{n % _PROCESSES}"
        part.mkdir(parents=True, exist_ok=True)
        of = taken[n % len(taken)]
        server = replace(of.server, system_identifier=str(10**18 + n), taken_at=of.now + later)
        port = str(5500 + n)
        settings = tuple(replace(s, setting=port) if s.name == "port" else s for s in of.settings)
        snapshot_file.save(
            replace(of, server=server, settings=settings), part / f"t{n:04}.json.zst"
        )


def _imported(
    folder: Path, inbox: Path, place: embedded.EmbeddedServer, url: str, what: str
) -> Iterator[Measured]:
    names = (path.name.partition(".")[0] for path in sorted(inbox.rglob("*.zst")))
    file = folder / "arrivals.toml"
    file.write_text(
        "\n".join(f'[[clusters]]\nname = "{n}"\ntarget = "service={n}"\n' for n in names)
    )
    given = ("--inventory", str(file), "--history", url)
    size, log = _size(url), _log_bytes(place)
    running = [
        Running(("fleet", "import", str(part), *given), folder) for part in sorted(inbox.iterdir())
    ]
    done = [each.wait() for each in running]
    for each in done:
        if each.status != 0:
            raise RuntimeError(f"status {each.status}\n{each.output}\n{each.errors}")
    number = len(list(inbox.rglob("*.zst")))
    kilobytes = (_size(url) - size) / number / 1000
    cpu = sum(each.cpu_s for each in done) / number
    yield Measured(
        f"history, {what}",
        f"{kilobytes:.1f} kB a cluster, {(_log_bytes(place) - log) / number / 1000:.0f} kB of WAL",
        f"at most {GOAL_KB} kB" if number >= _MANY else "",
        kilobytes <= GOAL_KB if number >= _MANY else None,
    )
    peak = max(each.peak_mb for each in done)
    yield Measured(f"import, {what}", f"{cpu:.2f} s of the processor a cluster, {peak:.0f} MB")


def _stored(url: str, number: int) -> Measured:
    """Count what is there: a cluster of each file, two runs of each, and one visit in one fleet run."""
    opened = store.open_store(url)
    try:
        with opened.reading() as connection:
            stored = connection.execute(
                sa.select(sa.func.count(), sa.func.count(runs.c.cluster_id.distinct()))
            ).one()
            walks = visit_log.runs_of_fleet(connection)
            visits = visit_log.visits(connection, walks[0].id)
    finally:
        opened.close()
    read = sum(1 for visit in visits if visit.ending and visit.ending.was_read)
    found = (stored[1], stored[0], len(walks), read)
    return Measured(
        "clusters, runs, fleet runs, visits in the last one",
        ", ".join(map(str, found)),
        f"{number}, {2 * number}, 1, {number}",
        found == (number, 2 * number, 1, number),
    )


def _size(url: str) -> int:
    opened = store.open_store(url)
    try:
        with opened.reading() as connection:
            return retention.size_bytes(connection)
    finally:
        opened.close()


def _log_bytes(place: embedded.EmbeddedServer) -> int:
    with psycopg.connect(place.dsn()) as session:
        row = session.execute("select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')").fetchone()
    return int(row[0]) if row else 0
