"""Whether a fleet run survives whatever is killed: ``python -m tests.bench.fleet.proof [--runs N] [--servers N]``.

Servers of two majors with a standby, a clone, a server with many databases and hosts that hang are reviewed by two workers
of the queue. In each run, at random moments, workers, ``fleet enqueue`` and the queue's server are killed (SIGKILL) and
started again. At the end of each run, every cluster must have been judged exactly once: one ending of each member, one
stored run of each cluster, no job left over. Prints a line a run; the exit status is 1 if anything was lost or doubled.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psutil
import psycopg
import sqlalchemy as sa

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import EmbeddedError
from pgwatch_wed.fleet import visit_log
from pgwatch_wed.fleet.visits import Visit, VisitEnding
from pgwatch_wed.history import store
from pgwatch_wed.history.schema import clusters, runs
from tests.bench.fleet.measures import Running, inventory
from tests.bench.fleet.servers_of import DBNAME, many_servers
from tests.fleet.ground import clone_of, multiply, small
from tests.fleet.networks import Way, separate_network
from tests.standby import standby_of

T = TypeVar("T")

THREADS = 4
LOST_AFTER_S = 15
MOST_S = 600
_OPEN_JOBS = (
    "select count(*) from pgwatch_wed_queue.procrastinate_jobs where status in ('todo', 'doing')"
)


@dataclass(slots=True)
class Proof:
    """What is reviewed, by whom, and what was killed."""

    folder: Path
    place: embedded.EmbeddedServer
    file: Path
    expected: dict[str, VisitEnding]
    rng: random.Random
    workers: list[Running] = field(default_factory=list)
    killed: Counter[str] = field(default_factory=Counter)

    @property
    def history(self) -> str:
        return self.place.dsn(tcp=True)

    @property
    def given(self) -> tuple[str, ...]:
        return ("--inventory", str(self.file), "--history", self.history)

    def start_worker(self) -> None:
        words = ("fleet", "worker", *self.given, "--concurrency", str(THREADS), "--quiet")
        words += ("--lost-after", str(LOST_AFTER_S), "--connect-timeout", "3", "--attempts", "2")
        self.workers.append(Running(words, self.folder))

    def enqueue(self) -> Running:
        return Running(("fleet", "enqueue", *self.given), self.folder)


def main() -> None:
    """Run and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--servers", type=int, default=26)
    parser.add_argument("--databases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    wrong = 0
    with _ground(given.servers, given.databases, given.seed) as proof:
        for number in range(given.runs):
            began = time.monotonic()
            faults = _one_run(proof, number)
            wrong += len(faults)
            killed = ", ".join(f"{n} {what}" for what, n in sorted(proof.killed.items()))
            print(
                f"run {number + 1}: {len(proof.expected)} members, {time.monotonic() - began:.0f} s, killed {killed or 'nothing'}: "
                + ("; ".join(faults) or "each judged once"),
                flush=True,
            )
    print(f"{given.runs} runs, {wrong} faults")
    raise SystemExit(bool(wrong))


@contextmanager
def _ground(servers: int, databases: int, seed: int) -> Iterator[Proof]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = stack.enter_context(many_servers(servers))
        net = stack.enter_context(separate_network())
        standby = stack.enter_context(standby_of(made[0]))
        clone = stack.enter_context(clone_of(made[1]))
        tenants = stack.enter_context(small())
        multiply(tenants, databases)
        place = stack.enter_context(small({"max_connections": "100", "fsync": "on"}))
        way = Way(delay_s=0.05)
        dsns = {
            f"c{i:02}": net.through(s.dsn(DBNAME, tcp=True), way if i % 2 else Way())
            for i, s in enumerate(made)
        }
        expected = dict.fromkeys(dsns, VisitEnding.DONE)
        dsns |= {"clone": clone.dsn(DBNAME, tcp=True)}
        expected |= {"clone": VisitEnding.DONE}
        dsns |= {"its-standby": standby.dsn(DBNAME, tcp=True)}
        expected |= {"its-standby": VisitEnding.SKIPPED}
        dsns |= {"silent": net.through(made[2].dsn(DBNAME, tcp=True), Way(hangs=True))}
        expected |= {"silent": VisitEnding.UNREACHABLE}
        file = inventory(folder, "fleet", dsns)
        with file.open("a", encoding="utf-8") as more:
            target = tenants.dsn("tenant_000", tcp=True)
            more.write(f'\n[[clusters]]\nname = "tenants"\ntarget = "{target}"\n')
            more.write('databases = ["tenant_*"]\n')
        expected |= {"tenants": VisitEnding.DONE}
        proof = Proof(folder, place, file, expected, random.Random(seed))
        try:
            yield proof
        finally:
            for worker in proof.workers:
                _kill(worker)


def _one_run(proof: Proof, number: int) -> list[str]:
    """Review the fleet once while something is killed; return what is wrong at the end."""
    proof.killed.clear()
    while len(proof.workers) < 2:
        proof.start_worker()
    _begin(proof)
    moments = sorted(proof.rng.uniform(0, 15) for _ in range(proof.rng.randint(1, 3)))
    began = time.monotonic()
    for moment in moments:
        time.sleep(max(0.0, began + moment - time.monotonic()))
        proof.rng.choice((_kill_a_worker, _kill_a_worker, _kill_the_server))(proof)
    end = time.monotonic() + MOST_S
    while not _is_over(proof):
        if time.monotonic() > end:
            return ["it does not end", *_faults(proof, number)]
        for worker in [w for w in proof.workers if w.process.poll() is not None]:
            proof.workers.remove(worker)  # as a supervisor would: it lost the queue's server
            proof.start_worker()
        time.sleep(1)
    return _faults(proof, number)


def _begin(proof: Proof) -> None:
    """Enqueue the run; in every third one, the first attempt is killed at a random moment."""
    before = _runs(proof)
    if proof.rng.random() < 0.35:
        first = proof.enqueue()
        time.sleep(proof.rng.uniform(0.2, 2.5))
        _kill(first)
        proof.killed["enqueue"] += 1
        if _runs(proof) > before:  # it was killed when all was done
            return
    _patiently(lambda: proof.enqueue().wait().status == 0)


def _kill_a_worker(proof: Proof) -> None:
    _kill(proof.workers.pop(proof.rng.randrange(len(proof.workers))))
    proof.killed["worker"] += 1
    proof.start_worker()


def _kill_the_server(proof: Proof) -> None:
    """Kill the queue's postmaster and all its backends, and start it again, as its supervisor would."""
    pid = int((proof.place.data / "postmaster.pid").read_text().split()[0])
    postmaster = psutil.Process(pid)
    for each in (postmaster, *postmaster.children(recursive=True)):
        each.send_signal(signal.SIGKILL)
    psutil.wait_procs([postmaster], 10)
    proof.killed["server of the queue"] += 1
    time.sleep(proof.rng.uniform(0, 3))
    _patiently(lambda: _boots(proof.place))


def _boots(server: embedded.EmbeddedServer) -> bool:
    try:
        server.boot()
    except EmbeddedError:
        return False
    return True


def _kill(running: Running) -> None:
    if running.process.poll() is None:
        running.process.kill()
    running.process.wait()


def _patiently(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("it does not come up again")
        time.sleep(0.5)


# What must hold at the end


def _runs(proof: Proof) -> int:
    return len(_read(proof, lambda connection: visit_log.runs_of_fleet(connection, 1000)))


def _is_over(proof: Proof) -> bool:
    try:
        found = _read(proof, lambda connection: visit_log.runs_of_fleet(connection, 1))
        return found[0].ended_at is not None and _open_jobs(proof) == 0
    except Exception as error:  # noqa: BLE001 - the server was just killed
        print(f"  {type(error).__name__}", file=sys.stderr)
        return False


def _open_jobs(proof: Proof) -> int:
    with psycopg.connect(proof.history) as session:
        row = session.execute(_OPEN_JOBS.encode()).fetchone()
    return int(row[0]) if row else 0


def _faults(proof: Proof, number: int) -> list[str]:
    latest = _read(proof, lambda connection: visit_log.runs_of_fleet(connection, 1000))
    found = (
        [] if len(latest) == number + 1 else [f"{len(latest)} fleet runs instead of {number + 1}"]
    )
    visits = _read(proof, lambda connection: visit_log.visits(connection, latest[0].id))
    found += _wrong_endings(proof, visits)
    read = [v for v in visits if v.ending and v.ending.was_read]
    if len({v.cluster_id for v in read}) != len(read) or len({v.run_id for v in read}) != len(read):
        found.append("two members have the same cluster or run")
    for label, judged in _read(proof, _judged):
        if judged != number + 1:
            found.append(f"{label} has {judged} runs after {number + 1} fleet runs")
    return found


def _wrong_endings(proof: Proof, visits: tuple[Visit, ...]) -> list[str]:
    by_name = {visit.member: visit for visit in visits}
    if len(by_name) != len(visits) or by_name.keys() != proof.expected.keys():
        return [f"visits of {sorted(by_name)}"]
    return [
        f"{name}: {by_name[name].ending} ({by_name[name].reason})"
        for name, ending in proof.expected.items()
        if by_name[name].ending is not ending
    ]


def _judged(connection: sa.Connection) -> list[tuple[str, int]]:
    query = (
        sa.select(clusters.c.label, sa.func.count(runs.c.id))
        .select_from(clusters.outerjoin(runs, runs.c.cluster_id == clusters.c.id))
        .group_by(clusters.c.id, clusters.c.label)
    )
    return [(label, count) for label, count in connection.execute(query)]


def _read(proof: Proof, ask: Callable[[sa.Connection], T]) -> T:
    opened = store.open_store(proof.history)
    try:
        with opened.reading() as connection:
            return ask(connection)
    finally:
        opened.close()


if __name__ == "__main__":
    main()
