"""What `check` finds out: which facts a role can read, and which rules a run will evaluate.

The rules are asked themselves, with the facts that a run would read, so that nothing is promised that a run does not
keep. Only the lab is not built: what would prevent it is known from the snapshot.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.errors import HistoryError
from pgwatch_wed.facts import Cause, Missing, Snapshot
from pgwatch_wed.findings import RuleVerdict, Verdict
from pgwatch_wed.gather.enrichment import foreseen
from pgwatch_wed.history import recall, store
from pgwatch_wed.postgres import privileges
from pgwatch_wed.postgres.visibility import activity_hidden
from pgwatch_wed.remedies import authority
from pgwatch_wed.rules import all_rules, rule
from pgwatch_wed.sqltext import trees
from pgwatch_wed.sqltext.fragments import fragments, terminated

# Whether statements can be planned is known only when they are.
_UNPLANNED = "max_unplanned_share"
_PLANNED = frozenset({"missing_indexes", "index_drop_trials", "statement_plans"})


@dataclass(frozen=True, slots=True)
class Mend:
    """SQL or advice that would allow more; ``run_as`` says who may run SQL that this role may not."""

    text: str
    run_as: str


@dataclass(frozen=True, slots=True)
class Checked:
    """``lacking`` are the facts that cannot be read, or not all of it; ``verdicts`` those that a run would begin with."""

    snapshot: Snapshot
    lacking: Mapping[str, Missing]
    verdicts: tuple[RuleVerdict, ...]

    def promise(self, verdict: RuleVerdict) -> bool | None:
        """Tell whether a run evaluates a rule; None if only planning the statements tells."""
        if verdict.verdict is Verdict.UNKNOWN:
            return False
        return None if _PLANNED.intersection(rule(verdict.rule).needs) else True

    def count(self, promise: bool | None) -> int:
        """Count the rules of which this is promised."""
        return sum(self.promise(v) is promise for v in self.verdicts)

    @property
    def others(self) -> tuple[RuleVerdict, ...]:
        """What is not evaluated for another reason than that facts cannot be read."""
        needs = {r.id: set(r.needs) for r in all_rules()}
        facts = {name.partition(":")[0] for name in self.lacking}
        return tuple(
            v
            for v in self.verdicts
            if v.verdict is Verdict.UNKNOWN and facts.isdisjoint(needs[v.rule])
        )

    @property
    def reasons(self) -> Mapping[str, list[str]]:
        """What cannot be read, by the reason."""
        found: dict[str, list[str]] = {}
        for name, missing in self.lacking.items():
            found.setdefault(missing.reason, []).append(name)
        return found

    @property
    def mends(self) -> tuple[Mend, ...]:
        """What would allow more, each statement once."""
        texts = dict.fromkeys(text for m in self.lacking.values() for text in statements_of(m.mend))
        return tuple(
            Mend(text, authority.run_as(self.snapshot, text) if _is_sql(text) else "")
            for text in texts
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the GRANTs allow beyond what they are for."""
        return privileges.warnings("\n".join(m.text for m in self.mends if _is_sql(m.text)))


def checked(snapshot: Snapshot, settings: Config, history: str | None, *, asks: bool) -> Checked:
    """Ask the rules; ``asks`` tells whether a run would consult the history, ``history`` where that is."""
    lacking = dict(_lacking(snapshot))
    whole = foreseen(snapshot)
    whole = _recalled(whole, history) if asks else whole
    rules = [r for r in all_rules() if settings.selects(r)]
    planned = [r.id for r in rules if _UNPLANNED in {f.name for f in fields(r.limits)}]
    limits = {
        **settings.limits,
        **{name: {**settings.limits.get(name, {}), _UNPLANNED: 2.0} for name in planned},
    }
    report = analyse([whole], replace(settings, limits=limits), rules)
    return Checked(snapshot, lacking, report.verdicts)


def _lacking(snapshot: Snapshot) -> Iterator[tuple[str, Missing]]:
    """Yield what cannot be read, by fact; what only run adds to the facts depends on the tables."""
    for name, missing in snapshot.missing.items():
        if missing.cause not in (Cause.LEFT_OUT, Cause.NOT_ASKED):
            yield name, missing
    if (hidden := activity_hidden(snapshot)) is not None:
        yield "activity", hidden
    if (closed := privileges.tables_closed(snapshot)) is not None:
        yield "missing_indexes", closed


def _recalled(snapshot: Snapshot, url: str | None) -> Snapshot:
    """Return the snapshot with what a run would find in the history, which may have to begin yet."""
    try:
        with store.unchanged(url) as opened, opened.reading() as connection:
            return recall.recalled(connection, [snapshot])[0]
    except HistoryError as error:
        why = Missing(error.message, error.hint, Cause.FAILED)
        return recall.without_history([snapshot], why)[0]


def rules_of(fact: str) -> tuple[str, ...]:
    """Return the rules that need a fact."""
    return tuple(r.id for r in all_rules() if fact in r.needs)


def by_reason(verdicts: Iterable[RuleVerdict]) -> Mapping[tuple[str, str], list[str]]:
    """Return rules by the reason why they are not evaluated, and what would change that."""
    found: dict[tuple[str, str], list[str]] = {}
    for each in verdicts:
        found.setdefault((each.reason, each.mend), []).append(each.rule)
    return found


def statements_of(mend: str) -> Iterator[str]:
    """Yield the statements of SQL, or advice as a whole: a name in it may contain lines that look like SQL."""
    if not _is_sql(mend):
        yield from filter(None, [mend.strip()])
        return
    for part in fragments(mend):
        yield part.text if part.is_comment else terminated(part.text)


def _is_sql(text: str) -> bool:
    try:
        trees.parse(text)
    except trees.UnreadableError:
        return False
    return True
