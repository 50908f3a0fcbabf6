"""Whether a fleet run survives whatever is killed: ``python -m tests.bench.fleet.proof [--runs N] [--servers N]``.

Servers of two majors, standbys, a clone, a server with many databases, a cluster of Patroni, a host that hangs, one that resets
connections, and one that is named twice are reviewed by two workers of the queue; sources of every kind name them. In each run, at random moments,
workers, ``fleet enqueue`` and the queue's server are killed (SIGKILL) and started again; in every third one, Patroni is told to
switch over. At the end of each run, every cluster must have been judged exactly once: one ending of each member, one stored run
of each cluster, no job left over. Prints a line a run; the exit status is 1 if anything was lost or doubled.
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
from functools import partial
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
from pgwatch_wed.history.schema import runs
from tests.bench.fleet.measures import Running, inventory
from tests.bench.fleet.servers_of import DBNAME, many_servers
from tests.bench.fleet.sources import PATRONI, Sources, every_kind
from tests.fleet.ground import clone_of, multiply, small
from tests.fleet.networks import Way, separate_network
from tests.fleet.patroni import PatroniCluster, is_installed, patroni_cluster
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
    """What is reviewed, by whom, what was killed, and within how many seconds of a run something is."""

    folder: Path
    place: embedded.EmbeddedServer
    sources: Sources
    expected: dict[str, VisitEnding]
    rng: random.Random
    patroni: PatroniCluster | None = None
    workers: list[Running] = field(default_factory=list)
    killed: Counter[str] = field(default_factory=Counter)
    crashed: list[str] = field(default_factory=list)
    within_s: float = 20.0

    @property
    def history(self) -> str:
        return self.place.dsn(tcp=True)

    @property
    def given(self) -> tuple[str, ...]:
        return (*self.sources.words, "--history", self.history)

    def start_worker(self) -> None:
        words = ("fleet", "worker", *self.given, "--concurrency", str(THREADS), "--quiet")
        words += ("--lost-after", str(LOST_AFTER_S), "--connect-timeout", "3", "--attempts", "2")
        self.workers.append(self._started(words))

    def enqueue(self) -> Running:
        return self._started(("fleet", "enqueue", *self.given))

    def _started(self, words: tuple[str, ...]) -> Running:
        return Running(words, self.folder, self.sources.stdin, self.sources.environment)

    def end_worker(self, worker: Running) -> None:
        """Kill it, unless it has ended, and keep what it said if that is a traceback."""
        self.workers.remove(worker)
        said = worker.kill()
        if "Traceback" in said:
            self.crashed.append(said)


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
            proof.within_s = (
                time.monotonic() - began
            ) / 2  # of the last run: so that the next is not over before
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
        patroni = stack.enter_context(patroni_cluster()) if is_installed() else None
        through = {
            f"c{i:02}": net.through(s.dsn(DBNAME, tcp=True), way if i % 2 else Way())
            for i, s in enumerate(made)
        }
        replicas = {"c00": standby.dsn(DBNAME, tcp=True)}
        sources = every_kind(folder / "inventory", through, replicas, patroni)
        expected = dict.fromkeys(sources.names, VisitEnding.DONE)
        dsns = {
            "clone": clone.dsn(DBNAME, tcp=True),
            "its-standby": replicas["c00"],
            "named-twice": made[1].dsn(DBNAME, tcp=True),
            "silent": net.through(made[2].dsn(DBNAME, tcp=True), Way(hangs=True)),
            "resetting": net.through(made[2].dsn(DBNAME, tcp=True), Way(resets=True)),
        }
        # of two names, the one with a group has the visit
        expected |= dict.fromkeys(("clone", "tenants", "named-twice"), VisitEnding.DONE)
        expected |= dict.fromkeys(("its-standby", "c01"), VisitEnding.SKIPPED)
        expected |= dict.fromkeys(("silent", "resetting"), VisitEnding.UNREACHABLE)
        special = inventory(sources.folder, "special", dsns)
        with special.open("a", encoding="utf-8") as more:
            target = tenants.dsn("tenant_000", tcp=True)
            more.write(f'\n[[clusters]]\nname = "tenants"\ntarget = "{target}"\n')
            more.write('databases = ["tenant_*"]\n')
        sources.files.append(special)
        proof = Proof(folder, place, sources, expected, random.Random(seed), patroni)
        try:
            yield proof
        finally:
            for worker in proof.workers:
                worker.kill()


def _one_run(proof: Proof, number: int) -> list[str]:
    """Review the fleet once while something is killed; return what is wrong at the end."""
    proof.killed.clear()
    while len(proof.workers) < 2:
        proof.start_worker()
    _begin(proof)
    turns = proof.patroni is not None and number % 3 == 1
    kills = (_kill_a_worker, _kill_a_worker, _kill_the_server)
    deeds = [proof.rng.choice(kills) for _ in range(proof.rng.randint(1, 3))]
    deeds += [_switch_over] if turns else []
    began = time.monotonic()
    for moment, deed in sorted(
        (proof.rng.uniform(0, proof.within_s), i) for i in range(len(deeds))
    ):
        time.sleep(max(0.0, began + moment - time.monotonic()))
        deeds[deed](proof)
    end = time.monotonic() + MOST_S
    while not _is_over(proof):
        if time.monotonic() > end:
            return ["it does not end", *_faults(proof, number, turns=turns)]
        for worker in [w for w in proof.workers if w.process.poll() is not None]:
            proof.end_worker(worker)  # as a supervisor would: it lost the queue's server
            proof.start_worker()
            proof.killed["worker that ended"] += 1
        time.sleep(1)
    return _faults(proof, number, turns=turns)


def _begin(proof: Proof) -> None:
    """Enqueue the run; in every third one, the first attempt is killed at a random moment."""
    before = _runs(proof)
    if proof.rng.random() < 0.35:
        first = proof.enqueue()
        time.sleep(proof.rng.uniform(0.2, 2.5))
        first.kill()
        proof.killed["enqueue"] += 1
        if _runs(proof) > before:  # it was killed when all was done
            return
    _patiently(lambda: proof.enqueue().wait().status == 0)


def _kill_a_worker(proof: Proof) -> None:
    proof.end_worker(proof.rng.choice(proof.workers))
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


def _switch_over(proof: Proof) -> None:
    """Let Patroni change roles, also in the middle of a visit."""
    assert proof.patroni
    cluster = proof.patroni

    def has_turned() -> bool:
        try:
            cluster.switchover()
        except OSError:  # it says no: a member is not healthy yet
            return False
        return True

    _patiently(has_turned)
    proof.killed["switchover"] += 1


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


def _faults(proof: Proof, number: int, *, turns: bool) -> list[str]:
    latest = _read(proof, lambda connection: visit_log.runs_of_fleet(connection, 1000))
    found = (
        [] if len(latest) == number + 1 else [f"{len(latest)} fleet runs instead of {number + 1}"]
    )
    of_each = [_read(proof, partial(_visits, run.id)) for run in latest]
    found += _wrong_endings(proof, of_each[0], turns=turns)
    judged = [[v for v in visits if v.ending and v.ending.was_read] for visits in of_each]
    if len({v.cluster_id for v in judged[0]}) != len(judged[0]):
        found.append("two members have the same cluster")
    listed = Counter(v.run_id for visits in judged for v in visits)
    stored = _read(
        proof, lambda connection: set(connection.execute(sa.select(runs.c.id)).scalars())
    )
    found += [f"run {run} is that of {count} visits" for run, count in listed.items() if count > 1]
    found += [f"run {run} belongs to no visit" for run in stored - listed.keys()]
    found += [f"run {run} is lost" for run in listed.keys() - stored]
    found += [f"a worker ended with {said}" for said in proof.crashed]
    proof.crashed.clear()
    return found


def _visits(fleet_run: int, connection: sa.Connection) -> tuple[Visit, ...]:
    return visit_log.visits(connection, fleet_run)


def _wrong_endings(proof: Proof, visits: tuple[Visit, ...], *, turns: bool) -> list[str]:
    """Compare with what is expected; a visit to a cluster that changes its roles meanwhile may end in any way that is tried again."""
    by_name = {visit.member: visit for visit in visits}
    if len(by_name) != len(visits) or by_name.keys() != proof.expected.keys():
        return [f"visits of {sorted(by_name)}"]
    allowed = {name: {ending} for name, ending in proof.expected.items()}
    if turns:
        allowed[PATRONI] |= {VisitEnding.IN_PART, VisitEnding.UNREACHABLE}
    return [
        f"{name}: {by_name[name].ending} ({by_name[name].reason})"
        for name, endings in allowed.items()
        if by_name[name].ending not in endings
    ]


def _read(proof: Proof, ask: Callable[[sa.Connection], T]) -> T:
    opened = store.open_store(proof.history)
    try:
        with opened.reading() as connection:
            return ask(connection)
    finally:
        opened.close()


if __name__ == "__main__":
    main()
