"""Writes the heads of ``docs/runbooks``: ``python -m pgwatch_wed.serve.runbooks.runbook_heads docs/runbooks``.

A page begins with what the rule says; below the mark, people write.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from pgwatch_wed.serve.alerts.alerting import default_rules
from pgwatch_wed.serve.alerts.rule_files import AlertRule, every_rule, parse
from pgwatch_wed.serve.slo.slo_rules import rules_yaml

MARK = "<!-- Above this line: made from the rules. Below: written. -->"
HEADINGS = ("## Meaning", "## First look", "## Fix", "## Undo", "## Escalation")
RESPONSE = {"P0": "5 minutes", "P1": "30 minutes", "P2": "2 hours", "P3": "24 hours"}


def rules() -> list[AlertRule]:
    """Return the alerting rules that come with the package."""
    groups = (*parse(default_rules(), "default rules"), *parse(rules_yaml(), "objectives"))
    return [rule for rule in every_rule(groups) if not rule.is_record]


def head(rule: AlertRule) -> str:
    """Return the head of a rule's page, with the mark."""
    priority = rule.labels.get("priority", "")
    response = f", {priority}: respond within {RESPONSE[priority]}" if priority in RESPONSE else ""
    lines = [f"# {rule.name}", "", f"{_plain(rule, 'description')}", ""]
    lines += [f"Severity: {rule.labels.get('severity', 'none')}{response}. {_times(rule)}", ""]
    lines += ["```promql", rule.query, "```", "", *_elsewhere(rule), MARK]
    return "\n".join(lines)


def _plain(rule: AlertRule, name: str) -> str:
    text = rule.annotations.get(name, "")
    return text.replace("{{ $labels.", "*").replace(" }}", "*")


def _times(rule: AlertRule) -> str:
    waits = f"It fires after {_span(rule.for_ms)}" if rule.for_ms else "It fires at once"
    keeps = (
        f", and stays for {_span(rule.keep_firing_ms)} after it ended."
        if rule.keep_firing_ms
        else "."
    )
    return waits + keeps


def _span(ms: int) -> str:
    seconds = ms // 1000
    for unit, scale in (("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds >= scale and seconds % scale == 0:
            number = seconds // scale
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{seconds} seconds"


def _elsewhere(rule: AlertRule) -> list[str]:
    if rule.is_outside:
        return [
            "Only another Prometheus can evaluate it: `db-analyze alerts export` writes it for that.",
            "",
        ]
    if rule.labels.get("source") == "database":
        return [
            "It is computed from facts of the database, and so says nothing while `DatabaseUnreachable` fires.",
            "",
        ]
    return []


def body(page: str) -> str:
    """Return what people wrote."""
    return page.partition(MARK)[2]


def written(folder: Path, found: Iterable[AlertRule]) -> dict[Path, str]:
    """Return the pages as they are to be; those that do not exist yet have empty headings."""
    pages = {}
    for rule in found:
        path = folder / f"{rule.name}.md"
        old = body(path.read_text(encoding="utf-8")) if path.exists() else ""
        pages[path] = head(rule) + (old or "\n\n" + "\n\n".join(HEADINGS) + "\n")
    return pages


def main() -> None:
    """Write the heads anew."""
    for path, page in written(Path(sys.argv[1]), rules()).items():
        path.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
