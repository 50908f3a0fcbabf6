"""Mistakes in the shape of a query, whatever its metrics are."""

from pgwatch_wed.serve.alerts.promql import nodes
from pgwatch_wed.serve.alerts.promql.number_texts import duration_text, shown
from pgwatch_wed.serve.alerts.promql.signatures import OVER_WINDOW
from pgwatch_wed.serve.alerts.rule_files import AlertRule
from pgwatch_wed.serve.judge_rules.comparing import Held, comparisons, instants, selectors
from pgwatch_wed.serve.judge_rules.objections import Found, Surroundings


def short_for(rule: AlertRule, around: Surroundings) -> Found:
    """Find a single sample that decides: one lost scrape or a blip pages."""
    if rule.keep_firing_ms or rule.for_ms >= 2 * around.scrape_ms:
        return
    looks_back = any(
        isinstance(n, nodes.CallNode) and n.function in OVER_WINDOW for n in nodes.every(rule.node)
    )
    if looks_back or not any(True for _ in instants(rule.node)):
        return
    given = f"for: {duration_text(rule.for_ms)}" if rule.for_ms else "no `for`"
    yield (
        f"{given}: a single sample fires it; two scrapes take {duration_text(2 * around.scrape_ms)}",
        "",
    )


def computed_timestamp(rule: AlertRule, around: Surroundings) -> Found:
    """Find the timestamp of a computed vector is that of the evaluation: always now."""
    del around
    for node in nodes.every(rule.node):
        if (
            isinstance(node, nodes.CallNode)
            and node.function == "timestamp"
            and not isinstance(node.args[0], nodes.InstantNode)
        ):
            yield (
                "timestamp() of a computed vector is always now, never the time of a sample: the alert never fires",
                "",
            )


def idle_absent(rule: AlertRule, around: Surroundings) -> Found:
    """Find an absent() that cannot match."""
    del around
    for held in comparisons(rule.node):
        is_absent = isinstance(held.left, nodes.CallNode) and held.left.function.startswith(
            "absent"
        )
        if is_absent and held.limit is not None and not _holds_for_one(held):
            yield f"absent() is 1 or nothing: it is never {held.op} {shown(held.limit)}", ""
    for node in nodes.every(rule.node):
        if isinstance(node, nodes.BinaryNode) and node.op in ("and", "*", "/", "+", "-"):
            yield from _unmatched_absent(node)


def _holds_for_one(held: Held) -> bool:
    assert held.limit is not None
    tests: dict[str, bool] = {
        ">": held.limit < 1,
        "<": held.limit > 1,
        ">=": held.limit <= 1,
        "<=": held.limit >= 1,
        "==": held.limit == 1,
        "!=": held.limit != 1,
    }
    return tests[held.op]


def _unmatched_absent(node: nodes.BinaryNode) -> Found:
    for side in (node.left, node.right):
        if isinstance(side, nodes.CallNode) and side.function.startswith("absent"):
            fixed = {m.label for s in selectors(side) for m in s.matches if m.op == "="}
            lacking = [label for label in node.pairing.labels if label not in fixed]
            if node.pairing.is_on and lacking:
                yield (
                    f"absent() returns no label {lacking[0]}, on which it is matched: it matches nothing",
                    "",
                )


def labels_that_differ(rule: AlertRule, around: Surroundings) -> Found:
    """Find an operator between an aggregate and plain series: their labels are never equal."""
    del around
    for node in nodes.every(rule.node):
        if (
            not isinstance(node, nodes.BinaryNode)
            or node.op == "or"
            or node.pairing.labels
            or node.pairing.is_on
        ):
            continue
        for one, other in ((node.left, node.right), (node.right, node.left)):
            kept = _kept_labels(one)
            if kept is not None and _is_raw(other) and not {"instance", "job"} <= kept:
                has = f"only {', '.join(sorted(kept))}" if kept else "no labels"
                yield (
                    f"one side of {node.op} has {has}, the other those of its series: nothing matches without on() or ignoring()",
                    "",
                )
                break


def _kept_labels(node: nodes.Node) -> frozenset[str] | None:
    """Return the labels of an aggregate; None if they are not certain."""
    match node:
        case nodes.AggregateNode(op=op, labels=labels, is_without=False) if op not in (
            "topk",
            "bottomk",
        ):
            return frozenset(labels)
        case nodes.BinaryNode(op=op, left=left, right=right) if op != "or":
            if nodes.is_scalar(right):
                return _kept_labels(left)
            return _kept_labels(right) if nodes.is_scalar(left) else None
    return None


def _is_raw(node: nodes.Node) -> bool:
    """Tell whether a query has all labels of its series."""
    match node:
        case nodes.InstantNode(name=name):
            return ":" not in name  # what a rule records may have any labels
        case nodes.CallNode(function=name, args=args) if name in OVER_WINDOW:
            return any(isinstance(a, nodes.WindowNode) and _is_raw(a.selector) for a in args)
        case nodes.BinaryNode(left=left, right=right, pairing=pairing):
            if nodes.is_scalar(right):
                return _is_raw(left)
            if nodes.is_scalar(left):
                return _is_raw(right)
            return not pairing.is_on and _is_raw(left) and _is_raw(right)
    return False
