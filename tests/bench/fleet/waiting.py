"""What networks and absent hosts cost a run: threads, workers, and hosts that never answer."""

from collections.abc import Sequence
from pathlib import Path

from pgwatch_wed.embedded import server as embedded
from tests.bench.fleet.measures import Measured, Running, inventory, run_words, spent
from tests.bench.fleet.servers_of import DBNAME
from tests.fleet.networks import SeparateNetwork, Way

THREADS, THREADS_GOAL = 16, 8.0
HANGING_GOAL = 1.1
WORKERS_GOAL = 1.8


def threads(
    folder: Path,
    net: SeparateNetwork,
    servers: Sequence[embedded.EmbeddedServer],
    number: int,
    delay_s: float,
) -> list[Measured]:
    """Compare one thread with many at a delay of the network."""
    targets = _delayed(net, servers, delay_s)
    file = inventory(folder, "delayed", targets)
    history = folder / "delayed.sqlite3"
    spent(folder, *run_words(file, history, number))  # makes the history
    many, one = (spent(folder, *run_words(file, history, n)) for n in (number, 1))
    ratio = one.wall_s / many.wall_s
    goal = THREADS_GOAL * number / THREADS
    return [
        Measured(
            f"{len(servers)} clusters at {delay_s * 1000:.0f} ms: one thread, {number} threads",
            f"{one.wall_s:.0f} s, {many.wall_s:.1f} s: {ratio:.1f} times as fast",
            f"at least {goal:g} times",
            ratio >= goal,
            is_rough=True,
        )
    ]


def hanging(
    folder: Path,
    net: SeparateNetwork,
    servers: Sequence[embedded.EmbeddedServer],
    number: int,
    delay_s: float,
    options: Sequence[str] = (),
) -> list[Measured]:
    """Add a tenth of hosts that accept and say nothing; compare with the run without them.

    By default such a host is given up after 55 seconds, beside the others: the fleet must take longer than that, with so
    few threads, or ``options`` must give up earlier.
    """
    targets = _delayed(net, servers, delay_s)
    absent = max(len(servers) // 9, 1)
    silent = {
        f"silent{i:02}": net.through(servers[0].dsn(DBNAME, tcp=True), Way(hangs=True))
        for i in range(absent)
    }
    history = folder / "hanging.sqlite3"
    some, every = (
        [*run_words(inventory(folder, name, members), history, number), *options]
        for name, members in (("some", targets), ("every", {**silent, **targets}))
    )
    spent(folder, *some)  # makes the history
    without, with_them = spent(folder, *some), spent(folder, *every)
    ratio = with_them.wall_s / without.wall_s
    threads = "1 thread" if number == 1 else f"{number} threads"
    return [
        Measured(
            f"{len(servers)} clusters at {delay_s * 1000:.0f} ms, {threads}: alone, with {absent} that hang",
            f"{without.wall_s:.1f} s, {with_them.wall_s:.1f} s: {ratio:.2f} times as long",
            f"at most {HANGING_GOAL:g} times",
            ratio <= HANGING_GOAL,
            is_rough=True,
        )
    ]


def workers(
    folder: Path,
    net: SeparateNetwork,
    servers: Sequence[embedded.EmbeddedServer],
    history: str,
    number: int,
    delay_s: float,
) -> list[Measured]:
    """Compare one worker of the queue with two, each with so many threads, at a delay of the network."""
    file = inventory(folder, "queued", _delayed(net, servers, delay_s))
    walls = [_queued(folder, file, history, many, number) for many in (1, 2)]
    ratio = walls[0] / walls[1]
    return [
        Measured(
            f"{len(servers)} clusters at {delay_s * 1000:.0f} ms: one worker, two, of {number} threads each",
            f"{walls[0]:.1f} s, {walls[1]:.1f} s: {ratio:.2f} times as fast",
            f"at least {WORKERS_GOAL:g} times",
            ratio >= WORKERS_GOAL,
            is_rough=True,
        )
    ]


def _delayed(
    net: SeparateNetwork, servers: Sequence[embedded.EmbeddedServer], delay_s: float
) -> dict[str, str]:
    way = Way(delay_s=delay_s)
    return {f"d{i:03}": net.through(s.dsn(DBNAME, tcp=True), way) for i, s in enumerate(servers)}


def _queued(folder: Path, file: Path, history: str, workers: int, threads: int) -> float:
    given = ("--inventory", str(file), "--history", history)
    spent(folder, "fleet", "enqueue", *given)
    words = ("fleet", "worker", *given, "--concurrency", str(threads), "--until-done")
    running = [Running(words, folder) for _ in range(workers)]
    return max(each.wait().wall_s for each in running)
