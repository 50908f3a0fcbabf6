"""Plans that are cheap on paper only: what the search makes of them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import psycopg
import pytest

from pgwatch_wed.whatif import usage
from pgwatch_wed.whatif.choose import advise, candidates
from pgwatch_wed.whatif.choose.advise import Advice, AdviceOptions
from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.choose.dependent import UsualValues, times_planned
from pgwatch_wed.whatif.choose.fewer_blocks import with_fewer_blocks
from pgwatch_wed.whatif.choose.indexable import CandidateOptions
from pgwatch_wed.whatif.choose.risk import Judge
from pgwatch_wed.whatif.choose.time_left import TimeLeft
from pgwatch_wed.whatif.choose.touched import Touched
from pgwatch_wed.whatif.choose.worked_off import columns_set
from pgwatch_wed.whatif.lab import source
from pgwatch_wed.whatif.lab.lab import Lab
from pgwatch_wed.whatif.model import Candidate, Key, Query
from pgwatch_wed.whatif.workload import Workload
from tests import servers
from tests.planning import query
from tests.psql import psql

pytestmark = pytest.mark.pg("== 18")  # the lab's own major

# Boards come and go: the posts of one are neighbors in time.
FORUM = """
create table posts (id int primary key, board int not null, deleted bool not null, at timestamptz not null, author int not null,
    archived bool not null, body text not null);
insert into posts select g, 1 + (g / 1000 + g % 5) % 50, g % 20 = 0, timestamptz '2024-01-01' + g * interval '1 minute',
    g * 7919::bigint % 500, g < 48000, repeat('x', 150) || g % 3 from generate_series(1, 50000) g;
create index posts_board on posts (board);
create index posts_author on posts (author);
create table places (id int primary key, zip int not null, city int not null, state int not null, street text not null);
insert into places select g, z, z / 4, z / 20, md5(g::text) || repeat('x', 100)
    from (select g, g * 7919 % 200 as z from generate_series(1, 20000) g) as each;
create table facts (place int not null, name text not null, value text not null);
insert into facts select p, n, case n when 'open' then 'yes' when 'phone' then p::text else 'c' || p % 50 end
    from generate_series(1, 20000) p, unnest(array['open', 'phone', 'cook']) n;
create index facts_place on facts (place);
create index facts_name on facts (name);
create table changes (id int not null, at timestamptz not null, object int not null, text text not null);
insert into changes select g, timestamptz '2024-01-01' + g * interval '1 minute', g * 7919::bigint % 500, repeat('x', 100)
    from generate_series(1, 50000) g;
create table holds (id int primary key, kind text not null, expires_at timestamptz, settled_at timestamptz, at timestamptz not null, gone_at timestamptz);
insert into holds select g, kind, case kind when 'hold' then t + interval '1 hour' end, case when kind = 'hold' and g < 19900 then t end, t,
    case when g % 10 = 0 then t end
    from generate_series(1, 20000) g, lateral (select (array['hold', 'fee'])[1 + g % 2], timestamptz '2024-01-01' + g * interval '1 minute') e (kind, t);
vacuum analyze posts, places, facts, changes, holds;
"""
HELD = "select id from holds where kind = 'hold' and settled_at is null and expires_at < '2024-01-14 23:40' order by expires_at limit 20"
SETTLE = "update holds set settled_at = now() where id = 7 and settled_at is null"
HOLDS = Candidate("public", "holds", (Key.of("kind"), Key.of("expires_at")))
AS_THEY_COME = Candidate("public", "holds", (Key.of("at"),), predicate="kind = 'hold'")
BOARD = "select * from posts where board = $1 order by at desc limit 20"
NOT_DELETED = "select * from posts where not deleted order by at desc limit 20"
NEW = "select * from posts order by at desc limit 20"
LIKE = "select * from posts where body like '%1' order by at desc limit 20"
BY_TIME = Candidate("public", "posts", (Key.of("at"),))
BY_BOARD = Candidate("public", "posts", (Key.of("board"), Key.of("at")))
OF_AUTHOR = "select * from posts where author = $1 and archived"
OLD_OF_AUTHOR = Candidate("public", "posts", (Key.of("archived"), Key.of("author")))
DELETED = Candidate("public", "posts", (Key.of("id"),), predicate="deleted")
SOME_DELETED = "select * from posts where deleted and id between 10000 and 30000"
IN_ORDER = "select * from posts where deleted order by id limit 200"
FIRST_DELETED = "select * from posts where deleted and author < 90 order by id limit 100"
FACT = Candidate("public", "facts", (Key.of("value"), Key.of("name"), Key.of("place")))
OPEN = "select p.street from facts f join places p on p.id = f.place + 100 where f.name = 'open' and f.value = 'yes' and f.place < 300"
OPEN_IDS = OPEN.replace("p.street", "p.id")
CALENDAR = (
    "select p.body from places d join posts p on p.id = d.id where d.zip = 77 and d.city = 19"
)
BY_AUTHORS = "select p.* from places c join posts p on p.author = c.id where c.id < 40 and p.at > '2024-02-03'"
OLD = "select * from posts where not archived and author < 90"

LATEST = "select * from changes order by at desc limit 20"
OF_OBJECT = "select * from changes where object = $1 order by at desc limit 10"
CHANGED_AT = Candidate("public", "changes", (Key.of("at"),))
BY_OBJECT = Candidate("public", "changes", (Key.of("object"),))
ALL_OBJECTS = Candidate("public", "changes", (Key.of("object"),), ("id",))


@pytest.fixture(scope="module")
def forum(pg: servers.Server) -> Iterator[str]:
    with pg.database() as dsn:
        psql(dsn, FORUM)
        yield dsn


@pytest.fixture(scope="module")
def lab(forum: str) -> Iterator[Lab]:
    with source.open_lab(forum) as lab:
        lab.add([BY_TIME, BY_BOARD, OLD_OF_AUTHOR, DELETED])
        yield lab


def ratios(lab: Lab, text: str, index: Candidate) -> tuple[float, float]:
    """Return what remains of the cost with an index: as planned, and as judged."""
    judge, asked = Judge(lab.catalog, lab.rows_in_order, lab.index_shape), query(text)
    base, plan = lab.plan(asked), lab.plan(asked, [index])
    judge.begin(asked, base)
    assert plan.used == {index}
    return plan.cost / base.cost, judge(asked, plan).value / base.cost


def test_an_order_without_the_column_compared_is_as_dear_as_reading_all_of_it(lab: Lab) -> None:
    planned, judged = ratios(lab, BOARD, BY_TIME)
    assert planned < 0.8
    assert judged > 2
    planned, judged = ratios(lab, BOARD, BY_BOARD)
    assert judged == planned < 0.1


@pytest.mark.parametrize("text", [NOT_DELETED, LIKE])
def test_an_order_that_passes_over_few_rows_or_is_all_that_can_help_is_taken(
    lab: Lab, text: str
) -> None:
    planned, judged = ratios(lab, text, BY_TIME)
    assert planned < 0.6
    assert judged < 0.8


def test_rows_are_neighbors_only_if_the_columns_that_select_them_say_so(
    forum: str, lab: Lab
) -> None:
    planned, judged = ratios(lab, OF_AUTHOR, OLD_OF_AUTHOR)
    assert planned < 0.85
    assert judged > 0.9
    planned, judged = ratios(lab, OLD, OLD_OF_AUTHOR)
    assert judged < 0.6
    with psycopg.connect(forum) as connection:
        of_author, old = OF_AUTHOR.replace("$1", "7"), blocks(connection, OLD)
        before = blocks(connection, of_author)
        connection.execute(OLD_OF_AUTHOR.ddl("old_of_author").encode())
        assert blocks(connection, of_author) > 0.9 * before
        assert blocks(connection, OLD) < 0.6 * old
        connection.rollback()


@pytest.mark.parametrize(
    ("text", "at_least"), [(SOME_DELETED, 0.5), (FIRST_DELETED, 0.3)], ids=["range", "order"]
)
def test_rows_of_a_partial_index_have_others_between_them(
    forum: str, lab: Lab, text: str, at_least: float
) -> None:
    planned, judged = ratios(lab, text, DELETED)
    with psycopg.connect(forum) as connection:
        before = blocks(connection, text)
        connection.execute(DELETED.ddl("of_deleted").encode())
        remaining = blocks(connection, text) / before
        connection.rollback()
    assert planned < 0.15 < at_least < remaining
    assert judged > 3 * planned


def test_a_loop_fetches_no_rows_that_another_key_excludes(lab: Lab) -> None:
    of_author = Candidate("public", "posts", (Key.of("author"), Key.of("at")))
    lab.add([of_author])
    planned, judged = ratios(lab, BY_AUTHORS, of_author)
    assert judged == planned < 0.8


def test_an_index_of_several_keys_was_charged_for_rows_that_are_no_neighbors_already(
    lab: Lab,
) -> None:
    """The planner takes less correlation for it, whether there are conditions on its keys or not."""
    wider = replace(DELETED, keys=(*DELETED.keys, Key.of("author")))
    lab.add([wider])
    judge, asked = Judge(lab.catalog, lab.rows_in_order, lab.index_shape), query(IN_ORDER)
    costs = []
    for index in (DELETED, wider):
        plan = lab.plan(asked, [index])
        assert plan.used == {index}
        costs.append(judge.expected(asked, plan))
    assert costs[0] < costs[1] < 2 * costs[0]


def test_an_order_is_read_to_its_end_where_calls_return_fewer_rows_than_they_may(lab: Lab) -> None:
    judge, asked = Judge(lab.catalog, lab.rows_in_order, lab.index_shape), query(LIKE)
    plan = lab.plan(asked, [BY_TIME])
    whole = plan.tree["Plans"][0]["Total Cost"]
    assert plan.cost < judge.expected(asked, plan) < 0.2 * whole
    assert judge.expected(replace(asked, rows=20.0), plan) == judge.expected(asked, plan)
    assert 0.4 * whole < judge.expected(replace(asked, rows=7.5), plan) < 0.7 * whole
    assert judge.expected(replace(asked, rows=0.0), plan) > 0.9 * whole
    part = replace(asked, rows=0.0, of=asked)
    assert judge.expected(part, plan) == judge.expected(asked, plan)


def test_calls_that_find_less_read_no_more_where_the_index_holds_all_conditions(lab: Lab) -> None:
    judge, asked = Judge(lab.catalog, lab.rows_in_order, lab.index_shape), query(BOARD)
    plan = lab.plan(asked, [BY_BOARD])
    assert judge.expected(replace(asked, rows=0.5), plan) == judge.expected(asked, plan)
    assert judge.expected(asked, plan) < 0.1 * plan.tree["Plans"][0]["Total Cost"]


def test_what_is_passed_over_at_present_is_charged_for(lab: Lab) -> None:
    asked = query("select * from posts where body like '%2' limit 20")
    judge, plan = Judge(lab.catalog, lab.rows_in_order, lab.index_shape), lab.plan(asked)
    judge.begin(asked, plan)
    assert judge(asked, plan).expected > 1.5 * plan.cost


def advised(lab: Lab, **weights: float) -> Advice:
    texts = {"new": NEW, "board": BOARD}
    asked = (query(texts[name], name=name, weight=weight) for name, weight in weights.items())
    return advise.advise(lab, Workload(tuple(asked)), AdviceOptions(10_000_000))


@pytest.mark.parametrize("text", [HELD, HELD.replace("expires_at", "at")])
def test_what_the_workload_works_off_in_order_leaves_the_last_rows_of_it(
    lab: Lab, text: str
) -> None:
    indexes = [HOLDS, AS_THEY_COME]
    lab.add(indexes)

    def found(*others: str, text: str = text, rows: float | None = None) -> tuple[float, float]:
        asked, known = replace(query(text), rows=rows), columns_set(lab.catalog, others)
        judge = Judge(
            lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting, columns_set=known
        )
        touched = Touched(
            lab.catalog,
            lab.rows_in_order,
            lab.index_shape,
            lab.rows_meeting,
            columns_set=known,
        )
        plan = lab.plan(asked, indexes)
        assert plan.used
        return judge.expected(asked, plan), touched.blocks(plan.tree, rows)

    cost, read = found(text, SETTLE)
    usual = found(text)
    assert cost > 3 * usual[0]
    assert read > 0.5 * lab.catalog.by_name["public", "holds"].pages > 3 * usual[1]
    # nothing is known where it is set to NULL again, where calls were counted, and of another table
    assert found(SETTLE, SETTLE.replace("now()", "null")) == usual
    assert found(SETTLE, rows=20.0) == found(rows=20.0)
    assert found(SETTLE.replace("holds", "facts")) == usual
    # the newest come first, and most rows are never deleted
    newest = text.replace("limit", "desc limit")
    assert found(SETTLE, text=newest) == found(text=newest)
    kept = text.replace("settled_at", "gone_at")
    assert found(SETTLE.replace("settled_at", "gone_at"), text=kept) == found(text=kept)


def test_an_index_of_what_is_not_yet_worked_off_is_worth_that_updates_are_no_longer_hot(
    forum: str, lab: Lab
) -> None:
    asked = query(HELD, name="held"), query(SETTLE, name="settle", weight=2.0)
    (index,) = advise.advise(lab, Workload(asked), AdviceOptions(10_000_000)).indexes
    assert "settled_at IS NULL" in index.ddl
    with psycopg.connect(forum) as connection:
        connection.execute(index.ddl.encode())
        assert blocks(connection, HELD) < 50
        connection.rollback()


def test_columns_that_depend_on_each_other_do_not_hide_what_is_sorted(forum: str, lab: Lab) -> None:
    text = (
        "select * from places where zip = 77 and city = 19 and state = 3 order by street limit 10"
    )
    with psycopg.connect(forum) as connection:
        connection.execute("create index on places (zip, city, state)")
        sorted_ = blocks(connection, text)
        connection.rollback()
        advice = advise.advise(lab, Workload((query(text),)), AdviceOptions(10_000_000))
        (index,) = advice.indexes
        connection.execute(index.ddl.encode())
        assert blocks(connection, text) < 0.3 * sorted_
        connection.rollback()


@pytest.mark.parametrize("text", [OPEN, OPEN_IDS])
def test_values_that_depend_on_each_other_do_not_hide_how_often_a_loop_runs(
    lab: Lab, text: str
) -> None:
    lab.add([FACT])
    asked = query(text)
    plan = lab.plan(asked, [FACT])
    assert plan.tree["Node Type"] == "Nested Loop"

    def valued(*usual: UsualValues) -> float:
        judge = Judge(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting, *usual)
        judge.begin(asked, plan)  # of it, only the hidden cost is looked at
        return judge._costs(asked, plan).hidden

    assert valued(lab.usual_values) > valued() + 0.5 * plan.cost


def test_only_values_that_are_more_frequent_than_others_are_feared_to_depend(lab: Lab) -> None:
    of_calendar = Candidate("public", "places", (Key.of("zip"), Key.of("city")))
    lab.add([FACT, of_calendar])
    for text, index, least, most in ((OPEN, FACT, 2.0, 4.0), (CALENDAR, of_calendar, 1.0, 1.0)):
        plan = lab.plan(query(text), [index])
        assert plan.used == {index}
        assert least <= times_planned(plan.tree, lab.catalog, lab.usual_values) <= most


def test_what_excludes_rows_of_an_order_is_a_key_after_it(forum: str, lab: Lab) -> None:
    text = "select body from posts where author < 400 and board in (41, 42) order by at desc, id limit 20"
    (use,) = usage.uses(lab.plan(query(text)).tree, lab.catalog)
    made = candidates.candidates(use, lab.catalog, CandidateOptions(max_width=4))
    keys = {i.columns for i in made if not i.predicate and not i.include}
    assert ("board", "at", "id", "author") in keys
    text = "select body from posts where board = 1 and author = 333 order by at desc limit 3"
    with psycopg.connect(forum) as connection:
        connection.execute("create index of_board on posts (board, at)")
        connection.execute("drop index posts_author")
        before = blocks(connection, text)
        connection.execute("create index of_board_author on posts (board, at, author)")
        assert blocks(connection, text) < 0.2 * before
        connection.rollback()


@pytest.mark.parametrize(
    ("condition", "is_alone"),
    [("board = $1", False), ("board in (41, 42)", True), ("author < $1", True)],
)
def test_no_index_is_an_order_alone_where_a_value_is_given(
    lab: Lab, condition: str, is_alone: bool
) -> None:
    text = f"select body from posts where {condition} order by at desc limit 20"
    (use,) = usage.uses(lab.plan(query(text)).tree, lab.catalog)
    made = candidates.candidates(use, lab.catalog, CandidateOptions())
    assert any(i.columns[0] == "at" and "board" not in i.columns for i in made) is is_alone


def test_an_index_for_one_statement_does_not_slow_another(forum: str, lab: Lab) -> None:
    advice = advised(lab, new=100, board=1)
    assert {i.index.columns[0] for i in advice.indexes} == {"at", "board"}
    assert all(i.doubts == () for i in advice.indexes)
    late = BOARD.replace("$1", "40")
    with psycopg.connect(forum) as connection:
        before = blocks(connection, late)
        connection.execute(BY_TIME.ddl("by_time").encode())
        assert blocks(connection, late) > 2 * before, "the planner takes it"
        for index in advice.indexes:
            connection.execute(index.ddl.encode())
        assert blocks(connection, late) < 0.5 * before
        connection.rollback()


def measured(text: str, calls: float = 10.0) -> Query:
    return query(text, calls=calls, blocks=900.0, rows=20.0, total_ms=1000.0)


def with_fewer(lab: Lab, asked: Sequence[Query], share: float = 1.0) -> frozenset[Candidate]:
    """Return what is added to an index on the object if a share of the indexes fits."""
    indexes = [BY_OBJECT, CHANGED_AT, ALL_OBJECTS]
    lab.add(indexes)
    costs, chosen = Costs(lab, TimeLeft(60.0, lambda: 0.0), guard=True), frozenset({BY_OBJECT})
    for each in asked:
        costs.begin(each, lab.plan(each))
        costs.ask_all((each, chosen | {index}) for index in indexes)
    budget = int(share * sum(map(lab.size, indexes)))
    return with_fewer_blocks(costs, chosen, budget) - chosen


def test_far_fewer_blocks_count_more_than_times_that_may_be_mistaken(lab: Lab) -> None:
    nearly_all = measured("select object, id from changes where object > 20 and id > 20")
    assert with_fewer(lab, [nearly_all]) == {ALL_OBJECTS}
    assert with_fewer(lab, [nearly_all], 0.5) == set()
    assert with_fewer(lab, [replace(nearly_all, total_ms=None)]) == set(), "nothing is measured"
    assert with_fewer(lab, [nearly_all, measured("select text from changes", 30.0)]) == set()
    changing = measured("update changes set id = $1 where object = $2", 1.0)
    assert with_fewer(lab, [nearly_all, replace(changing, rows=1.0)]) == {ALL_OBJECTS}
    assert with_fewer(lab, [nearly_all, replace(changing, rows=200.0)]) == set()


def test_no_query_is_slower_than_now_where_others_read_fewer_blocks(lab: Lab) -> None:
    assert with_fewer(lab, [measured(LATEST)]) == {CHANGED_AT}
    assert with_fewer(lab, [measured(LATEST), measured(OF_OBJECT)]) == set()


def test_how_the_rows_looked_for_are_spread_is_told_as_an_assumption(lab: Lab) -> None:
    judge, asked = Judge(lab.catalog, lab.rows_in_order, lab.index_shape), query(BOARD)
    judge.begin(asked, lab.plan(asked))
    (doubt,) = judge.doubts(asked, lab.plan(asked, [BY_TIME]))
    assert "spread evenly" in doubt
    assert list(judge.doubts(asked, lab.plan(asked, [BY_BOARD]))) == []


def blocks(connection: psycopg.Connection, text: str) -> int:
    """Return how many blocks a statement touches."""
    row = connection.execute(f"explain (analyze, buffers, format json) {text}".encode()).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
