"""The kinds of mistakes, by name."""

from collections.abc import Callable

from pgwatch_wed.serve.alerts.rule_files import AlertRule
from pgwatch_wed.serve.judge_rules.objections import (
    Found,
    Surroundings,
    latching,
    missing_metric,
    quiet_night,
    rate_of_gauge,
    ratio_without_volume,
    wrong_unit,
)
from pgwatch_wed.serve.judge_rules.shape_objections import (
    computed_timestamp,
    idle_absent,
    labels_that_differ,
    short_for,
)

CHECKS: dict[str, Callable[[AlertRule, Surroundings], Found]] = {
    "missing-metric": missing_metric,
    "rate-of-gauge": rate_of_gauge,
    "latches": latching,
    "wrong-unit": wrong_unit,
    "ratio-without-volume": ratio_without_volume,
    "quiet-night": quiet_night,
    "short-for": short_for,
    "computed-timestamp": computed_timestamp,
    "absent-never-matches": idle_absent,
    "labels-never-match": labels_that_differ,
}
