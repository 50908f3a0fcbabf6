"""What a trial found, judged by the goals, as Markdown."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.bench.index_advice.wild.trial import Advised, BuiltSet

GOAL_AGAINST_EXPERT = 1.2
GOAL_SLOWER = 1.1
GOAL_PREDICTED = 1.5
GOAL_PLANNED = 0.95
NEAR = 0.01  # a promise of 0.2% that leaves 0.6% has hardly misled anybody
# Below so many blocks a call, more of them are not slower: an index of a row that is inserted takes some.
_FEW_BLOCKS = 20.0
_FAST_MS = 0.1
_LEAST = 1e-6


@dataclass(frozen=True, slots=True)
class Outcome:
    """A workload in one mode on one server, with no, the advised and the expert's indexes."""

    case: str
    server: str
    advised: Advised
    before: BuiltSet
    ours: BuiltSet
    expert: BuiltSet
    notes: tuple[str, ...] = field(default=())

    @property
    def remaining(self) -> float:
        """The share of blocks that remains with the advised set."""
        return self.ours.blocks / self.before.blocks

    @property
    def experts(self) -> float:
        """The share of blocks that remains with the expert's set."""
        return self.expert.blocks / self.before.blocks

    @property
    def against_expert(self) -> float:
        """Blocks with the advised set for each of the expert's."""
        return self.ours.blocks / max(self.expert.blocks, _LEAST)

    @property
    def predicted(self) -> float:
        """The share of the blocks that the advice says remains, of statements that are run as often as those that are measured.

        pg_stat_statements has twice as many calls of those with values, which were run with parameters, too.
        """
        runs = {name: m.runs for name, m in self.before.statements.items()}
        told = [(runs.get(name, 0), each) for name, each in self.advised.promises.items()]
        before = sum(number * each.before for number, each in told)
        return sum(number * each.after for number, each in told) / before if before else 1.0

    @property
    def misprediction(self) -> float:
        """By which factor predicted and measured remaining shares differ, 1 at best."""
        ratio = max(self.predicted, _LEAST) / max(self.remaining, _LEAST)
        return max(ratio, 1 / ratio)

    @property
    def planned(self) -> float:
        """The share of the statements that could be planned."""
        every = self.advised.planned + len(self.advised.unplanned)
        return self.advised.planned / every if every else 1.0

    @property
    def worst(self) -> tuple[float, str]:
        """The greatest factor by which a statement takes more blocks, and more time, than before."""
        found = [(self._slower(name), name) for name in self.before.statements]
        return max(found)

    def _slower(self, name: str) -> float:
        old, new = self.before.statements[name], self.ours.statements[name]
        if (
            new.is_write
        ):  # every index costs writes; those of an expert's set are the price of reading
            old = max(old, self.expert.statements[name], key=lambda m: m.blocks)
        blocks = new.blocks / max(old.blocks, 1.0)
        is_more = new.blocks > old.blocks + _FEW_BLOCKS and new.ms > old.ms + _FAST_MS
        # both must be more: blocks alone may come from cache at once, time alone from a busy machine
        return min(blocks, new.ms / max(old.ms, _LEAST)) if is_more else min(blocks, 1.0)


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal with the outcomes that miss it."""

    text: str
    share: float
    missed: Sequence[Outcome]
    every: int

    @property
    def is_met(self) -> bool:
        """Whether enough outcomes reach it."""
        return self.every - len(self.missed) >= self.share * self.every

    def line(self) -> str:
        """A line of the summary."""
        reached = self.every - len(self.missed)
        names = ", ".join(f"{o.case} {o.advised.mode}" for o in self.missed)
        verdict = "met" if self.is_met else "missed"
        return f"- {self.text}: {reached} of {self.every}, **{verdict}**" + (
            f" (not: {names})" if names else ""
        )


def goals(outcomes: Sequence[Outcome]) -> Iterator[Goal]:
    """Yield the goals of the benchmark as far as the outcomes reach them."""

    def goal(text: str, share: float, missed: Iterable[Outcome]) -> Goal:
        return Goal(text, share, tuple(missed), len(outcomes))

    yield goal(
        f"at most {GOAL_AGAINST_EXPERT} times the expert's blocks in 80%",
        0.8,
        (o for o in outcomes if o.against_expert > GOAL_AGAINST_EXPERT),
    )
    yield goal("never more blocks than before", 1.0, (o for o in outcomes if o.remaining > 1.0))
    yield goal(
        f"no statement slower than {GOAL_SLOWER} times",
        1.0,
        (o for o in outcomes if o.worst[0] > GOAL_SLOWER),
    )
    yield goal(
        f"predicted within a factor of {GOAL_PREDICTED} of measured blocks in 80%",
        0.8,
        (o for o in outcomes if o.misprediction > GOAL_PREDICTED),
    )
    yield goal(
        f"the same, or within {NEAR:.0%} of the blocks before",
        0.8,
        (
            o
            for o in outcomes
            if o.misprediction > GOAL_PREDICTED and abs(o.predicted - o.remaining) > NEAR
        ),
    )
    yield goal(
        f"{GOAL_PLANNED:.0%} of the statements planned",
        1.0,
        (o for o in outcomes if o.planned < GOAL_PLANNED),
    )


HEADER = (
    *("workload", "mode", "blocks before", "predicted remaining", "measured remaining"),
    *("expert's remaining", "ours/expert", "time remaining", "expert's time", "worst statement"),
    *("planned", "size, expert's, budget"),
)


def row(outcome: Outcome) -> str:
    """Return the outcome as a row under :data:`HEADER`."""
    o = outcome
    ratio, name = o.worst
    cells = (
        *(
            o.case,
            o.advised.mode,
            f"{o.before.blocks:,.0f}",
            share(o.predicted),
            share(o.remaining),
        ),
        *(share(o.experts), f"{o.against_expert:.2f}", share(o.ours.ms / o.before.ms)),
        *(share(o.expert.ms / o.before.ms), f"{ratio:.2f} {name}", f"{o.planned:.0%}"),
        f"{o.ours.size / 1e6:.0f}, {o.expert.size / 1e6:.0f}, {o.advised.advice.budget_bytes / 1e6:.0f} MB",
    )
    return line(cells)


def each_statement(outcome: Outcome) -> Iterator[str]:
    """Yield a table of the statements of an outcome, with the grades of those that read by new indexes, and what the sets are."""
    o = outcome
    head = ("statement", "runs", "before", "ours", "expert's", "predicted", "grade")
    yield line((*head, "ms", "ours", "expert's"))
    yield line(["---"] * 10)
    for name, old in o.before.statements.items():
        new, best = o.ours.statements[name], o.expert.statements[name]
        told = o.advised.promises.get(name)
        cells = (
            *(
                name,
                str(old.runs),
                f"{old.blocks:,.0f}",
                f"{new.blocks:,.0f}",
                f"{best.blocks:,.0f}",
            ),
            "not planned" if told is None else f"{told.before:,.0f} → {told.after:,.0f}",
            "" if old.is_write else o.advised.grades.get(name, ""),
            *(f"{old.ms:.2f}", f"{new.ms:.2f}"),
            f"{best.ms:.2f}",
        )
        yield line(cells)
    yield ""
    yield f"advised in {o.advised.seconds:.0f} s, {o.advised.advice.whatif_calls} what-if calls:"
    yield from (f"- `{ddl}`" for ddl in o.ours.ddl)
    yield from (f"- **not built** {failure}" for failure in o.ours.failures)
    yield "expert's:"
    yield from (f"- `{ddl}`" for ddl in o.expert.ddl)
    yield from (f"- **not built** {failure}" for failure in o.expert.failures)
    if o.advised.unplanned:
        yield "not planned:"
        yield from (f"- {r.query}: {r.reason}" for r in o.advised.unplanned)
    yield from (f"- note: {note}" for note in o.notes)


def of_expert(before: BuiltSet, expert: BuiltSet) -> Iterator[str]:
    """Yield a table of the statements with no and with the expert's indexes."""
    yield line(("statement", "runs", "before", "expert's", "ms", "expert's"))
    yield line(["---"] * 6)
    for name, old in before.statements.items():
        new = expert.statements[name]
        blocks = (f"{old.blocks:,.0f}", f"{new.blocks:,.0f}")
        yield line((name, str(old.runs), *blocks, f"{old.ms:.2f}", f"{new.ms:.2f}"))
    yield f"\n{expert.size / 1e6:.0f} MB"
    yield from (f"- **not built** {failure}" for failure in expert.failures)


def line(cells: Iterable[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def share(number: float) -> str:
    """Return a share with two significant digits."""
    percent = 100 * number
    return f"{percent:.0f}%" if percent >= 10 else f"{percent:.2g}%"
