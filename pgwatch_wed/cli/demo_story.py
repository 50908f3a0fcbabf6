"""What the demo tells after its report: what was planted in the shop, and which of it was found."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pgwatch_wed.findings import Report
from pgwatch_wed.rules import rule


@dataclass(frozen=True, slots=True)
class Planted:
    """A fault of sql/demo/, or of the demo's sessions: the rules that may report it, and the objects."""

    what: str
    rules: tuple[str, ...]
    object: str = "*"

    def told(self, report: Report) -> str:
        """Say whether the report has it."""
        found = (*report.findings, *report.hidden)
        labels = ((f.rule, f.object.label) for f in found)
        if any(name in self.rules and fnmatchcase(label, self.object) for name, label in labels):
            return "found"
        judged = {v.rule: v for v in report.verdicts if v.rule in self.rules}
        if not judged:
            return "not asked for"
        return "missed" if any(not v.reason for v in judged.values()) else "not evaluated"


PLANTED = (
    Planted("an integer key that runs out", ("schema-int-overflow",), "shop.audit_log.*"),
    Planted("a table without a primary key", ("schema-no-primary-key",), "shop.page_views"),
    Planted("the same index twice", ("index-duplicate",), "shop.orders_placed_at_*"),
    Planted("an index that a wider one covers", ("index-redundant",), "shop.orders_status_idx"),
    Planted("an index that nothing uses", ("index-unused",), "shop.customers_profile_idx"),
    Planted("a unique index whose build failed", ("index-invalid",), "shop.page_views_path_key"),
    Planted(
        "an index on what every login changes", ("index-blocks-hot",), "shop.sessions_seen_idx"
    ),
    Planted("a customer's orders without an index", ("index-missing",), "shop.orders*"),
    Planted("lower(email) in a condition", ("query-function-on-column", "index-missing")),
    Planted("foreign keys without indexes", ("index-missing-fk",), "shop.order*"),
    Planted("a sort that spills to disk", ("query-temp-spill", "cache-temp-files")),
    Planted("autovacuum switched off", ("vacuum-disabled",), "shop.sessions"),
    Planted("half a table of dead rows", ("vacuum-dead-tuples",), "shop.sessions"),
    Planted("statistics from before the change", ("analyze-stale",), "shop.sessions"),
    Planted("a forgotten transaction with a lock", ("lock-idle-in-transaction",)),
    Planted("sessions that wait for it", ("lock-blocked",)),
)


def told(report: Report) -> Iterator[str]:
    """Yield the lines."""
    yield "What was planted in this shop:"
    yield ""
    states = [(each, each.told(report)) for each in PLANTED]
    for each, state in states:
        yield f"  {each.what:<38} {each.rules[0]:<25} {state}"
    yield ""
    count = sum(state == "found" for _, state in states)
    yield f"{count} of {len(PLANTED)} planted faults were found."
    yield ""
    yield from textwrap.wrap(_why_no_window(), 80)


def _why_no_window() -> str:
    days = rule("index-unused").limits().window.days
    return (
        "The shop is a minute old. On a server of yours, an index is called unused only after "
        f"{days} days of counters, and until then the report says “not evaluated”. The demo "
        "evaluates such rules all the same (--window 0): what so short a time cannot prove has "
        "grade C, and times are shares of the measured load, not per day."
    )
