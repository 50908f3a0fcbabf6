"""A query on remembered samples at a moment, with the results of Prometheus."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pgwatch_wed.serve.alerts.promql import arithmetic, functions, nodes, windows
from pgwatch_wed.serve.alerts.promql.groups import aggregated
from pgwatch_wed.serve.alerts.promql.histograms import quantiles
from pgwatch_wed.serve.alerts.promql.joins import of_numbers, of_sets, of_vectors, with_number
from pgwatch_wed.serve.alerts.promql.signatures import OF_DATES, OVER_WINDOW
from pgwatch_wed.serve.alerts.promql.vectors import (
    EvaluationError,
    Semantics,
    Value,
    Vector,
    gathered,
    unnamed,
)
from pgwatch_wed.serve.alerts.promql.windows import SampleWindow
from pgwatch_wed.serve.alerts.sample_memory import SampleMemory, is_stale
from pgwatch_wed.serve.state import Labels


@dataclass(frozen=True, slots=True)
class Moment:
    """On what a query is evaluated, and when."""

    memory: SampleMemory
    at_ms: int
    semantics: Semantics = Semantics()  # noqa: RUF009 - frozen


def evaluate(node: nodes.Node, moment: Moment) -> Value:
    """Return the value of a query."""
    match node:
        case nodes.NumberNode(value=number):
            return number
        case nodes.TextNode(value=text):
            return text
        case nodes.InstantNode():
            return {labels: value for labels, _, value in _instants(node, moment)}
        case nodes.NegativeNode(query=query):
            inner = evaluate(query, moment)
            return -inner if isinstance(inner, float) else functions.mapped(_vector(inner), _minus)
        case nodes.AggregateNode(query=query, parameter=parameter):
            given = None if parameter is None else evaluate(parameter, moment)
            return aggregated(node, _vector(evaluate(query, moment)), given, moment.semantics)
        case nodes.BinaryNode():
            return _binary(node, moment)
        case nodes.CallNode():
            return _call(node, moment)
    raise EvaluationError("a range is no result")


def as_vector(value: Value) -> Vector:
    """Return the value of a rule's query; a number is one value without labels."""
    return {(): value} if isinstance(value, float) else _vector(value)


def _vector(value: Value) -> Vector:
    if not isinstance(value, dict):
        raise EvaluationError("a vector is expected")
    return value


def _minus(value: float) -> float:
    return -value


def _instants(node: nodes.InstantNode, moment: Moment) -> Iterator[tuple[Labels, int, float]]:
    at_ms = moment.at_ms - node.offset_ms
    oldest = at_ms - moment.semantics.lookback_ms + moment.semantics.is_left_open
    for series in moment.memory.select(node):
        found = series.latest(at_ms)
        if found is not None and found[0] >= oldest and not is_stale(found[1]):
            yield series.labels, *found


def _binary(node: nodes.BinaryNode, moment: Moment) -> Value:
    left, right = evaluate(node.left, moment), evaluate(node.right, moment)
    if isinstance(left, float):
        if isinstance(right, float):
            return of_numbers(node.op, left, right)
        return with_number(node, _vector(right), left, is_left=True)
    if isinstance(right, float):
        return with_number(node, _vector(left), right, is_left=False)
    if node.op in nodes.SETS:
        return of_sets(node.op, node.pairing, _vector(left), _vector(right))
    is_strict = moment.semantics.is_left_open
    return of_vectors(node, _vector(left), _vector(right), is_strict=is_strict)


def _windows(node: nodes.Node, moment: Moment) -> Iterator[tuple[Labels, SampleWindow]]:
    if isinstance(node, nodes.SubqueryNode):
        yield from _of_subquery(node, moment)
        return
    assert isinstance(node, nodes.WindowNode)
    end = moment.at_ms - node.selector.offset_ms
    first = end - node.range_ms + moment.semantics.is_left_open
    for series in moment.memory.select(node.selector):
        times, values = series.between(first, end)
        if times:
            yield (
                series.labels,
                SampleWindow(times, values, end, node.range_ms, moment.at_ms, moment.semantics),
            )


def _of_subquery(node: nodes.SubqueryNode, moment: Moment) -> Iterator[tuple[Labels, SampleWindow]]:
    step = node.step_ms or moment.semantics.step_ms
    end = moment.at_ms - node.offset_ms
    first = end - node.range_ms + moment.semantics.is_left_open
    start = -(-first // step) * step  # steps are multiples since 1970, whenever it is asked
    found: dict[Labels, tuple[list[int], list[float]]] = {}
    for at_ms in range(start, end + 1, step):
        inner = Moment(moment.memory, at_ms, moment.semantics)
        for labels, value in as_vector(evaluate(node.query, inner)).items():
            times, values = found.setdefault(labels, ([], []))
            times.append(at_ms)
            values.append(value)
    for labels, (times, values) in found.items():
        yield (
            labels,
            SampleWindow(times, values, end, node.range_ms, moment.at_ms, moment.semantics),
        )


def _call(node: nodes.CallNode, moment: Moment) -> Value:
    name, args = node.function, node.args
    if name in OVER_WINDOW:
        return _over_window(name, args, moment)
    if name in functions.OF_ONE:
        return functions.mapped(_vector(evaluate(args[0], moment)), functions.OF_ONE[name])
    if name in OF_DATES:
        return _date(name, args, moment)
    return _CALLS[name](args, moment)


def _over_window(name: str, args: tuple[nodes.Node, ...], moment: Moment) -> Vector:
    function = windows.SIMPLE.get(name)
    window_of = args[0]
    if name == "quantile_over_time":
        q = _number(args[0], moment)
        window_of = args[1]

        def function(w: SampleWindow) -> float:
            return arithmetic.quantile(q, list(w.values))

    elif name == "predict_linear":
        ahead_s = _number(args[1], moment)

        def function(w: SampleWindow) -> float | None:
            return windows.predicted(w, ahead_s)

    assert function is not None
    keeps_name = name == "last_over_time"
    results = (
        (labels if keeps_name else unnamed(labels), function(window))
        for labels, window in _windows(window_of, moment)
    )
    return gathered((labels, value) for labels, value in results if value is not None)


def _number(node: nodes.Node, moment: Moment) -> float:
    value = evaluate(node, moment)
    if not isinstance(value, float):
        raise EvaluationError("a number is expected")
    return value


def _text(node: nodes.Node) -> str:
    assert isinstance(node, nodes.TextNode)
    return node.value


def _date(name: str, args: tuple[nodes.Node, ...], moment: Moment) -> Vector:
    this: Vector = {(): moment.at_ms / 1000}
    vector = _vector(evaluate(args[0], moment)) if args else this
    return functions.mapped(vector, lambda v: functions.of_moment(name, v))


Arguments = tuple[nodes.Node, ...]


def _round(args: Arguments, moment: Moment) -> Vector:
    to = _number(args[1], moment) if len(args) > 1 else 1.0
    return functions.mapped(_vector(evaluate(args[0], moment)), lambda v: functions.rounded(v, to))


def _clamp(args: Arguments, moment: Moment) -> Vector:
    least, most = _number(args[1], moment), _number(args[2], moment)
    if most < least:
        return {}
    return functions.mapped(
        _vector(evaluate(args[0], moment)), lambda v: functions.clamped(v, least, most)
    )


def _clamp_min(args: Arguments, moment: Moment) -> Vector:
    least = _number(args[1], moment)
    return functions.mapped(
        _vector(evaluate(args[0], moment)), lambda v: arithmetic.larger(least, v)
    )


def _clamp_max(args: Arguments, moment: Moment) -> Vector:
    most = _number(args[1], moment)
    return functions.mapped(
        _vector(evaluate(args[0], moment)), lambda v: arithmetic.smaller(most, v)
    )


def _absent(args: Arguments, moment: Moment) -> Vector:
    there = bool(evaluate(args[0], moment))
    return {} if there else {functions.absent_labels(args[0]): 1.0}


def _absent_over_time(args: Arguments, moment: Moment) -> Vector:
    there = any(True for _ in _windows(args[0], moment))
    return {} if there else {functions.absent_labels(args[0]): 1.0}


def _scalar(args: Arguments, moment: Moment) -> float:
    vector = _vector(evaluate(args[0], moment))
    return next(iter(vector.values())) if len(vector) == 1 else arithmetic.NAN


def _timestamp(args: Arguments, moment: Moment) -> Vector:
    if isinstance(args[0], nodes.InstantNode):
        return gathered((unnamed(ls), at / 1000) for ls, at, _ in _instants(args[0], moment))
    return functions.mapped(_vector(evaluate(args[0], moment)), lambda _: moment.at_ms / 1000)


def _sorted(args: Arguments, moment: Moment, sign: int) -> Vector:
    vector = _vector(evaluate(args[0], moment))
    return dict(sorted(vector.items(), key=lambda p: (p[1] != p[1], sign * p[1])))


def _replace(args: Arguments, moment: Moment) -> Vector:
    vector = _vector(evaluate(args[0], moment))
    label, replacement, source, pattern = (_text(a) for a in args[1:])
    return functions.label_replace(vector, label, replacement, source, pattern)


def _join(args: Arguments, moment: Moment) -> Vector:
    label, separator, *sources = (_text(a) for a in args[1:])
    vector = _vector(evaluate(args[0], moment))
    return functions.label_join(vector, label, separator, sources)


def _histogram_quantile(args: Arguments, moment: Moment) -> Vector:
    q = _number(args[0], moment)
    return gathered(quantiles(q, _vector(evaluate(args[1], moment))))


_CALLS: dict[str, Callable[[Arguments, Moment], Value]] = {
    "round": _round,
    "clamp": _clamp,
    "clamp_min": _clamp_min,
    "clamp_max": _clamp_max,
    "absent": _absent,
    "absent_over_time": _absent_over_time,
    "scalar": _scalar,
    "vector": lambda args, moment: {(): _number(args[0], moment)},
    "time": lambda args, moment: moment.at_ms / 1000,  # noqa: ARG005
    "pi": lambda args, moment: 3.141592653589793,  # noqa: ARG005
    "timestamp": _timestamp,
    "sort": lambda args, moment: _sorted(args, moment, 1),
    "sort_desc": lambda args, moment: _sorted(args, moment, -1),
    "label_replace": _replace,
    "label_join": _join,
    "histogram_quantile": _histogram_quantile,
}
