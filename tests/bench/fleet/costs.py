"""What a cluster costs: processor, connections, queries, bytes, memory, and history."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.history import retention, store
from tests.bench.fleet.measures import Measured, Spent, inventory, run_words, spent
from tests.bench.fleet.servers_of import DBNAME
from tests.fleet.ground import multiply, small
from tests.fleet.networks import Traffic, separate_network

FURTHER_GOAL = 0.7
FLAT_MB, WORKER_MB = 150, 5
HISTORY_GOAL_KB = 10
# What begins and ends a transaction is sent with each query, and is not counted.
_QUERIES = """
select coalesce(sum(calls), 0)::bigint from pg_stat_statements
where query !~* '^\\s*(begin|start|commit|rollback|set|select pg_catalog\\.set_config)\\M'
"""


def cluster_costs(folder: Path, servers: list[embedded.EmbeddedServer]) -> list[Measured]:
    """Review a fleet, one cluster after the other, over connections that are counted, the second time."""
    dsns = {f"c{i:03}": s.dsn(DBNAME, tcp=True) for i, s in enumerate(servers)}
    with separate_network() as net:
        through = {name: net.through(dsn) for name, dsn in dsns.items()}
        file = inventory(folder, "counted", through)
        words = run_words(file, folder / "counted.sqlite3", 1)
        spent(folder, *words)
        traffic, queries = net.tally(), _calls(servers)
        many = spent(folder, *words)
        now = net.tally()
        asked = _calls(servers) - queries - len(servers)  # ours
    single = _second(folder, inventory(folder, "single", dict(list(dsns.items())[:1])))
    number = len(servers)
    between = {port: _less(now[port], traffic[port]) for port in now}
    cpu = (many.cpu_s - single.cpu_s) / max(number - 1, 1)
    most = max(_of(through, now, name).most_open for name in through)
    return [
        Measured("processor, a cluster with a small database", f"{cpu:.2f} s"),
        Measured("processor, start and end of a run", f"{single.cpu_s - cpu:.2f} s"),
        Measured("connections, a cluster", f"{_mean(t.connections for t in between.values()):.1f}"),
        Measured("connections to a server at a time", str(most), "1", most == 1),
        Measured("queries, a cluster", f"{asked / number:.0f}"),
        Measured(
            "bytes to and from a server",
            f"{_mean(t.sent for t in between.values()) / 1000:.0f} kB and "
            f"{_mean(t.received for t in between.values()) / 1000:.0f} kB",
        ),
    ]


def _calls(servers: list[embedded.EmbeddedServer]) -> int:
    total = 0
    for server in servers:
        with psycopg.connect(server.dsn(DBNAME)) as session:
            row = session.execute(_QUERIES).fetchone()
        total += int(row[0]) if row else 0
    return total


def _less(now: Traffic, before: Traffic) -> Traffic:
    return Traffic(
        now.connections - before.connections,
        sent=now.sent - before.sent,
        received=now.received - before.received,
    )


def _of(through: Mapping[str, str], tally: Mapping[int, Traffic], name: str) -> Traffic:
    return tally[int(str(conninfo_to_dict(through[name])["port"]))]


def _mean(values: Iterable[int]) -> float:
    found = list(values)
    return float(sum(found) / len(found))


def further_database(
    folder: Path, servers: list[embedded.EmbeddedServer], number: int
) -> list[Measured]:
    """Compare a further database of a server with a cluster of its own."""
    cluster_cpu_s = _further_cluster(folder, servers)
    with small() as server:
        names = multiply(server, number)
        target = {"tenants": server.dsn(names[0], tcp=True)}
        some = inventory(folder, "some", target, names[:2])
        every = inventory(folder, "every", target, ["tenant_*"])
        few, all_ = (_second(folder, file) for file in (some, every))
    each = (all_.cpu_s - few.cpu_s) / (number - 2)
    ratio = each / cluster_cpu_s
    return [
        Measured(
            f"processor, a further database ({number} of one server)",
            f"{each:.2f} s, {ratio:.2f} of a cluster by itself",
            f"at most {FURTHER_GOAL}",
            ratio <= FURTHER_GOAL,
            is_rough=True,
        ),
        Measured(f"memory, {number} databases of one server", f"{all_.peak_mb:.0f} MB"),
    ]


def _further_cluster(folder: Path, servers: list[embedded.EmbeddedServer]) -> float:
    """Return the processor time that a further cluster takes, in seconds."""
    dsns = {f"f{i:03}": s.dsn(DBNAME, tcp=True) for i, s in enumerate(servers)}
    many = _second(folder, inventory(folder, "further", dsns))
    one = _second(folder, inventory(folder, "first", dict(list(dsns.items())[:1])))
    return (many.cpu_s - one.cpu_s) / (len(servers) - 1)


def _second(folder: Path, file: Path) -> Spent:
    """Run a fleet twice, one cluster after the other: the first time makes the history."""
    words = run_words(file, folder / f"{file.stem}.sqlite3", 1)
    spent(folder, *words)
    return spent(folder, *words)


def memory(folder: Path, servers: list[embedded.EmbeddedServer]) -> list[Measured]:
    """Compare the memory of a run over few clusters with that over all, with few threads and many."""
    lines = []
    peaks = {}
    few = max(len(servers) // 6, 2)
    for number, threads in ((few, 4), (len(servers), 4), (len(servers), 16)):
        dsns = {f"m{i:03}": s.dsn(DBNAME, tcp=True) for i, s in enumerate(servers[:number])}
        file = inventory(folder, f"memory{number}", dsns)
        path = folder / f"memory{number}-{threads}.sqlite3"
        found = spent(folder, *run_words(file, path, threads))
        peaks[number, threads] = found.peak_mb
        most = FLAT_MB + WORKER_MB * threads
        lines.append(
            Measured(
                f"memory, {number} clusters, {threads} threads",
                f"{found.peak_mb:.0f} MB",
                f"at most {most} MB",
                found.peak_mb <= most,
            )
        )
    apart = len(servers) - few
    grown = (peaks[len(servers), 4] - peaks[few, 4]) / apart
    goal = "at most 0.2 MB" if apart >= 20 else ""  # of few clusters, it is chance
    is_met = grown <= 0.2 if goal else None
    lines.append(Measured("memory, a further cluster", f"{grown:.2f} MB", goal, is_met))
    return lines


def history(folder: Path, servers: list[embedded.EmbeddedServer], runs: int) -> list[Measured]:
    """Let the databases be used between runs; return what a further run adds."""
    dsns = {f"h{i:03}": s.dsn(DBNAME, tcp=True) for i, s in enumerate(servers)}
    file = inventory(folder, "growing", dsns)
    path = folder / "growing.sqlite3"
    words = run_words(file, path, 16)
    sizes = []
    for number in range(runs):
        for dsn in dsns.values():
            _use(dsn, number)
        spent(folder, *words)
        sizes.append(_size(path))
    each = (sizes[-1] - sizes[0]) / (runs - 1) / len(servers) / 1000
    return [
        Measured("history, first run of a cluster", f"{sizes[0] / len(servers) / 1000:.0f} kB"),
        Measured(
            "history, a further run of a cluster",
            f"{each:.1f} kB",
            f"at most {HISTORY_GOAL_KB} kB",
            each <= HISTORY_GOAL_KB,
            is_rough=True,
        ),
    ]


def _use(dsn: str, number: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as session:
        for i in range(20):
            session.execute("select * from orders where customer_id = %s", (number * 20 + i,))
        session.execute("update orders set total = total + 1 where id = %s", (number,))
        session.execute("select count(*) from customers where city = 'c1'")


def _size(path: Path) -> int:
    opened = store.open_store(str(path))
    try:
        with opened.reading() as connection:
            return retention.size_bytes(connection)
    finally:
        opened.close()
