"""python -m tests.bench.index_advice.at_once: plans a second, one statement after the other and several at once.

Needs duckdb (`pip install --group bench`). Other work on the machine changes the rates, so they are compared in turns.
"""

import argparse
import time
from collections.abc import Sequence
from statistics import median

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.whatif.choose import workers
from pgwatch_wed.whatif.lab import source
from pgwatch_wed.whatif.lab.lab import Lab
from pgwatch_wed.whatif.model import Candidate, Key, Query
from pgwatch_wed.whatif.workload import query_of
from tests.bench.index_advice import tpcds, tpch

_JOBS = (1, 2, 3)
_COLUMNS = {
    "store_sales": ("ss_sold_date_sk", "ss_customer_sk"),
    "catalog_sales": ("cs_sold_date_sk", "cs_bill_customer_sk"),
    "web_sales": ("ws_sold_date_sk", "ws_bill_customer_sk"),
    "date_dim": ("d_year", "d_moy"),
    "item": ("i_manufact_id", "i_category"),
    "customer_address": ("ca_state",),
}
_INDEXES = [
    Candidate("public", table, (Key.of(column),))
    for table, columns in _COLUMNS.items()
    for column in columns
]
_SETS: tuple[list[Candidate], ...] = ([], _INDEXES, _INDEXES[:4], _INDEXES[4:])


def main() -> None:
    """Load TPC-DS, plan its statements in turns, print one line for each number at once."""
    parser = argparse.ArgumentParser(prog="tests.bench.index_advice.at_once", description=__doc__)
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--turns", type=int, default=7)
    wanted = parser.parse_args()
    with embedded.start(tpch.SETTINGS) as server:
        dsn = tpcds.load(server, wanted.scale)
        found = (query_of(name, text) for name, text in tpcds.queries().items())
        queries = [q for q in found if isinstance(q, Query)]
        with source.open_lab(dsn, jobs=max(_JOBS)) as lab:
            lab.add(_INDEXES)
            rates = [{n: _rate(lab, queries, n) for n in _JOBS} for _ in range(wanted.turns)]
    for n in _JOBS:
        ratio = median(each[n] / each[1] for each in rates)
        print(f"{n} at once: {median(each[n] for each in rates):.0f} plans a second, {ratio:.2f}")


def _rate(lab: Lab, queries: Sequence[Query], jobs: int) -> float:
    lab.forget_plans()
    before, began = lab.calls, time.monotonic()

    def plan(query: Query) -> None:
        for shown in _SETS:
            lab.plan(query, shown)

    for _ in workers.each(plan, queries, jobs):
        pass
    return (lab.calls - before) / (time.monotonic() - began)


if __name__ == "__main__":
    main()
