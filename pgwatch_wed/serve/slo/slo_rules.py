"""The alerts of the objectives, as rules in Prometheus' format.

The long windows are counted by the service and exported (``pgwatch_wed_slo_burn_rate``): no evaluator needs samples of days.
"""

from pgwatch_wed.serve.slo.burns import BURN_ALERTS, BurnAlert
from pgwatch_wed.serve.state import PREFIX

_RULE = """\
      - alert: {name}
        expr: >-
          {p}slo_burn_rate{{window="{long}"}} > {factor}
          and on (slo) {p}slo_burn_rate{{window="{short}"}} > {factor}
          and on (slo) {p}slo_bad_events{{window="{short}"}} >= on (slo) {p}slo_least_errors
        keep_firing_for: {keep}
        labels:
          severity: {severity}
          priority: {priority}
          topic: slo
        annotations:
          summary: "SLO {{{{ $labels.slo }}}}: the error budget is used {{{{ $value | printf \\"%.1f\\" }}}} times too fast"
          description: "At this rate over {long}, and still over {short}, the budget of 30 days lasts {lasts}."
          runbook_url: docs/runbooks/{name}.md
"""


def rules_yaml() -> str:
    """Return the group of rules; it holds for all objectives."""
    rules = "".join(_rule(alert) for alert in BURN_ALERTS)
    return f"groups:\n  - name: pgwatch_wed-slo\n    rules:\n{rules}"


def _rule(alert: BurnAlert) -> str:
    return _RULE.format(
        p=PREFIX,
        name=alert.name,
        long=alert.long,
        short=alert.short,
        factor=f"{alert.factor:g}",
        severity=alert.severity,
        priority="P1" if alert.severity == "critical" else "P2",
        keep="2m" if alert.severity == "critical" else "15m",
        lasts=_lasts(alert.factor),
    )


def _lasts(factor: float) -> str:
    hours = 30 * 24 / factor
    return f"{hours:.0f} hours" if hours < 72 else f"{hours / 24:.0f} days"
