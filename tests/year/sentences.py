"""Whether what a report says of a day is what the script did."""

from collections.abc import Callable, Iterator, Mapping

from pgwatch_wed.findings import Finding, Grade
from pgwatch_wed.sqltext.statement_link import linkable
from tests.year.drive import Year
from tests.year.script import BY_CUSTOMER, DAILY, GROW, UPDATE, day_of

Check = Callable[[Year, int, Finding], bool]

TEXTS = {linkable(text.format(1)): text for text in (*DAILY, GROW)}


def since(year: Year, day: int, *events: str) -> range:
    """Return the days that counters cover: from the last of these events on."""
    happened = [e for e in events if e != "upgrade" or year.has_two_majors]
    begins = [0, *(day_of(e) for e in happened if day_of(e) <= day)]
    return range(max(begins), day + 1)


def calls(year: Year, text: str, days: range) -> int:
    """Return how often a statement was executed on some days."""
    return sum(year.ledger.calls[n][text] for n in days)


def is_counted(year: Year, day: int, found: Finding) -> bool:
    """Tell whether a statement was called as often as is said, since its counters began."""
    statement = found.evidence.get("query")
    text = TEXTS.get(linkable(str(statement)))
    if text is None:
        return True  # ours, or of the schema: not in the ledger
    # an immediate stop keeps them, a crash of one backend does not
    begins = ["crash of one backend", "reset of all statements", "upgrade"]
    begins += ["reset of one statement"] if "where customer = " in text else []
    # which statements are evicted is up to the server, and before 18 one of a table made anew is another
    perhaps = (["eviction"], ["DDL"], ["eviction", "DDL"])
    possible = (since(year, day, *begins, *more) for more in ([], *perhaps))
    return found.evidence.get("calls") in {calls(year, text, days) for days in possible}


def is_changed(year: Year, day: int, found: Finding) -> bool:
    """Tell whether as many rows were changed since the last analysis."""
    days = since(year, day, "crash of one backend", "immediate stop", "reset of all", "upgrade")
    if found.object.name == "accounts":
        return bool(found.evidence["changed_rows"] == calls(year, UPDATE, days))
    return found.object.name in ("orders", "events", "log")


def has_no_key(_year: Year, _day: int, found: Finding) -> bool:
    """Tell whether a table is one of those without a primary key."""
    return found.object.name in ("events", "log")


def is_short(year: Year, day: int, found: Finding) -> bool:
    """Tell whether the counters cover less than 30 days."""
    return len(since(year, day, "immediate stop", "reset of all", "upgrade")) <= 30


def is_unused(year: Year, day: int, found: Finding) -> bool:
    """Tell whether no query reads an index, and it has been there for the 30 days."""
    made = {"orders_note": "useless index", "accounts_balance": "harmful index"}
    event = made.get(found.object.name)
    return event is not None and day - day_of(event) >= 30 and not is_short(year, day, found)


def is_missing(_year: Year, day: int, found: Finding) -> bool:
    """Tell whether it is the index that the deploy dropped, before there was one again."""
    is_it = found.evidence["columns"] == ["customer"] and found.object.table == "orders"
    return is_it and day_of("deploy") <= day < day_of("good index")


def is_slower(_year: Year, day: int, found: Finding) -> bool:
    """Tell whether a statement is slower by the script's doing; time alone may be the machine's."""
    if found.grade is Grade.C or "query" not in found.evidence:
        return True
    text = TEXTS.get(linkable(str(found.evidence["query"])))
    since_day = {BY_CUSTOMER: day_of("deploy"), UPDATE: day_of("harmful index")}
    return text in since_day and day >= since_day[text]


def always(_year: Year, _day: int, _found: Finding) -> bool:
    """What this kind says is measured by the server alone, or is so on each day."""
    return True


def after(event: str) -> Check:
    """Return whether something had happened."""
    return lambda _year, day, _found: day >= day_of(event)


ALLOWED: Mapping[str, Check] = {
    "config-dangerous": lambda _year, _day, found: found.object.name in ("fsync", "data_checksums"),
    "lock-no-timeouts": always,
    "config-logging": always,
    "coverage-window": is_short,
    "coverage-extension": after("upgrade"),
    "schema-no-primary-key": has_no_key,
    "query-top-time": is_counted,
    "query-io-bound": is_counted,
    "query-wal-heavy": is_counted,
    "query-unstable": is_counted,
    "analyze-stale": is_changed,
    "index-unused": is_unused,
    "query-regression": is_slower,
    "index-missing": is_missing,
}


def unexplained(year: Year) -> Iterator[str]:
    """Yield what reports say that the script did not do."""
    for day, report in year.reports.items():
        for found in report.findings:
            check = ALLOWED.get(found.rule)
            if check is None or not check(year, day, found):
                yield f"day {day}: {found.rule}: {found.title}. {found.detail} {found.evidence}"
