r"""What pgbench would misread is found before it runs, and what it reads well is not."""

import pytest

from pgwatch_wed.errors import Error
from pgwatch_wed.load.engine.pgbench_scripts import check_scripts, sleeps
from pgwatch_wed.load.load_model import LoadScript, Order, QueryProtocol

GOOD = r"""
-- a comment with :nothing
\set aid random(1, 100)
\set many random(1, 10) + \
  :aid
select '12:30', 'a::b', now()::date, x::int[], array[:aid, :many], a[1: n], a[:aid] from t where id = :aid;
select $$ only 1::text $$, e'it\'s', "quoted", f(name := 1) /* 1:2 */;
"""


def order(text: str, protocol: QueryProtocol = QueryProtocol.PREPARED) -> Order:
    return Order(scripts=(LoadScript(name="own", text=text),), clients=1, rate=1, protocol=protocol)


@pytest.mark.parametrize("protocol", list(QueryProtocol))
def test_a_good_script_passes(protocol: QueryProtocol) -> None:
    check_scripts(order(GOOD, protocol))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "select 1;\nselect 'x:aid y';",
            "script own, line 2: pgbench would take :aid inside a literal",
        ),
        ("""select '{"k":"v:name"}'::json;""", "take :name inside a literal"),
        ("select $q$ a:b $q$;", "take :b inside a literal"),
        ('select 1 as "a:b";', "take :b inside a quoted name"),
        ("select /* at:here */ 1;", "take :here inside a comment"),
        ("select a[1:n] from t;", "take the :n of a slice"),
        ("select a[f(x):n] from t;", "take the :n of a slice"),
        ("select :other;", "the variable :other is not defined"),
        ("select * from t where id = $1;", r"the parameter \$1 has no value"),
    ],
)
def test_a_place_that_would_be_misread_is_named(text: str, message: str) -> None:
    with pytest.raises(Error, match=message):
        check_scripts(order(text))


def test_the_simple_protocol_leaves_literals_alone() -> None:
    check_scripts(order("select 'x:aid y';", QueryProtocol.SIMPLE))
    with pytest.raises(Error, match="slice"):
        check_scripts(order("select a[1:n] from t;", QueryProtocol.SIMPLE))


def test_what_a_query_defines_is_not_called_undefined() -> None:
    check_scripts(order("select 1 as one \\gset\nselect :one;"))
    check_scripts(order("prepare p as select $1; execute p(1);", QueryProtocol.SIMPLE))


def test_a_pause_is_seen() -> None:
    assert sleeps(order("\\sleep 100 ms\nselect 1;").scripts)
    assert not sleeps(order("select 'a' -- \\sleep").scripts)
