"""What became of a visit to a cluster: one outcome each, with its reason and what mends it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class VisitEnding(StrEnum):
    """How a visit ended: each in exactly one way."""

    DONE = "done"
    IN_PART = "done in part"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    OVER_BUDGET = "over budget"
    SKIPPED = "skipped"

    @property
    def was_read(self) -> bool:
        """Tell whether the cluster was judged."""
        return self in (VisitEnding.DONE, VisitEnding.IN_PART)


@dataclass(frozen=True, slots=True)
class Visit:
    """A cluster in one fleet run.

    ``ending`` is None as long as it waits or is under way. ``cluster_id`` and ``run_id`` are those of the history;
    of a cluster that could not be read, ``cluster_id`` is that of its last visit, if there was one. ``lacking`` are
    the databases and facts that a visit done in part lacks, with reasons. ``node_key`` identifies the server: its
    system identifier and what tells one node from another; two members with the same one are one cluster, and the
    later is skipped, with ``same_as``. ``traits`` is the address of what the report compares between clusters.
    """

    fleet_run_id: int
    member: str
    group: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    label: str = ""
    ending: VisitEnding | None = None
    reason: str = ""
    mend: str = ""
    lacking: Mapping[str, str] = field(default_factory=dict)
    attempts: int = 0
    began_at: datetime | None = None
    ended_at: datetime | None = None
    heartbeat_at: datetime | None = None
    worker: str = ""
    node_key: str | None = None
    same_as: str | None = None
    cluster_id: int | None = None
    run_id: int | None = None
    traits: str | None = None


@dataclass(frozen=True, slots=True)
class FleetRun:
    """One pass over the fleet; ``ended_at`` is None until each of its visits has ended."""

    id: int
    began_at: datetime
    ended_at: datetime | None
    tool_version: str
    members: int
