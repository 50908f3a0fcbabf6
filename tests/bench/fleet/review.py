"""What a fleet's report costs: ``python -m tests.bench.fleet.review [clusters] [folder]``.

Writes two runs of a fleet through the functions of the history: one real snapshot of a shop, in a few variations that are judged by all
rules, and stored for each cluster under its own identity. Then reports the fleet as the command does, and prints times and sizes.
"""

import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Forecast, Snapshot, file
from pgwatch_wed.findings import Report
from pgwatch_wed.fleet import traits, visit_log
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.visits import FleetRun, Visit, VisitEnding
from pgwatch_wed.history import runs, states, store
from pgwatch_wed.render import json_v1

EXAMPLE = Path(__file__).parents[3] / "reports" / "example" / "shop.json.zst"
_VARIANTS = 12
_BEGAN = datetime(2026, 3, 2, 3, tzinfo=UTC)
_ROOMS = ("shops", "tenants", "reporting", "")


@dataclass(frozen=True, slots=True)
class Variant:
    """A snapshot and its report."""

    snapshot: Snapshot
    report: Report


def variants(count: int = _VARIANTS) -> tuple[Variant, ...]:
    """Return variations of the example: other settings, versions and indexes."""
    base = file.load(EXAMPLE)
    base = replace(base, statements=base.statements[:40], statement_plans=())
    chance = random.Random(16)
    made = []
    for n in range(count):
        snapshot = base
        if n % 3:
            kept = tuple(i for i in base.indexes if i.constraint_oid or chance.random() > 0.1)
            snapshot = replace(base, indexes=kept)
        settings = tuple(
            replace(s, setting="65536", source="configuration file")
            if s.name == "work_mem" and n % 5 == 1
            else s
            for s in snapshot.settings
        )
        minor = 6 - n % 3
        server = replace(snapshot.server, version=f"17.{minor}", version_num=170_000 + minor)
        when = _BEGAN + timedelta(days=30 * (n + 1))
        heading = Forecast(
            *("connections", 0, "connections", 60.0 + n, 97.0, 40, 0.1, 0.2, 0.3),
            *(when, when + timedelta(days=20), when + timedelta(days=60)),
            begins=_BEGAN - timedelta(days=40),
            as_of=_BEGAN,
        )
        snapshot = replace(snapshot, settings=settings, server=server, forecasts=(heading,))
        made.append(Variant(snapshot, analyse((snapshot,), Config(), target=f"shop-{n}")))
    return tuple(made)


def fleet(
    opened: store.Store, clusters: int, made: Sequence[Variant], rounds: int = 2
) -> tuple[FleetRun, ...]:
    """Write runs of a fleet, a day apart; each 20th cluster cannot be reached in the last one."""
    documents = {id(v): json_v1.render(v.report) for v in made}
    found = []
    for turn in range(rounds):
        moment = _BEGAN + timedelta(days=turn)
        members = [
            Member(f"shop-{n:04}", (), group=_ROOMS[n % len(_ROOMS)], tags={"zone": f"z{n % 3}"})
            for n in range(clusters)
        ]
        with opened.writing() as connection:
            run = visit_log.begin(connection, members, moment, {})
            for n, member in enumerate(members):
                own = made[(n + turn * (n % 7 == 0)) % len(made)]
                is_silent = turn == rounds - 1 and n % 20 == 3
                _visit(connection, run, n, member, own, documents, is_silent=is_silent)
        found.append(run)
    return tuple(found)


def _visit(
    connection: sa.Connection,
    run: FleetRun,
    number: int,
    member: Member,
    own: Variant,
    documents: Mapping[int, str],
    *,
    is_silent: bool,
) -> None:
    moment = run.began_at
    visit = Visit(run.id, member.name, worker="bench", ended_at=moment, attempts=1)
    if is_silent:
        visit = replace(visit, ending=VisitEnding.UNREACHABLE, reason="connection timed out")
    else:
        server = replace(
            own.snapshot.server,
            system_identifier=str(7_000_000 + number),
            address=f"10.1.{number // 250}.{number % 250}",
            taken_at=moment,
        )
        snapshot = replace(own.snapshot, server=server)
        stored, _ = runs.add(connection, runs.NewRun((snapshot,)))
        # each document is its own, as those of real clusters are
        document = documents[id(own)].replace(own.report.target.label, member.name, 1)
        stored = runs.conclude(connection, stored, own.report, document, (snapshot,))
        states.follow(connection, stored, (snapshot,))
        visit = replace(
            visit,
            ending=VisitEnding.DONE,
            label=f"{member.name}.example.com",
            cluster_id=stored.cluster_id,
            run_id=stored.id,
            traits=traits.put(connection, traits.of((snapshot,))),
        )
    assert visit_log.claim(connection, run.id, member.name, "bench", moment)
    assert visit_log.end(connection, visit)


def main(clusters: int, folder: Path) -> None:
    """Measure and print."""
    path = folder / "history.sqlite3"
    if not path.exists():
        began = time.monotonic()
        opened = store.open_store(str(path))
        fleet(opened, clusters, variants())
        opened.close()
        print(f"written: {clusters:,} clusters, two runs, in {time.monotonic() - began:.0f} s")
    for kinds in ("text", "json", "html", "html,json,text"):
        _reported(path, folder / kinds.replace(",", "-"), kinds)


def _reported(path: Path, folder: Path, kinds: str) -> None:
    command = [sys.executable, "-m", "pgwatch_wed", "fleet", "report"]
    words = ["--history", str(path), "--format", kinds, "-o", str(folder)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    with (folder.parent / "printed.txt").open("wb") as printed:
        subprocess.run(
            [*command, *words], check=True, stdout=printed, env={**os.environ, "COLUMNS": "80"}
        )
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    sizes = [f"{p.name} {p.stat().st_size / 1e6:.2f} MB" for p in folder.glob("fleet-report*")]
    pages = len(list((folder / "clusters").glob("*.html")))
    memory = after.ru_maxrss / 1024
    print(
        f"{kinds}: {wall:.1f} s, {cpu:.1f} CPU-seconds, at most {memory:.0f} MB; "
        f"{', '.join(sizes) or 'no file'}; {pages:,} pages of clusters"
    )


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    if len(sys.argv) > 2:
        main(count, Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(count, Path(scratch))
