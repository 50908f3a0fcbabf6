"""The plan in words: what to do, in order; many actions of one kind are one line."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from pgwatch_wed import units
from pgwatch_wed.findings import Action, ActionGain, ActionStage, Finding, Object, Report
from pgwatch_wed.remedies.resumable import StepKind, blocks_of
from pgwatch_wed.remedies.script import comment
from pgwatch_wed.render.finding_groups import FindingGroup, things
from pgwatch_wed.render.impact_words import saved

# Fewer are listed one by one.
_AT_LEAST = 4
# What is read in a moment is not worth a line.
_TAKES_LONG = 100_000_000
_OURS = "the role that analyzed"
_DUE = {
    ActionStage.SESSIONS: "at once",
    ActionStage.SETTINGS: "one reload for all settings",
    ActionStage.RESTART: "one restart for all of these settings",
}


@dataclass(frozen=True, slots=True)
class PlanLine:
    """One action, or several of the same kind; ``database`` is named where the report has several."""

    title: str
    actions: tuple[Action, ...]
    database: str = ""

    @property
    def gain(self) -> str:
        """What it saves; empty if that is not known."""
        return saved(_sum(a.gain for a in self.actions))

    @property
    def _space(self) -> str:
        taken = -(_sum(a.gain for a in self.actions).bytes or 0)
        return f"{units.size(taken)} of space" if taken > 0 else ""

    @property
    def _reading(self) -> str:
        """How much it reads, if that takes noticeably long."""
        sizes = [a.reads_bytes for a in self.actions]
        known = sum(size for size in sizes if size is not None)
        less = "at least " if None in sizes else ""
        return f"{less}{units.size(known)}" if known >= _TAKES_LONG else ""

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What a reader weighs before acting, each with its label: database, gain, what it reads, lock, risk, who may run it, when it takes effect."""
        steps = [s for a in self.actions for s in a.statements]
        said = (
            ("database", [self.database]),
            ("saves", [self.gain]),
            ("needs", [self._space]),
            ("reads", [self._reading]),
            ("lock", _locks(s.lock for s in steps)),
            ("risk", [a.risk for a in self.actions]),
            ("run as", [s.run_as or _OURS * bool(s.needs) for s in steps]),
            ("takes effect", [_due(a) for a in self.actions]),
            ("decide first", [a.by_hand for a in self.actions]),
        )
        return tuple((label, text) for label, texts in said if (text := _few(texts)))

    @property
    def sql(self) -> str:
        """The statements of all of its actions, in order."""
        return self._here(s.sql for a in self.actions for s in a.statements)

    @property
    def undo(self) -> str:
        """What takes all of them back, in order."""
        return self._here(line for a in reversed(self.actions) for line in a.undo)

    def _here(self, texts: Iterable[str]) -> str:
        """Join statements, after the database if it is to be named."""
        found = list(texts)
        return "\n".join([*_headed(self.database), *found] if found else ())

    @property
    def closes(self) -> tuple[str, ...]:
        """The IDs of the findings that it closes."""
        return tuple(dict.fromkeys(i for a in self.actions for i in a.closes))


def plan_lines(report: Report) -> tuple[PlanLine, ...]:
    """Return the plan's lines in its order; actions of a kind are where the first of them is."""
    rules = {f.id: f.rule for f in (*report.findings, *report.hidden)}
    several = _has_several(report)
    kinds: dict[tuple[str, ...], list[Action]] = {}
    for action in report.plan.actions:
        kinds.setdefault(_kind(action, rules), []).append(action)
    found: list[PlanLine] = []
    shown: set[tuple[str, ...]] = set()
    for action in report.plan.actions:
        kind = _kind(action, rules)
        where = (action.database or "") if several else ""
        if len(kinds[kind]) < _AT_LEAST:
            found.append(PlanLine(action.title, (action,), where))
        elif kind not in shown:
            shown.add(kind)
            found.append(PlanLine(_title(kinds[kind]), tuple(kinds[kind]), where))
    return tuple(found)


def plan_sentence(report: Report) -> str:
    """Say what the whole plan does, each gain counted once; empty if there is none."""
    plan = report.plan
    if not plan.actions:
        return ""
    closed = {i for a in plan.actions for i in a.closes}
    said = f"{units.count(len(plan.actions), 'action')} for {units.count(len(closed), 'finding')}"
    gain = saved(plan.gain)
    said += f"; together they save {gain}" if gain else ""
    if plan.cost_share:
        said += f"; the advised indexes save {units.share(plan.cost_share)} of the planner's cost"
    left = len(plan.not_planned)
    return f"{said}." + (
        f" For {units.count(left, 'finding')} there is nothing to run." if left else ""
    )


def plan_databases(report: Report) -> tuple[str, ...]:
    """Return the databases that were analyzed, and those others in which something is to be run."""
    run_in = (a.database for a in report.plan.actions if a.database and not a.by_hand)
    return tuple(dict.fromkeys((*report.target.databases, report.target.database, *run_in)))


def places(lines: Sequence[PlanLine]) -> dict[str, int]:
    """Return by finding ID the number of the line that closes it, from 1 on."""
    found: dict[str, int] = {}
    for place, line in enumerate(lines, 1):
        for closed in line.closes:
            found.setdefault(closed, place)
    return found


def first_places(report: Report, lines: Sequence[PlanLine], most: int) -> tuple[int, ...]:
    """Return the numbers of the lines that matter most, by the findings that they close, in the plan's order.

    What is due first is not what matters most: a setting of the log precedes the index that saves half of the load. What blocks others now
    always matters.
    """
    ranks = {f.id: rank for rank, f in enumerate((*report.findings, *report.hidden))}
    weights = {
        place: -1
        if line.actions[0].stage is ActionStage.SESSIONS
        else min((ranks[i] for i in line.closes if i in ranks), default=len(ranks))
        for place, line in enumerate(lines, 1)
    }
    return tuple(sorted(sorted(weights, key=lambda place: weights[place])[:most]))


def shown_findings(report: Report) -> dict[str, Finding]:
    """Return the shown findings by ID, which is computed: once for all lines of a plan."""
    return {f.id: f for f in report.findings}


def closed_by(
    report: Report, line: PlanLine, known: Mapping[str, Finding] | None = None
) -> tuple[Finding, ...]:
    """Return the shown findings that a line closes; ``known`` are all of them, by ID."""
    by_id = shown_findings(report) if known is None else known
    return tuple(by_id[i] for i in line.closes if i in by_id)


def closed_names(
    report: Report, line: PlanLine, known: Mapping[str, Finding] | None = None
) -> tuple[str, ...]:
    """Return the findings that a line closes, as rule and object."""
    names = (f"{f.rule} {f.object.label}" for f in closed_by(report, line, known))
    return tuple(dict.fromkeys(names))


def group_sql(report: Report, group: FindingGroup, most: int | None = None) -> str:
    """Return one script for a group's findings: the plan's if there is one, which has no contradictions."""
    ids = {f.id for f in group.findings}
    planned = [a for a in report.plan.actions if not a.by_hand and ids.intersection(a.closes)]
    steps = [(a.database or "", s.sql) for a in planned for s in a.statements]
    if not report.plan.actions:
        steps = [(_database(f.object), r.sql) for f in group.findings for r in f.remedy]
    # of what is needed once, such as a reload, the last counts
    once = list(reversed(dict.fromkeys(reversed(steps))))
    if not _has_several(report):
        once = [("", sql) for sql in reversed(dict.fromkeys(sql for _, sql in reversed(steps)))]
    by_database: dict[str, list[str]] = {}
    for database, sql in once[:most]:
        by_database.setdefault(database, []).append(sql)
    anywhere = [comment("in any database")] if len(by_database) > 1 else []
    lines = [
        line
        for name, texts in by_database.items()
        for line in (*(_headed(name) or anywhere), *texts)
    ]
    left = len(once) - most if most is not None else 0
    return "\n".join([*lines, comment(f"and {left:,} more")] if left > 0 else lines)


def _has_several(report: Report) -> bool:
    """Tell whether a reader has to know in which database a statement is to be run."""
    named = (a.database for a in report.plan.actions if a.database)
    return len({*plan_databases(report), *named}) > 1


def _database(about: Object) -> str:
    return about.name if about.kind == "database" else about.database or ""


def _headed(database: str) -> list[str]:
    return [comment(f"in database {database}")] if database else []


def _kind(action: Action, rules: dict[str, str]) -> tuple[str, ...]:
    """Return what actions of one line have in common: stage, rule, database, and the first words of their SQL."""
    rule = rules.get(action.closes[0], "") if action.closes else ""
    first = action.statements[0].sql.split()[:2] if action.statements else []
    by_hand = "by hand" if action.by_hand else ""
    return (action.stage.value, rule, action.database or "", by_hand, *first)


def _title(actions: Sequence[Action]) -> str:
    """``Drop index …: 130 indexes of 40 tables``, by the words with which all titles begin."""
    columns = zip(*(a.title.split() for a in actions), strict=False)
    words = [w[0] for w in takewhile(lambda column: len(set(column)) == 1, columns)]
    start = " ".join(words) or actions[0].title.partition(" ")[0]
    return f"{start} …: {things(a.object for a in actions)}"


def _due(action: Action) -> str:
    """Say when it takes effect; settings of a role do so in its next session, without a reload."""
    reloads = any(s.kind is StepKind.RELOAD for b in blocks_of(action) for s in b.steps)
    is_reloaded = action.stage is not ActionStage.SETTINGS or reloads
    return _DUE.get(action.stage, "") if is_reloaded else ""


def _locks(locks: Iterable[str]) -> list[str]:
    """Return the locks that are taken; if there are none, what is said instead of them."""
    found = list(dict.fromkeys(locks))
    taken = [lock for lock in found if not lock.startswith("none")]
    if taken or not found:
        return taken
    said = _few((part for lock in found for part in lock.split("; ") if part != "none"), 3)
    return ["; ".join(filter(None, ("none", said)))]


def _few(texts: Iterable[str], most: int = 2) -> str:
    """Join what differs, but not more of it than one can read."""
    found = list(dict.fromkeys(filter(None, texts)))
    more = f"; and {len(found) - most:,} more" if len(found) > most else ""
    return f"{'; '.join(found[:most])}{more}"


def _sum(gains: Iterable[ActionGain]) -> ActionGain:
    known = list(gains)
    shares, rates, sizes = (
        [value for g in known if (value := getattr(g, name)) is not None]
        for name in ("share_of_load", "ms_per_day", "bytes")
    )
    return ActionGain(
        ms_per_day=sum(rates) if rates else None,
        share_of_load=min(sum(shares), 1.0) if shares else None,
        bytes=sum(sizes) if sizes else None,
    )
