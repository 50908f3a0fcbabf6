"""A worker's job that waits for a host which says nothing lends its slot to another one.

procrastinate counts jobs, and a silent host would keep one of few from working for as long as it may take to answer.
"""

import asyncio
from typing import Any

from procrastinate.worker import Worker

MOST_LENT = 64


class LentSlots(asyncio.Semaphore):
    """Slots of which some are used by two: who lent one does not give it back a second time."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self._lent = 0
        self._given_back = 0

    def lend(self) -> bool:
        """Let another job have a slot beside the one that waits; False if too many do."""
        if self._lent >= MOST_LENT:
            return False
        self._lent += 1
        super().release()
        return True

    def end_loan(self) -> None:
        """Note that a job which has lent its slot is about to end."""
        self._lent -= 1
        self._given_back += 1

    def release(self) -> None:
        """Give a slot back when a job has ended."""
        if self._given_back:
            self._given_back -= 1
        else:
            super().release()


class LendingWorker(Worker):
    """A worker whose slots can be lent; procrastinate makes them anew when it runs."""

    slots: LentSlots

    @property  # type: ignore[override]
    def _job_semaphore(self) -> LentSlots:
        return self.slots

    @_job_semaphore.setter
    def _job_semaphore(self, _: Any) -> None:
        self.slots = LentSlots(self.concurrency)
