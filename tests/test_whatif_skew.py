"""Values of very different frequency: the calls with a frequent one decide, and the value is seen nowhere."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pgwatch_wed.progress import silent
from pgwatch_wed.sqltext.equal_parameters import equal_parameters
from pgwatch_wed.whatif.choose import lists, parts, skew
from pgwatch_wed.whatif.choose.advise import Advice, AdviceOptions, advise
from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.choose.filling import Filling
from pgwatch_wed.whatif.choose.gains import Gains
from pgwatch_wed.whatif.choose.time_left import TimeLeft
from pgwatch_wed.whatif.lab import source
from pgwatch_wed.whatif.lab.lab import Lab
from pgwatch_wed.whatif.model import Candidate, Key, Plan, Query
from pgwatch_wed.whatif.output import as_json
from pgwatch_wed.whatif.workload import Workload
from tests import servers
from tests.planning import query
from tests.psql import psql

pytestmark = pytest.mark.pg("== 18")  # the lab's own major

ORDERS = """
create table orders (id int, tenant text, state text, at timestamptz, note text, shop text);
insert into orders select g, case when g % 3 = 0 then 'Zyx Corp' else 'tenant ' || g % 2900 end,
    case when g % 7 = 0 then 'waits' when g % 1000 = 1 then 'failed' else 'Qwv' end,
    timestamptz '2026-01-01' + g * 7919 % 30000 * interval '1 minute', repeat('x', 200), case when g % 10 = 0 then 'shop ' || g / 10 % 30 else 'Main' end
    from generate_series(1, 30000) g;
create index orders_tenant on orders (tenant);
create table posts (tenant text, at int, note text, title text);
insert into posts select case when g % 3 = 0 then 'Zyx Corp' else 'tenant ' || g % 290 end, g, repeat('x', 200),
    case when g % 10 < 3 then 'Untitled' when g % 10 = 3 then 'News' else 'title ' || g end
    from generate_series(1, 30000) g;
create index posts_at on posts (at);
vacuum analyze;
"""
NEWEST = "select * from orders where tenant = $1 order by at desc limit $2"
IN_STATE = "select id from orders o where o.tenant = any($1) and o.state in ($2, $3)"


@pytest.fixture(scope="module")
def lab(pg: servers.Server) -> Iterator[Lab]:
    with pg.database() as dsn:
        psql(dsn, ORDERS)
        with source.open_lab(dsn) as opened:
            yield opened


@pytest.fixture(scope="module")
def advice(lab: Lab) -> Advice:
    measured = {"calls": 1000.0, "total_ms": 20000.0, "query_id": 7}
    work = Workload((query(NEWEST, **measured), query(IN_STATE)), is_measured=True)
    return advise(lab, work, AdviceOptions(10**9, seconds=30))


def test_a_column_is_compared_with_a_parameter_for_equality() -> None:
    text = (
        "select from t where a = $1 and b in ($2, $3) and t.c = any($4) and d = any(array[$5]) and $6 = e and f < $7"
        " and $8 = any(tags)"
    )
    found = [(p.column.column, p.number, p.is_array) for p in equal_parameters(text)]
    assert found == [
        *(("a", 1, False), ("b", 2, False), ("c", 4, True), ("d", 5, False), ("e", 6, False)),
    ]


def test_the_calls_with_the_frequent_value_decide(lab: Lab, advice: Advice) -> None:
    found = skew.variants(lab, query(NEWEST).sql)
    assert [v.sql.replace("'Zyx Corp'", "$1") for v in found] == [query(NEWEST).sql] * 2
    assert found[0].share == pytest.approx(1 / 3, abs=0.02)
    assert sum(v.share for v in found) == pytest.approx(1)
    assert len(skew.variants(lab, query(IN_STATE).sql)) == 4, "two columns, each with two values"
    assert not skew.variants(lab, query("select from orders where id = $1").sql)
    assert ("tenant", "at") in [i.index.columns[:2] for i in advice.indexes], (
        "for an average tenant, sorting its rows costs nothing"
    )


def test_a_squashed_list_has_two_values_at_least(lab: Lab) -> None:
    head = "select * from orders where"
    found = {
        v.sql for v in skew.variants(lab, f"{head} state in ($1 /*, ... */) order by at limit 5")
    }
    assert found == {
        f"{head} state in ('Qwv', 'waits' /*, ... */) order by at limit 5",
        f"{head} state in ('failed', 'waits' /*, ... */) order by at limit 5",
    }
    # of a column with many values, the others are not known
    found = {v.sql for v in skew.variants(lab, f"{head} tenant in ($1 /*, ... */)")}
    assert f"{head} tenant in ('Zyx Corp', $1 /*, ... */)" in found


def test_a_squashed_list_is_no_longer_than_its_column_has_values(lab: Lab) -> None:
    text = "select id from orders where state in ($1 /*, ... */) and tenant in ($2 /*, ... */)"
    found = lists.with_few_elements(lab, query(text)).sql
    assert found == text.replace("$1 /*, ... */", "$1, $1")
    assert {
        v.sql for v in skew.variants(lab, found.replace("and tenant in ($2 /*, ... */)", ""))
    } == {
        "select id from orders where state in ('Qwv', 'waits') ",
        "select id from orders where state in ('failed', 'waits') ",
    }
    asked = query(text.replace("state", "note"))
    assert lists.with_few_elements(lab, asked).sql.count("$1") == 2, "it has one value"


def test_counted_rows_tell_how_long_a_list_is_that_is_all_that_is_asked(lab: Lab) -> None:
    def elements(text: str, rows: float) -> int:
        return lists.with_few_elements(lab, query(text, rows=rows)).sql.count("$1")

    text = "select at, note from posts where at in ($1 /*, ... */) order by note"
    assert [elements(text, n) for n in (1.0, 4.0, 30.0)] == [2, 4, 1]
    assert elements(text.replace("order by", "and note = $2 order by"), 4.0) == 1
    assert elements(f"{text} limit $2", 4.0) == 1
    assert elements("select count(*) from posts where at in ($1 /*, ... */)", 4.0) == 1


def test_if_all_values_are_known_one_of_the_others_is_not_the_mean_of_all(lab: Lab) -> None:
    asked = query("select id from orders where shop = $1", rows=100.0, calls=10.0)
    costs = Costs(lab, TimeLeft(20.0, lambda: 0.0), guard=True)
    found = parts.parts(costs, asked, costs.plan(asked))
    rows = [float(plan.tree["Plan Rows"]) for _, plan in found]
    assert rows[0] == pytest.approx(27000, rel=0.05)
    assert rows[1] == pytest.approx(100, rel=0.5), "a thirty-first of all rows would be 968"


def test_of_a_join_the_next_frequent_value_is_planned_too(lab: Lab) -> None:
    head = "select o.id from orders o join posts p on p.at = o.id where"
    text = f"{head} p.tenant = $1 and p.title = $2"
    found = [v.others for v in skew.variants(lab, text)]
    assert {v.sql for v in found if v is not None} == {
        f"{head} p.tenant = 'Zyx Corp' and p.title = 'News'",
        f"{head} p.tenant = $1 and p.title = 'News'",
    }
    assert found[0] is not None
    assert found[0].share == pytest.approx(0.1, abs=0.02), "of calls with 3,000 or 9,000 rows"
    for other in (f"{head} p.title = $1", "select at from posts where tenant = $1 and title = $2"):
        assert not any(v.others for v in skew.variants(lab, other))

    costs = Costs(lab, TimeLeft(30.0), guard=True)
    asked = query(text, calls=100.0, total_ms=1000.0)
    divided = [part for part, _ in parts.parts(costs, asked, costs.plan(asked))]
    assert len(divided) == 6
    assert len({part.name for part in divided}) == 6
    assert sum(part.calls or 0 for part in divided) == pytest.approx(100)
    assert sum(part.total_ms or 0 for part in divided) == pytest.approx(1000)


def test_parts_are_one_statement_again(advice: Advice) -> None:
    (gain,) = (g for g in advice.per_query if g.name == NEWEST)
    assert gain.cost_before == pytest.approx(20000)
    assert (gain.calls, gain.call_ms, gain.query_id) == (1000, 20, 7)
    assert gain.cost_after < 0.2 * gain.cost_before
    names = {NEWEST, IN_STATE}
    assert {g.name for g in advice.per_query} == names
    assert len(advice.per_query) == 2
    for index in advice.indexes:
        assert set(index.queries) <= names
        assert len(index.queries) == len(set(index.queries)) == len(index.saved)


def test_values_are_seen_nowhere(advice: Advice) -> None:
    for told in (as_json(advice), repr(advice)):
        assert not any(value in told for value in ("Zyx", "Qwv", "waits", "failed", " #1"))


def test_rows_are_not_taken_out_of_the_state_where_they_end(lab: Lab) -> None:
    claim = "select id from orders where state = $1 order by at limit 1 for update skip locked"
    mark = f"update orders set state = $2 where id = ({claim})"
    for text in (claim, mark):
        (only,) = skew.variants(lab, query(text).sql)
        assert "state = 'waits'" in only.sql, "what most of the rows that are left wait for"
        assert only.share == 1
    assert len(skew.variants(lab, "delete from orders where state = $1")) == 2


@pytest.mark.parametrize(("rows", "least", "most"), [(None, 32, 35), (5, 0, 1), (9000, 85, 95)])
def test_shares_do_not_contradict_the_counted_rows(
    lab: Lab, rows: float | None, least: float, most: float
) -> None:
    costs = Costs(lab, TimeLeft(30.0), guard=True)
    text = "select * from orders where tenant = $1"
    asked = query(text, calls=100.0, total_ms=1000.0, rows=rows)
    found = [part for part, _ in parts.parts(costs, asked, costs.plan(asked))]
    assert least <= (found[0].calls or 0) <= most
    assert sum(part.calls or 0 for part in found) == pytest.approx(100)
    assert sum(part.total_ms or 0 for part in found) == pytest.approx(1000)


def test_shares_do_not_contradict_the_counted_rows_that_limit_allows(lab: Lab) -> None:
    costs = Costs(lab, TimeLeft(30.0), guard=True)
    text = "select * from orders where tenant = $1 order by at limit 500"
    for rows, least, most in ((480.0, 90, 100), (200.0, 30, 36)):
        # the blocks are those of other values
        asked = query(
            text, calls=100.0, total_ms=1000.0, rows=rows, blocks=20.0 if rows > 400 else None
        )
        found = [part for part, _ in parts.parts(costs, asked, costs.plan(asked))]
        assert least <= (found[0].calls or 0) <= most


def test_what_a_frequent_value_reads_beyond_its_plan_it_also_reads_with_an_index(lab: Lab) -> None:
    state = Candidate("public", "orders", (Key.of("state"),))
    lab.add([state])
    costs = Costs(lab, TimeLeft(30.0), guard=True)
    pages = lab.catalog.by_name["public", "orders"].pages
    text = "select count(note) from orders where state = $1"
    asked = query(text, calls=100.0, total_ms=1000.0, blocks=1.5 * pages)
    for part, plan in parts.parts(costs, asked, costs.plan(asked)):
        costs.begin(part, plan)
    (gain,) = Gains(costs, {state: "state"}).of_queries()
    assert gain.indexes == ("state",), "the others use it"
    assert 1.2 * pages < (gain.blocks_after or 0.0) < 1.5 * pages


def test_shares_follow_the_counted_blocks_of_a_call_that_reads(lab: Lab) -> None:
    costs = Costs(lab, TimeLeft(30.0), guard=True)
    text = "select count(note) from orders where tenant = $1"

    def shares(blocks: float | None) -> list[float]:
        asked = query(text, calls=100.0, total_ms=1000.0, blocks=blocks)
        return [part.calls or 0 for part, _ in parts.parts(costs, asked, costs.plan(asked))]

    frequent, others = (
        costs.share_blocks(part, plan, is_even=True)
        for part, plan in parts.parts(costs, query(text), costs.plan(query(text)))
    )
    assert frequent > 10 * others
    assert shares(None)[0] == pytest.approx(33, abs=2)
    assert shares(others / 1.1) == pytest.approx([0, 100])
    assert shares(frequent) == pytest.approx([100, 0])
    assert 80 < shares(frequent * 1.1)[0] < 95, "planned blocks are too few for all"
    assert shares((frequent + others) / 2) == pytest.approx([50, 50])
    assert shares(frequent * 3) == shares(None)


def test_blocks_tell_parts_that_differ_a_hundredfold_better_than_rows_up_to_limit(lab: Lab) -> None:
    costs = Costs(lab, TimeLeft(30.0), guard=True)
    text = (
        "select o.id from orders o cross join lateral (select at from posts where title = o.note order by at limit 1) m"
        " where o.tenant = $1 order by m.at limit 100"
    )

    def found(rows: float, blocks: float | None) -> list[tuple[Query, Plan]]:
        asked = query(text, calls=100.0, total_ms=1000.0, rows=rows, blocks=blocks)
        return [*parts.parts(costs, asked, costs.plan(asked))]

    frequent, others = (
        costs.share_blocks(part, plan, is_even=True) for part, plan in found(90.0, None)
    )
    assert frequent > 100 * others
    shares = [part.calls or 0 for part, _ in found(90.0, 0.3 * frequent + 0.7 * others)]
    assert shares == pytest.approx([30, 70])


def test_shares_are_those_of_rows_that_are_spread_evenly_over_an_order(lab: Lab) -> None:
    costs = Costs(lab, TimeLeft(30.0), guard=True)
    text = "select note from posts where tenant = $1 order by at limit 5"

    def found(blocks: float | None) -> list[tuple[Query, Plan]]:
        asked = query(text, calls=100.0, rows=5.0, blocks=blocks)
        return [*parts.parts(costs, asked, costs.plan(asked))]

    frequent, others = (costs.share_blocks(part, plan, is_even=True) for part, plan in found(None))
    assert others > 10 * frequent
    assert costs.share_blocks(*found(None)[1], is_even=False) > 2 * others
    shares = [part.calls or 0 for part, _ in found((frequent + others) / 2)]
    assert shares == pytest.approx([50, 50])


def test_parts_have_the_rows_of_their_values_where_counted_rows_tell_how_many_calls_there_are(
    lab: Lab,
) -> None:
    costs = Costs(lab, TimeLeft(30.0), guard=True)
    for condition, counted in (("", 2500.0), (" and at > $2", 500.0)):
        text = f"select * from orders where tenant = $1{condition}"
        asked = query(text, calls=100.0, rows=counted, blocks=10.0)
        found = [part for part, _ in parts.parts(costs, asked, costs.plan(asked))]
        rows = [part.rows or 0.0 for part in found]
        if condition:
            assert max(rows) == counted, "how many rows are in the range is not known"
        else:
            assert max(rows) > 3 * counted
            total = sum((part.calls or 0.0) * each for part, each in zip(found, rows, strict=True))
            assert total == pytest.approx(100 * counted)


def test_parts_of_a_write_change_the_rows_that_were_counted(lab: Lab) -> None:
    costs = Costs(lab, TimeLeft(30.0), guard=True)
    text = "delete from orders where id in (select id from orders where tenant = $1 order by at limit 40)"
    asked = query(text, calls=100.0, total_ms=1000.0, rows=40.0)
    found = [part.rows for part, _ in parts.parts(costs, asked, costs.plan(asked))]
    assert len(found) == 2
    assert max(r or 0.0 for r in found) == 40, "the planner says that DELETE returns none"


def test_of_few_statements_those_that_take_little_are_divided_too(lab: Lab) -> None:
    dear = replace(query(NEWEST, calls=100.0, total_ms=20_000.0), name="dear")
    cheap = replace(dear, name="cheap", total_ms=100.0)
    for others, is_divided in ((0, True), (150, False)):
        costs = Costs(lab, TimeLeft(60.0, lambda: 0.0), guard=True)
        most = [replace(dear, name=f"other {n}", sql="select 1") for n in range(others)]
        Filling(costs, 10**9, 4).fill([dear, cheap, *most], silent)
        assert any(q.name.startswith("cheap #") for q in costs.queries) is is_divided


def test_values_that_cannot_be_read_are_a_doubt(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not list(skew.doubts(lab, query(NEWEST).sql))
    monkeypatch.setattr(lab, "usual_values", lambda _table, _column: ())
    assert not skew.variants(lab, query(NEWEST).sql)
    table = lab.catalog.by_name["public", "orders"]
    monkeypatch.setitem(lab.catalog.common_shares, (table.oid, "tenant"), (0.33,))
    (told,) = skew.doubts(lab, query(NEWEST).sql)
    assert told.startswith("tenant: some values have many times as many rows")
