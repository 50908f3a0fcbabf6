"""python -m tests.bench.index_advice.wild: advice for workloads as people run them, built and measured.

Each workload is loaded, advice is taken from its texts or from pg_stat_statements after it ran, the indexes are built, and every
statement is run with none, with the advised and with an expert's indexes. Prints Markdown.
"""

import argparse
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from pgwatch_wed.errors import Error
from tests import servers
from tests.bench.index_advice.wild import calibration, cases, verdict
from tests.bench.index_advice.wild.trial import SERVER_SETTINGS, Trial
from tests.bench.index_advice.wild.verdict import Outcome
from tests.bench.index_advice.wild.wild_case import Wild


def main() -> int:
    """Run the workloads that the arguments say; return 1 if one could not be run."""
    wanted = _arguments()
    spec = _server(wanted.pg)
    outcomes: list[Outcome] = []
    failed = []
    for name in wanted.case or cases.names():
        try:
            if wanted.mode == "expert":
                _check(cases.load(name), spec)
                continue
            for outcome in run(cases.load(name), spec, wanted.mode):
                outcomes.append(outcome)
                _print(outcome)
        except (Error, psycopg.Error):  # one workload that fails must not hide the others
            traceback.print_exc()
            failed.append(name)
    print(f"\nPostgreSQL {spec.name}\n")
    _summary(outcomes)
    if failed:
        print(f"\nnot run: {', '.join(failed)}")
    return 1 if failed else 0


def run(case: Wild, spec: servers.ServerSpec, mode: str) -> Iterator[Outcome]:
    """Yield the outcome of a workload in one mode or both, on a server of its own."""
    with _prepared(case, spec) as trial:
        before, expert = trial.measured(()), trial.measured(case.expert)
        for one in ("texts", "stats") if mode == "both" else (mode,):
            advised = trial.by_texts() if one == "texts" else trial.by_statistics()
            ours = trial.measured([i.ddl for i in advised.advice.indexes])
            notes = tuple(dict.fromkeys(trial.notes))
            yield Outcome(case.name, spec.name, advised, before, ours, expert, notes)


def _check(case: Wild, spec: servers.ServerSpec) -> None:
    """Print what an expert's set is worth, without any advice: for who writes a workload."""
    with _prepared(case, spec) as trial:
        before, expert = trial.measured(()), trial.measured(case.expert)
    print(
        f"\n### {case.name}: {verdict.share(expert.blocks / before.blocks)} of the blocks remain\n"
    )
    for text in verdict.of_expert(before, expert):
        print(text)
    sys.stdout.flush()


@contextmanager
def _prepared(case: Wild, spec: servers.ServerSpec) -> Iterator[Trial]:
    server = servers.start(spec, SERVER_SETTINGS)
    try:
        trial = Trial(server, case)
        trial.prepare()
        yield trial
    finally:
        server.stop()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.bench.index_advice.wild", description=__doc__)
    add = parser.add_argument
    add("--case", action="append", choices=cases.names(), help="may be repeated; default all")
    add("--pg", default="embedded", help="embedded, or a major of this machine or an image")
    add("--mode", choices=("texts", "stats", "both", "expert"), default="both")
    return parser.parse_args()


def _server(wanted: str) -> servers.ServerSpec:
    if wanted == "embedded":
        return servers.embedded_spec()
    every = [*servers.system(), *servers.available()]
    found = [spec for spec in every if str(spec.major) == wanted]
    if not found:
        sys.exit(f"there is no PostgreSQL {wanted} here")
    return found[0]


def _print(outcome: Outcome) -> None:
    print(f"\n### {outcome.case}, {outcome.advised.mode}, PostgreSQL {outcome.server}\n")
    _table([outcome])
    print()
    for text in verdict.each_statement(outcome):
        print(text)
    sys.stdout.flush()


def _summary(outcomes: list[Outcome]) -> None:
    if outcomes:
        _table(outcomes)
        print()
        for goal in verdict.goals(outcomes):
            print(goal.line())
        print()
        for text in calibration.table(outcomes):
            print(text)


def _table(outcomes: list[Outcome]) -> None:
    print(verdict.line(verdict.HEADER))
    print(verdict.line(["---"] * len(verdict.HEADER)))
    for outcome in outcomes:
        print(verdict.row(outcome))


if __name__ == "__main__":
    sys.exit(main())
