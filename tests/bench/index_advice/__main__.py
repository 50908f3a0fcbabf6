"""python -m tests.bench.index_advice: the advisor on TPC-H or TPC-DS, beside its peers, and verified.

Needs duckdb (`pip install --group bench`) and, at scale 1, 8 GB of disk and half an hour.
Prints Markdown tables: what the planner says at each budget, then what the processor says.
"""

import argparse
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.whatif.choose import advise
from pgwatch_wed.whatif.choose.advise import AdviceOptions, Advisor
from pgwatch_wed.whatif.lab import source
from pgwatch_wed.whatif.lab.lab import Lab
from pgwatch_wed.whatif.model import Candidate, Query
from pgwatch_wed.whatif.proof.truth import Verified, VerifyOptions
from pgwatch_wed.whatif.proof.verify import verify
from pgwatch_wed.whatif.workload import Workload, query_of
from tests.bench.index_advice import measure, tpcds, tpch
from tests.bench.index_advice.dta import Dta
from tests.bench.index_advice.extend import Extend

MB = 1_000_000
_SUITES: Mapping[str, Any] = {"tpch": tpch, "tpcds": tpcds}


@dataclass(frozen=True, slots=True)
class Answer:
    """What an advisor chose: ratio of costs with and without, calls, seconds, the set."""

    ratio: float
    calls: int
    seconds: float
    size_mb: float
    indexes: tuple[Candidate, ...]

    def cell(self) -> str:
        """A cell of the table."""
        return (
            f"{self.ratio:.4f} ({self.calls:,} calls, {self.seconds:.1f} s,"
            f" {len(self.indexes)} indexes, {self.size_mb:.0f} MB)"
        )


def main() -> None:
    """Run the benchmark as the arguments say."""
    wanted = _arguments()
    with embedded.start(tpch.SETTINGS) as server:
        began = time.monotonic()
        suite = _SUITES[wanted.suite]
        dsn = suite.load(server, wanted.scale)
        print(f"{wanted.suite} {wanted.scale:g}, loaded in {time.monotonic() - began:.0f} s\n")
        with source.open_lab(dsn) as lab:
            queries = _queries(suite.queries())
            sets = _by_planner(lab, queries, wanted.budgets, wanted.seconds, wanted.peer_seconds)
            copy = _copied(server, dsn)
            for budget in wanted.budgets:
                # planning hurts nobody: also those that would run for hours
                every = _queries(suite.queries(() if wanted.suite == "tpch" else suite.LEFT_OUT))
                ours, _ = sets[budget]
                _print_likeness(budget, measure.likeness(copy, lab, every, ours.indexes))
            _by_processor(lab, queries, dsn, copy, sets, wanted.verify)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.bench.index_advice", description=__doc__)
    add = parser.add_argument
    add("--suite", choices=_SUITES, default="tpch")
    add("--scale", type=float, default=1.0, help="TPC-H scale factor")
    add("--budgets", type=_budgets, default=(100, 250, 500, 1000, 2500), help="MB, by commas")
    add("--verify", type=_budgets, default=(1000,), help="budgets to run really; '' for none")
    add("--seconds", type=float, default=60.0, help="time of one search")
    add("--peer-seconds", type=float, default=120.0, help="time of anytime DTA")
    return parser.parse_args()


def _budgets(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part)


def _queries(texts: Mapping[str, str]) -> tuple[Query, ...]:
    found = (query_of(name, text) for name, text in texts.items())
    return tuple(q for q in found if isinstance(q, Query))


def _copied(server: embedded.EmbeddedServer, dsn: str) -> str:
    create = "create database {} template {} strategy file_copy"
    names = [sql.Identifier(n) for n in ("the_copy", str(conninfo_to_dict(dsn)["dbname"]))]
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL(create).format(*names))
    return make_conninfo(dsn, dbname="the_copy")


# What the planner says


def _by_planner(
    lab: Lab,
    queries: tuple[Query, ...],
    budgets: Sequence[int],
    seconds: float,
    peer_seconds: float,
) -> dict[int, tuple[Answer, Answer]]:
    names = ["budget", "this advisor", "without its guard", "Extend", "Extend, no copies"]
    _print_row([*names, "anytime DTA, no copies"])
    _print_row(["---"] * (len(names) + 1))
    found = {}
    for budget in budgets:
        ours = _ours(lab, queries, budget, seconds, guard=True)
        peer = _peer(lab, Extend(lab, queries, max_width=3, strict=False), budget)
        others = [
            _ours(lab, queries, budget, seconds, guard=False),
            peer,
            _peer(lab, Extend(lab, queries, max_width=3), budget),
            _peer(lab, Dta(lab, queries, seconds=peer_seconds), budget),
        ]
        _print_row([f"{budget} MB", ours.cell(), *(o.cell() for o in others)])
        found[budget] = (ours, peer)
    return found


def _ours(
    lab: Lab, queries: tuple[Query, ...], budget: int, seconds: float, *, guard: bool
) -> Answer:
    calls = lab.calls
    options = AdviceOptions(budget * MB, seconds=seconds, guard=guard)
    advice = advise.advise(lab, Workload(queries), options)
    return Answer(
        advice.cost_after / advice.cost_before,
        lab.calls - calls,
        advice.seconds,
        advice.bytes / MB,
        tuple(i.index for i in advice.indexes),
    )


def _peer(lab: Lab, peer: Extend | Dta, budget: int) -> Answer:
    began = time.monotonic()
    chosen = peer.run(budget * MB)
    ratio = peer.cost(chosen) / peer.cost(frozenset())
    size = sum(map(lab.size, chosen)) / MB
    return Answer(ratio, peer.calls, time.monotonic() - began, size, tuple(sorted(chosen)))


# What the processor says


def _by_processor(
    lab: Lab,
    queries: tuple[Query, ...],
    dsn: str,
    copy: str,
    sets: dict[int, tuple[Answer, Answer]],
    budgets: Sequence[int],
) -> None:
    for budget in budgets:
        ours, peer = sets[budget]
        found = _verified(lab, queries, dsn, copy, budget, ours)
        limits = {q.name: max(1000.0, 10 * q.before_ms) for q in found.queries}
        peers = measure.cpu_ms(copy, queries, peer.indexes, limits)
        _print_truth(budget, found, peers)


def _verified(
    lab: Lab, queries: tuple[Query, ...], dsn: str, copy: str, budget: int, ours: Answer
) -> Verified:
    advisor = Advisor(
        lab, Workload(queries), AdviceOptions(budget * MB), lambda _what, _share: None
    )
    advisor.run()
    return verify(copy, dsn, ours.indexes, advisor.queries, lab, VerifyOptions(measure_all=True))


def _print_likeness(budget: int, like: measure.Likeness) -> None:
    worst = max(like.sizes.values(), key=lambda r: abs(r - 1))
    near = sum(abs(r - 1) <= 0.1 for r in like.sizes.values())
    print(
        f"\n{budget} MB, lab against the set really built: {like.same_plans} of {like.queries} plans the same,"
        f" {like.near_costs} costs within 0.1 %, {like.close_costs} within 1 %"
        f" (worst {like.worst_cost:.4f}),"
        f" {near} of {len(like.sizes)} sizes within 10 % (worst {worst:.2f})"
    )


def _print_truth(budget: int, found: Verified, peers: dict[str, float]) -> None:
    print(f"\n{budget} MB, {found.clock} ms, best of {found.repetitions}\n")
    _print_row(["query", "no index", "verified set", "ratio", "Extend's set", "ratio"])
    _print_row(["---"] * 6)
    for q in found.queries:
        numbers = [q.after_ms, q.after_ms / q.before_ms, peers[q.name], peers[q.name] / q.before_ms]
        _print_row([q.name, f"{q.before_ms:.0f}", *_formatted(numbers)])
    before, after = found.before_ms, found.after_ms
    peer = sum(peers[q.name] for q in found.queries)
    numbers = [after, after / before, peer, peer / before]
    _print_row(["all", f"{before:.0f}", *_formatted(numbers)])
    print(f"\nkept {len(found.indexes)}, {sum(i.size_bytes for i in found.indexes) / MB:.0f} MB:\n")
    for each in found.indexes:
        print(f"- `{each.ddl}`: {each.size_bytes / MB:.0f} MB, bought {each.bought_ms or 0:.0f} ms")
    print("\ntaken out:\n")
    for loser in found.losers:
        print(f"- `{loser.ddl}`: {loser.reason}")


def _formatted(numbers: Sequence[float]) -> list[str]:
    return [f"{n:.2f}" if k % 2 else f"{n:.0f}" for k, n in enumerate(numbers)]


def _print_row(cells: Iterable[str]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
