"""What `fleet run` says while it visits, on standard error: its review goes to standard output."""

from collections import Counter

import click

from pgwatch_wed import units
from pgwatch_wed.cli.progress_bar import ProgressBar
from pgwatch_wed.fleet.fleet_begin import BegunRun
from pgwatch_wed.fleet.visits import Visit, VisitEnding
from pgwatch_wed.render.characters import visible_line

_LISTED = 20


class FleetProgress:
    """Counts visits that have ended, and tells of those that did not read everything.

    One that is ``nameless`` counts only: which placeholder a cluster has is known when the review is made.
    """

    def __init__(self, *, enabled: bool, is_quiet: bool, nameless: bool = False) -> None:
        self._bar = ProgressBar(enabled=enabled)
        self._is_quiet = is_quiet
        self._nameless = nameless
        self._members = 0
        self._run = 0
        self.endings: Counter[VisitEnding] = Counter()

    def begin(self, begun: BegunRun) -> None:
        """Take the run that begins."""
        self._members, self._run = len(begun.members), begun.run.id
        if begun.is_resumed:
            self._say(f"going on with fleet run {begun.run.id}: {begun.before} visited before")

    def told(self, visit: Visit) -> None:
        """Take a visit that has ended."""
        assert visit.ending is not None
        self.endings[visit.ending] += 1
        if not self._nameless:
            self._tell(visit, visit.ending)
        done = sum(self.endings.values())
        self._bar(f"{done} of {self._members} clusters", done / max(self._members, 1))

    def _tell(self, visit: Visit, ending: VisitEnding) -> None:
        if not ending.was_read and ending is not VisitEnding.SKIPPED:
            self._bar.clear()
            tries = f" after {visit.attempts} attempts" if visit.attempts > 1 else ""
            mend = f" ({visit.mend})" if visit.mend else ""
            self._say(f"{visit.member}: {ending.value}{tries}: {visit.reason}{mend}")
        elif ending is VisitEnding.IN_PART:
            self._bar.clear()
            self._say(f"{visit.member}: {ending.value}: {visit.reason}")

    def clear(self) -> None:
        """Remove the progress bar."""
        self._bar.clear()

    def say_how_to_resume(self) -> None:
        """Say what is left after an interruption."""
        self._bar.clear()
        left = self._members - sum(self.endings.values())
        self._say(f"{units.count(left, 'visit')} left of fleet run {self._run}: --resume goes on")

    def conclude(self) -> None:
        """Say what became of all visits."""
        self._bar.clear()
        parts = [f"{self.endings[each]} {each.value}" for each in VisitEnding if self.endings[each]]
        self._say(f"fleet run {self._run}: {', '.join(parts) or 'nothing was left to visit'}")

    def _say(self, text: str) -> None:
        if not self._is_quiet:
            click.echo(f"db-analyze: {visible_line(text)}", err=True)
