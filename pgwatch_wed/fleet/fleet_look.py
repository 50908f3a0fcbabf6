"""All members looked at, several at a time, and nothing read: what a run would visit."""

import queue
from collections.abc import Sequence

from pgwatch_wed.fleet import fleet_units, probing
from pgwatch_wed.fleet.fleet_units import VisitPlan, addresses_of
from pgwatch_wed.fleet.lanes import Lane, LaneLimits, LaneTask
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.password_guard import PasswordGuard
from pgwatch_wed.fleet.probing import ProbedMember


def look(members: Sequence[Member], concurrency: int, connect_s: int) -> VisitPlan:
    """Return what a run would visit now; of one address, one connection is open at a time."""
    came: queue.SimpleQueue[ProbedMember | BaseException] = queue.SimpleQueue()
    lane = Lane(LaneLimits(), concurrency, came.put)
    guard = PasswordGuard()
    for member in fleet_units.mixed(members):
        lane.add(_task(member, connect_s, guard, came))
    found: list[ProbedMember] = []
    while len(found) < len(members):
        each = came.get()
        if isinstance(each, BaseException):
            raise each
        found.append(each)
    lane.close()
    return fleet_units.planned(found)


def _task(
    member: Member,
    connect_s: int,
    guard: PasswordGuard,
    came: "queue.SimpleQueue[ProbedMember | BaseException]",
) -> LaneTask:
    def work() -> None:
        came.put(probing.probed(member, connect_s, guard))

    return LaneTask(work, addresses_of((member,)))
