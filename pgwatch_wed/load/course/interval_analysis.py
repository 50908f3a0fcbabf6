"""Snapshots before and after a load: all rules judge exactly what was counted in between."""

import time
from dataclasses import dataclass, replace

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.errors import Error
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts.features import Features
from pgwatch_wed.findings import Report
from pgwatch_wed.gather import run as gather
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.load.load_model import Ground
from pgwatch_wed.progress import silent
from pgwatch_wed.target import collect as collecting

BUDGET_S = 60.0
_LATE_S = 1.1  # sessions of older servers, and their collector, report at the latest then
_NEVER = ("coverage-window",)  # a load test is as short as it was ordered
# How our own server is set up is nothing that its user could mend.
_NOT_OF_OURS = ("config", "coverage", "integrity", "lock-no-timeouts")


@dataclass(frozen=True, slots=True)
class LoadInterval:
    """What was counted between two snapshots, and what the rules say of it; ``missing`` says why there is nothing."""

    snapshot: Snapshot | None
    report: Report | None
    missing: str = ""


def snapshot_before(ground: Ground) -> Snapshot:
    """Read the ground's database as it is before a load."""
    return collecting.collect(ground.conninfo, budget_s=BUDGET_S)


def evaluated(ground: Ground, before: Snapshot, settings: Config) -> LoadInterval:
    """Read it again, and let the rules judge the difference."""
    if not Features.of(ground.server_version).has_consistent_statistics():
        time.sleep(_LATE_S)
    wanted = Wanted(budget_s=BUDGET_S, since=lambda _: (before,))
    try:
        (measured,) = gather.gathered(ground.conninfo, wanted, silent).measured
    except Error as error:
        return LoadInterval(None, None, error.message)
    left_out = (*_NEVER, *(_NOT_OF_OURS if ground.is_embedded else ()))
    chosen = replace(settings, ignore=(*settings.ignore, *left_out))
    return LoadInterval(measured, analyse((measured,), chosen, target=ground.shown))
