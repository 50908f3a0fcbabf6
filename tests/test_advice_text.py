"""Advice as a person reads it in a terminal."""

import pytest

from pgwatch_wed.whatif.choose.advise import Advice, QueryGain
from pgwatch_wed.whatif.choose.answer import BeyondBudget
from pgwatch_wed.whatif.model import Rejected
from pgwatch_wed.whatif.output import as_dict
from pgwatch_wed.whatif.proof.truth import QueryTruth, Verified
from pgwatch_wed.whatif.readable import as_text, change


def advice(*gains: QueryGain, **more: object) -> Advice:
    given: dict[str, object] = {
        "indexes": (),
        "cost_before": sum(g.cost_before for g in gains),
        "cost_after": sum(g.cost_after for g in gains),
        "bytes": 0,
        "budget_bytes": 100 * 2**20,
        "whatif_calls": 1,
        "seconds": 1.0,
        "per_query": gains,
        "rejected": (),
        "engine": "lab",
        "unit": "ms",
    }
    return Advice(**{**given, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (10.0, 9.0, "-10.0%"),
        (10.0, 12.0, "+20.0%"),
        (0.0001, 2.6373, "× 26,373"),
        (10.0, 32.0, "× 3.2"),
        (1000.0, 2.0, "÷ 500"),
        (10.0, 0.0, "-100.0%"),
        (0.0, 5.0, ""),
    ],
)
def test_what_grows_much_is_told_as_a_factor(before: float, after: float, expected: str) -> None:
    assert change(before, after) == expected


def test_each_statement_says_what_becomes_of_a_call() -> None:
    gain = QueryGain(
        *("SELECT orders by customer_id [7]", 7, 58_000.0, 600.0, 1.0, ("i",), 1000.0, 60.0),
        *(2400.0, 2400.0, 25.0),
    )
    text = as_text(advice(gain))
    assert "-99.0%  SELECT orders by customer_id [7]" in text
    assert "a call 60 ms → about 2.6 ms, 2,400 → about 25 blocks; 1,000 calls" in text
    (told,) = as_dict(advice(gain))["per_query"].values()
    assert told["call_ms_after"] == pytest.approx(2.6)


def test_the_default_budget_is_explained_where_it_is_printed() -> None:
    told = " ".join(as_text(advice(is_default_budget=True)).split())
    assert "of 100 MB (half of the tables' size, at least 256 MB, unless --budget is given)" in told
    assert "of a budget of 100 MB:" in as_text(advice())


def test_what_a_larger_budget_would_be_worth_is_told() -> None:
    more = BeyondBudget(12 * 2**20, 0.3, ("CREATE INDEX ON t USING btree (a)",))
    text = as_text(advice(beyond=more))
    assert "12 MB more would save another 30% of the cost (--budget 112MB)" in text


def test_lines_fit_into_80_columns() -> None:
    reason = "no index could be tried for it, for a reason that takes more than a line to tell"
    text = as_text(
        advice(rejected=(Rejected("SELECT orders by id [123]", reason),), notes=(reason * 2,))
    )
    assert max(map(len, text.splitlines())) <= 80


def test_a_query_without_kept_indexes_keeps_its_plan() -> None:
    helped = QueryTruth("one", 20.0, 1.0, 2000, 30, 1.0, ("i",))
    same = QueryTruth("other", 27.0, 27.0, 2421, 2421, 1.0, ())
    found = Verified("copy", "cpu", 3, 47.0, 28.0, (helped, same), (), (), (), 2)
    text = as_text(advice(verified=found))
    assert "20 ms → 1 ms" in text
    assert "27 ms" not in text
    assert "  3 more queries keep their plans" in text


def test_hidden_statements_are_those_of_the_whole_server() -> None:
    told = " ".join(as_text(advice(hidden_statements=1264)).split())
    assert (
        "1,264 statements of other roles, in all databases of the server, are hidden from this role, and not part of the"
        " observed time; pg_read_all_stats shows them"
    ) in told
