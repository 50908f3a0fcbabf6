"""What is wrong with a rule, as a list: one function a kind of mistake."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.serve.alerts.promql import nodes
from pgwatch_wed.serve.alerts.promql.number_texts import shown
from pgwatch_wed.serve.alerts.rule_files import AlertRule
from pgwatch_wed.serve.judge_rules.comparing import (
    RATES,
    alternatives,
    comparisons,
    conjuncts,
    instants,
    selectors,
    windowed,
)
from pgwatch_wed.serve.judge_rules.exposed_metrics import Exposed

ABOVE = (">", ">=")
BELOW = ("<", "<=")
# Names that tell a duration or an age.
_OF_TIME = re.compile(r"seconds|duration|_time|lag|age\b|_ms\b|delay|latency|uptime|timestamp")
_SAID = re.compile(r"(\d+)\s*(second|minute|hour|day)s?\b", re.IGNORECASE)
_UNIT_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
# The moment of something that happens now and then: only the next one moves it.
_LAST_EVENT = re.compile(r"last_\w*(time|timestamp)")
_PRESENCE = re.compile(r"activity_count|connections|sessions|clients|backends(_total)?$")


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a rule does not do what it is for. ``series`` shows it, in promtool's notation."""

    rule: str
    source: str
    check: str
    why: str
    series: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known beside the rules: what is exposed, what else may be, and how often it is scraped."""

    exposed: Exposed
    possible: frozenset[str]
    scrape_ms: int


Found = Iterator[tuple[str, str]]


def missing_metric(rule: AlertRule, around: Surroundings) -> Found:
    """Find a metric that nobody exposes: the alert never fires, or always."""
    if not around.exposed.is_known:
        return
    known = around.exposed.series.keys() | around.possible | {"ALERTS", "ALERTS_FOR_STATE", "up"}
    for name in sorted({s.name for s in selectors(rule.node)} - known - {""}):
        always = any(
            isinstance(n, nodes.CallNode)
            and n.function.startswith("absent")
            and any(s.name == name for s in selectors(n))
            for n in nodes.every(rule.node)
        )
        what = "it always fires" if always else "what is computed from it is empty"
        yield f"{name} is not exposed: {what}", ""


def rate_of_gauge(rule: AlertRule, around: Surroundings) -> Found:
    """Find a rate of a gauge: each fall counts as a reset, and a duration cannot grow faster than time."""
    for function, selector, _ in windowed(rule.node, RATES):
        if around.exposed.kind(selector.name) != "gauge":
            continue
        limits = [h.limit for h in comparisons(rule.node) if h.limit is not None and h.op in ABOVE]
        if (
            _OF_TIME.search(selector.name)
            and function != "increase"
            and any(v >= 1 for v in limits)
        ):
            limit = shown(max(limits))
            why = f"{selector.name} is a gauge that grows by one a second at most: its {function} never exceeds {limit}"
            yield why, f"{selector.name} 0+15x40"
        else:
            why = f"{selector.name} is a gauge: {function} takes each fall for a reset and adds it"
            yield why, f"{selector.name} 100 1 100 1 100"


def latching(rule: AlertRule, around: Surroundings) -> Found:
    """Find a counter held against a constant: once above, it stays above until a restart."""
    for held in comparisons(rule.node):
        if held.op not in ABOVE or any(_is_clock(n) for n in nodes.every(held.left)):
            continue
        names = [s.name for s in instants(held.left)]
        counters = [n for n in names if around.exposed.kind(n) == "counter"]
        if counters and _only_adds(held.left):
            after = f"{held.limit + 1:.15g}" if held.limit is not None else "1000000"
            why = f"{counters[0]} is a counter and only grows: once fired, the alert never ends; use increase() over a window"
            yield why, f"{counters[0]} 0x10 {after}x1000"
        elif len(names) == 2 and all(_LAST_EVENT.search(n) for n in names):
            why = (
                f"it ends only with the next {names[1]}, which on a quiet server may be days later"
            )
            yield why, f"{names[0]} 0x10 1000x1000, {names[1]} 900x1010"


def _is_clock(node: nodes.Node) -> bool:
    return isinstance(node, nodes.CallNode) and node.function in ("time", "timestamp")


def _only_adds(node: nodes.Node) -> bool:
    return not any(
        isinstance(n, nodes.BinaryNode) and n.op in ("-", "/", "%") for n in nodes.every(node)
    )


def wrong_unit(rule: AlertRule, around: Surroundings) -> Found:
    """Find a limit in another unit than the metric's name."""
    del around
    said = " ".join([rule.name, *rule.annotations.values()])
    spans = {int(n) * _UNIT_S[u.lower()] for n, u in _SAID.findall(said)}
    for held in comparisons(rule.node):
        names = [s.name for s in selectors(held.left)]
        if held.limit is None or not names:
            continue
        if held.limit in spans and held.limit >= 60 and not _tells_time(held.left, names):
            yield (
                f"{names[0]} is no duration, but is held against {shown(held.limit)} seconds",
                f"{names[0]} {shown(held.limit - 1)}x100",
            )
        if (
            all(n.endswith("_ratio") for n in names)
            and _is_plain(held.left)
            and held.limit > 1
            and held.op in ABOVE
        ):
            yield (
                f"{names[0]} is a ratio from 0 to 1 and never exceeds {shown(held.limit)}",
                f"{names[0]} 1x100",
            )


def _tells_time(node: nodes.Node, names: list[str]) -> bool:
    clock = any(_is_clock(n) for n in nodes.every(node))
    return clock or any(_OF_TIME.search(n) for n in names)


def _is_plain(node: nodes.Node) -> bool:
    return not any(isinstance(n, nodes.BinaryNode) for n in nodes.every(node))


def ratio_without_volume(rule: AlertRule, around: Surroundings) -> Found:
    """Find a ratio of rates without a least number of events: one event at night is all of them."""
    del around
    for side in alternatives(rule.node):
        parts = list(conjuncts(side))
        ratio = next((h for p in parts for h in comparisons(p) if _is_ratio_of_rates(h.left)), None)
        if ratio is not None and not any(_is_volume(p) for p in parts):
            (name, *_) = [s.name for s in selectors(ratio.left)]
            yield (
                "a ratio of rates without a least number of events: at night a single one decides",
                f"{name} 0x10 1x100",
            )


def _is_ratio_of_rates(node: nodes.Node) -> bool:
    return any(
        isinstance(n, nodes.BinaryNode)
        and n.op == "/"
        and any(True for _ in windowed(n.left, RATES))
        and any(True for _ in windowed(n.right, RATES))
        for n in nodes.every(node)
    )


def _is_volume(node: nodes.Node) -> bool:
    return any(
        held.op in ABOVE
        and not _is_ratio_of_rates(held.left)
        and ((held.limit or 0) > 0 or any(True for _ in selectors(held.right)))
        for held in comparisons(node)
    )


def quiet_night(rule: AlertRule, around: Surroundings) -> Found:
    """Find few events held against a constant: the alert fires whenever nothing is to do."""
    del around
    for side in alternatives(rule.node):
        for held in comparisons(side):
            if (
                held.op not in BELOW
                or held.limit is None
                or held.limit <= 0
                or _is_ratio_of_rates(held.left)
            ):
                continue
            rates = list(windowed(held.left, RATES))
            names = [s.name for s in instants(held.left)]
            if rates and not names and not _is_guarded(side):
                yield (
                    f"it fires whenever {rates[0][1].name} does not grow: on a healthy server at night",
                    f"{rates[0][1].name} 1000x100",
                )
            elif names and _PRESENCE.search(names[0]) and _is_plain(held.left):
                yield (
                    f"it fires whenever {names[0]} is below {shown(held.limit)}: on a healthy server at night",
                    f"{names[0]} 0x100",
                )


def _is_guarded(side: nodes.Node) -> bool:
    return any(_is_volume(part) for part in conjuncts(side))
