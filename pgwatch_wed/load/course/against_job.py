"""The second part of a run with ``--against``: the scenarios again, on both sides in turn."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import psycopg

from pgwatch_wed.errors import Error, said
from pgwatch_wed.load.compare.against import AgainstServer, AgainstSettings
from pgwatch_wed.load.compare.against_course import compare_against
from pgwatch_wed.load.compare.against_grounds import against_grounds, check_against
from pgwatch_wed.load.course.scenario_course import prepare
from pgwatch_wed.load.engine.block_run import INTERRUPTED
from pgwatch_wed.load.ground.stop_conditions import StopLimits, stop_conditions
from pgwatch_wed.load.load_model import Order, Scenario
from pgwatch_wed.load.stress_report import ScenarioRun, StressComparison, StressReport
from pgwatch_wed.progress import Progress

_WARMUP_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgainstJob:
    """What a run is compared with. ``target`` is None for the embedded server; ``pairs`` is None for as many as it takes.

    ``needs_database``: a schema will not do, on neither side.
    """

    against: AgainstSettings | AgainstServer
    target: str | None
    owned: Sequence[str]
    even_if: frozenset[str]
    is_writing: bool
    pairs: int | None
    progress: Progress
    needs_database: bool = False

    def check(self) -> None:
        """Raise what would be raised after the first part, which takes long."""
        check_against(
            self.against,
            self.target,
            owned=self.owned,
            even_if=self.even_if,
            writing=self.is_writing,
            needs_database=self.needs_database,
        )

    def added_to(self, report: StressReport) -> StressReport:
        """Return the report with the comparison; what goes wrong with it does not cost the report."""
        if report.ended_early:
            return self._without(report, f"nothing was compared: {report.ended_early}")
        try:
            compared = self.compared(report)
        except Error as error:
            return self._without(report, str(error))
        except psycopg.Error as error:
            return self._without(report, said(error))
        except KeyboardInterrupt:
            return replace(report, ended_early=INTERRUPTED)
        ended = INTERRUPTED if compared.ended_early == INTERRUPTED else ""
        return replace(report, comparison=compared, ended_early=ended)

    def _without(self, report: StressReport, why: str) -> StressReport:
        failed = StressComparison(label=self._label, taken_at=None, metrics=(), notes=(why,))
        return replace(report, comparison=failed)

    @property
    def _label(self) -> str:
        return self.against.shown if isinstance(self.against, AgainstSettings) else "another server"

    def compared(self, report: StressReport) -> StressComparison:
        """Run what ran, at the same rates, on both sides."""
        planned = [found for run in report.runs if (found := _planned(run))]
        with ExitStack() as opened:
            grounds = opened.enter_context(
                against_grounds(
                    self.against,
                    self.target,
                    owned=self.owned,
                    even_if=self.even_if,
                    writing=self.is_writing,
                    needs_database=self.needs_database,
                )
            )
            limits = StopLimits(connections=0.8 if self.target is not None else None)
            sides = {g.conninfo: g for g in (grounds.base, grounds.current)}.values()
            stops = [opened.enter_context(stop_conditions(g, limits)) for g in sides]
            return compare_against(
                grounds,
                planned,
                prepare,
                pairs=self.pairs,
                stop=lambda: next((why for stop in stops if (why := stop())), ""),
                progress=self.progress,
            )


def _planned(run: ScenarioRun) -> tuple[Scenario, Order] | None:
    """Return a scenario with the load that its objectives were evaluated on; None if it has none."""
    if run.measured is None or not run.measured.blocks:
        return None
    order = run.measured.blocks[0].order
    return run.scenario, replace(order, warmup_s=min(order.warmup_s, _WARMUP_S))
