"""What other workers were refused in the same run: the log of visits tells whose visit ended so, and never a password."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from pgwatch_wed import clock
from pgwatch_wed.fleet import failures
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.password_guard import PasswordGuard
from pgwatch_wed.fleet.visits import VisitEnding
from pgwatch_wed.history.schema import fleet_visits
from pgwatch_wed.history.store import Store


@dataclass(slots=True)
class RunGuards:
    """The guard of the run that a worker is at.

    A member that another worker was refused at stands for the password that our own inventory has for it. What ended
    before this worker began may have been with another password.
    """

    store: Store
    members: Mapping[str, Member]
    worker: str
    _since: datetime = field(default_factory=clock.now)
    _run: int = -1
    _guard: PasswordGuard = field(default_factory=PasswordGuard)
    _learned: set[str] = field(default_factory=set)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def of_run(self, fleet_run_id: int) -> PasswordGuard:
        """Return the guard of a run, which knows by now what others were refused."""
        with self._turn:
            if self._run != fleet_run_id:
                self._run, self._guard, self._learned = fleet_run_id, PasswordGuard(), set()
            self._learn()
            return self._guard

    def _learn(self) -> None:
        v = fleet_visits.c
        query = sa.select(v.member, v.reason).where(
            v.fleet_run_id == self._run,
            v.ending == VisitEnding.REFUSED.value,
            v.ended_at >= self._since,
            v.worker != self.worker,
            v.attempts > 0,
        )
        with self.store.reading() as connection:
            rows = connection.execute(query).all()
        for member, reason in rows:
            if member in self._learned or not failures.is_of_password(reason):
                continue
            self._learned.add(member)
            if member in self.members:
                self._guard.learn(self.members[member].targets)
