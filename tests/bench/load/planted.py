"""Bottlenecks that are planted: whether the first cause that is named is the planted one, and whether it alone is proven.

python -m tests.bench.load.planted [--case NAME[;NAME…]] [--older BINDIR | --container MAJOR] [--block 10] [--pairs 6]
    [--table FILE]

In a container, nothing of the whole server can be changed, so the checkpoint storm is not tried there. The table so far is
printed after each case, and written to FILE, so a run that is ended leaves what it has.
"""

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from pgwatch_wed.config import Config
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.embedded.server import EmbeddedServer
from pgwatch_wed.errors import Error
from pgwatch_wed.load.course.interval_analysis import evaluated, snapshot_before
from pgwatch_wed.load.engine.block_runner import runner
from pgwatch_wed.load.load_model import (
    Block,
    BlockRunner,
    Ground,
    LoadScript,
    Order,
    Proven,
    QueryProtocol,
)
from pgwatch_wed.load.proof.bottleneck_chain import Diagnosis, ProofLimits, prove
from pgwatch_wed.load.proof.load_probes import LoadProbeKind as Kind
from pgwatch_wed.load.proof.proof_bench import proving
from pgwatch_wed.load.sampling.cause_ranking import ranked_causes
from pgwatch_wed.load.sampling.load_causes import LoadCauseKind as Cause
from pgwatch_wed.load.sampling.session_watch import SessionWatch
from pgwatch_wed.load.stress_report import ProofChain
from tests import servers
from tests.bench.load.comparing import neighbours

BASE = {"fsync": "on", "autovacuum": "off"}
ITEMS = (
    "create table item (id int primary key, owner int not null, price int not null, said text)",
    "insert into item select g, g % 20000, g * 7 % 1000, repeat(md5(g::text), 4) from generate_series(1, 200000) g",
)
ACCOUNTS = (
    "create table account (id int primary key, n bigint not null default 0, said text)",
    "insert into account select g, 0, repeat('x', 200) from generate_series(1, 100000) g",
)
ANALYZED = "vacuum analyze"
BLOCKS = 3  # of fewer, causes have no interval


@dataclass(frozen=True)
class Planted:
    """A bottleneck, and what has to come of it. ``guilty``: probes that may be proven; empty if none may.

    ``named``: what may be the first cause; empty if nothing has to be named. ``beside``: probes that are no innocents, but
    do not do. ``accused``: innocents that have to be tried, or the case shows nothing.
    """

    name: str
    prepare: tuple[str, ...]
    scripts: tuple[str, ...]
    named: frozenset[Cause]
    guilty: frozenset[Kind]
    clients: int = 4
    rate: float | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    session: Mapping[str, str] = field(default_factory=dict)
    reconnects: bool = False
    neighbours: int = 0
    spoilt: str = ""
    beside: frozenset[Kind] = frozenset()
    accused: frozenset[Kind] = frozenset()


# It would analyze what is planted before the blocks that count.
NO_AUTOVACUUM = {"autovacuum_naptime": "1d"}

CASES = (
    Planted(
        "missing index",
        (*ITEMS, ANALYZED),
        ("\\set o random(1, 20000)\nselect sum(price) from item where owner = :o;",),
        frozenset({Cause.MISSING_INDEX, Cause.QUERY_CPU}),
        frozenset({Kind.INDEX}),
    ),
    Planted(
        "hot row",
        (*ACCOUNTS, ANALYZED),
        (
            (
                "\\set d random(1, 9)\n\\set a random(2, 100000)\nbegin;\n"
                "update account set n = n + :d where id = 1;\n"
                "update account set n = n - :d where id = :a;\nselect 1;\nselect 2;\nselect 3;\nend;"
            ),
        ),
        frozenset({Cause.ROW_LOCK, Cause.CLIENT_ROUND_TRIPS, Cause.FLUSH}),
        frozenset({Kind.SPREADING, Kind.FLUSH}),
        clients=12,
    ),
    Planted(
        "slow flush behind row locks",
        (*ACCOUNTS, ANALYZED),
        ("\\set d random(1, 9)\nupdate account set n = n + :d where id = 1;",),
        frozenset({Cause.FLUSH}),
        frozenset({Kind.FLUSH, Kind.SPREADING}),
        clients=12,
    ),
    Planted(
        "tiny work_mem, guilty",
        (*ITEMS, ANALYZED),
        # the subquery does not fit, so its rows are read again from a file for each row outside
        (
            (
                "\\set i random(1, 100000)\nselect count(*) from item where id between :i and :i + 100 "
                "and owner not in (select price + 30000 from item where id <= 20000);"
            ),
        ),
        frozenset({Cause.TEMP_FILES, Cause.QUERY_CPU}),
        frozenset({Kind.WORK_MEM}),
        clients=2,
        session={"work_mem": "64kB"},
    ),
    Planted(
        "tiny work_mem, innocent",
        (*ITEMS, ANALYZED),
        # a few temporary files beside so much computing, which no index saves, that they cost 1 or 2% of it
        (
            (
                "select count(*) from (select id from item where id <= 4000 order by said) x, "
                "lateral (select sum(sqrt(g::float8 + x.id)) from generate_series(1, 400) g) y;"
            ),
        ),
        frozenset({Cause.QUERY_CPU, Cause.TEMP_FILES}),
        frozenset(),
        clients=2,
        session={"work_mem": "64kB"},
        accused=frozenset({Kind.WORK_MEM}),
    ),
    Planted(
        "stale statistics",
        (
            "create table job (id int primary key, state int not null)",
            "create index job_state on job (state)",
            "insert into job select g, 0 from generate_series(1, 100000) g",
            ANALYZED,
            "update job set state = 1 where id % 2 = 0",  # of which one row is expected
        ),
        ("select id from job where state = 1 order by id limit 10;",),
        frozenset({Cause.QUERY_CPU, Cause.MISSING_INDEX}),
        frozenset({Kind.STATISTICS, Kind.INDEX}),
        beside=frozenset({Kind.REBUILD}),  # the update left dead rows, too
        clients=2,
        settings=NO_AUTOVACUUM,
    ),
    Planted(
        "stale statistics and dead rows, innocent",
        (
            "create table job (id int primary key, state int not null)",
            "insert into job select g, 0 from generate_series(1, 100000) g",
            ANALYZED,
            "update job set state = 1 where id % 2 = 0",  # on which no lookup by the key depends
        ),
        ("\\set i random(1, 100000)\nselect state from job where id = :i;",),
        frozenset(),
        frozenset(),
        clients=2,
        settings=NO_AUTOVACUUM,
        accused=frozenset({Kind.STATISTICS, Kind.REBUILD}),
    ),
    Planted(
        "checkpoint storm",
        # 10,000 pages: between two checkpoints that 16 MB of WAL trigger, nearly every update is a page's first
        (ACCOUNTS[0] + " with (fillfactor = 30)", ACCOUNTS[1], ANALYZED),
        (
            (
                "\\set a random(1, 25000)\n"
                "update account set n = n + 1 where id in (:a, :a + 25000, :a + 50000, :a + 75000);"
            ),
        ),
        frozenset({Cause.CHECKPOINT, Cause.FULL_PAGE_IMAGES}),
        frozenset({Kind.CHECKPOINTS}),
        beside=frozenset({Kind.WAL_BUFFERS}),  # what is written so fast needs room, too
        clients=8,
        settings={"max_wal_size": "32MB", "min_wal_size": "32MB"},
        session={"synchronous_commit": "off"},
    ),
    Planted(
        "no pooler",
        (*ITEMS, ANALYZED),
        ("\\set i random(1, 200000)\nselect price from item where id = :i;",),
        frozenset({Cause.CONNECTIONS}),
        frozenset({Kind.POOLER}),
        clients=8,
        reconnects=True,
    ),
    Planted(
        "generator too slow",
        (*ITEMS, ANALYZED),
        (
            "\n".join(f"\\set v{n} random(1, 1000) * random(1, 1000) % 77" for n in range(400))
            + "\n\\set i random(1, 200000)\nselect price from item where id = :i;",
        ),
        frozenset(),
        frozenset(),
        clients=8,
        rate=3000,
        spoilt="generator",
    ),
    Planted(
        "noisy neighbor",
        (*ITEMS, ANALYZED),
        ("\\set i random(1, 200000)\nselect price from item where id = :i;",),
        frozenset(),
        frozenset(),
        clients=4,
        rate=300,
        neighbours=6,
        spoilt="cpu-pressure",
    ),
)


@dataclass(frozen=True, kw_only=True)
class BenchDiagnosis:
    """Ranks the causes of an order's time: a few blocks with the sampler, between two snapshots."""

    ground: Ground
    run_block: BlockRunner
    settings: Config

    def __call__(self, order: Order) -> Diagnosis:
        before = snapshot_before(self.ground)
        blocks = tuple(self._block(order, n) for n in range(BLOCKS))
        found = evaluated(self.ground, before, self.settings)
        return Diagnosis(
            causes=ranked_causes(blocks, found.snapshot).causes,
            report=found.report,
        )

    def _block(self, order: Order, number: int) -> Block:
        return self.run_block(replace(order, seed=order.seed + 1000 + number))


@dataclass(frozen=True)
class PlantedResult:
    """A line of the table."""

    case: Planted
    first: str
    is_named: bool
    chain: ProofChain
    checks: frozenset[str]
    seconds: float

    def kinds(self, shows: Proven) -> frozenset[Kind]:
        return frozenset(Kind(s.kind) for s in self.chain.steps if s.result is shows and s.kind)

    @property
    def innocents(self) -> frozenset[Kind]:
        return self.kinds(Proven.PROVEN) - self.case.guilty - self.case.beside

    @property
    def is_right(self) -> bool:
        proven = self.kinds(Proven.PROVEN) & self.case.guilty
        tried = frozenset().union(*(self.kinds(p) for p in Proven if p is not Proven.NOT_TRIED))
        return (
            self.is_named
            and (bool(proven) or not self.case.guilty)
            and not self.innocents
            and self.case.accused <= tried
        )

    def cells(self) -> tuple[str, ...]:
        return (
            self.case.name,
            "right" if self.is_right else "WRONG",
            self.first or "-",
            *(_listed(self.kinds(p)) for p in _COLUMNS),
            _listed(self.innocents) if self.innocents else "none",
            ", ".join(sorted(self.checks)) or "-",
            f"{self.seconds:.0f} s",
        )


_COLUMNS = (Proven.PROVEN, Proven.REFUTED, Proven.NOT_PROVEN)
_HEAD = (
    "planted",
    "",
    "first cause named",
    *_COLUMNS,
    "innocents proven",
    "spoilt",
    "time",
)


def _listed(kinds: frozenset[Kind]) -> str:
    return ", ".join(sorted(kinds)) or "-"


def table(results: Sequence[PlantedResult], failed: Mapping[str, str]) -> str:
    """Return the table so far, and what is missing in it."""
    rows = [_HEAD, *(r.cells() for r in results)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    lines += [f"{name}: {reason}" for name, reason in failed.items()]
    right = sum(r.is_right for r in results)
    innocents = sum(len(r.innocents) for r in results)
    lines.append(f"{right} of {len(results)} right; innocents proven: {innocents}")
    return "\n".join(lines)


@dataclass(frozen=True)
class PlantedServer:
    """Where it is planted: on the wheel's server, one with other programs, or in a container of a major version."""

    binaries: Path | None = None
    container: int | None = None

    @contextmanager
    def started(self, settings: Mapping[str, str]) -> Iterator[tuple[str, EmbeddedServer | None]]:
        if self.container is None:
            with embedded.start(settings, binaries=self.binaries) as server:
                yield server.dsn(), server
            return
        found = servers.start(servers.in_container(self.container), settings)
        try:
            yield found.dsn(), None
        finally:
            found.stop()


@contextmanager
def planted_ground(
    case: Planted, place: PlantedServer
) -> Iterator[tuple[Ground, EmbeddedServer | None]]:
    with place.started({**BASE, **case.settings}) as (dsn, server):
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute("create database planted")
        conninfo = make_conninfo(dsn, dbname="planted")
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("create extension pg_stat_statements")
            for statement in case.prepare:
                connection.execute(statement.encode())
            version = connection.info.server_version
        yield (
            Ground(
                conninfo=conninfo,
                shown="embedded/planted",
                database="planted",
                server_version=version,
                is_embedded=True,  # ours alone, in a container, too
                data_directory=server.data if server is not None else None,
            ),
            server,
        )


def tried(case: Planted, limits: ProofLimits, place: PlantedServer) -> PlantedResult:
    began = time.monotonic()
    with ExitStack() as stack:
        stack.enter_context(neighbours(case.neighbours))
        ground, server = stack.enter_context(planted_ground(case, place))
        blocks: list[Block] = []
        engine = runner(ground, watch=SessionWatch(ground))

        def run(order: Order) -> Block:
            blocks.append(engine(order))
            return blocks[-1]

        order = Order(
            scripts=tuple(LoadScript(name=f"s{n}", text=t) for n, t in enumerate(case.scripts)),
            clients=case.clients,
            rate=case.rate,
            seconds=limits.block_s,
            warmup_s=limits.warmup_s,
            protocol=QueryProtocol.SIMPLE if case.reconnects else QueryProtocol.PREPARED,
            settings=case.session,
            reconnects=case.reconnects,
        )
        again = BenchDiagnosis(ground=ground, run_block=run, settings=Config())
        diagnosis = again(order)
        with proving(ground, run, server) as bench:
            chain = prove(bench, order, diagnosis, again, limits)
    first = next((c for c in diagnosis.causes if c.symptom_of is None), None)
    checks = frozenset(s.check for b in blocks for s in b.spoilt)
    named = (
        any(case.spoilt in c for c in checks)
        if case.spoilt
        else (not case.named or (first is not None and first.kind in case.named))
    )
    return PlantedResult(
        case=case,
        first="" if first is None else f"{first.kind} {first.share:.0%}",
        is_named=named,
        chain=chain,
        checks=checks,
        seconds=time.monotonic() - began,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", action="append", help="only these; names, separated by ;")
    parser.add_argument("--older", type=Path, help="programs of an older major version")
    parser.add_argument("--container", type=int, help="an older major version, in a container")
    parser.add_argument("--block", type=float, default=4.0, help="seconds of a block")
    parser.add_argument("--longest", type=float, default=60.0, help="seconds of the longest block")
    parser.add_argument("--pairs", type=int, default=6, help="pairs of blocks for each cause")
    parser.add_argument("--table", type=Path, help="where the table is written, too")
    given = parser.parse_args()
    limits = ProofLimits(
        block_s=given.block,
        warmup_s=given.block / 4,
        pairs=given.pairs,
        capacity_blocks=1,
        most_steps=2,
        longest_block_s=max(given.longest, given.block),
    )
    place = PlantedServer(given.older, given.container)
    results: list[PlantedResult] = []
    failed: dict[str, str] = {}
    for case in chosen(given.case, parser):
        if given.container is not None and case.settings:
            failed[case.name] = "not tried: in a container, the server is not configured"
            continue
        try:
            results.append(tried(case, limits, place))
        except (Error, psycopg.Error, OSError) as error:
            failed[case.name] = f"failed: {error}"
        else:
            print(details(results[-1]), flush=True)
        so_far = table(results, failed)
        print(f"\n{so_far}\n", flush=True)
        if given.table is not None:
            given.table.write_text(so_far + "\n", encoding="utf-8")


def chosen(names: Sequence[str] | None, parser: argparse.ArgumentParser) -> Sequence[Planted]:
    if not names:
        return CASES
    wanted = [name.strip() for each in names for name in each.split(";")]
    known = {case.name: case for case in CASES}
    for name in wanted:
        if name not in known:
            parser.error(f"there is no case {name!r}; there are: {'; '.join(known)}")
    return [known[name] for name in wanted]


def details(result: PlantedResult) -> str:
    """Return what each step has shown, in a line each."""
    lines = [f"{result.case.name}:"]
    for step in result.chain.steps:
        ratio = "" if step.ratio is None else f" {step.metric} ×{step.ratio:.2f} {step.interval}"
        work = "".join(
            f"; {w.name} ×{w.ratio:.2f} {w.shows}" for w in step.work if abs(w.ratio - 1) > 0.05
        )
        needed = f", {step.pairs_needed} pairs would do" if step.pairs_needed else ""
        lines.append(
            f"    {step.kind}: {step.result}{ratio}{needed} ({step.reason}){work} [{step.cause[:60]}]"
        )
    lines += [f"    NOT PUT BACK: {each}" for each in result.chain.left_behind]
    return "\n".join([*lines, f"    {result.chain.ended}"])


if __name__ == "__main__":
    main()
