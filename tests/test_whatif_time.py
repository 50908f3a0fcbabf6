"""The advisor's time: the best set so far is there whenever it is up, and one slow statement does not use it up."""

import inspect
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import pytest

from pgwatch_wed.facts.features import Features
from pgwatch_wed.progress import silent
from pgwatch_wed.whatif.choose import suggested as suggestions
from pgwatch_wed.whatif.choose.advise import Advice, AdviceOptions, Advisor
from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.choose.gains import Gains
from pgwatch_wed.whatif.choose.suggested import suggested
from pgwatch_wed.whatif.choose.time_left import TimeLeft
from pgwatch_wed.whatif.lab import source
from pgwatch_wed.whatif.lab.lab import Lab
from pgwatch_wed.whatif.lab.role_settings import PlannerSettings
from pgwatch_wed.whatif.model import Candidate, Key, Plan, Query, SlowPlanError
from pgwatch_wed.whatif.workload import Workload
from tests import servers
from tests.planning import query
from tests.psql import psql

pytestmark = pytest.mark.pg("== 18")  # time passes in the lab, which is the same for all

_TABLES = 6
_PLANTS = """
create table big (id int primary key, a int, b int, c int, note text);
insert into big select g, g % 9000, g % 700, g % 50, repeat('x', 60) from generate_series(1, 40000) g;
create table leaf (id int primary key, a int);
insert into leaf select g, g % 1000 from generate_series(1, 3000) g;
create table visit (seen int, done int, account int, note text);
insert into visit select g % 3, g % 2, g % 15000, repeat('x', 60) from generate_series(1, 60000) g;
create index seen_account on visit (seen, account); create index seen_done_account on visit (seen, done, account);
alter database {db} set join_collapse_limit = 30;
alter database {db} set from_collapse_limit = 30;
analyze;
"""
_PLANTS += "".join(
    f"create table t{n} (id int primary key, a int, b int, note text);"
    f" insert into t{n} select g, g % {2000 + n}, g % 300, 'n' || g"
    f" from generate_series(1, {4000 + 1000 * n}) g; analyze t{n};"
    for n in range(_TABLES)
)
COSTLIEST = "select note from big where a = 7"
SMALL = tuple(f"select note from t{n} where a = {n + 5}" for n in range(_TABLES))
JOINS = (
    "select count(*) from big join t1 on t1.id = big.a where t1.a = 5 and big.b = 3",
    "select big.note from big, t2 where t2.b = big.b and t2.a = 9 order by big.c limit 5",
    "select b, count(*) from big where c = 4 group by b",
)
# without limits of joins, planning this takes minutes
SLOW = "select count(*) from " + ", ".join(f"leaf l{n}" for n in range(16))
SLOW += " where " + " and ".join(f"l{n}.a = l0.a" for n in range(1, 16))


@pytest.fixture(scope="module")
def lab(pg: servers.Server) -> Iterator[Lab]:
    with pg.database() as dsn:
        psql(dsn, _PLANTS.format(db=dsn.rpartition("dbname=")[2].split()[0]))
        with source.open_lab(dsn, jobs=3) as lab:
            yield lab


@pytest.fixture
def alone(lab: Lab) -> Iterator[Lab]:
    """The lab without known plans, planning one statement at a time."""
    jobs, lab.jobs = lab.jobs, 1
    lab.forget_plans()
    yield lab
    lab.jobs = jobs


def advised(lab: Lab, calls: float, *texts: str) -> tuple[Advice, int]:
    """Advise while each plan takes one second of the clock; return how many it took, too."""
    before = lab.calls
    options = AdviceOptions(50_000_000, seconds=calls)
    work = Workload(tuple(map(query, texts)))
    advice = Advisor(lab, work, options, silent, clock=lambda: float(lab.calls)).run()
    return advice, lab.calls - before


@pytest.mark.parametrize("calls", [5, 10, 20, 40])
def test_the_costliest_statement_has_its_index_however_little_time_there_is(
    alone: Lab, calls: int
) -> None:
    advice, taken = advised(alone, calls, *SMALL, COSTLIEST)
    assert COSTLIEST in advice.indexes[0].queries
    assert taken <= calls
    told = {g.name for g in advice.per_query} | {r.query for r in advice.rejected}
    assert told == {*SMALL, COSTLIEST}
    late = [r for r in advice.rejected if "out of time" in r.reason]
    assert len(late) >= len(SMALL) - calls // 3
    assert late or calls == 40


def test_advice_is_the_same_however_many_statements_are_planned_at_once(lab: Lab) -> None:
    found = []
    for jobs in (1, 2, 3):
        lab.jobs = jobs
        lab.forget_plans()
        advice, taken = advised(lab, 10_000, *SMALL, *JOINS, COSTLIEST)
        found.append((advice.indexes, advice.per_query, advice.rejected, taken))
    assert len(found[0][0]) > len(SMALL)
    assert found[1] == found[0]
    assert found[2] == found[0]


def test_statements_planned_at_once_on_the_same_tables_have_the_plans_of_their_own_indexes(
    lab: Lab,
) -> None:
    indexes = [Candidate("public", "big", (Key.of(c),)) for c in "abc"]
    expression = Candidate("public", "big", (Key("lower(note)", None),))
    lab.add([*indexes, expression])
    text = "select note from big where a = 7 and b = 7 and c = 7 and lower(note) = 'x'"
    sets = [frozenset(s) for n in range(4) for s in combinations([*indexes, expression], n)]

    def plan(shown: frozenset[Candidate]) -> tuple[float, frozenset[Candidate]]:
        found = lab.plan(query(text), shown)
        return found.cost, found.used

    lab.forget_plans()
    alone = list(map(plan, sets))
    lab.forget_plans()
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(plan, sets))
    assert together == alone
    assert len({used for _, used in alone}) > 3


def test_candidates_are_built_while_nothing_is_planned(lab: Lab) -> None:
    """A plan that is requested meanwhile waits: the tables are empty for a moment, and the sessions closed."""
    lab.forget_plans()
    text = "select count(*) from big, t1 where big.id > {} and t1.id = big.a"
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(lab.plan, query(text.format(n))) for n in range(200)]
        for column in ("note", "b", "c"):
            lab.add([Candidate("public", "big", (Key.of(column), Key.of("id")))])
        plans = [each.result() for each in asked]
    lab.forget_plans()
    assert [p.cost for p in plans] == [lab.plan(query(text.format(n))).cost for n in range(200)]


def test_a_plan_is_not_computed_twice(lab: Lab) -> None:
    lab.forget_plans()
    first, taken = advised(lab, 10_000, *SMALL, COSTLIEST)
    again, more = advised(lab, 10_000, *SMALL, COSTLIEST)
    assert taken > 0
    assert more == 0
    assert again.indexes == first.indexes


def test_a_statement_that_takes_long_to_plan_is_told_and_leaves_time_for_others(lab: Lab) -> None:
    options = AdviceOptions(50_000_000, seconds=6)
    work = Workload((query(SLOW, weight=1e6), *map(query, SMALL), query(COSTLIEST)))
    advice = Advisor(lab, work, options, silent).run()
    reasons = {r.query: r.reason for r in advice.rejected}
    assert "planning it takes longer than 1 s; increase --seconds" in reasons[SLOW]
    assert any(COSTLIEST in i.queries for i in advice.indexes)


def test_what_was_not_built_in_time_or_cannot_be_planned_again_is_not_suggested(lab: Lab) -> None:
    late = Costs(lab, TimeLeft(1e-9), guard=True)
    begun, gone = query("select b from big where note = 'late' and c = 4"), query("select x from y")
    late.begin(begun, lab.plan(begun))
    assert suggested(late, [begun], 3, {}) == {}
    assert suggested(Costs(lab, TimeLeft(60.0), guard=True), [gone], 3, {}) == {}


def test_building_finds_no_session_in_use_where_candidates_are_no_longer_made(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, begin = [], suggestions._without_indexes

    def kept(costs: Costs, queries: Sequence[Query]) -> Generator[tuple[Query, Plan], None, None]:
        made.append(begin(costs, queries))
        return made[-1]

    monkeypatch.setattr(suggestions, "_without_indexes", kept)
    late = Costs(lab, TimeLeft(1e-9), guard=True)
    some = [query(f"select b from big where id = 5 and c = {n}") for n in range(3)]
    for each in some:
        late.begin(each, lab.plan(each))
    suggested(late, some, 3, {})
    assert [inspect.getgeneratorstate(each) for each in made] == [inspect.GEN_CLOSED]


def test_what_an_index_gains_requests_no_plan_without_indexes_that_is_known(lab: Lab) -> None:
    lab.forget_plans()
    costs, index = (
        Costs(lab, TimeLeft(60.0), guard=True),
        Candidate("public", "big", (Key.of("b"),)),
    )
    asked = query("select note from big where b = $1")
    lab.add([index])
    before = lab.calls
    costs.begin(asked, costs.plan(asked))
    gains = Gains(costs, {index: "big_b_idx"})
    assert gains.of_queries()[0].indexes == ("big_b_idx",)
    (advice,) = gains.of_indexes()
    assert advice.equated == ("b",), "its value is not known"
    assert lab.calls - before == 2, "the plan with the index, and the one without"


def test_the_time_ends_also_where_no_statement_can_be_planned(alone: Lab) -> None:
    advice, taken = advised(alone, 5, *(f"select a from lost{n}" for n in range(20)))
    assert taken <= 5
    late = [r for r in advice.rejected if "out of time" in r.reason]
    assert len(late) == 20 - taken


def test_types_are_found_within_the_time_of_a_plan(lab: Lab) -> None:
    with pytest.raises(SlowPlanError):
        lab.plan(query(f"{SLOW} and l0.a = $1 % $2"), seconds=0.05)


def test_types_that_were_not_found_in_time_are_found_later(lab: Lab) -> None:
    asked = query("select note from big where id = $1 % $2 + 1")
    with pytest.raises(SlowPlanError):
        lab.plan(asked, seconds=0)
    assert lab.plan(asked).cost > 0


def test_usual_values_are_read_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    table = lab.catalog.by_name["public", "big"]
    first = lab.usual_values(table, "c")
    monkeypatch.setattr(lab._connections, "guest", None)
    assert len(first) == 50
    assert lab.usual_values(table, "c") == first


def test_sessions_that_hide_existing_indexes_do_not_wait_for_each_other(lab: Lab) -> None:
    """For a target without skip scans, indexes are hidden twice: as the request says, and as the plan shows."""
    first, second = (i.oid for i in lab.catalog.indexes.values() if i.name.startswith("seen_"))
    # before 17, each value of the list would read the whole index, which only hiding it prevents
    text = "select count(*) from visit where account in ({}, 7)"
    asked = [(query(text.format(n)), (first, second)[n % 3 : n % 3 + 1]) for n in range(90)]
    try:
        lab.imitate(PlannerSettings(), Features(16))
        lab.forget_plans()
        with ThreadPoolExecutor(3) as pool:
            plans = list(pool.map(lambda each: lab.plan(each[0], (), each[1], seconds=5), asked))
    finally:
        lab.imitate(PlannerSettings(), Features(18))
        lab.forget_plans()
    assert not any(plan.used_existing & {first, second} for plan in plans)
