"""The evaluator of PromQL: results as Prometheus' documentation and tests state them."""

import math
import re

import pytest

from pgwatch_wed.serve.alerts.promql.evaluate import Moment, as_vector, evaluate
from pgwatch_wed.serve.alerts.promql.nodes import reaches
from pgwatch_wed.serve.alerts.promql.number_texts import duration_ms
from pgwatch_wed.serve.alerts.promql.parse import QueryError, parsed
from pgwatch_wed.serve.alerts.promql.vectors import EvaluationError, Semantics, Vector
from pgwatch_wed.serve.alerts.sample_memory import STALE, SampleMemory
from pgwatch_wed.serve.state import Labels

NEW, OLD = Semantics(), Semantics(is_left_open=False)


def labels(series: str) -> Labels:
    name, _, rest = series.partition("{")
    pairs = dict(re.findall(r'(\w+)="([^"]*)"', rest))
    return tuple(sorted({"__name__": name, **pairs}.items()))


def memory(step: str, series: dict[str, list[float | None]]) -> SampleMemory:
    found = SampleMemory()
    for text, values in series.items():
        for i, value in enumerate(values):
            if value is not None:
                found.append(labels(text), i * duration_ms(step), value)
    return found


def ask(query: str, on: SampleMemory, at: str, semantics: Semantics = NEW) -> Vector:
    return as_vector(evaluate(parsed(query), Moment(on, duration_ms(at), semantics)))


def numbers(vector: Vector) -> list[float]:
    return [round(v, 9) for v in vector.values()]


def counted(count: int, start: float = 0, step: float = 1) -> list[float | None]:
    return [start + step * i for i in range(count)]


ENDS = memory("10s", {"m": [0, 1, STALE, 2]})


@pytest.mark.parametrize(
    ("at", "query", "expected"),
    [
        ("10s", "m", [1]),
        ("20s", "m", []),  # ended
        ("30s", "m", [2]),
        ("5m29s", "m", [2]),
        ("5m30s", "m", []),  # five minutes old: not looked at any more
        ("30s", "count_over_time(m[1m])", [3]),
        ("20s", "count_over_time(m[10s])", []),
        ("20s", "count_over_time(m[20s])", [1]),
        ("30s", "m offset 10s", []),
        ("20s", "m offset -10s", [2]),
    ],
)
def test_a_series_ends_when_it_is_marked_or_five_minutes_old(
    at: str, query: str, expected: list[float]
) -> None:
    assert numbers(ask(query, ENDS, at)) == expected


def test_the_left_edge_of_a_window_belongs_to_it_up_to_2_x() -> None:
    on = memory("15s", {"c_total": counted(10)})
    assert numbers(ask("count_over_time(c_total[1m])", on, "2m", NEW)) == [4]
    assert numbers(ask("count_over_time(c_total[1m])", on, "2m", OLD)) == [5]
    assert numbers(ask("c_total", on, "7m15s", NEW)) == []
    assert numbers(ask("c_total", on, "7m15s", OLD)) == [9]


RESETS = memory("5m", {"r_total": [0, 1, 2, 3, 2, 3, 4]})
EDGES = memory(
    "5m",
    {
        f'e_total{{at="{name}"}}': counted(11, start, 10)
        for name, start in (("zero", 0), ("ten", 10), ("one", 1))
    },
)


def test_a_fall_of_a_counter_is_a_reset() -> None:
    assert numbers(ask("increase(r_total[30m])", RESETS, "30m", OLD)) == [7]
    assert numbers(ask("resets(r_total[31m])", RESETS, "30m")) == [1]


def test_a_window_is_extrapolated_half_a_step_and_never_below_zero() -> None:
    assert numbers(ask("increase(e_total[100m])", EDGES, "50m")) == [100, 105, 101]
    # since 3.x, the distance to zero is cut after the half step, before it was cut first
    far = memory("4m", {"f_total": counted(3, 180, 240)})
    assert numbers(ask("rate(f_total[20m])", far, "10m", NEW)) == [0.6]
    assert numbers(ask("rate(f_total[20m])", far, "10m", OLD)) == [0.65]


def test_a_rate_needs_two_samples() -> None:
    on = memory("15s", {"c_total": [7]})
    assert ask("rate(c_total[5m])", on, "15s") == {}


def test_lines_through_samples() -> None:
    on = memory("5m", {"g": [0, 10, 20, 30, 40, 0, 10, 20, 30, 40, 50]})
    assert numbers(ask("deriv(g[100m])", on, "50m")) == [0.010606061]
    assert numbers(ask("predict_linear(g[100m], 3600)", on, "50m")) == [76.818181818]


BUCKETS = memory(
    "5m",
    {
        'h_bucket{le="0.1"}': [5, 10],
        'h_bucket{le="0.2"}': [7, 14],
        'h_bucket{le="+Inf"}': [12, 24],
    },
)


@pytest.mark.parametrize(
    ("q", "expected"), [("0.2", 0.048), ("0.5", 0.15), ("0.9", 0.2), ("1.1", math.inf)]
)
def test_quantiles_of_a_histogram(q: str, expected: float) -> None:
    assert list(ask(f"histogram_quantile({q}, h_bucket)", BUCKETS, "5m").values()) == [
        pytest.approx(expected)
    ]


def test_a_histogram_without_observations_has_no_quantile() -> None:
    idle = memory("15s", {'h_bucket{le="1"}': [3] * 9, 'h_bucket{le="+Inf"}': [3] * 9})
    (value,) = ask("histogram_quantile(0.95, rate(h_bucket[1m]))", idle, "2m").values()
    assert math.isnan(value)


SIDES = memory(
    "1m",
    {
        'errors{method="get",code="500"}': [24],
        'errors{method="get",code="404"}': [30],
        'errors{method="put",code="501"}': [3],
        'requests{method="get"}': [600],
        'requests{method="del"}': [34],
    },
)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('errors{code="500"} / ignoring(code) requests', [0.04]),
        ("errors / ignoring(code) group_left requests", [0.04, 0.05]),
        ("requests and on(method) errors", [600]),
        ("requests unless on(method) errors", [34]),
        ("sum(errors) by (method) > 10", [54]),
        ("sum without(code)(errors) > bool 10", [1, 0]),
        ("10 < requests", [600, 34]),
        ("count(errors or requests)", [5]),
        ('errors{code=~"5.."}', [24, 3]),
        ('errors{code!~"5.."}', [30]),
        ("topk(1, errors)", [30]),
        ("quantile(0.5, errors)", [24]),
        ("avg(requests) - -3", [320]),
        ("scalar(errors) == bool scalar(errors)", [0]),  # three values are no number: NaN
        ("vector(1) / 0 > 0", [math.inf]),
        ("clamp_max(requests, 100)", [100, 34]),
        ("2 ^ 3 ^ 2 % 100", [12]),
        ("time()", [60]),
        ("max_over_time(sum(errors)[1m:15s])", [57]),
    ],
)
def test_operators_and_aggregations(query: str, expected: list[float]) -> None:
    assert numbers(ask(query, SIDES, "1m")) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('absent(none{job="a",method=~"x"})', {(("job", "a"),): 1}),
        ("absent(requests)", {}),
        ("absent_over_time(none[5m])", {(): 1}),
        (
            'label_replace(sum(errors), "a", "$1-x", "b", "()")',
            {(("a", "-x"),): 57},
        ),
        ('label_join(sum by (method)(errors) > 10, "j", "/", "method", "method")', None),
    ],
)
def test_labels_of_results(query: str, expected: Vector | None) -> None:
    found = ask(query, SIDES, "1m")
    assert found == (
        expected if expected is not None else {(("j", "get/get"), ("method", "get")): 54}
    )


def test_timestamps_are_those_of_the_samples_unless_computed() -> None:
    assert numbers(ask("timestamp(requests)", SIDES, "2m")) == [0, 0]
    assert numbers(ask("timestamp(requests > 0)", SIDES, "2m")) == [120, 120]


@pytest.mark.parametrize(
    "query",
    [
        "errors / on(method) requests",
        "requests / on(method) errors",
        'label_replace(errors, "code", "x", "code", ".*") > 0',
    ],
)
def test_what_prometheus_cannot_match_is_an_error_here_too(query: str) -> None:
    with pytest.raises(EvaluationError):
        ask(query, SIDES, "1m")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("mad_over_time(x[5m])", "the function mad_over_time is not supported"),
        ("x @ 5", "the @ modifier is not supported"),
        ("limitk(1, x)", "the aggregation limitk is not supported"),
        ("rate(x)", "expected type matrix in call to function 'rate', got vector"),
        ("foo(x)", "unknown function with name 'foo'"),
        ("1 > 2", "comparisons between scalars must use BOOL modifier"),
        ("sum(", "unclosed left parenthesis"),
        ("", "no expression found in input"),
    ],
)
def test_what_is_not_evaluated_is_refused_with_the_reason(query: str, reason: str) -> None:
    with pytest.raises(QueryError, match=re.escape(reason)):
        parsed(query)


def test_how_far_back_a_query_looks() -> None:
    node = parsed("rate(a[5m] offset 1m) + max_over_time(rate(b[1m])[10m:]) > c")
    assert {r.selector.name: r.back_ms for r in reaches(node, 15_000)} == {
        "a": 360_000,
        "b": 675_000,
        "c": 0,
    }
